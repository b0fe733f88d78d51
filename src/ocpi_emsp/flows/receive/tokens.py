"""The eMSP interface of the tokens module (mod_tokens.md 2.2).

Rules of this module:
- the list is ours: oldest first, paged, with Link, X-Total-Count and X-Limit;
- an authorize hook decides; without one the stored token does: valid is ALLOWED, otherwise BLOCKED;
- only locations that were asked for are answered; an unknown token is 404.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from ocpi_emsp.codec import decode, encode_valid
from ocpi_emsp.errors import InvalidObject, NotEnoughInformation, Refusal, UnknownObject
from ocpi_emsp.flows.context import AuthorizeHook
from ocpi_emsp.flows.incoming import JSON, Incoming
from ocpi_emsp.models import Allowed, AuthorizationInfo, LocationReferences, Token, TokenType
from ocpi_emsp.ports import Key, Kind, Query
from ocpi_emsp.wire import Response, link_next, read_page_request, success


async def list_tokens(incoming: Incoming) -> Response:
    """A page of our tokens."""
    context = incoming.context
    asked = read_page_request(incoming.request.query, default=context.limits.page, cap=context.limits.page_cap)
    limit = asked.limit or context.limits.page
    query = Query(
        kind=Kind.TOKEN,
        country_code=context.identity.country_code,
        party_id=context.identity.party_id,
        date_from=asked.date_from,
        date_to=asked.date_to,
        offset=asked.offset,
        limit=limit,
    )
    async with context.store.transaction(read_only=True) as tx:
        page = await tx.page(query)
    headers = [JSON, ("x-total-count", str(page.total)), ("x-limit", str(limit))]
    if asked.offset + len(page.records) < page.total and page.records:
        headers.append(("link", link_next(context.identity.endpoint("tokens"), asked, limit)))
    data = b"[" + b",".join(record.document for record in page.records) + b"]"
    return Response(200, headers, success(incoming.now, data))


async def authorize(incoming: Incoming) -> Response:
    """A real-time authorization; the body may name a location."""
    context = incoming.context
    uid = incoming.params["token_uid"]
    asked_type = parse_qs(incoming.request.query).get("type", [TokenType.RFID.value])[0]
    location = incoming.accept(LocationReferences) if incoming.request.body.strip() else None
    async with context.store.transaction(read_only=True) as tx:
        record = await tx.get(token_key(context.identity.country_code, context.identity.party_id, uid, asked_type))
    if record is None:
        raise UnknownObject(f"token {uid!r} of type {asked_type!r} is not known")
    token = decode(Token, record.document)
    info = await _decide(context.authorize, token, location) if context.authorize else _by_token(token, location)
    if not isinstance(info, AuthorizationInfo):
        raise TypeError(f"the authorize hook returned {type(info).__name__}, not AuthorizationInfo")
    try:
        return incoming.answer(encode_valid(info))
    except InvalidObject as error:
        raise ValueError("the authorize hook returned an AuthorizationInfo that cannot be sent") from error


async def _decide(hook: AuthorizeHook, token: Token, location: LocationReferences | None) -> AuthorizationInfo:
    """What the hook says. Raises NotEnoughInformation where it does; any other refusal is not the partner's fault."""
    try:
        return await hook(token, location)
    except NotEnoughInformation:
        raise
    except Refusal as error:
        raise RuntimeError(f"the authorize hook raised {type(error).__name__}") from error


def _by_token(token: Token, location: LocationReferences | None) -> AuthorizationInfo:
    if token.valid:
        return AuthorizationInfo(allowed=Allowed.ALLOWED, location=location)
    return AuthorizationInfo(allowed=Allowed.BLOCKED)


def token_key(country_code: str, party_id: str, uid: str, token_type: str) -> Key:
    """The key of one of our tokens: uid and type together are unique (mod_tokens.md 3.2)."""
    return Key(Kind.TOKEN, country_code.upper(), party_id.upper(), uid, token_type.upper())
