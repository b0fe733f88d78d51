"""A PATCH of much, or of a large object, is merged and read outside of its transaction, where nothing waits for it.

Rules of this module (docs/architecture.md):
- the flow reads what is stored; where that and the PATCH are large, it begins anew once they were merged aside;
- what was merged counts for the very bytes that it was merged into: where another request changed them meanwhile, it is
  merged anew, then inside the transaction, so that this ends;
- a flow asks for it before it has written or noted anything; a merge notes what it finds in the request that it is
  given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeAlias, TypeVar

from attrs import evolve, frozen

from ocpi_emsp.findings import Finding
from ocpi_emsp.flows.inbound.request import Incoming, ReadAhead
from ocpi_emsp.wire import Response

T = TypeVar("T")
Merge: TypeAlias = Callable[[Incoming, bytes], T]
"""Merges a PATCH into a stored document and reads the result: a function of a module, by which it is found."""


@frozen
class _Merged:
    value: Any
    deviations: list[Finding]
    noted: list[Finding]


class _TooLong(Exception):  # no error: it ends the transaction, and the flow begins anew
    def __init__(self, stored: bytes, merge: Merge[Any]) -> None:
        super().__init__()
        self.stored = stored
        self.merge = merge


def leave_if_large(incoming: Incoming, stored: bytes, merge: Merge[Any]) -> None:
    """End the transaction where a merge into ``stored`` takes long, to have it done aside."""
    if len(stored) + len(incoming.request.body) <= incoming.context.limits.bodies.aside:
        return
    is_own = incoming.owner == incoming.party.owner  # else the object may just have been moved to its owner
    if is_own and (incoming.ahead is None or not incoming.ahead.has(merge)):
        raise _TooLong(stored, merge)


def merged(incoming: Incoming, stored: bytes, merge: Merge[T]) -> T:
    """The merged object: as it was merged aside into the same bytes, or now. Raises what the merge raises."""
    found: _Merged | None = None if incoming.ahead is None else incoming.ahead.find(merge, stored)
    if found is None:
        return merge(incoming, stored)
    incoming.deviations.extend(found.deviations)
    incoming.noted.extend(found.noted)
    value: T = found.value
    return value


def merges_aside(flow: Callable[[Incoming], Awaitable[Response]]) -> Callable[[Incoming], Awaitable[Response]]:
    """A flow that begins anew where its merge was to be done aside."""

    @wraps(flow)
    async def whole(incoming: Incoming) -> Response:
        try:
            return await flow(incoming)
        except _TooLong as found:
            stored, merge = found.stored, found.merge
        ahead = incoming.ahead or ReadAhead()
        await incoming.context.aside(_merge_ahead, ahead, incoming, stored, merge)
        return await flow(evolve(incoming, ahead=ahead))

    return whole


def _merge_ahead(ahead: ReadAhead, incoming: Incoming, stored: bytes, merge: Merge[Any]) -> None:
    alone = evolve(incoming, deviations=[], noted=[])
    ahead.read(merge, stored, lambda: _Merged(merge(alone, stored), alone.deviations, alone.noted))
