"""Emsp(audit=True) on each store: CDRs are audited once, after their commit (docs/how-to/audit-bills.md)."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest
from sqlalchemy import select

from flows.audits_desk import START, cdr, post
from flows.support import drained, offline_emsp
from ocpi_emsp import Limits
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.errors import UnknownObject
from ocpi_emsp.events import CdrAudited, CdrReceived, Event, RelayedEvent
from ocpi_emsp.flows.cdrs.audit import reckon
from ocpi_emsp.ports import EVENT, PENDING_AUDIT, AnyStore, Entry, Store, Transaction
from ocpi_emsp.pricing import Readings, Verdict
from ocpi_emsp.settings import DeliveryLimits, Retention
from ocpi_emsp.storage import MemoryStore, SqlStore
from our_emsp import FakeClock, register


class World:
    """An eMSP that audits, and what its listener heard."""

    def __init__(self, store: AnyStore, **settings: Any) -> None:
        self.store, self.clock = store, FakeClock()
        self.emsp = offline_emsp(store=store, clock=self.clock, **{"audit": True, **settings})
        self.token = register(self.emsp)
        self.heard: list[Event] = []
        self.emsp.on(CdrReceived)(self.heard.append)
        self.emsp.on(CdrAudited)(self.heard.append)

    def post(self, *documents: bytes) -> None:
        for document in documents:
            post(self.emsp, self.token, document)

    def audited(self) -> list[tuple[str, str]]:
        """The CDRs that the listener heard of an audit of, and what it says."""
        return [(event.cdr.id, event.verdict.value) for event in self.heard if isinstance(event, CdrAudited)]

    def stored(self) -> list[tuple[str, str]]:
        return [(each.audit.cdr, each.audit.verdict.value) for each in self.emsp.audits.list("NL-TNM")]

    def pending(self, topic: str = PENDING_AUDIT) -> list[Entry]:
        async def read() -> list[Entry]:
            async with lift_store(self.store, in_place).transaction(read_only=True) as tx:
                return list(await tx.entries(topic))

        return run(read())


@pytest.fixture
def world(any_store: AnyStore) -> World:
    return World(any_store)


def test_a_cdr_is_audited_after_its_post_and_once(world: World) -> None:
    world.post(cdr(1), cdr(2, "7.00"), cdr(2, "7.00"))
    assert [type(event) for event in world.heard] == [CdrReceived, CdrReceived]
    assert (world.stored(), len(world.pending())) == ([], 2)
    assert world.emsp.audits.make_pending() == 2
    assert world.audited() == [("CDR1", "right"), ("CDR2", "wrong")]
    event = world.heard[-1]
    assert isinstance(event, CdrAudited)
    assert (str(event.party), event.correlation_id, event.at) == ("NL-TNM", "c-1", world.clock.time)
    assert (event.difference, event.at_least, event.cdr.total_cost) == (Decimal(3), False, Decimal(7))
    assert world.emsp.audits.make_pending() == 0
    assert (world.pending(), world.pending(EVENT)) == ([], [])
    found = world.emsp.audits.get("nl-tnm", "cdr2")
    assert found is not None
    assert (str(found.party), found.at, found.correlation_id) == ("NL-TNM", world.clock.time, "c-1")
    assert found.audit == world.emsp.cdrs.audit("NL-TNM", "CDR2")
    assert world.emsp.audits.get("NL-TNM", "CDR3") is None


def test_stored_audits_are_listed(world: World) -> None:
    world.post(*(cdr(number, "4.00" if number % 2 else "7.00") for number in range(6)))
    world.emsp.audits.make_pending()
    every = [(f"CDR{number}", "right" if number % 2 else "wrong") for number in range(6)]
    audits = world.emsp.audits
    assert world.stored() == every
    assert [each.audit.cdr for each in audits.list(verdict="WRONG", limit=2)] == ["CDR0", "CDR2"]
    since, until = START + timedelta(minutes=2), START + timedelta(minutes=4)
    assert [each.audit.cdr for each in audits.list("NL-TNM", date_from=since, date_to=until)] == ["CDR2", "CDR3"]
    first = audits.list(limit=4)
    assert len(list(first)) == 4
    assert [each.audit.cdr for each in audits.list(after=first.after)] == ["CDR4", "CDR5"]
    assert list(audits.list("DE-XYZ")) == []
    with pytest.raises(ValueError, match="invalid verdict 'bad': expected one of right, wrong, undecidable"):
        audits.list(verdict="bad")

    async def twin() -> tuple[list[str], int]:
        try:
            made = await world.emsp.aio.audits.make_pending()
            return [each.audit.cdr for each in await drained(world.emsp.aio.audits.list(verdict=Verdict.RIGHT))], made
        finally:
            if isinstance(world.store, SqlStore):
                await world.store.aclose()

    assert anyio.run(twin) == (["CDR1", "CDR3", "CDR5"], 0)


def test_an_audit_keeps_its_readings_and_is_made_again_on_request(world: World) -> None:
    # 4.84 is 4.00 with 21 % on top: under the default readings it is 0.84 too much.
    world.post(cdr(1, "4.84"), cdr(2))
    world.emsp.audits.make_pending()
    world.emsp.partner("NL-TNM").set_profile(readings={"vat": 21})
    stored = world.emsp.audits.get("NL-TNM", "CDR1")
    assert stored is not None
    assert (stored.audit.difference, stored.audit.readings) == (Decimal("0.84"), Readings())
    assert world.emsp.cdrs.audit("NL-TNM", "CDR1").verdict is Verdict.RIGHT
    assert world.emsp.audits.get("NL-TNM", "CDR1") == stored
    world.clock.advance(hours=1)
    renewed = world.emsp.audits.renew("NL-TNM", "CDR1")
    assert (renewed.audit.verdict, renewed.audit.readings.vat, renewed.at) == (
        Verdict.RIGHT,
        Decimal(21),
        world.clock.time,
    )
    again = world.emsp.audits.get("NL-TNM", "CDR1")
    assert again is not None
    assert again.audit == renewed.audit
    world.heard.clear()
    world.emsp.partner("NL-TNM").set_profile(readings=None)
    assert world.emsp.audits.request("NL-TNM", date_from=START + timedelta(minutes=1)) == 2
    assert world.emsp.audits.request("NL-TNM") == 2  # twice is once
    assert world.emsp.audits.make_pending() == 2
    assert world.audited() == [("CDR1", "wrong")]  # CDR2 says what it said
    assert world.stored() == [("CDR1", "wrong"), ("CDR2", "right")]
    with pytest.raises(UnknownObject, match="cdr 'CDR9' of NL-TNM is not known"):
        world.emsp.audits.renew("NL-TNM", "CDR9")


def test_an_emsp_that_does_not_audit_leaves_no_request(any_store: AnyStore) -> None:
    world = World(any_store, audit=False)
    world.post(cdr(1))
    assert world.pending() == []
    assert world.emsp.audits.request() == 1
    assert world.emsp.audits.make_pending() == 1
    assert world.audited() == [("CDR1", "right")]


def test_a_relay_says_what_a_listener_hears(any_store: AnyStore) -> None:
    world = World(any_store, outbox_events=(CdrAudited,))
    world.post(cdr(1, "7.00"))
    world.emsp.audits.make_pending()
    batches: list[list[RelayedEvent]] = []
    assert world.emsp.relay(batches.append).once() == 1
    ((relayed,),) = batches
    said = json.loads(relayed.to_json())
    assert said["details"] == {"at_least": False, "difference": "3", "reasons": [], "verdict": "wrong"}
    assert (said["name"], said["document"]["id"]) == ("CdrAudited", "CDR1")


# --- what fails -----------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


class Mortal:
    """A store in whose writing transactions, one by one, the process ends: before the commit, or right after it."""

    def __init__(self, store: AnyStore) -> None:
        self._store: Store = lift_store(store, in_place)
        self.lives = 10**9
        self.after_commit = False

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        return self._dying(read_only)

    @asynccontextmanager
    async def _dying(self, read_only: bool) -> AsyncIterator[Transaction]:
        self.lives -= not read_only
        async with self._store.transaction(read_only=read_only) as tx:
            yield tx
            if self.lives <= 0 and not read_only and not self.after_commit:
                raise Killed
        if self.lives <= 0 and not read_only:
            raise Killed


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_process_that_is_killed_anywhere_leaves_an_audit_to_the_next_one(
    any_store: AnyStore, after_commit: bool
) -> None:
    """Between the commit of the CDR and its audit, in it, and before its event is delivered."""
    mortal = Mortal(any_store)
    world = World(mortal)
    world.post(cdr(1, "7.00"))
    deaths = 0
    for lives in range(1, 10):
        mortal.lives, mortal.after_commit = lives, after_commit
        try:
            world.emsp.audits.make_pending()
            world.emsp.redeliver()
            break
        except Killed:
            deaths += 1
            mortal.lives = 10**9
            world.clock.advance(minutes=2)  # a lease ends
    assert deaths >= 2  # the lease, the audit; before its commit the delivery as well
    assert world.stored() == [("CDR1", "wrong")]
    assert set(world.audited()) == {("CDR1", "wrong")}
    assert (world.pending(), world.pending(EVENT)) == ([], [])


def test_two_processes_make_an_audit_once(any_store: AnyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one finds the request leased while the audit is made, and settled once its event is delivered."""
    world, rounds = World(any_store), list[int]()
    other = offline_emsp(store=any_store, clock=world.clock, audit=True)
    other.on(CdrAudited)(world.heard.append)
    world.post(cdr(1))

    def meanwhile(known: Any) -> Any:
        if not rounds:
            rounds.append(-1)
            rounds[0] = other.audits.make_pending()
        return reckon(known)

    monkeypatch.setattr("ocpi_emsp.flows.cdrs.stored_audits.reckon", meanwhile)
    world.emsp.on(CdrAudited)(lambda _: rounds.append(other.audits.make_pending()))
    assert world.emsp.audits.make_pending() == 1
    assert rounds == [0, 0]
    assert world.audited() == [("CDR1", "right")]


def test_a_listener_that_raises_hears_the_audit_again(world: World) -> None:
    failures = [ConnectionError("billing is down")]

    @world.emsp.on(CdrAudited)
    def bill(_: CdrAudited) -> None:
        if failures:
            raise failures.pop()

    world.post(cdr(1))
    assert world.emsp.audits.make_pending() == 1
    assert world.stored() == [("CDR1", "right")]
    world.clock.advance(minutes=2)
    assert world.emsp.redeliver() == 1
    assert world.audited() == [("CDR1", "right")] * 2  # at least once
    assert world.pending(EVENT) == []


def test_an_audit_that_fails_by_our_fault_holds_no_other_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(MemoryStore(), limits=Limits(delivery=DeliveryLimits(attempts=2)))
    world.post(cdr(1), cdr(2))

    def failing(known: Any) -> Any:
        if known.cdr.id == "CDR1":
            raise ZeroDivisionError("a bug")
        return reckon(known)

    monkeypatch.setattr("ocpi_emsp.flows.cdrs.stored_audits.reckon", failing)
    caplog.set_level(logging.ERROR, "ocpi_emsp")
    assert world.emsp.audits.make_pending() == 1
    assert world.stored() == [("CDR2", "right")]
    (waiting,) = world.pending()
    assert (waiting.attempts, waiting.error) == (1, "ZeroDivisionError: a bug")
    world.clock.advance(hours=2)
    assert world.emsp.audits.make_pending() == 0
    assert world.pending() == []
    assert [record.message.split(" ")[0] for record in caplog.records] == ["audit.failed"] * 2
    assert "given_up=True" in caplog.text


def test_the_background_work_audits(any_store: AnyStore) -> None:
    world = World(any_store)
    heard = anyio.Event()

    async def serve() -> None:
        async with world.emsp.aio.running(every=0.01):
            await anyio.to_thread.run_sync(world.post, cdr(1, "7.00"))
            with anyio.fail_after(20):
                await heard.wait()
        if isinstance(any_store, SqlStore):
            await any_store.aclose()

    @world.emsp.on(CdrAudited)
    async def tell(_: CdrAudited) -> None:
        heard.set()

    anyio.run(serve)
    assert world.stored() == [("CDR1", "wrong")]


# --- how it is stored -----------------------------------------------------------------------------------------------


def test_a_database_is_asked_for_what_is_wrong(any_store: AnyStore) -> None:
    if not isinstance(any_store, SqlStore):
        return
    world = World(any_store)
    world.post(cdr(1), cdr(2, "7.00"))
    world.emsp.audits.make_pending()
    audits = any_store.tables.objects["audit"]
    names = ("id", "verdict", "currency", "claimed", "expected", "difference", "at_least")
    asked = select(*(audits.c[name] for name in names)).where(audits.c.verdict == "wrong")
    with any_store._engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(asked)] == [("CDR2", "wrong", "EUR", 7, 4, 3, False)]


def test_audits_are_pruned_by_their_age_and_cdrs_stay(world: World) -> None:
    world.post(cdr(1))
    world.emsp.audits.make_pending()
    world.emsp.retention(Retention(audits=timedelta(days=30)))
    assert world.emsp.prune().audits == 0
    world.clock.advance(days=31)
    assert world.emsp.prune(dry_run=True).audits == 1
    assert world.emsp.prune().audits == 1
    assert world.emsp.audits.get("NL-TNM", "CDR1") is None
    assert world.emsp.cdrs.get("NL-TNM", "CDR1") is not None


def test_unregistering_leaves_audits_and_requests(world: World) -> None:
    world.post(cdr(1), cdr(2))
    world.emsp.audits.renew("NL-TNM", "CDR1")
    world.emsp.partner("NL-TNM").unregister(tell=False)
    assert world.emsp.audits.make_pending() == 2
    assert world.stored() == [("CDR1", "right"), ("CDR2", "right")]


def test_a_flag_is_a_flag() -> None:
    with pytest.raises(TypeError, match="invalid audit 'yes': expected True or False"):
        offline_emsp(audit="yes")
