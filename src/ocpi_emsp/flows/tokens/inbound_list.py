"""The eMSP interface of the tokens module (mod_tokens.md 2.2).

Rules of this module:
- the list is ours: oldest first, paged, with Link, X-Total-Count and X-Limit; a link continues after the last token of
  its page, so one that leaves the window meanwhile shifts nothing; a partner that counts offsets is served by them;
- real-time authorization is in inbound_authorize.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.inbound.request import JSON, Incoming
from ocpi_emsp.ports import Kind, Query, Record
from ocpi_emsp.wire import PageRequest, Response, link_next, read_page_request, success


async def list_tokens(incoming: Incoming) -> Response:
    """A page of our tokens."""
    context = incoming.context
    asked = read_page_request(
        incoming.request.query, default=context.limits.http.page_size, cap=context.limits.http.max_page_size
    )
    limit = asked.limit or context.limits.http.page_size
    records, total = await _listed(context, asked, limit)
    headers = [JSON, ("x-total-count", str(total)), ("x-limit", str(limit))]
    given = records[:limit]
    if len(records) > limit:
        link = link_next(context.identity.endpoint("tokens"), asked, limit, after=given[-1].sequence)
        headers.append(("link", link))
    data = b"[" + b",".join(record.document for record in given) + b"]"
    return Response(200, headers, success(incoming.now, data))


async def _listed(context: Context, asked: PageRequest, limit: int) -> tuple[Sequence[Record], int]:
    """The records of a page, one more where others follow, and how many there are in all."""
    window = Query(
        kind=Kind.TOKEN,
        country_code=context.identity.country_code,
        party_id=context.identity.party_id,
        date_from=asked.date_from,
        date_to=asked.date_to,
    )
    async with context.store.transaction(read_only=True) as tx:
        if asked.after is None:
            page = await tx.page(evolve(window, offset=asked.offset, limit=limit + 1))
            return page.records, page.total
        page = await tx.page(evolve(window, after=asked.after, limit=limit + 1, count=False))
        return page.records, (await tx.page(evolve(window, limit=1))).total
