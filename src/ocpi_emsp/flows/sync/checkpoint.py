"""How far a party's module was pulled, and the place of a pull in progress.

Rules of this module:
- ``done_until`` only moves when a whole window was listed and everything in it was stored, also as a rejection;
- a window is closed, ``[date_from, date_to)``: an object that changes while it is listed leaves it, and is in the next
  one;
- the next window begins an overlap before the end of the last one, in the partner's time if its clock is behind ours:
  its timestamps are then earlier than our now;
- the place within a window is saved with each page, in the page's own transaction;
- the sync that opens a window takes it over: an older pull of the same module detects that and stops.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from attrs import evolve, frozen

from ocpi_emsp.codec import decode, encode
from ocpi_emsp.ports import Key, Record, Transaction
from ocpi_emsp.scalars import DateTime, OpenEnum

_CLAUSE = "transport_and_format.md#offline-behaviour"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""A date before OCPI: the date_from for everything, where the specification requires one (mod_sessions.md 2.1.1)."""


class Phase(OpenEnum):
    """The phase of a module's pull."""

    LIST = "LIST"
    """It lists the window."""
    CATCH_UP = "CATCH_UP"
    """In a full sync: it lists the changes that happened during the LIST phase."""
    MISSING = "MISSING"
    """In a full sync: it marks what was not listed."""


@frozen(kw_only=True)
class Window:
    """A pull in progress."""

    clause: ClassVar[str] = _CLAUSE

    run: str
    """The id of the sync that pulls."""
    started_at: DateTime
    date_from: DateTime | None = None
    date_to: DateTime | None = None
    full: bool = False
    phase: Phase = Phase.LIST
    next: str | None = None
    """The URL of the next page; None for the first."""
    total: int | None = None
    """The last X-Total-Count."""
    listed: int | None = None
    """Distinct objects that the phase has listed; None if unknown."""
    marked: int = 0
    """In MISSING: the sequence of the last record that was examined."""
    marked_owner: str = ""
    """In MISSING: the owner of that record, such as "NL-TNM"; empty: the connection's own party."""
    repeats: bool = False
    """True for a full sync so soon after the last one that objects which are already missing are not counted again."""
    behind: int = 0
    """Seconds by which the partner's clock is behind ours, by the Date of its responses."""
    unnamed: int = 0
    """Listed objects without an id: they cannot be identified, so nothing counts as vanished."""
    uncounted: bool = False
    """True if an X-Total-Count was unreadable: more objects may exist than were listed, so nothing counts as
    vanished.
    """


@frozen(kw_only=True)
class Checkpoint:
    """The stored state of a party's module."""

    clause: ClassVar[str] = _CLAUSE

    done_until: DateTime | None = None
    """Everything that changed before this time is stored."""
    full_at: DateTime | None = None
    """When the last full pull ended."""
    window: Window | None = None
    given: int | None = None
    """The objects of a full page, if the partner returns fewer than requested."""


async def get_checkpoint(tx: Transaction, key: Key) -> Checkpoint:
    """Return the checkpoint; an empty one if nothing was pulled yet."""
    record = await tx.get(key)
    return decode(Checkpoint, record.document) if record else Checkpoint()


async def put_checkpoint(tx: Transaction, key: Key, checkpoint: Checkpoint, now: datetime, correlation_id: str) -> None:
    """Save the checkpoint."""
    await tx.put(Record(key, encode(checkpoint), now, now, correlation_id=correlation_id))


def finished(checkpoint: Checkpoint, window: Window, now: datetime) -> Checkpoint:
    """Return the checkpoint once a window is done."""
    until = (window.date_to or window.started_at) - timedelta(seconds=window.behind)
    return evolve(
        checkpoint,
        done_until=max(until, checkpoint.done_until or until),
        full_at=now if window.full else checkpoint.full_at,
        window=None,
    )
