"""A pulled location is one record until it changes; who asks for it, or changes it, finds it as if it never was."""

import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from attrs import evolve
from sqlalchemy import create_engine, text

from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.codec import decode
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.events import Event
from ocpi_emsp.flows.inbound.evses import MOST, find_evse
from ocpi_emsp.flows.locations import inbound
from ocpi_emsp.models import Evse, Status
from ocpi_emsp.ports import Key, Kind, Record, Store, Transaction
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import token as any_token
from sync.support import ALL, OLD, OWNER, Synced, location, synced

PAGE = Path(__file__).parents[2] / "docs/how-to/query.md"
LATER = "2024-06-01T12:30:00Z"
EVSE = "locations/*/LOC1/LOC1-E1"
EARLIER = "2023-01-01T00:00:00Z"


@pytest.fixture
def store(any_store: Any) -> Any:
    return any_store


def evse(number: int, **changes: Any) -> Any:
    return location(1)["evses"][number - 1] | {"last_updated": LATER} | changes


def connector(**changes: Any) -> Any:
    return location(1)["evses"][0]["connectors"][0] | {"last_updated": LATER} | changes


# --- what may happen to it ------------------------------------------------------------------------------------------


def pulled(**changes: Any) -> Callable[[Synced], Any]:
    """The next pull, of a location that changed so."""

    def pull(pair: Synced) -> Any:
        pair.cpo.lists["locations"] = [location(0), location(1) | {"last_updated": LATER} | changes]
        report = pair.pull(since=OLD)
        return report.updated, report.unchanged, report.stale, report.notes, report.rejected

    return pull


def pushed(method: str, path: str, body: Any = None) -> Callable[[Synced], Any]:
    """A request of the CPO, and what it is answered."""

    def push(pair: Synced) -> Any:
        target = "/2.1.1/" + path.replace("*/", "NL/TNM/", 1)
        content = b"" if body is None else encode(body)
        headers = {"authorization": f"Token {pair.token}"}
        answer = pair.emsp.handle(Request(method, target, headers=headers, body=content))
        return answer.status, answer.body

    return push


def asked(**references: Any) -> Callable[[Synced], Any]:
    """An authorization, and what it is answered, with a hook too."""

    def ask(pair: Synced) -> Any:
        pair.emsp.tokens.put(any_token("T1", auth_id="IT-BEC-T1"))
        push = pushed("POST", "tokens/T1/authorize", {"location_id": "LOC1", **references})
        by_token = push(pair)
        pair.emsp.authorize(lambda request: request.allow())
        return by_token, push(pair)

    return ask


def commanded(**parameters: Any) -> Callable[[Synced], Any]:
    """What speaks against a command before it is sent."""

    def command(pair: Synced) -> Any:
        values = {"location_id": "LOC1", "evse_uid": "LOC1-E1", "connector_id": "1"} | parameters
        with pair.emsp.partner("NL-TNM").client() as client, pytest.raises(InvalidObject) as refused:
            client.unlock_connector(**values)
        return refused.value.findings

    return command


def billed(**changes: Any) -> Callable[[Synced], Any]:
    """A CDR of the place, and its audit."""

    def bill(pair: Synced) -> Any:
        at = samples.relevant(location(1))
        at["evses"][0] |= changes
        cdr = samples.cdr("CDR1", of=samples.session("SES1", start=OLD, at=at))
        return pushed("POST", "cdrs", cdr)(pair), pair.emsp.cdrs.audit("NL-TNM", "CDR1")

    return bill


def vanished(pair: Synced) -> Any:
    pair.cpo.lists["locations"] = [location(number) for number in (0, *range(2, 12))]
    pair.pull(since=OLD)
    reports = []
    for _ in range(3):
        pair.clock.advance(days=7)
        reports.append(pair.pull(full=True))
    return [(each.missing, each.removed) for each in reports]


ACTS: dict[str, Callable[[Synced], Any]] = {
    "GET location": pushed("GET", "locations/*/LOC1"),
    "GET EVSE": pushed("GET", EVSE),
    "GET connector": pushed("GET", f"{EVSE}/1"),
    "GET unknown EVSE": pushed("GET", "locations/*/LOC1/NONE"),
    "PATCH EVSE": pushed("PATCH", EVSE, {"status": "BLOCKED", "last_updated": LATER}),
    "PATCH EVSE without a time": pushed("PATCH", EVSE, {"status": "BLOCKED"}),
    "PATCH EVSE, older": pushed("PATCH", EVSE, {"status": "BLOCKED", "last_updated": EARLIER}),
    "PATCH unknown EVSE": pushed("PATCH", "locations/*/LOC1/NONE", {"status": "BLOCKED"}),
    "PATCH EVSE, nothing known": pushed("PATCH", EVSE, {"nothing": 1}),
    "PUT EVSE": pushed("PUT", EVSE, evse(1, status="BLOCKED")),
    "PUT new EVSE": pushed("PUT", "locations/*/LOC1/LOC1-E3", evse(1, uid="LOC1-E3")),
    "PUT EVSE, refused": pushed("PUT", EVSE, {"uid": "LOC1-E1"}),
    "PATCH connector": pushed("PATCH", f"{EVSE}/1", {"amperage": 16, "last_updated": LATER}),
    "PATCH unknown connector": pushed("PATCH", f"{EVSE}/9", {"amperage": 16}),
    "PUT connector": pushed("PUT", f"{EVSE}/1", connector(amperage=16)),
    "PUT new connector": pushed("PUT", f"{EVSE}/2", connector(id="2")),
    "PATCH location": pushed("PATCH", "locations/*/LOC1", {"name": "another", "last_updated": LATER}),
    "PATCH location's EVSE": pushed("PATCH", "locations/*/LOC1", {"evses": [{"uid": "LOC1-E2", "status": "BLOCKED"}]}),
    "PUT the same": pushed("PUT", "locations/*/LOC1", location(1)),
    "PUT location": pushed("PUT", "locations/*/LOC1", location(1) | {"name": "another", "last_updated": LATER}),
    "PUT without an EVSE": pushed("PUT", "locations/*/LOC1", location(1) | {"evses": [evse(1)], "last_updated": LATER}),
    "PUT older location": pushed("PUT", "locations/*/LOC1", location(1) | {"name": "a", "last_updated": EARLIER}),
    "PUT location, refused": pushed("PUT", "locations/*/LOC1", location(1, coordinates=None)),
    "pulled, nothing new": pulled(last_updated="2024-01-01T00:00:00Z"),
    "pulled, another name": pulled(name="another"),
    "pulled, another status": pulled(evses=[evse(1, status="BLOCKED"), evse(2)]),
    "pulled without an EVSE": pulled(evses=[evse(2)]),
    "pulled without EVSEs": pulled(evses=[]),
    "pulled, refused": pulled(coordinates=None),
    "pulled, older": pulled(name="another", last_updated=EARLIER),
    "vanished": vanished,
    "authorize": asked(),
    "authorize an EVSE": asked(evse_uids=["LOC1-E1"]),
    "authorize by EVSE-ID": asked(evse_uids=[location(1)["evses"][0]["evse_id"]]),
    "authorize two": asked(evse_uids=["LOC1-E1", "LOC1-E2"]),
    "authorize unknown": asked(evse_uids=["NONE"]),
    "authorize a connector": asked(connector_ids=["1"]),
    "command, unknown EVSE": commanded(evse_uid="NONE"),
    "command, unknown connector": commanded(connector_id="9"),
    "bill": billed(),
    "bill of an unknown EVSE": billed(uid="NONE", evse_id="NONE"),
    "bill by EVSE-ID": billed(uid="NONE"),
    "suggestions": lambda pair: pair.emsp.partner("NL-TNM").suggestions(),
    "report": lambda pair: pair.emsp.partner("NL-TNM").report().rules,
}


def seen(store: Any, act: Callable[[Synced], Any]) -> Any:
    """What an act gives, which events it brings, and what is read then."""
    events = list[Event]()
    with synced(store=store, listen=events, offered=(*ALL, "commands")) as pair:
        pair.cpo.lists["locations"] = [location(0), location(1)]
        assert pair.pull().created == 2
        pair.clock.advance(hours=1)
        said = act(pair)
        listed = [msgspec.to_builtins(each) for kind in (pair.emsp.locations, pair.emsp.evses) for each in kind.list()]
        read = [pair.emsp.locations.document("NL-TNM", f"LOC{number}") for number in range(2)]
        read += [pair.emsp.evses.document("NL-TNM", "LOC1", f"LOC1-E{number}") for number in (1, 2, 3)]
        documents = [each and evolve(each, correlation_id="") for each in read]
        records = [(each.key, each.missing_since) for each in pair.records(Kind.EVSE)]
        return said, listed, documents, records, [evolve(each, correlation_id="") for each in events]


async def otherwise(*_: object) -> None:
    """What is not stored whole is taken apart at once."""


@pytest.mark.parametrize("name", ACTS)
def test_it_is_as_if_it_had_been_taken_apart_at_once(name: str, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = seen(store, ACTS[name])
    monkeypatch.setattr(inbound, "store_whole", otherwise)
    expected = seen(MemoryStore(), ACTS[name])
    for one, other in zip(found, expected, strict=True):
        assert one == other


def an_evse_named_in_another_case(pair: Synced) -> Any:
    """A CDR at one of two EVSEs whose uids differ by case alone, and its audit."""
    seven = location(1)["evses"][0]["connectors"][0] | {"id": "7"}
    named = [evse(1, uid="e1", evse_id=None), evse(2, uid="E1", evse_id=None, connectors=[seven])]
    pair.cpo.lists["locations"] = [location(2, evses=named)]
    pair.pull(since=OLD)
    at = samples.relevant(location(2, evses=named[1:]))
    cdr = samples.cdr("CDR1", of=samples.session("SES1", start=OLD, at=at))
    return pushed("POST", "cdrs", cdr)(pair), pair.emsp.cdrs.audit("NL-TNM", "CDR1")


def another_owner(pair: Synced) -> Any:
    """The next pull, in which a hub says that another party has a location; its EVSEs alone show that it is one."""
    pair.emsp.partner("NL-TNM").set_profile(allowed_parties=["*"], owner_from="operator.name")
    place: Any = {"operator": {"name": "ES*AAA"}, "coordinates": {"latitude": "52.100000", "longitude": "5.100000"}}
    pair.cpo.lists["locations"] = [location(2, OLD, **place)]
    created = pair.pull(since=OLD).created
    place = {"operator": {"name": "FR*B1B"}, "coordinates": {"latitude": "52.105000", "longitude": "5.100000"}}
    pair.cpo.lists["locations"] = [location(2, OLD, **place, address="elsewhere")]
    (note,) = pair.pull(since=OLD).notes
    assert "stays stored as one of ES-AAA as well" in note
    return created, note


@pytest.mark.parametrize("act", [an_evse_named_in_another_case, another_owner])
def test_another_one_is_as_if_it_had_been_taken_apart_at_once(
    act: Callable[[Synced], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = seen(MemoryStore(), act)
    monkeypatch.setattr(inbound, "store_whole", otherwise)
    assert found == seen(MemoryStore(), act)


# --- how it is stored -----------------------------------------------------------------------------------------------


def stored(pair: Synced, location_id: str) -> list[Record]:
    """The records of a location: itself and its EVSEs."""
    location = pair.record(Kind.LOCATION, location_id)
    assert location is not None

    async def children(store: Store) -> list[Record]:
        async with store.transaction(read_only=True) as tx:
            return list(await tx.children(location.key))

    return [location, *run(children(lift_store(pair.store, in_place)))]


def test_it_is_one_record_with_the_bytes_that_were_received_until_it_changes(store: Any) -> None:
    with synced(store=store) as pair:
        pair.cpo.lists["locations"] = [location(0), location(1)]
        pair.pull()
        (whole,) = stored(pair, "LOC1")
        assert whole.document == encode(location(1))
        assert pair.push("PATCH", EVSE, {"status": "BLOCKED", "last_updated": LATER}) == 200
        apart, *evses = stored(pair, "LOC1")
        assert [each.key.id for each in evses] == ["LOC1-E1", "LOC1-E2"]
        assert b"evses" not in apart.document
        assert evses[1].revision == 1
        assert len(stored(pair, "LOC0")) == 1


def test_one_with_many_evses_is_taken_apart_at_once() -> None:
    with synced() as pair:
        few, many = ([evse(1, uid=f"E{number}") for number in range(count)] for count in (MOST, MOST + 1))
        pair.cpo.lists["locations"] = [location(0, evses=few), location(1, evses=many)]
        assert pair.pull().created == 2
        assert [len(stored(pair, each)) for each in ("LOC0", "LOC1")] == [1, MOST + 2]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"evses"', '"\\u0065vses"'),
        ('"name"', '"evses":[],"name"'),
        ('"AVAILABLE"', '"Available"'),
        ('"LOC1-E2"', '"LOC1-E1"'),
        ('"evses":[', '"of_ours":{"evses":[{"uid":"X"}]},"of_theirs":['),
        ('"evses":[', '"of_ours":{"evses":[{"uid":"X"}]},"\\u0065vses":['),
    ],
    ids=["escaped", "twice", "another spelling", "one uid", "below another member", "below another and escaped"],
)
def test_what_is_written_in_another_way_is_read_all_the_same(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = encode(location(1)).decode()
    assert old in document

    def act(pair: Synced) -> Any:
        pair.cpo.lists["locations"] = [msgspec.Raw(document.replace("LOC1", "LOC2", 1).replace(old, new).encode())]
        report = pair.pull(since=OLD)
        answer = pushed("PATCH", "locations/*/LOC2/LOC1-E1", {"status": "BLOCKED", "last_updated": LATER})(pair)
        return report.created, report.rejected, report.notes, answer, pair.pull(since=OLD).rejected

    found = seen(MemoryStore(), act)
    monkeypatch.setattr(inbound, "store_whole", otherwise)
    assert found == seen(MemoryStore(), act)


def test_evses_are_listed_wherever_they_are_stored(store: Any) -> None:
    with synced(store=store) as pair:
        pair.cpo.lists["locations"] = [location(number) for number in range(60)]
        pair.cpo.lists["locations"][30]["evses"] = []
        pair.pull()
        for number in (3, 40):
            assert pair.push("PATCH", f"locations/*/LOC{number}/LOC{number}-E2", {"status": "OUTOFORDER"}) == 200
        everything = [f"LOC{number}-E{each}" for number in range(60) if number != 30 for each in (1, 2)]
        assert [each.uid for each in pair.emsp.evses.list()] == everything
        assert [each.uid for each in pair.emsp.evses.list(status=Status.OUTOFORDER)] == ["LOC3-E2", "LOC40-E2"]
        assert [each.uid for each in pair.emsp.evses.list(date_to=pair.clock.now())] == [
            each for each in everything if each not in ("LOC3-E2", "LOC40-E2")
        ]
        assert [each.uid for each in pair.emsp.evses.list(date_from=pair.clock.now())] == ["LOC3-E2", "LOC40-E2"]
        assert list(pair.emsp.evses.list("DE-ABC")) == []
        found, after = list[str](), 0
        while page := list(listing := pair.emsp.evses.list(limit=7, after=after)):
            found += [each.uid for each in page]
            after = listing.after
        assert found == everything


def test_evses_of_a_time_are_listed_after_their_location_moved_to_its_owner(store: Any) -> None:
    with synced(store=store) as pair:
        partner = pair.emsp.partner("NL-TNM")
        partner.set_profile(allowed_parties=["*"])
        assert pair.push("PUT", "locations/ES/AAA/LOC1", location(1) | {"last_updated": "2024-02-01T00:00:00Z"}) == 201
        partner.set_profile(allowed_parties=[])
        pair.cpo.lists["locations"] = [
            location(1, evses=[evse(1), location(1)["evses"][1]], operator={"name": "ES*AAA"})
        ]
        assert pair.pull().created == 1
        partner.set_profile(allowed_parties=["*"])
        status = {"status": "BLOCKED", "last_updated": "2024-03-01T00:00:00Z"}
        assert pair.push("PATCH", "locations/ES/AAA/LOC1/LOC1-E2", status) == 200
        assert list(pair.emsp.evses.list("NL-TNM")) == []
        since = datetime(2024, 6, 1, tzinfo=UTC)
        assert [each.uid for each in pair.emsp.evses.list(date_from=since)] == ["LOC1-E1"]
        assert [each.id for each in pair.emsp.locations.list(date_from=since)] == ["LOC1"]


class EachReadAlone:
    """Reads of one transaction between which others commit, as on PostgreSQL where nothing is locked."""

    def __init__(self, pair: Synced) -> None:
        self._pair, self._store = pair, lift_store(pair.store, in_place)

    async def get(self, key: Key) -> Record | None:
        async with self._store.transaction(read_only=True) as tx:
            found = await tx.get(key)
        self._pair.push("PATCH", EVSE, {"status": "BLOCKED", "last_updated": LATER})
        return found


def test_an_evse_is_found_while_its_location_is_taken_apart() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(1)]
        pair.pull()
        found = run(find_evse(cast("Transaction", EachReadAlone(pair)), Key(Kind.EVSE, *OWNER, "LOC1-E2", "LOC1")))
        assert found is not None
        assert found.key.id == "LOC1-E2"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_view_of_the_page_has_every_evse(database: str, request: pytest.FixtureRequest) -> None:
    if database == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('sqlite_with_schema')}"
    else:
        url = request.getfixturevalue("postgres_with_schema")
    with closing(SqlStore(url)) as store, synced(store=store) as pair:
        pair.cpo.lists["locations"] = [location(number) for number in range(3)]
        pair.cpo.lists["locations"][1]["evses"][0]["last_updated"] = "2024-05-01T13:00:00.25Z"
        pair.pull()
        assert pair.push("PATCH", "locations/*/LOC2/LOC2-E1", {"status": "BLOCKED"}) == 200
        statements = re.findall(r"```sql\n(CREATE VIEW .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        view = next(each for each in statements if ("json_each" in each) == (database == "sqlite"))
        query = "SELECT location_id, id, status, evse_id, last_updated FROM all_evses ORDER BY location_id, id"
        engine = create_engine(url)
        with closing(engine.connect()) as connection:  # it is not committed
            connection.execute(text(view))
            rows = [tuple(each) for each in connection.execute(text(query))]
        engine.dispose()
        expected = [
            (each.key.parent, each.key.id, evse.status.value, evse.evse_id, each.last_updated)
            for each in pair.records(Kind.EVSE)
            for evse in [decode(Evse, each.document)]
        ]
        assert [(*row[:4], _moment(row[4])) for row in rows] == expected
        assert len(expected) == 6


def _moment(value: Any) -> datetime:
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)
