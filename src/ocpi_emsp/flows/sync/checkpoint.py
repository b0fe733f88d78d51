"""How far a party's module is pulled, and the place of a pull under way.

Rules of this module:
- ``done_until`` moves only when a whole window was listed, and everything in it was stored, also as a rejection;
- a window is closed, ``[date_from, date_to)``: what changes while it is listed leaves it, and is in the next one;
- the next window begins an overlap before the end of the last one, in the partner's time where its clock is behind
  ours: what it stamps is older than our now;
- the place within a window is saved with each page, in the page's own transaction;
- the sync that opens a window takes it over: an older pull of the same module sees that and stops.
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
"""Before OCPI: the date_from of everything, where the specification requires one (mod_sessions.md 2.1.1)."""


class Phase(OpenEnum):
    """What a pull of a module is at."""

    LIST = "LIST"
    """Listing the window."""
    CATCH_UP = "CATCH_UP"
    """In a full sync: listing what changed while everything was listed."""
    MISSING = "MISSING"
    """In a full sync: marking what was not listed."""


@frozen(kw_only=True)
class Window:
    """A pull that is under way."""

    clause: ClassVar[str] = _CLAUSE

    run: str
    """Who pulls."""
    started_at: DateTime
    date_from: DateTime | None = None
    date_to: DateTime | None = None
    full: bool = False
    phase: Phase = Phase.LIST
    next: str | None = None
    """The URL of the page that comes next; None for the first."""
    total: int | None = None
    """X-Total-Count, as it was said last."""
    listed: int | None = None
    """Distinct objects that the phase has listed; None: it is not known."""
    marked: int = 0
    """In MISSING: the sequence of the last record that was looked at."""
    marked_owner: str = ""
    """In MISSING: whose record that was, such as "NL-TNM"; empty: the connection's own party's."""
    repeats: bool = False
    """A full sync that begins so soon after the last one that what is missing already is not counted again."""
    behind: int = 0
    """Seconds that the partner's clock is behind ours, by the Date of its answers."""
    unnamed: int = 0
    """Listed objects without an id: what they are cannot be known, so nothing counts as vanished."""
    uncounted: bool = False
    """An X-Total-Count could not be read: there may be more than was listed, so nothing counts as vanished."""


@frozen(kw_only=True)
class Checkpoint:
    """What is known of a party's module."""

    clause: ClassVar[str] = _CLAUSE

    done_until: DateTime | None = None
    """Everything that changed before is here."""
    full_at: DateTime | None = None
    """When the last full pull ended."""
    window: Window | None = None
    given: int | None = None
    """The objects of a full page, where the partner gives fewer than it is asked for."""


async def get_checkpoint(tx: Transaction, key: Key) -> Checkpoint:
    """The checkpoint; an empty one where nothing was pulled yet."""
    record = await tx.get(key)
    return decode(Checkpoint, record.document) if record else Checkpoint()


async def put_checkpoint(tx: Transaction, key: Key, checkpoint: Checkpoint, now: datetime, correlation_id: str) -> None:
    """Save it."""
    await tx.put(Record(key, encode(checkpoint), now, now, correlation_id=correlation_id))


def finished(checkpoint: Checkpoint, window: Window, now: datetime) -> Checkpoint:
    """The checkpoint once a window is done."""
    until = (window.date_to or window.started_at) - timedelta(seconds=window.behind)
    return evolve(
        checkpoint,
        done_until=max(until, checkpoint.done_until or until),
        full_at=now if window.full else checkpoint.full_at,
        window=None,
    )
