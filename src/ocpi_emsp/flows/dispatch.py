"""Every request from a partner, from bytes to bytes.

Rules of this module (transport_and_format.md, status_codes.md, the status table of docs/architecture.md):
- every answer is an OCPI envelope; an exception carries its statuses, anything else is our fault: 500 / 3000 with a
  correlation id and no internals;
- in this order: token, body limit, path, method and matrix, registration, ownership, then the flow;
- what is refused for its findings is kept, raw, without the token (a rejection);
- what is lost by our fault (500) is noted, and pulled by the next sync (transport_and_format.md, offline behaviour);
- a correlation id is taken from the request or made, travels with the change, and is echoed; no token is ever logged.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from ocpi_emsp.errors import (
    BodyTooLarge,
    InvalidObject,
    MethodNotAllowed,
    NotAuthenticated,
    NotJson,
    Refusal,
    StoreFailed,
    UnknownObject,
)
from ocpi_emsp.flows.context import Context, new_id
from ocpi_emsp.flows.deliver import ListenerFailed, committed, deliver
from ocpi_emsp.flows.incoming import JSON, Incoming
from ocpi_emsp.flows.parties import Caller, PartyState, authenticate, matrix_of
from ocpi_emsp.flows.receive import cdrs, commands, credentials, locations, sessions, tariffs, tokens, versions
from ocpi_emsp.flows.resync import wish
from ocpi_emsp.routes import Match, Route, match
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.wire import Request, Response, failure

log = logging.getLogger("ocpi_emsp")

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
    "tokens.authorize": tokens.authorize,
    "commands.result": commands.result,
}

_BEFORE_REGISTRATION = frozenset({"versions", "2.1.1", "credentials"})
_LONGEST_ID = 128


async def dispatch(context: Context, request: Request) -> Response:
    """Answer one request; never raises for what a partner, a hook or a store did."""
    correlation_id = _correlation_id(request)
    try:
        response = await _serve(context, request, correlation_id)
    except Refusal as refusal:
        response = refused(context, refusal)
    except Exception as error:
        what = "request.failed method=%s path=%s correlation_id=%s error=%s"
        # An outage of the database fails every request: its sentence says it all.
        trace = not isinstance(error, StoreFailed)
        log.error(what, request.method, request.url, correlation_id, error, exc_info=trace)
        message = f"internal error, correlation id {correlation_id}"
        response = Response(500, [JSON], failure(3000, message, context.clock.now()))
    log.info(
        "request.answered method=%s path=%s status=%d correlation_id=%s",
        request.method,
        request.url,
        response.status,
        correlation_id,
    )
    headers = [*response.headers, ("x-correlation-id", correlation_id)]
    if "x-request-id" in request.headers:
        headers.append(("x-request-id", request.headers["x-request-id"][:_LONGEST_ID]))
    return Response(response.status, headers, response.body)


async def _serve(context: Context, request: Request, correlation_id: str) -> Response:
    caller = await authenticate(context, request.headers.get("authorization"))
    if len(request.body) > context.limits.body:
        raise BodyTooLarge(f"the body is over the limit of {context.limits.body} bytes")
    return await serve_as(context, caller, request, correlation_id, keep=True)


async def serve_as(context: Context, caller: Caller, request: Request, correlation_id: str, *, keep: bool) -> Response:
    """Serve a request of a caller that is known; ``keep`` what is refused for its findings. Raises Refusal."""
    matched = match(request.url)
    if matched is None:
        raise UnknownObject("there is nothing at this path")
    route = _route(matrix_of(caller.party.profile, context.matrix), matched, request.method)
    _require_access(caller, route, matched.params)
    incoming = Incoming(context, caller, request, matched.params, correlation_id, context.clock.now())
    try:
        response = await FLOWS[route.name](incoming)
    except Exception as error:
        if keep and isinstance(error, InvalidObject | NotJson):
            await _reject(incoming, route, error)
        if not isinstance(error, Refusal | ListenerFailed):
            await _wish(incoming, route)
        await deliver(context, await committed(context, incoming.in_hand), incoming.touched)
        raise
    await deliver(context, incoming.in_hand, incoming.touched)
    return response


def _route(matrix: SupportMatrix, matched: Match, method: str) -> Route:
    route = matched.routes.get(method)
    if route is None or not route.on(matrix):
        allow = [name for name, other in matched.routes.items() if other.on(matrix)]
        raise MethodNotAllowed(f"{method} is not supported here", allow=allow)
    return route


def _require_access(caller: Caller, route: Route, params: Mapping[str, str]) -> None:
    party = caller.party
    if party.state is not PartyState.REGISTERED and route.module not in _BEFORE_REGISTRATION:
        raise NotAuthenticated("this token is for the registration only")
    if party.state is PartyState.REGISTERING and route.method != "GET":
        raise NotAuthenticated("this token is for the registration only")
    if "country_code" in params:
        owner = params["country_code"].upper(), params["party_id"].upper()
        if owner != (party.country_code, party.party_id):
            raise UnknownObject(f"{party} has no objects of {owner[0]}-{owner[1]}")


async def _reject(incoming: Incoming, route: Route, refusal: InvalidObject | NotJson) -> None:
    """Keep what was refused, raw, with its findings."""
    async with incoming.context.store.transaction() as tx:
        await tx.append(incoming.rejection(route, refusal, new_id()))


async def _wish(incoming: Incoming, route: Route) -> None:
    """Have what was lost by our own fault pulled by the next sync, where the store can take a note of that."""
    if route.method not in ("PUT", "PATCH", "POST"):
        return
    found = (incoming.params.get(name) for name in ("location_id", "session_id", "tariff_id"))
    object_id = next((value for value in found if value is not None), "")
    owner = incoming.party.country_code, incoming.party.party_id
    try:
        async with incoming.context.store.transaction() as tx:
            await wish(tx, owner, route.module, object_id, incoming.now)
    except StoreFailed as error:  # the window that the next sync pulls anyway reaches back to the last one
        log.warning("resync.unnoted party=%s module=%s id=%s error=%s", incoming.party, route.module, object_id, error)


def refused(context: Context, refusal: Refusal) -> Response:
    """The answer that a refusal carries."""
    first = next(iter(refusal.findings), None)
    message = refusal.message if first is None else f"{refusal.message}: {first.pointer} {first.message}"
    headers = [JSON, *refusal.headers]
    body = failure(refusal.status_code, message, context.clock.now(), refusal.findings)
    return Response(refusal.http_status, headers, body)


def _correlation_id(request: Request) -> str:
    given = request.headers.get("x-correlation-id") or request.headers.get("x-request-id") or ""
    if 0 < len(given) <= _LONGEST_ID and given.isascii() and given.isprintable():
        return given
    return f"{random.getrandbits(96):024x}"
