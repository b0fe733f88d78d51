"""What a handshake may cost us: bytes of an answer, time, and how many are under way (docs/explanation/security.md).

Rules of this module:
- versions, version details and credentials are small: an answer with them is read up to
  ``CredentialLimits.response_body``, whoever asks for it;
- all calls of a handshake share one time: no answer gets more than what the ones before it left;
- a handshake that a partner sets off holds its request, and with it a thread of a WSGI server: one over the number that
  may be under way is refused at once, and may come again once those have ended.
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
    """The envelope of an answer with versions, version details or credentials. Raises PartnerError, UnsafeUrl."""
    small = evolve(request, most_bytes=context.limits.credentials.response_body)
    return judge(small, await exchange(context, small, party, module))


def inbound(context: Context) -> Context:
    """The context of a handshake that a partner sets off: its calls end in time together."""
    return _timed(context, context.limits.credentials.inbound_timeout, "inbound_timeout")


def outbound(context: Context) -> Context:
    """The context of a handshake that we start: its calls end in time together."""
    return _timed(context, context.limits.credentials.outbound_timeout, "outbound_timeout")


def _timed(context: Context, seconds: float, setting: str) -> Context:
    said = f"the calls of the handshake took longer than {seconds:g} s together (CredentialLimits.{setting})"
    return evolve(context, send=_TimedSend(context, context.send, context.monotonic() + seconds, said))


@frozen
class _TimedSend:
    """A Send that gives each answer what is left of a time."""

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
    """A block for a handshake that this partner sets off. Raises TooManyRequests where too many are under way."""
    with context.handshakes.enter(party.owner) as is_free:
        if not is_free:
            raise TooManyRequests(
                "too many handshakes are under way: send the credentials again after the time of Retry-After",
                retry_after=ceil(context.limits.credentials.inbound_timeout),
                limit="concurrent_handshakes",
            )
        yield
