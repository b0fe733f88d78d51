"""Resources read what partners sent: typed and whole, lazily, and as received; on any store."""

from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import anyio
import pytest

from flows.support import Answer, at, drained, offline_emsp
from ocpi_emsp import Cdr, Emsp, Evse, Location, PartyId, Session, Tariff
from ocpi_emsp.emsp import AsyncEmsp
from ocpi_emsp.models import SessionStatus, Status
from ocpi_emsp.ports import AnyStore
from ocpi_emsp.resources import ReceivedDocument
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import NOW, register

T = TypeVar("T")


class Sender:
    """Partners that push."""

    def __init__(self, store: AnyStore) -> None:
        self.emsp, self.store = offline_emsp(store=store), store
        self.tokens = {party: register(self.emsp, *party.split("-")) for party in ("NL-TNM", "DE-ABC")}

    def put(self, path: str, body: Any, party: str = "NL-TNM", method: str = "PUT") -> None:
        headers = {"authorization": f"Token {self.tokens[party]}", "x-correlation-id": f"c-{path.split('/')[-1]}"}
        whose = party.replace("-", "/")
        url = f"/2.1.1/{path.replace('*', whose)}"
        answer = Answer.of(self.emsp.handle(Request(method, url, "", headers, encode(body))))
        assert answer.code == 1000, answer

    def awaited(self, use: Callable[[AsyncEmsp], Coroutine[Any, Any, T]]) -> T:
        """What the awaited side gives."""

        async def run() -> T:
            try:
                return await use(self.emsp.aio)
            finally:
                if isinstance(self.store, SqlStore):
                    await self.store.aclose()

        return anyio.run(run)

    def session(self, number: int, party: str = "NL-TNM", **changes: Any) -> None:
        body = {**samples.session(status="ACTIVE"), "id": f"S{number}", "last_updated": at(number), **changes}
        self.put(f"sessions/*/S{number}", body, party)


@pytest.fixture
def sent(any_store: AnyStore) -> Sender:
    return Sender(any_store)


def test_a_location_is_whole_and_typed(sent: Sender) -> None:
    sent.put("locations/*/LOC1", {**samples.location(), "id": "LOC1", "last_updated": at(0)})
    location = sent.emsp.locations.get("nl-tnm", "LOC1")
    assert isinstance(location, Location)
    uids = [evse.uid for evse in location.evses or ()]
    assert uids
    sent.put(f"locations/*/LOC1/{uids[0]}", {"status": "OUTOFORDER", "last_updated": at(5)}, method="PATCH")
    changed = sent.emsp.locations.get(PartyId("NL", "TNM"), "LOC1")
    assert changed is not None
    assert (changed.evses or ())[0].status == Status.OUTOFORDER
    assert changed.last_updated > location.last_updated
    evse = sent.emsp.evses.get("NL-TNM", "LOC1", uids[0])
    assert isinstance(evse, Evse)
    assert evse == (changed.evses or ())[0]
    assert sent.emsp.locations.get("DE-ABC", "LOC1") is None
    assert sent.emsp.evses.get("NL-TNM", "LOC2", uids[0]) is None
    assert list(sent.emsp.locations.list()) == [changed]
    free = [each.uid for each in sent.emsp.evses.list("NL-TNM", status=Status.OUTOFORDER)]
    assert free == uids[:1]
    assert sent.awaited(lambda aio: aio.locations.get("NL-TNM", "LOC1")) == changed


def test_a_document_is_what_was_received_with_its_findings_and_when(sent: Sender) -> None:
    body = {**samples.session(status="ACTIVE"), "id": "S1", "last_updated": at(0), "meter_id": "m" * 300, "extra": [1]}
    sent.put("sessions/*/S1", body)
    found = sent.emsp.sessions.document("NL-TNM", "S1")
    assert isinstance(found, ReceivedDocument)
    assert found.document == encode(body)
    assert "string.length" in [finding.rule for finding in found.findings]
    assert (found.party, found.received_at, found.correlation_id) == (PartyId("NL", "TNM"), NOW, "c-S1")
    assert found.last_updated == datetime.fromisoformat(at(0).replace("Z", "+00:00"))
    assert sent.emsp.sessions.document("NL-TNM", "S2") is None
    assert sent.awaited(lambda aio: aio.sessions.document("NL-TNM", "S1")) == found
    sent.put("locations/*/LOC1", {**samples.location(), "id": "LOC1", "last_updated": at(0)})
    whole = sent.emsp.locations.document("NL-TNM", "LOC1")
    assert whole is not None
    assert b'"evses":[{' in whole.document.replace(b" ", b"")


def test_a_list_goes_by_party_time_and_status_and_on_after_a_place(sent: Sender) -> None:
    for number in range(5):
        sent.session(number, status="COMPLETED" if number % 2 else "ACTIVE")
    sent.session(9, "DE-ABC")
    sessions = sent.emsp.sessions
    assert [each.id for each in sessions.list()] == ["S0", "S1", "S2", "S3", "S4", "S9"]
    assert [each.id for each in sessions.list("DE-ABC")] == ["S9"]
    assert [each.id for each in sessions.list("NL-TNM", status=SessionStatus.COMPLETED)] == ["S1", "S3"]
    begin = datetime.fromisoformat(at(1).replace("Z", "+00:00"))
    window = sessions.list(date_from=begin, date_to=begin + timedelta(minutes=2))
    assert [each.id for each in window] == ["S1", "S2"]
    pages, after = list[list[str]](), 0
    while page := list(items := sessions.list(limit=2, after=after, status=SessionStatus.ACTIVE)):
        pages.append([each.id for each in page])
        after = items.after
    assert pages == [["S0", "S2"], ["S4", "S9"]]
    assert list(sessions.list(limit=0)) == []
    assert [each.id for each in sent.awaited(lambda aio: drained(aio.sessions.list("NL-TNM", limit=1)))] == ["S0"]


def test_cdrs_tariffs_and_tokens_alike(sent: Sender) -> None:
    sent.put("cdrs", {**samples.cdr(), "id": "C1", "last_updated": at(0)}, method="POST")
    sent.put("tariffs/*/T1", {**samples.tariff(), "id": "T1", "last_updated": at(0)})
    (cdr,), (tariff,) = sent.emsp.cdrs.list("NL-TNM"), sent.emsp.tariffs.list("NL-TNM")
    assert isinstance(cdr, Cdr)
    assert isinstance(tariff, Tariff)
    assert (sent.emsp.cdrs.get("NL-TNM", "C1"), sent.emsp.tariffs.get("NL-TNM", "T1")) == (cdr, tariff)
    assert (sent.emsp.cdrs.get("NL-TNM", "c1"), sent.emsp.tariffs.get("NL-TNM", "t1")) == (cdr, None)
    received = sent.emsp.cdrs.document("NL-TNM", "c1")
    assert received is not None
    assert received.correlation_id == "c-cdrs"
    assert sent.emsp.tariffs.document("NL-TNM", "T2") is None


class Counting(MemoryStore):
    """Counts the transactions that read."""

    reads = 0

    def transaction(self, *, read_only: bool = False) -> Any:
        self.reads += read_only
        return super().transaction(read_only=read_only)


def test_a_list_reads_a_page_when_it_is_wanted() -> None:
    store = Counting()
    sent = Sender(store)
    for number in range(250):
        sent.session(number)
    store.reads = 0
    sessions: Iterator[Session] = iter(sent.emsp.sessions.list())
    assert store.reads == 0
    next(sessions)
    assert store.reads == 1
    assert len(list(sessions)) == 249
    assert store.reads == 4, "three pages, and one that is empty"


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"party": "TNM"}, ValueError, "invalid party 'TNM': expected CC-XXX, for example NL-TNM"),
        ({"party": ("NL", "TNM")}, TypeError, "invalid party"),
        (
            {"date_from": datetime(2024, 1, 1)},
            ValueError,
            "invalid date_from '2024-01-01 00:00:00': expected a datetime",
        ),
        ({"date_to": "2024-01-01"}, TypeError, "invalid date_to '2024-01-01': expected a datetime with a time zone"),
        ({"limit": -1}, ValueError, "invalid limit '-1': expected 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_call(arguments: Any, error: type[Exception], said: str) -> None:
    emsp: Emsp = offline_emsp()
    for resource in (emsp.locations, emsp.evses, emsp.sessions, emsp.cdrs, emsp.tariffs):
        with pytest.raises(error) as caught:
            resource.list(**arguments)
        assert str(caught.value).startswith(said)
    if "party" not in arguments:
        with pytest.raises(error):
            emsp.tokens.list(**arguments)
    assert list(emsp.tokens.list(date_from=datetime(2024, 1, 1, tzinfo=UTC))) == []
