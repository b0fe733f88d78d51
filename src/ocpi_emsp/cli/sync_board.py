"""The progress of running syncs, as rows for a live view.

Rules of this module:
- many threads write it and another reads it: a lock is held for a moment, and never while drawing;
- the rows fit into the available height: first finished modules are left out, then parties;
- it has no text of a partner: only codes of parties, names of modules, and numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from attrs import define, field, frozen

from ocpi_emsp.cli.sync_schedule import PartyId
from ocpi_emsp.resources import SyncProgress


@frozen(kw_only=True)
class Row:
    """One line: a module of a party, running or done."""

    party: str
    module: str
    text: str
    is_over: bool
    listed: int = 0
    """Objects so far, including those of an earlier run of the window."""
    total: int | None = None
    """Total objects; None if the partner did not send it."""


@define
class _Module:
    name: str
    began: float
    progress: SyncProgress | None = None

    def row(self, party: PartyId, now: float) -> Row:
        code, progress = "-".join(party), self.progress
        if progress is None:
            return Row(party=code, module=self.name, text="no page yet", is_over=False)
        listed = progress.offset + progress.objects
        ended = progress.ended.value if progress.ended else ""
        total = f" of {progress.total:,}" if progress.total is not None and not ended else ""
        seconds = now - self.began
        rate = f", {progress.objects / seconds:,.0f}/s" if seconds > 0 and not ended else ""
        rejected = f", {progress.rejected:,} rejected" if progress.rejected else ""
        return Row(
            party=code,
            module=self.name,
            text=f"{ended} {listed:,}{total}{rate}{rejected}".strip(),
            is_over=bool(ended),
            listed=listed,
            total=progress.total,
        )


@define
class Board:
    """The state of all syncs of this command."""

    _modules: Sequence[str]
    _clock: Callable[[], float]
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _running: dict[PartyId, list[_Module]] = field(factory=dict, init=False)
    _expected: int = field(default=0, init=False)
    _ended: int = field(default=0, init=False)
    _failed: int = field(default=0, init=False)
    _objects: int = field(default=0, init=False)
    _rejected: int = field(default=0, init=False)
    _began: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._began = self._clock()

    def expect(self, count: int) -> None:
        """Begin a round of that many parties."""
        with self._lock:
            running = len(self._running)
            self._expected, self._ended, self._failed = max(count, running), 0, 0
            self._objects, self._rejected, self._began = 0, 0, self._clock()

    def begin(self, party: PartyId) -> None:
        """Begin the sync of a party."""
        with self._lock:
            self._running[party] = [_Module(self._modules[0], self._clock())]

    def tell(self, progress: SyncProgress) -> None:
        """Record that a page of a party is stored, or a module is done."""
        party = progress.country_code, progress.party_id
        with self._lock:
            modules = self._running[party]
            last = modules[-1]
            self._objects += progress.objects - (last.progress.objects if last.progress else 0)
            self._rejected += progress.rejected - (last.progress.rejected if last.progress else 0)
            last.name, last.progress = progress.module, progress
            if progress.ended is not None and len(modules) < len(self._modules):
                modules.append(_Module(self._modules[len(modules)], self._clock()))

    def end(self, party: PartyId, *, failed: bool) -> None:
        """End the sync of a party."""
        with self._lock:
            del self._running[party]
            self._ended += 1
            self._failed += failed

    def abandon(self) -> None:
        """Record that the process is ending now."""

    def rows(self, height: int) -> list[Row]:
        """Return as many rows as fit into that many lines; a party's modules stay together."""
        with self._lock:
            now = self._clock()
            rows = [[each.row(party, now) for each in modules] for party, modules in self._running.items()]
        every = [row for modules in rows for row in modules]
        if len(every) <= height:
            return every
        current = [modules[-1] for modules in rows]
        if len(current) <= height:
            return current
        shown = max(0, height - 1)
        more = Row(party="...", module="", text=f"and {len(current) - shown} more", is_over=True)
        return [*current[:shown], more][: max(0, height)]

    def sum(self) -> str:
        """Return all parties in one line."""
        with self._lock:
            seconds, running = self._clock() - self._began, len(self._running)
            rate = f", {self._objects / seconds:,.0f}/s" if seconds > 0 and running else ""
            failed = f", {self._failed:,} failed" if self._failed else ""
            parties = f"parties: {self._ended:,} of {self._expected:,}{failed}, {running:,} running"
            return f"{parties}; objects: {self._objects:,}{rate}, {self._rejected:,} rejected"
