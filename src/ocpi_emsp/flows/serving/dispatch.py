"""Every request from a partner, from bytes to bytes.

Rules of this module (transport_and_format.md, status_codes.md, the table of docs/reference/answers.md):
- every response is an OCPI envelope; an exception carries its statuses, any other exception is our fault: 500 / 3000
  with a correlation id and no internals;
- checks are made in this order: token and what its party may send, then the body is read to its limit (admission.py),
  path, method and matrix, registration, ownership, then the flow;
- a request that is rejected for its findings is stored, raw, without the token (a rejection);
- timestamps without a zone get that of the party's profile before anything else reads them;
- what is lost by our fault (500) becomes a resync request (transport_and_format.md, offline behaviour);
- a correlation id is taken from the request, or created, accompanies the change, and is echoed; a token is never logged
  (request_log.py).
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from attrs import evolve

from ocpi_emsp import logs
from ocpi_emsp.codec.documents import GZIP
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.weight import nests_deeper, require_shallow, too_deep
from ocpi_emsp.errors import (
    InvalidObject,
    MethodNotAllowed,
    NotAuthenticated,
    NotJson,
    QuotaExceeded,
    Refusal,
    StoreFailed,
    UnknownObject,
    UnsupportedEncoding,
)
from ocpi_emsp.flows.calls.request_log import LoggedRequest
from ocpi_emsp.flows.cdrs import inbound as cdrs
from ocpi_emsp.flows.commands import inbound as commands
from ocpi_emsp.flows.core.context import Context, new_id
from ocpi_emsp.flows.credentials import inbound as credentials, inbound_versions as versions
from ocpi_emsp.flows.events.backlog import log_backlog
from ocpi_emsp.flows.events.delivery import ListenerFailed, deliver
from ocpi_emsp.flows.events.journal import committed
from ocpi_emsp.flows.events.newest import append_newest, remove_oldest
from ocpi_emsp.flows.inbound.quota_reached import report_quota
from ocpi_emsp.flows.inbound.request import JSON, Incoming
from ocpi_emsp.flows.locations import inbound as locations
from ocpi_emsp.flows.parties.authentication import authenticate
from ocpi_emsp.flows.parties.hub_owners import is_open, record_owners
from ocpi_emsp.flows.parties.party import Caller, Party, PartyState, matrix_of
from ocpi_emsp.flows.parties.pending_resync import request_resync
from ocpi_emsp.flows.parties.quota import settle_growth
from ocpi_emsp.flows.parties.token_a import require_open
from ocpi_emsp.flows.serving.admission import count_stranger, count_unnamed, enter, is_over, large_body, require_valid
from ocpi_emsp.flows.serving.bodies import read_aside, read_in_place
from ocpi_emsp.flows.serving.nulls import as_wanted
from ocpi_emsp.flows.serving.patches import usable_patch
from ocpi_emsp.flows.sessions import inbound as sessions
from ocpi_emsp.flows.tariffs import inbound as tariffs
from ocpi_emsp.flows.tokens import inbound_authorize as authorize, inbound_list as tokens
from ocpi_emsp.ports import Owner, ReadBody
from ocpi_emsp.routes import Match, Route, match
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.wire import Request, Response, failure

Flow: TypeAlias = Callable[[Incoming], Awaitable[Response]]

FLOWS: Mapping[str, Flow] = {
    "versions.get": versions.versions,
    "version_details.get": versions.version_details,
    "credentials.get": credentials.get,
    "credentials.post": credentials.post,
    "credentials.put": credentials.put,
    "credentials.patch": credentials.patch,
    "credentials.delete": credentials.delete,
    "locations.get_location": locations.get_location,
    "locations.get_evse": locations.get_evse,
    "locations.get_connector": locations.get_connector,
    "locations.put_location": locations.put_location,
    "locations.put_evse": locations.put_evse,
    "locations.put_connector": locations.put_connector,
    "locations.patch_location": locations.patch_location,
    "locations.patch_evse": locations.patch_evse,
    "locations.patch_connector": locations.patch_connector,
    "sessions.get": sessions.get,
    "sessions.put": sessions.put,
    "sessions.patch": sessions.patch,
    "cdrs.get": cdrs.get,
    "cdrs.post": cdrs.post,
    "tariffs.get": tariffs.get,
    "tariffs.put": tariffs.put,
    "tariffs.patch": tariffs.patch,
    "tariffs.delete": tariffs.delete,
    "tokens.list": tokens.list_tokens,
    "tokens.authorize": authorize.authorize,
    "commands.result": commands.result,
}

_NOT_JSON = GZIP, BOM_UTF8
"""First bytes of bodies that are not plain JSON."""
_BEFORE_REGISTRATION = frozenset({"versions", "2.1.1", "credentials"})
_CALLS_BACK = frozenset({"credentials"})
"""The modules whose requests make us call the partner; the others need no context of their own."""


async def dispatch(context: Context, request: Request, read: ReadBody | None = None) -> Response:
    """Answer one request; never raises because of a partner, a hook or a store.

    With ``read``, the request is a head: its body is read once the caller is known.
    """
    logged = LoggedRequest.begin(context, request)
    with logged.span() as span:
        try:
            response = await _serve(context, request, logged, read)
        except Refusal as refusal:
            logged.refused(refusal)
            if isinstance(refusal, QuotaExceeded) and logged.party is not None:
                await report_quota(context, logged.party, refusal, logged.correlation_id)
            response = refused(context, refusal)
        except Exception as error:  # noqa: BLE001 # whatever a hook or a store raises: it is logged and answered
            # An outage of the database fails every request: its message is enough.
            logged.failed(error, trace=not isinstance(error, StoreFailed))
            message = f"internal error, correlation id {logged.correlation_id}"
            response = Response(500, [JSON], failure(3000, message, context.clock.now()))
        if context.appended.due:
            await remove_oldest(context)
        if context.backlog.is_due(logged.started):
            await log_backlog(context)
        if logged.party is not None and logged.party.profile.absent_as_null:
            response = as_wanted(response, logged.matched, request.method)
        return logged.done(response, span)


async def _serve(context: Context, request: Request, logged: LoggedRequest, read: ReadBody | None) -> Response:
    now, header = logged.started.timestamp(), request.headers.get("authorization")
    if header and context.inbound.has_strangers() and is_over(context, request, now):
        await require_valid(context, request, header, now)
    try:
        caller = await authenticate(context, header, logged.correlation_id)
    except NotAuthenticated:
        if header:
            count_stranger(context, request, header, now)
        else:
            logged.notice = count_unnamed(context, request, now)
        raise
    logged.party = party = caller.party
    limits = enter(context, party, now)
    try:
        first = min(limits.large_body, context.limits.http.request_body) + 1
        if read is not None:
            request.body = await read(first)
        if len(request.body) < first:
            return await serve_as(
                context, caller, _plain_body(request), logged.correlation_id, keep=True, logged=logged
            )
        async with large_body(context, party, request, read, now, limits):
            return await serve_as(
                context, caller, _plain_body(request), logged.correlation_id, keep=True, logged=logged
            )
    finally:
        context.inbound.leave(party.owner, len(request.body), limits)


def _plain_body(request: Request) -> Request:
    """Return the request without the byte order mark that some libraries write. Raises UnsupportedEncoding."""
    if "content-encoding" in request.headers:
        encoding = request.headers["content-encoding"].strip().lower()
        if request.body and encoding not in ("", "identity"):
            raise UnsupportedEncoding(
                f"Content-Encoding {shown(encoding[:40])} is not supported: send the body without it"
            )
    if not request.body.startswith(_NOT_JSON):
        return request
    if request.body.startswith(GZIP):
        raise UnsupportedEncoding("the body is compressed with gzip, expected plain JSON: send the body without it")
    return evolve(request, body=request.body.removeprefix(BOM_UTF8))


async def serve_as(
    context: Context,
    caller: Caller,
    request: Request,
    correlation_id: str,
    *,
    keep: bool,
    logged: LoggedRequest | None = None,
) -> Response:
    """Serve a request of a known caller; with ``keep``, store it if it is rejected for its findings. Raises Refusal."""
    matched = match(request.url) if logged is None else logged.matched
    if matched is None:
        raise UnknownObject("an id in the path is empty" if "//" in request.url else "there is nothing at this path")
    route = _route(matrix_of(caller.party.profile, context.matrix), matched, request.method)
    _require_access(context, caller, route)
    if route.module in _CALLS_BACK:
        context = evolve(context, correlation_id=correlation_id)
    incoming = Incoming(context, caller, request, matched.params, correlation_id, context.clock.now())
    if "country_code" in matched.params and (incoming.owner != caller.party.owner or caller.party.profile.is_hub):
        await _require_owner(context, caller.party, incoming.owner, route)
    if logged is not None:
        logged.deviations = incoming.deviations
    try:
        is_large = len(request.body) > context.limits.bodies.aside
        incoming = await read_aside(incoming, route) if is_large else read_in_place(incoming, route)
        response = await _answered(incoming, route)
    except Exception as error:
        if keep and isinstance(error, InvalidObject | NotJson | QuotaExceeded):
            as_received = evolve(incoming, request=request)
            async with context.store.transaction() as tx:
                await append_newest(context, tx, as_received.rejection(route, error, new_id()))
        if not isinstance(error, Refusal | ListenerFailed):
            await _request_resync(incoming, route)
        await deliver(context, await committed(context, incoming.leased), incoming.touched)
        raise
    settle_growth(context, incoming.party, incoming.grown)
    if incoming.leased or incoming.touched:
        await deliver(context, incoming.leased, incoming.touched)
    return response


async def _answered(incoming: Incoming, route: Route) -> Response:
    """Return the response of a route's flow. Raises the flow's errors; an empty or too deeply nested body is named."""
    try:
        if route.method == "PATCH":
            incoming = await usable_patch(incoming, route)
        return await FLOWS[route.name](incoming)
    except NotJson:
        if not incoming.request.body.strip():
            raise NotJson("the body is empty") from None
        require_shallow(incoming.request.body)  # it may be JSON that nests too deeply for the parser
        raise
    except RecursionError:
        if not nests_deeper(incoming.request.body):
            raise
        raise too_deep() from None  # a PATCH is merged level by level


def _route(matrix: SupportMatrix, matched: Match, method: str) -> Route:
    route = matched.routes.get(method)
    if route is None or not route.on(matrix):
        allow = [name for name, other in matched.routes.items() if other.on(matrix)]
        raise MethodNotAllowed(f"{method} is not supported here", allow=allow)
    return route


def _require_access(context: Context, caller: Caller, route: Route) -> None:
    party = caller.party
    if party.state is not PartyState.REGISTERED and route.module not in _BEFORE_REGISTRATION:
        raise NotAuthenticated("this token is for the registration only")
    require_open(context, caller, route.name)
    if party.state is PartyState.REGISTERING and route.method != "GET":
        raise NotAuthenticated("this token is for the registration only")
    if party.state is PartyState.UNREGISTERED and route.name == "credentials.get":
        raise NotAuthenticated("the registration was ended: this token is for a new one only")


async def _require_owner(context: Context, party: Party, owner: Owner, route: Route) -> None:
    """Raise UnknownObject if objects of another owner are not received over the connection."""
    if owner != party.owner and not (party.profile.is_hub and await is_open(context, party, owner)):
        raise UnknownObject(f"{party} has no objects of {owner[0]}-{owner[1]}")
    if route.method != "GET":
        await record_owners(context, party, [owner])


async def _request_resync(incoming: Incoming, route: Route) -> None:
    """Request a resync of what was lost by our own fault, if the store can record that."""
    if route.method not in ("PUT", "PATCH", "POST"):
        return
    found = (incoming.params.get(name) for name in ("location_id", "session_id", "tariff_id"))
    object_id = next((value for value in found if value is not None), "")
    try:
        async with incoming.context.store.transaction() as tx:
            await request_resync(tx, incoming.party.owner, route.module, object_id, incoming.now, incoming.owner)
    except StoreFailed as error:  # the window that the next sync pulls anyway reaches back to the last sync
        logs.warning(
            "resync.not_recorded",
            party=incoming.party,
            module=route.module,
            id=object_id,
            correlation_id=incoming.correlation_id,
            error=error,
        )


def refused(context: Context, refusal: Refusal) -> Response:
    """Return the response that a refusal carries."""
    headers = [JSON, *refusal.headers]
    body = failure(refusal.status_code, refusal.reason, context.clock.now(), refusal.findings)
    return Response(refusal.http_status, headers, body)
