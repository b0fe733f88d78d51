"""What must be there after servers were killed under load."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Self

from attrs import define, field

from crash.server import CHECKPOINT, emsp_on, pulled_id, request
from crash.support import SHARED, Document, Push, Worker, changing, metered, moment
from ocpi_emsp import Cdr, Emsp, Evse, Location, Session, Tariff, decode
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.codec import dump
from ocpi_emsp.flows.calls.list_trail import offset_of
from ocpi_emsp.flows.sync.checkpoint import get_checkpoint
from ocpi_emsp.ports import Kind, Query, Record, Transaction
from ocpi_emsp.storage import SqlStore


@define
class Outcome:
    """What is in the store, seen by another eMSP on it."""

    store: SqlStore
    emsp: Emsp = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.emsp = emsp_on(self.store)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def read(self, work: Callable[[Transaction], Any]) -> Any:
        """The result of a transaction."""

        async def reading() -> Any:
            async with lift_store(self.store, in_place).transaction(read_only=True) as tx:
                return await work(tx)

        return run(reading())

    def records(self, kind: str) -> Sequence[Record]:
        """All records of a kind."""
        page = self.read(lambda tx: tx.page(Query(kind=kind, limit=100_000)))
        return list(page.records)

    def get(self, path: str) -> Document:
        """An object as the partner sees it."""
        response = self.emsp.handle(request("GET", path))
        envelope = json.loads(response.body, parse_float=Decimal)
        assert (response.status, envelope["status_code"]) == (200, 1000), (path, envelope)
        return dict(envelope["data"])

    # --- the rules ----------------------------------------------------------------------------------------------

    def check(self, workers: Sequence[Worker], heard: Sequence[Document]) -> None:
        """Everything that was answered is there, whole, and was told."""
        self.check_parsed()
        for worker in workers:
            self._check_worker(worker)
        check_events(workers, heard)
        assert list(self.emsp.events.list()) == []
        assert list(self.emsp.events.list(dead=True)) == []
        assert self.records(Kind.CDR_CONFLICT) == []
        assert list(self.emsp.rejections.list()) == []

    def check_parsed(self) -> None:
        """Every object is one, and no EVSE is without its location."""
        models = {
            Kind.EVSE: Evse,
            Kind.SESSION: Session,
            Kind.TARIFF: Tariff,
            Kind.CDR: Cdr,
        }
        for kind, model in models.items():
            for record in self.records(kind):
                view: Any = decode(model, record.document)
                assert view.last_updated == record.last_updated or kind == Kind.TARIFF, record
        locations = {record.key.id: record for record in self.records(Kind.LOCATION)}
        for record in self.records(Kind.EVSE):
            assert record.last_updated <= locations[record.key.parent].last_updated
        for location_id in locations:
            decode(Location, dump(self.get(f"locations/NL/TNM/{location_id}")))

    def pulled(self) -> int:
        """How many objects the checkpoint says are pulled."""
        window = self.read(lambda tx: get_checkpoint(tx, CHECKPOINT)).window
        return offset_of(window.next) or 0 if window is not None and window.next is not None else 0

    def check_checkpoint(self) -> None:
        """Nothing below the checkpoint is missing, and nothing is beyond."""
        count = self.pulled()
        pulled = {record.key.id for record in self.records(Kind.TARIFF) if record.key.id.startswith("PULLED-")}
        assert pulled == {pulled_id(number) for number in range(count)}

    def _check_worker(self, worker: Worker) -> None:
        sent = _by_object([*worker.accepted, *worker.unknown])
        accepted = _by_object(worker.accepted)
        for name, pushes in sent.items():
            kind, *ids = name.split("/")
            if kind == "cdr":
                self._check_cdr(ids[0], pushes[0], name in accepted)
            elif kind in ("location", "session", "tariff") or name in accepted:
                stored = getattr(self, f"_{kind}")("/".join(ids), pushes)
                least = max((push.number for push in accepted.get(name, ())), default=-1)
                assert stored >= least, f"{name} is of version {stored}, {least} was accepted"

    def _check_cdr(self, cdr_id: str, push: Push, is_accepted: bool) -> None:
        found = [record for record in self.records(Kind.CDR) if record.key.id == cdr_id]
        assert [record.document for record in found] in ([[push.body]] if is_accepted else [[push.body], []]), cdr_id

    def _location(self, location_id: str, pushes: Sequence[Push]) -> int:
        """The version, where the location is one whole of what was pushed."""
        document = self.get(f"locations/NL/TNM/{location_id}")
        number = int(document["postal_code"])
        (push,) = (push for push in pushes if push.number == number)
        pushed = json.loads(push.body, parse_float=Decimal)
        assert {**document, "evses": [], "last_updated": ""} == {**pushed, "evses": [], "last_updated": ""}
        assert [evse["uid"] for evse in document["evses"]] == [evse["uid"] for evse in pushed["evses"]]
        for evse, as_pushed in zip(document["evses"], pushed["evses"], strict=True):
            version = _evse_version(evse)
            assert version >= number, f"{evse} is older than its location, {number}"
            assert evse == {**as_pushed, **changing(version)}
        assert document["last_updated"] == max(evse["last_updated"] for evse in document["evses"])
        return number

    def _evse(self, path: str, _: Sequence[Push]) -> int:
        return _evse_version(self.get(f"locations/NL/TNM/{path}"))

    def _session(self, session_id: str, pushes: Sequence[Push]) -> int:
        document = self.get(f"sessions/NL/TNM/{session_id}")
        number = int(document["kwh"])
        assert any(push.number == number for push in pushes), document
        assert document == json.loads(pushes[0].body, parse_float=Decimal) | _as_read(metered(number)), document
        return number

    def _tariff(self, tariff_id: str, pushes: Sequence[Push]) -> int:
        found = [record for record in self.records(Kind.TARIFF) if record.key.id == tariff_id]
        if not found:
            return -1
        (push,) = (push for push in pushes if push.body == found[0].document)
        return push.number


def _by_object(pushes: Sequence[Push]) -> dict[str, list[Push]]:
    found: dict[str, list[Push]] = {}
    for push in sorted(pushes, key=lambda each: each.number):
        found.setdefault(push.object, []).append(push)
    return found


def _as_read(document: Document) -> Document:
    return dict(json.loads(dump(document), parse_float=Decimal))


def _evse_version(evse: Mapping[str, Any]) -> int:
    number = int(evse["physical_reference"][1:])
    assert {name: evse[name] for name in changing(number)} == changing(number), evse
    return number


def check_events(workers: Sequence[Worker], heard: Sequence[Document]) -> None:
    """Every accepted push was told, and the first time in the order of its object."""
    first: dict[str, list[str]] = {}
    told: dict[str, Document] = {}
    for event in heard:
        if event["id"] not in told:
            told[event["id"]] = event
            first.setdefault(event["object"], []).append(event["last_updated"])
    for worker in workers:
        for push in worker.accepted:
            assert push.id in told, f"nobody was told of {push}"
            noted = told[push.id]
            # A location is as new as its newest EVSE.
            is_newer = noted["object"] == f"location/{SHARED}"
            assert noted["object"] == push.object
            assert is_newer or noted["last_updated"] == moment(push.number).isoformat(), (push, noted)
    for name, moments in first.items():
        assert moments == sorted(moments), f"{name} was told in another order"
