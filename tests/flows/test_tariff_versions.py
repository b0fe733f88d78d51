"""What a tariff said before: since when, until when, and what held at a moment (docs/spec-choices.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import anyio
import pytest
from attrs import define, field
from hypothesis import given, settings, strategies as st

from flows.support import offline_emsp
from ocpi_emsp import Emsp, Limits
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.inbound.tariff_versions import valid_from, version_at, versions_at
from ocpi_emsp.models import Tariff
from ocpi_emsp.ports import Key, Kind, Query, Record
from ocpi_emsp.settings import QuotaLimits
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import FakeClock, register
from sync.support import synced

BASE = datetime(2024, 5, 1, tzinfo=UTC)
OWNER = ("NL", "TNM")
Step = tuple[Any, ...]


def moment(minute: float) -> datetime:
    return BASE + timedelta(minutes=minute)


def written(minute: float) -> str:
    return moment(minute).isoformat().replace("+00:00", "Z")


def elements(price: int) -> list[Any]:
    return [{"price_components": [{"type": "FLAT", "price": price, "step_size": 1}]}]


def tariff(price: int, updated: float | None, tariff_id: str = "TAR1", **members: Any) -> dict[str, Any]:
    body = {**samples.tariff(tariff_id), "elements": elements(price), **members}
    body.pop("last_updated")
    return body if updated is None else {**body, "last_updated": written(updated)}


def price_of(found: Tariff | None) -> int | None:
    return None if found is None else int(found.elements[0].price_components[0].price)


@define
class History:
    """An eMSP at which NL-TNM is registered, and what that CPO does at which minute."""

    kept: Any = field(factory=MemoryStore)
    limits: Limits = field(factory=Limits)
    clock: FakeClock = field(factory=FakeClock)
    emsp: Emsp = field(init=False)
    token: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.emsp = offline_emsp(store=self.kept, clock=self.clock, limits=self.limits)
        self.token = register(self.emsp)

    def push(self, minute: float, method: str, body: Any = None, tariff_id: str = "TAR1", owner: str = "NL/TNM") -> int:
        """One request at a minute; its status_code."""
        self.clock.time = moment(minute)
        headers = {"authorization": f"Token {self.token}"}
        content = b"" if body is None else encode(body)
        request = Request(method, f"/2.1.1/tariffs/{owner}/{tariff_id}", "", headers, content)
        return int(json.loads(self.emsp.handle(request).body)["status_code"])

    def do(self, *steps: Step) -> None:
        """PUTs of a price ``(minute, price, last_updated)``, DELETEs ``(minute,)``."""
        for minute, *put in steps:
            code = self.push(minute, "PUT", tariff(*put)) if put else self.push(minute, "DELETE")
            assert code == 1000

    def at(self, minute: float, party: str = "NL-TNM") -> int | None:
        """The price at a minute, which all ways to read it agree on."""
        found = self.emsp.tariffs.get(party, "TAR1", at=moment(minute))
        listed = [each for each in self.emsp.tariffs.list(party, at=moment(minute)) if each.id == "TAR1"]
        assert listed == ([] if found is None else [found])
        return price_of(found)

    def prices(self, *minutes: float) -> list[int | None]:
        return [self.at(minute) for minute in minutes]

    def records(self, kind: str = Kind.TARIFF_VERSION, country_code: str | None = None) -> Sequence[Record]:
        async def read() -> Sequence[Record]:
            async with lift_store(self.kept, in_place).transaction(read_only=True) as tx:
                return (await tx.page(Query(kind=kind, country_code=country_code, limit=1000))).records

        return run(read())


@pytest.fixture
def history(any_store: Any) -> History:
    return History(any_store)


# --- when a price begins to hold, and when it ends ------------------------------------------------------------------

DOINGS: dict[str, tuple[list[Step], dict[float, int | None]]] = {
    "it holds from what the CPO says, not from its receipt": (
        [(10, 1, 5), (20, 2, 15)],
        {4.99: None, 5: 1, 14.99: 1, 15: 2, 99: 2},
    ),
    "the same content again is the same version": (
        [(10, 1, 5), (20, 1, 15), (30, 1, 25), (40, 2, 35)],
        {4: None, 5: 1, 20: 1, 34: 1, 35: 2},
    ),
    "a content that comes back is a new version": (
        [(10, 1, 5), (20, 2, 15), (30, 1, 25)],
        {5: 1, 15: 2, 24: 2, 25: 1},
    ),
    "another content of the same time holds from its receipt": ([(10, 1, 5), (20, 2, 5)], {5: 1, 19: 1, 20: 2}),
    "one without a time holds from its receipt": ([(10, 1, 5), (20, 2, None)], {5: 1, 19: 1, 20: 2}),
    "an older one changes nothing": ([(10, 1, 5), (20, 2, 4)], {4: None, 5: 1, 30: 1}),
    "one of the future holds from then on": ([(10, 1, 5), (20, 2, 60)], {59: 1, 60: 2}),
    "a future that was changed never held": ([(10, 1, 5), (20, 2, 60), (30, 3, 60)], {30: 1, 59: 1, 60: 3}),
    "a deletion ends it": ([(10, 1, 5), (20,)], {5: 1, 19.99: 1, 20: None, 99: None}),
    "one that comes back after a deletion": ([(10, 1, 5), (20,), (40, 2, 30)], {19: 1, 20: None, 29: None, 30: 2}),
    "one that comes back and is older than the deletion": (
        [(10, 1, 5), (20,), (40, 2, 15)],
        {19: 1, 20: None, 39: None, 40: 2},
    ),
    "one that comes back, older than all": (
        [(10, 1, 5), (15, 2, 12), (20,), (40, 3, 1), (50,), (60, 1, 55)],
        {1: None, 5: 1, 12: 2, 20: None, 40: 3, 50: None, 55: 1},
    ),
    "a deletion ends what a future one should have ended": (
        [(1, 1, 0), (2, 2, 20), (3, 3, 30), (4,), (6, 4, 5)],
        {0: 1, 3.9: 1, 4: None, 5: 4, 20: 4, 30: 4},
    ),
    "one of the future that was deleted never held": ([(10, 1, 60), (20,), (70, 2, 65)], {60: None, 64: None, 65: 2}),
}


@pytest.mark.parametrize("name", DOINGS)
def test_what_held_at_a_moment(name: str) -> None:
    history = History()
    doings, expected = DOINGS[name]
    history.do(*doings)
    assert {minute: history.at(minute) for minute in expected} == expected


def test_every_store_tells_the_same(history: History) -> None:
    history.do((10, 1, 5), (20, 2, 15), (25, 2, 24), (30, 1, 28), (40,), (50, 3, 45))
    assert history.push(60, "PATCH", {"elements": elements(4)}) == 1000, "without a time: from its receipt"
    assert history.push(65, "PUT", tariff(9, 2, "TAR2"), "TAR2") == 1000
    minutes = (4, 5, 14, 15, 27, 28, 39, 40, 44, 45, 59, 60)
    assert history.prices(*minutes) == [None, 1, 1, 2, 2, 1, 1, None, None, 3, 3, 4]
    versions = sorted(history.records(), key=lambda each: each.sequence)
    began = [(each.valid_from, each.first_received_at, each.valid_until) for each in versions]
    assert {(moment(5), moment(10), moment(15)), (moment(15), moment(20), moment(28))} < set(began)
    assert len({each.content_hash for each in versions}) == 3, "a hash for each content: 1, 2 and 3"
    assert [price_of(each) for each in history.emsp.tariffs.list(at=moment(16))] == [9, 2], (
        "what still holds comes first"
    )
    listed = history.emsp.tariffs.list("NL-TNM", at=moment(16), limit=1)
    assert [price_of(each) for each in listed] == [9]
    assert [price_of(each) for each in history.emsp.tariffs.list(at=moment(16), after=listed.after)] == [2]
    assert list(history.emsp.tariffs.list("DE-ABC", at=moment(16))) == []

    async def both() -> list[Any]:
        aio = history.emsp.aio.tariffs
        found = [each async for each in aio.list("NL-TNM", at=moment(16))]
        shown = await aio.document("NL-TNM", "TAR1", at=moment(16))
        got = await aio.get("NL-TNM", "TAR1", at=moment(16))
        if isinstance(history.kept, SqlStore):
            await history.kept.aclose()
        return [*map(price_of, found), price_of(got), shown and (shown.last_updated, shown.received_at)]

    assert anyio.run(both) == [9, 2, 2, (moment(15), moment(20))]


def test_a_version_is_shown_with_the_time_from_which_on_it_held() -> None:
    history = History()
    history.do((10, 1, 5), (20, 1, 15))
    found = history.emsp.tariffs.get("NL-TNM", "TAR1", at=moment(6))
    assert found is not None
    assert found.last_updated == moment(5), "at minute 6 it had not been updated again"
    current = history.emsp.tariffs.get("NL-TNM", "TAR1")
    assert current is not None
    assert current.last_updated == moment(15)
    shown = history.emsp.tariffs.document("NL-TNM", "TAR1", at=moment(6))
    assert shown is not None
    assert json.loads(shown.document)["last_updated"] == "2024-05-01T00:05:00Z"
    assert (shown.last_updated, shown.received_at) == (moment(5), moment(10))
    assert [each.id for each in history.emsp.tariffs.list(at=moment(20), date_from=moment(5), date_to=moment(6))]
    assert not list(history.emsp.tariffs.list(at=moment(20), date_from=moment(6)))
    assert not list(history.emsp.tariffs.list(at=moment(20), date_to=moment(5)))


def test_all_that_a_tariff_said_is_listed(history: History) -> None:
    history.do((10, 1, 5), (20, 1, 15), (30, 2, 25), (40,), (50, 1, 45))
    versions = list(history.emsp.tariffs.versions("NL-TNM", "TAR1"))
    assert [(price_of(each.tariff), each.last_updated, each.received_at, each.ended_at) for each in versions] == [
        (1, moment(5), moment(10), moment(25)),
        (2, moment(25), moment(30), moment(40)),
        (1, moment(45), moment(50), None),
    ]
    hashes = [each.content_hash for each in versions]
    assert hashes[0] == hashes[2] != hashes[1]
    first = history.emsp.tariffs.versions("NL-TNM", "TAR1", limit=2)
    assert [*first, *history.emsp.tariffs.versions("NL-TNM", "TAR1", after=first.after)] == versions
    history.do((60,))
    (*_, last) = history.emsp.tariffs.versions("NL-TNM", "TAR1")
    assert (last.tariff, last.ended_at) == (versions[2].tariff, moment(60))
    assert list(history.emsp.tariffs.versions("NL-TNM", "other")) == []

    async def awaited() -> list[Any]:
        found = [each async for each in history.emsp.aio.tariffs.versions("NL-TNM", "TAR1")]
        if isinstance(history.kept, SqlStore):
            await history.kept.aclose()
        return found

    assert anyio.run(awaited) == [*versions[:2], last]


def test_a_moment_needs_a_zone() -> None:
    tariffs = History().emsp.tariffs
    naive = datetime(2024, 5, 1)  # it is refused
    for act in (lambda: tariffs.list(at=naive), lambda: tariffs.get("NL-TNM", "T", at=naive)):
        with pytest.raises(ValueError, match="invalid at '2024-05-01 00:00:00': expected a datetime with a time zone"):
            act()
    with pytest.raises(TypeError, match="invalid at 'now': expected a datetime"):
        tariffs.document("NL-TNM", "T", at="now")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="invalid date_from"):
        tariffs.list(at=BASE, date_from=naive)


def test_spellings_and_members_in_another_order_are_no_new_version() -> None:
    history = History()
    history.do((10, 1, 5))
    for minute, body in enumerate((
        {**tariff(1, 6), "tariff_alt_url": None},
        {**tariff(1, 7), "energy_mix": {}, "currency": tariff(1, 7)["currency"].lower()},
        dict(reversed(tariff(1, 8).items())),
    )):  # fmt: skip
        assert history.push(20 + minute, "PUT", body) == 1000
    assert history.records() == []
    assert history.prices(4, 5, 30) == [None, 1, 1]


def test_flows_find_one_and_all() -> None:
    history = History()
    history.do((10, 1, 5), (20, 2, 15))
    for number in range(150):
        assert history.push(30, "PUT", tariff(number, 1, f"T{number}"), f"T{number}") == 1000

    async def read() -> list[Any]:
        async with lift_store(history.kept, in_place).transaction(read_only=True) as tx:
            one = await version_at(tx, OWNER, "TAR1", moment(14))
            assert one is not None
            assert await version_at(tx, OWNER, "tar1", moment(14)) is None
            assert await version_at(tx, ("DE", "ABC"), "TAR1", moment(14)) is None
            return [one.key.id, one.last_updated, [each.key.id async for each in versions_at(tx, OWNER, moment(14))]]

    assert run(read()) == ["TAR1", moment(5), [*(f"T{number}" for number in range(150)), "TAR1"]]


# --- how much is stored ---------------------------------------------------------------------------------------------


def test_the_oldest_versions_of_a_tariff_go_first() -> None:
    history = History(limits=Limits(quotas=QuotaLimits(tariff_versions=3)))
    history.do(*((10 + minute, minute, minute) for minute in range(9)))
    assert [each.valid_from for each in history.records()] == [moment(5), moment(6), moment(7)]
    assert history.prices(4, 5, 6, 7, 8) == [None, 5, 6, 7, 8]


def test_the_oldest_versions_of_a_party_go_first() -> None:
    size = len(encode(tariff(0, 0)))
    history = History(limits=Limits(quotas=QuotaLimits(tariff_version_bytes=3 * size + 9)))
    history.do(*((10 + minute, minute, minute) for minute in range(9)))
    assert [each.valid_from for each in history.records()] == [moment(5), moment(6), moment(7)]


def test_history_refuses_nothing_at_a_full_quota() -> None:
    history = History(limits=Limits(quotas=QuotaLimits(objects=1)))
    history.do((10, 1, 5), (20, 2, 15))
    assert history.push(30, "PUT", tariff(1, 1, "TAR2"), "TAR2") == 2000
    history.do((40,))
    assert history.push(50, "PUT", tariff(1, 1, "TAR2"), "TAR2") == 1000, "what was deleted takes no room"
    assert history.prices(5, 15, 40) == [1, 2, None]


# --- hubs, syncs, and two at once -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, {4: None, 5: 1, 14: 1, 15: 2, 99: 2}),
        ((3, 12), {5: 1, 11: 1, 12: 3, 14: 3, 15: 2, 99: 2}),  # what the hub had said later stands
        ((3, 20), {5: 1, 15: 2, 19: 2, 20: 3, 24: 3, 25: 2}),  # what the owner has was said later
        ((3, 2), {1: None, 2: 3, 14: 3, 15: 2}),  # what the hub had before is not needed
    ],
)
def test_versions_move_from_a_hub_to_their_owner(
    own: tuple[int, int] | None, expected: dict[float, int | None]
) -> None:
    history = History()
    history.do((10, 1, 5), (20, 2, 15))
    if own is not None:
        document = encode(tariff(*own))
        record = Record(Key(Kind.TARIFF, "ES", "AAA", "TAR1"), document, moment(own[1]), moment(own[1]))
        put(history, record)
    history.emsp.partner("NL-TNM").set_profile(allowed_parties=["*"])
    assert history.push(30, "PUT", tariff(2, 25), owner="ES/AAA") == 1000
    assert {minute: history.at(minute, "ES-AAA") for minute in expected} == expected
    assert [history.at(minute) for minute in (5, 15, 99)] == [None] * 3, "the hub has none any more"
    assert [each for kind in (Kind.TARIFF, Kind.TARIFF_VERSION) for each in history.records(kind, "NL")] == []


def test_a_hubs_tariff_does_not_hold_while_its_owners_was_deleted() -> None:
    history = History()
    partner = history.emsp.partner("NL-TNM")
    partner.set_profile(allowed_parties=["*"])
    assert history.push(2, "PUT", tariff(9, 1), owner="ES/AAA") == 1000
    assert history.push(18, "DELETE", owner="ES/AAA") == 1000
    partner.set_profile(allowed_parties=[])
    history.do((19, 1, 5), (20, 2, 15))
    partner.set_profile(allowed_parties=["*"])
    assert history.push(30, "PUT", tariff(2, 25), owner="ES/AAA") == 1000
    assert [history.at(minute, "ES-AAA") for minute in (1, 17, 18, 29, 30)] == [9, 9, None, None, 2]


def put(history: History, record: Record) -> None:
    async def write() -> None:
        async with lift_store(history.kept, in_place).transaction() as tx:
            await tx.put(record)

    run(write())


def test_what_is_pulled_has_versions_too() -> None:
    with synced() as pair:

        def pull(minute: int, *listed: dict[str, Any]) -> None:
            pair.clock.time = moment(minute)
            pair.cpo.lists["tariffs"] = list(listed)
            assert pair.pull("tariffs", full=True).rejected == 0

        pull(10, tariff(1, 5), tariff(7, 5, "TAR2"))
        pull(20, tariff(1, 5), tariff(7, 5, "TAR2"))
        pull(30, tariff(2, 25))
        prices = [pair.emsp.tariffs.get("NL-TNM", "TAR1", at=moment(minute)) for minute in (4, 5, 24, 25)]
        assert [*map(price_of, prices)] == [None, 1, 1, 2]
        (version,) = pair.records(Kind.TARIFF_VERSION)
        assert (version.first_received_at, version.received_at) == (moment(10), moment(20)), "listed again since"
        assert price_of(pair.emsp.tariffs.get("NL-TNM", "TAR2", at=moment(99))) == 7, "not listed is not deleted"


def test_puts_at_once_lose_no_version(history: History) -> None:
    history.do((50, 0, 0))
    with ThreadPoolExecutor(8) as threads:
        bodies = [tariff(number, number) for number in (3, 1, 6, 2, 8, 5, 7, 4)]
        codes = list(threads.map(lambda body: history.push(50, "PUT", body), bodies))
    assert codes == [1000] * 8
    stored = sorted((valid_from(each), each.valid_until) for each in history.records())
    begins = [*(start for start, _ in stored[1:]), moment(8)]
    assert [end for _, end in stored] == begins, "each ended where the next one that came through began"
    assert history.at(8) == 8


# --- any order ------------------------------------------------------------------------------------------------------

_PUT = st.tuples(st.integers(0, 3), st.none() | st.integers(0, 12))
_DOINGS = st.lists(st.none() | _PUT, max_size=9)


@settings(max_examples=25, deadline=None)
@given(_DOINGS)
def test_no_two_versions_hold_at_once_and_none_is_lost(doings: list[tuple[int, int | None] | None]) -> None:
    """A step a minute: PUTs of prices with any last_updated, and DELETEs."""
    history, now = History(), list[tuple[float, int | None]]()
    current: int | None = None
    for minute, doing in enumerate(doings):
        if doing is None:
            history.push(minute, "DELETE")
            current = None
        else:
            before = history.emsp.tariffs.get("NL-TNM", "TAR1")
            assert history.push(minute, "PUT", tariff(*doing)) == 1000
            current = price_of(history.emsp.tariffs.get("NL-TNM", "TAR1"))
            assert current == doing[0] or before is not None, "only an older one stays out"
        now.append((minute, current))
    whole = [*history.records(), *history.records(Kind.TARIFF)]
    held = sorted((valid_from(each), each.valid_until or datetime.max.replace(tzinfo=UTC)) for each in whole)
    held = [(start, end) for start, end in held if start < end]
    assert all(end <= start for (_, end), (start, _) in pairwise(held)), held
    for minute in range(15):
        history.at(minute)  # one at most, by every way to read it
    assert history.at(1000) == current, "what holds now holds on"
