"""Sessions and CDRs to be reconciled, as a test wants them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from attrs import frozen

from flows.support import offline_emsp, stamp, without
from ocpi_emsp import Emsp
from ocpi_emsp._bridge import run
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.resources import Reconciliation
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document, encode, parse_timestamp
from our_emsp import NOW

START = datetime(2024, 5, 20, 8, tzinfo=UTC)
"""When the sessions of the tests start: in the default period of the clock's NOW."""


def session(session_id: str = "S1", *, at: float = 0, kwh: str = "12.5", **changes: Any) -> Document:
    """A completed session of an hour and a quarter, so many hours after START; ``...`` leaves a member out."""
    made = samples.session(session_id, start=START + timedelta(hours=at), kwh=Decimal(kwh))
    return changed(made, changes)


def cdr(cdr_id: str = "C1", *, of: Document | None = None, **changes: Any) -> Document:
    """The CDR of a completed session."""
    return changed(samples.cdr(cdr_id, of=of or session()), changes)


def changed(document: Document, changes: dict[str, Any]) -> Document:
    left_out = [name for name, value in changes.items() if value is ...]
    return without({**document, **changes}, *left_out)


def place(location: str = "LOC1", evse: int | None = 0, **changes: Any) -> Document:
    """A location with one EVSE, or with none."""
    whole = samples.location(location)
    if evse is None:
        return {**whole, "evses": []}
    used = samples.relevant(whole, whole["evses"][evse]["uid"])
    return {**used, "evses": [changed(used["evses"][0], changes)]}


@frozen
class Stored:
    """Documents of a party in a store."""

    emsp: Emsp
    store: MemoryStore

    @classmethod
    def of(cls, *records: Record) -> "Stored":
        store = MemoryStore()
        stored = cls(offline_emsp(store=store), store)
        stored.put(*records)
        return stored

    def put(self, *records: Record) -> None:
        async def write() -> None:
            async with self.store.transaction() as tx:
                for record in records:
                    await tx.put(record)

        run(write())

    def reconciled(self, **asked: Any) -> Reconciliation:
        return self.emsp.partner("NL-TNM").reconcile(**asked)


def record(kind: str, document: Document | bytes, *, record_id: str = "", parent: str = "") -> Record:
    """A document as a CPO's push stores it."""
    if isinstance(document, bytes):
        return Record(Key(kind, "NL", "TNM", record_id, parent), document, START, START)
    key_id = document["id"] if kind == Kind.SESSION else document["id"].upper()
    return Record(
        Key(kind, "NL", "TNM", key_id, parent), encode(document), parse_timestamp(document["last_updated"]), NOW
    )


def reconciled(sessions: Sequence[Document], cdrs: Sequence[Document], **asked: Any) -> Reconciliation:
    records = [*(record(Kind.SESSION, each) for each in sessions), *(record(Kind.CDR, each) for each in cdrs)]
    return Stored.of(*records).reconciled(**asked)


def pairs(found: Reconciliation) -> list[tuple[str, str, str]]:
    return [(each.cdr.id, each.session.id, each.how) for each in found.matched]


def differing(found: Reconciliation) -> list[tuple[str, Any, Any]]:
    return [(each.what, each.cdr_value, each.session_value) for each in found.differences]


def at_zone(document: Document, hours: float) -> Document:
    """Its times as a clock of another zone shows them, still said to be UTC."""
    by = timedelta(hours=hours)
    start, stop = (parse_timestamp(document[name]) + by for name in ("start_date_time", "stop_date_time"))
    return {**document, "start_date_time": stamp(start), "stop_date_time": stamp(stop)}


def ended(at: datetime, session_id: str = "S1") -> Document:
    """A session that was last updated at this time."""
    return {**session(session_id), "last_updated": stamp(at)}
