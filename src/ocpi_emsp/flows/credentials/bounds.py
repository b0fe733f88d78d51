"""Bounds on the cost of a handshake: bytes of a response, time, and the number in progress
(docs/explanation/security.md).

Rules of this module:
- versions, version details and credentials are small: their responses are read up to
  ``CredentialLimits.response_body``, whichever flow requests them;
- all calls of a handshake share one time limit: each response gets at most what the earlier ones left;
- a handshake that a partner starts holds its request, and with it a thread of a WSGI server: one beyond the allowed
  number is rejected at once, and may be tried again later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from attrs import evolve, frozen

from ocpi_emsp.errors import TooManyRequests, TransportFailed
from ocpi_emsp.flows.calls.call import exchange, judge
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.models import Envelope
from ocpi_emsp.ports import Send
from ocpi_emsp.wire import Request, Response


async def ask(context: Context, request: Request, party: Party | None = None, module: str = "credentials") -> Envelope:
    """Return the envelope of a response with versions, version details or credentials. Raises PartnerError,
    UnsafeUrl.
    """
    small = evolve(request, most_bytes=context.limits.credentials.response_body)
    return judge(small, await exchange(context, small, party, module))


def inbound(context: Context) -> Context:
    """Return the context of a handshake that a partner starts: its calls share one time limit."""
    return _timed(context, context.limits.credentials.inbound_timeout, "inbound_timeout")


def outbound(context: Context) -> Context:
    """Return the context of a handshake that we start: its calls share one time limit."""
    return _timed(context, context.limits.credentials.outbound_timeout, "outbound_timeout")


def _timed(context: Context, seconds: float, setting: str) -> Context:
    said = f"the calls of the handshake took longer than {seconds:g} s together (CredentialLimits.{setting})"
    return evolve(context, send=_TimedSend(context, context.send, context.monotonic() + seconds, said))


@frozen
class _TimedSend:
    """A Send that gives each response the rest of a time limit."""

    context: Context
    inner: Send
    end: float
    said: str

    async def __call__(self, request: Request) -> Response:
        left = self.end - self.context.monotonic()
        if left <= 0:
            raise self._too_late(request)
        if request.most_seconds is not None:
            left = min(left, request.most_seconds)
        try:
            return await self.inner(evolve(request, most_seconds=left))
        except TransportFailed as error:
            if self.context.monotonic() < self.end:
                raise
            raise self._too_late(request) from error

    def _too_late(self, request: Request) -> TransportFailed:
        message = f"{request.method} {request.url}: {self.said}"
        return TransportFailed(message, method=request.method, url=request.url)


@contextmanager
def under_way(context: Context, party: Party) -> Iterator[None]:
    """Count a handshake that this partner starts, within the block. Raises TooManyRequests if too many are in
    progress.
    """
    with context.handshakes.enter(party.owner) as is_free:
        if not is_free:
            raise TooManyRequests(
                "too many handshakes are under way: send the credentials again after the time of Retry-After",
                retry_after=ceil(context.limits.credentials.inbound_timeout),
                limit="concurrent_handshakes",
            )
        yield
