"""Which requests are admitted after their head, and how their body is read.

Rules of this module:
- beyond the limit of unknown tokens no token is looked up by itself: the valid ones are listed, at most a page per
  second, and are admitted;
- the limits of a party are those of its profile, otherwise those of ``InboundLimits``;
- a body is read until it counts as large; the rest waits for one of the party's slots.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, lru_cache
from typing import Final

from attrs import evolve

from ocpi_emsp import logs
from ocpi_emsp.errors import BodyTooLarge, TooManyRequests
from ocpi_emsp.flows.core.addresses import caller_address
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.inbound_limits import MOST_LISTED
from ocpi_emsp.flows.core.settings import InboundLimits
from ocpi_emsp.flows.parties.issued_tokens import issued_hashes, token_hashes
from ocpi_emsp.flows.parties.party import Party, Profile
from ocpi_emsp.ports import ReadBody
from ocpi_emsp.wire import Request

_FORWARDED: Final = frozenset({"x-forwarded-for", "forwarded"})


def is_over(context: Context, request: Request, now: float) -> bool:
    """Return True if too many unknown tokens came from the address of a request, or from all addresses."""
    return context.inbound.over(_address(context, request), now, context.limits.inbound)


async def require_valid(context: Context, request: Request, header: str, now: float) -> None:
    """Raise TooManyRequests for a token that is not valid, beyond the limit of unknown tokens."""
    if not await _works(context, header, now):
        raise context.inbound.refuse(_address(context, request), now, context.limits.inbound)


def count_stranger(context: Context, request: Request, header: str, now: float) -> None:
    """Count an unknown token."""
    context.inbound.failed(_address(context, request), token_hashes(header), now, context.limits.inbound)


def count_unnamed(context: Context, request: Request, now: float) -> TooManyRequests | None:
    """Count a request without a token; return what the log says instead of it, beyond the limit of unknown tokens."""
    return context.inbound.unnamed(_address(context, request), now, context.limits.inbound)


async def _works(context: Context, header: str, now: float) -> bool:
    """Return True for a valid token; the valid tokens are listed again when it is time."""
    gate, hashes = context.inbound, token_hashes(header)
    if not hashes:
        return False
    if not gate.works(hashes) and gate.begin_list(now):
        async with context.store.transaction(read_only=True) as tx:
            gate.listed(*await issued_hashes(tx, MOST_LISTED))
    return gate.works(hashes)


@cache
def _warn_of_proxy() -> None:
    """Warn once per process: behind a proxy that is not configured, all callers have one address."""
    reason = "a request came through an unnamed proxy: set forwarded, or serve --forwarded (docs/how-to/serving.md)"
    logs.warning("inbound.proxy_unnamed", reason=reason)


def enter(context: Context, party: Party, now: float) -> InboundLimits:
    """Take a slot for a request of the party, which must be left; return its limits. Raises TooManyRequests."""
    limits = limits_of(party.profile, context.limits.inbound)
    ended = context.inbound.enter(party.owner, now, limits)
    if ended:
        logs.info("inbound.recovered", party=party, refused=ended)
    return limits


@asynccontextmanager
async def large_body(
    context: Context, party: Party, request: Request, read: ReadBody | None, now: float, limits: InboundLimits
) -> AsyncIterator[None]:
    """Read the rest of a large body once there is a slot for it; the block is the party's turn to have it handled.

    Raises TooManyRequests, BodyTooLarge, and the errors of the reading.
    """
    most = context.limits.http.request_body
    async with context.inbound.large(party.owner, now, limits) as turn:
        if read is not None:
            request.body += await read(most + 1 - len(request.body))
        if len(request.body) > most:
            raise BodyTooLarge(f"the body is over the limit of {most} bytes")
        async with turn:
            yield


def _address(context: Context, request: Request) -> str:
    forwarded = context.forwarded
    if forwarded is None and not _FORWARDED.isdisjoint(request.headers):
        _warn_of_proxy()
    header = request.headers.get(forwarded.header, "") if forwarded is not None else ""
    return caller_address(request.peer, header, forwarded)


def limits_of(profile: Profile, default: InboundLimits) -> InboundLimits:
    """Return the limits of a party: its own, as far as it has any, otherwise the eMSP's."""
    requests, running = profile.inbound_requests_per_second, profile.inbound_concurrent_requests
    sent = profile.inbound_bytes_per_minute
    if requests is None and running is None and sent is None:
        return default
    return _own_limits(default, requests, running, sent)


@lru_cache(maxsize=1024)
def _own_limits(default: InboundLimits, requests: int | None, running: int | None, sent: int | None) -> InboundLimits:
    own = {"requests_per_second": requests, "concurrent_requests": running, "bytes_per_minute": sent}
    return evolve(default, **{name: value for name, value in own.items() if value is not None})
