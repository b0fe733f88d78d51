"""Who may go on after the head of a request, and how its body is read.

Rules of this module:
- an address with too many unknown tokens is refused before the store is asked; a partner's own token is not;
- what a party is allowed is that of its profile, else that of ``InboundLimits``;
- a body is read to where it is large; the rest waits for one of the party's places.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache

from attrs import evolve

from ocpi_emsp import logs
from ocpi_emsp.errors import BodyTooLarge, NotAuthenticated
from ocpi_emsp.flows.calls.request_log import LoggedRequest
from ocpi_emsp.flows.core.addresses import caller_address
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.settings import InboundLimits
from ocpi_emsp.flows.parties.party import Caller, Profile, authenticate
from ocpi_emsp.ports import ReadBody
from ocpi_emsp.wire import Request, Response


async def serve_admitted(
    context: Context,
    request: Request,
    logged: LoggedRequest,
    read: ReadBody | None,
    serve: Callable[[Caller, Request], Awaitable[Response]],
) -> Response:
    """Have ``serve`` answer a request whose caller is known and within its limits, once its body is read.

    Raises NotAuthenticated, TooManyRequests, BodyTooLarge, and what the reading and serving raise.
    """
    caller = await _authenticated(context, request, logged)
    logged.party = party = caller.party
    limits, now = limits_of(party.profile, context.limits.inbound), logged.started.timestamp()
    ended = context.inbound.enter(party.owner, request.headers["authorization"], now, limits)
    if ended:
        logs.info("inbound.recovered", party=party, refused=ended)
    try:
        most = context.limits.http.request_body
        first = min(limits.large_body, most) + 1
        if read is not None:
            request.body = await read(first)
        if len(request.body) < first:
            return await serve(caller, request)
        async with context.inbound.large(party.owner, now, limits) as turn:
            if read is not None:
                request.body += await read(most + 1 - first)
            if len(request.body) > most:
                raise BodyTooLarge(f"the body is over the limit of {most} bytes")
            async with turn:
                return await serve(caller, request)
    finally:
        context.inbound.leave(party.owner, now, len(request.body), limits)


async def _authenticated(context: Context, request: Request, logged: LoggedRequest) -> Caller:
    header, gate, limits = request.headers.get("authorization"), context.inbound, context.limits.inbound
    now = logged.started.timestamp()
    if header and gate.has_strangers():
        gate.require_room(_address(context, request), header, now, limits)
    try:
        return await authenticate(context, header, logged.correlation_id)
    except NotAuthenticated:
        if header:
            gate.failed(_address(context, request), header, now, limits)
        raise


def _address(context: Context, request: Request) -> str:
    forwarded = context.forwarded
    header = request.headers.get(forwarded.header, "") if forwarded is not None else ""
    return caller_address(request.peer, header, forwarded)


def limits_of(profile: Profile, default: InboundLimits) -> InboundLimits:
    """The limits of a party: its own, where it has some, and the eMSP's."""
    requests, running = profile.inbound_requests_per_second, profile.inbound_concurrent_requests
    sent = profile.inbound_bytes_per_minute
    if requests is None and running is None and sent is None:
        return default
    return _own_limits(default, requests, running, sent)


@lru_cache(maxsize=1024)
def _own_limits(default: InboundLimits, requests: int | None, running: int | None, sent: int | None) -> InboundLimits:
    own = {"requests_per_second": requests, "concurrent_requests": running, "bytes_per_minute": sent}
    return evolve(default, **{name: value for name, value in own.items() if value is not None})
