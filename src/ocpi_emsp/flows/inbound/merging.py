"""A large PATCH, or one of a large object, is merged and read outside its transaction, so that it blocks nothing.

Rules of this module (docs/architecture.md):
- the flow reads the stored object; if that and the PATCH are large, they are merged aside and the flow starts again;
- a merge result is only valid for the exact bytes that it was merged into: if another request changed them meanwhile,
  it is merged again, this time inside the transaction, so that this ends;
- a flow requests the merge before it writes or notes anything; a merge notes its findings in the request it is given.
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
"""Merges a PATCH into a stored document and reads the result; a module-level function, which also identifies the
result.
"""


@frozen
class _Merged:
    value: Any
    deviations: list[Finding]
    noted: list[Finding]


class _TooLong(Exception):  # not an error: it ends the transaction, and the flow starts again
    def __init__(self, stored: bytes, merge: Merge[Any]) -> None:
        super().__init__()
        self.stored = stored
        self.merge = merge


def leave_if_large(incoming: Incoming, stored: bytes, merge: Merge[Any]) -> None:
    """End the transaction if a merge into ``stored`` takes long, so that it is done aside."""
    if len(stored) + len(incoming.request.body) <= incoming.context.limits.bodies.aside:
        return
    is_own = incoming.owner == incoming.party.owner  # otherwise the object may just have been moved to its owner
    if is_own and (incoming.ahead is None or not incoming.ahead.has(merge)):
        raise _TooLong(stored, merge)


def merged(incoming: Incoming, stored: bytes, merge: Merge[T]) -> T:
    """Return the merged object: from the merge aside if the bytes are the same, otherwise merged now. Raises what the
    merge raises.
    """
    found: _Merged | None = None if incoming.ahead is None else incoming.ahead.find(merge, stored)
    if found is None:
        return merge(incoming, stored)
    incoming.deviations.extend(found.deviations)
    incoming.noted.extend(found.noted)
    value: T = found.value
    return value


def merges_aside(flow: Callable[[Incoming], Awaitable[Response]]) -> Callable[[Incoming], Awaitable[Response]]:
    """Return a flow that starts again if its merge must be done aside."""

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
