"""The eMSP interface of the tokens module (mod_tokens.md 2.2).

Rules of this module:
- the list has our tokens: oldest first, paged, with Link, X-Total-Count and X-Limit; a link continues after the last
  token of its page, so a token that leaves the window meanwhile shifts nothing; offsets from a partner are supported as
  well;
- the total is counted for the first and the last page; pages between repeat the number, which the links carry;
- real-time authorization is in inbound_authorize.py.
"""

from __future__ import annotations

from attrs import evolve

from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.inbound.request import JSON, Incoming
from ocpi_emsp.ports import Documents, Kind, Query, read_documents
from ocpi_emsp.wire import PageRequest, Response, link_next, read_page_request, success


async def list_tokens(incoming: Incoming) -> Response:
    """Return a page of our tokens."""
    context = incoming.context
    asked = read_page_request(
        incoming.request.query, default=context.limits.http.page_size, cap=context.limits.http.max_page_size
    )
    limit = asked.limit or context.limits.http.page_size
    found = await _listed(context, asked, limit)
    headers = [JSON, ("x-total-count", str(found.total)), ("x-limit", str(limit))]
    if found.more:
        url = context.identity.endpoint("tokens")
        headers.append(("link", link_next(url, asked, limit, after=found.last, total=found.total)))
    return Response(200, headers, success(incoming.now, b"[" + found.joined + b"]"))


async def _listed(context: Context, asked: PageRequest, limit: int) -> Documents:
    """Return the documents of a page, and the total number."""
    window = Query(
        kind=Kind.TOKEN,
        country_code=context.identity.country_code,
        party_id=context.identity.party_id,
        date_from=asked.date_from,
        date_to=asked.date_to,
        limit=limit,
    )
    async with context.store.transaction(read_only=True) as tx:
        if asked.after is None:
            return await read_documents(tx, evolve(window, offset=asked.offset))
        found = await read_documents(tx, evolve(window, after=asked.after, count=False))
        if asked.total is not None and found.more:
            return evolve(found, total=asked.total)
        return evolve(found, total=(await tx.page(evolve(window, limit=1))).total)
