"""The results of a sync, in numbers and reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from attrs import asdict, define, field, frozen

from ocpi_emsp.findings import Finding, with_reason

MOST_LISTED = 100
"""Rejected objects and notes of a module that a report holds: enough to act on, and a bound on memory."""


class SyncEnded(Enum):
    """How the sync of a module ended."""

    DONE = "done"
    FAILED = "failed"
    """The next sync continues from the same place."""
    STOPPED = "stopped"
    """It was asked to stop, and did so after the current page."""
    SKIPPED = "skipped"
    """The support matrix or the party does not have the module."""


@frozen(kw_only=True)
class RejectedObject:
    """A rejected object; it is stored whole among ``emsp.rejections``."""

    id: str
    """The id; empty if it has none."""
    url: str
    """The URL of the page, or of the object."""
    message: str
    findings: tuple[Finding, ...]

    @property
    def reason(self) -> str:
        """The message with the worst finding, and the number of further findings."""
        return with_reason(self.message, self.findings)


@frozen(kw_only=True)
class ModuleReport:
    """The result of one module. For tokens: created are those that were PUT, updated those that were patched."""

    module: str
    ended: SyncEnded
    reason: str = ""
    """Why the module is not done."""
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    """Objects of which the stored version is newer, or final."""
    rejected: int = 0
    rejections: tuple[RejectedObject, ...] = ()
    """The first rejected objects."""
    missing: int = 0
    """In a full sync: objects that the CPO no longer lists."""
    moved: int = 0
    """Objects that were stored as the hub's and are now stored as their owner's."""
    removed: int = 0
    """EVSEs that became REMOVED, because their location is missing for too long."""
    pages: int = 0
    bytes: int = 0
    retries: int = 0
    notes: tuple[str, ...] = ()
    """Faults of the list itself, and how they were handled."""
    duration: float = 0.0
    """Duration in seconds."""

    @property
    def objects(self) -> int:
        """The number of listed objects."""
        return self.created + self.updated + self.unchanged + self.stale + self.rejected


@frozen(kw_only=True)
class SyncReport:
    """The result of a sync of one party."""

    country_code: str
    party_id: str
    started_at: datetime
    duration: float
    """Duration in seconds."""
    modules: tuple[ModuleReport, ...]

    @property
    def ok(self) -> bool:
        """True if every module is done or skipped, and nothing was rejected."""
        return all(each.ended in (SyncEnded.DONE, SyncEnded.SKIPPED) and not each.rejected for each in self.modules)

    @property
    def failed(self) -> bool:
        """True if a module failed."""
        return any(each.ended is SyncEnded.FAILED for each in self.modules)

    def module(self, name: str) -> ModuleReport:
        """The report of one module. Raises KeyError."""
        return {each.module: each for each in self.modules}[name]

    def _sum(self, name: str) -> int:
        return sum(getattr(each, name) for each in self.modules)

    created = property(lambda self: self._sum("created"), doc="Of all modules.")
    updated = property(lambda self: self._sum("updated"), doc="Of all modules.")
    unchanged = property(lambda self: self._sum("unchanged"), doc="Of all modules.")
    stale = property(lambda self: self._sum("stale"), doc="Of all modules.")
    rejected = property(lambda self: self._sum("rejected"), doc="Of all modules.")
    pages = property(lambda self: self._sum("pages"), doc="Of all modules.")
    bytes = property(lambda self: self._sum("bytes"), doc="Of all modules.")

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "country_code": self.country_code,
            "party_id": self.party_id,
            "started_at": self.started_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "duration": round(self.duration, 3),
            "ok": self.ok,
            "modules": [_module_json(each) for each in self.modules],
        }


def _module_json(module: ModuleReport) -> dict[str, Any]:
    plain = asdict(module, recurse=False)
    rejections: Sequence[RejectedObject] = module.rejections
    plain["ended"] = module.ended.value
    plain["duration"] = round(module.duration, 3)
    plain["notes"] = list(module.notes)
    plain["rejections"] = [
        {"id": each.id, "url": each.url, "message": each.message, "findings": [one.as_json() for one in each.findings]}
        for each in rejections
    ]
    return plain


@frozen(kw_only=True)
class SyncProgress:
    """The progress of a module's sync, reported after each page and at its end."""

    country_code: str
    party_id: str
    module: str
    objects: int
    """Objects that this run has listed so far."""
    total: int | None
    """X-Total-Count, if the partner sends it."""
    offset: int
    """Objects that an earlier run of the same window listed; 0 if unknown."""
    rejected: int
    pages: int
    bytes: int
    ended: SyncEnded | None = None
    """At the end: how it ended."""


@define
class Tally:
    """Counts while a module is pulled."""

    country_code: str
    party_id: str
    module: str
    counts: dict[str, int] = field(factory=dict)
    rejections: list[RejectedObject] = field(factory=list)
    notes: list[str] = field(factory=list)
    folded: dict[str, tuple[str, int]] = field(factory=dict)
    """By rule, for what may hold for many objects: the first note, and the number."""
    total: int | None = None
    offset: int = 0

    def add(self, name: str, count: int = 1) -> None:
        """Count something."""
        self.counts[name] = self.counts.get(name, 0) + count

    def reject(self, rejected: RejectedObject) -> None:
        """Count a rejected object."""
        self.add("rejected")
        if len(self.rejections) < MOST_LISTED:
            self.rejections.append(rejected)

    def note(self, *notes: str) -> None:
        """Note problems of the list."""
        self.notes.extend(notes[: max(0, MOST_LISTED - len(self.notes))])

    def fold(self, rule: str, note: str) -> None:
        """Note what may hold for many objects: the first of them, and the number."""
        first, count = self.folded.get(rule, (note, 0))
        self.folded[rule] = (first, count + 1)

    def progress(self, ended: SyncEnded | None = None) -> SyncProgress:
        """Return the current progress."""
        count: Mapping[str, int] = self.counts
        listed = sum(count.get(name, 0) for name in ("created", "updated", "unchanged", "stale", "rejected"))
        return SyncProgress(
            country_code=self.country_code,
            party_id=self.party_id,
            module=self.module,
            objects=listed,
            total=self.total,
            offset=self.offset,
            rejected=count.get("rejected", 0),
            pages=count.get("pages", 0),
            bytes=count.get("bytes", 0),
            ended=ended,
        )

    def report(self, ended: SyncEnded, reason: str, duration: float) -> ModuleReport:
        """Return the report with all counts."""
        folded = [f"{note} ({count - 1} more)" if count > 1 else note for note, count in self.folded.values()]
        return ModuleReport(
            module=self.module,
            ended=ended,
            reason=reason,
            duration=duration,
            notes=(*self.notes, *folded),
            rejections=tuple(self.rejections),
            **self.counts,
        )
