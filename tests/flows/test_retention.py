"""How long things are stored: what is deleted, what is not, in both modes, by the background and by the command."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import anyio
import click
import pytest

from client.support import MODES, Mode
from flows.support import offline_emsp
from ocpi_emsp import Emsp, Limits
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.cli import main
from ocpi_emsp.cli.options import retention
from ocpi_emsp.codec import encode as encode_document
from ocpi_emsp.flows.commands.reservations import Reservation, ReservationState
from ocpi_emsp.flows.commands.states import CommandState, SentCommand
from ocpi_emsp.flows.serving.retention import EVERY, prune_in_turn
from ocpi_emsp.models import CommandType, TokenType
from ocpi_emsp.ports import DEAD, EVENT, RELAY, Entry, Kind, Query, Record
from ocpi_emsp.settings import DeliveryLimits, Retention
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import NOW, FakeClock, register

ALL = {name: timedelta(days=30) for name in ("rejections", "dead_events", "authorizations", "sessions")}
ALL |= {name: timedelta(days=30) for name in ("cdr_conflicts", "commands", "tariff_versions")}
OLD, NEW = NOW, NOW + timedelta(days=40)

KINDS = (Kind.SESSION, Kind.CDR, Kind.CDR_CONFLICT, Kind.COMMAND, Kind.RESERVATION, Kind.TARIFF_VERSION)


@pytest.fixture
def store(any_store: Any) -> Any:
    return any_store


class Filled:
    """An eMSP that stores one old and one new thing of each kind, and one old one that is still needed."""

    def __init__(self, store: Any, **settings: Any) -> None:
        self.clock = FakeClock()
        self.store = lift_store(store, in_place)
        self.emsp: Emsp = offline_emsp(store=store, clock=self.clock, **settings)
        self.token = register(self.emsp)
        for name in ("old", "new"):
            self._fill(name)
            self.clock.time = NEW

    def push(self, method: str, path: str, body: Any = None) -> bytes:
        headers = {"authorization": f"Token {self.token}"}
        answer = self.emsp.handle(Request(method, f"/2.1.1/{path}", "", headers, b"" if body is None else encode(body)))
        return answer.body

    def _fill(self, name: str) -> None:
        self.push("PUT", "sessions/NL/TNM/bad", {"name": name})
        self.push("POST", f"tokens/{name}/authorize")
        for status in ("COMPLETED", "ACTIVE"):
            self.session(f"{name}-{status}", status)
        self.push("POST", "cdrs", samples.cdr("C1"))
        self.push("POST", "cdrs", {**samples.cdr("C1"), "total_cost": len(name) + ord(name[0])})
        for price, tariff_id in ((1, "T"), (2, "T"), (1, f"{name}-deleted")):
            self.tariff(tariff_id, name, price)
        self.push("DELETE", f"tariffs/NL/TNM/{name}-deleted")
        run(self._entries_and_commands(name))

    def session(self, session_id: str, status: str) -> None:
        moment = self.clock.time.strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {**samples.session(session_id), "status": status, "last_updated": moment}
        assert b'"status_code":1000' in self.push("PUT", f"sessions/NL/TNM/{session_id}", body)

    def tariff(self, tariff_id: str, name: str, price: int) -> None:
        body = {**samples.tariff(tariff_id), "last_updated": self.clock.time.strftime(f"%Y-%m-%dT%H:0{price}:00Z")}
        body["elements"] = [{"price_components": [{"type": "FLAT", "price": price, "step_size": 1}]}]
        assert b'"status_code":1000' in self.push("PUT", f"tariffs/NL/TNM/{tariff_id}", body), name

    async def _entries_and_commands(self, name: str) -> None:
        now = self.clock.time
        details = {"country_code": "NL", "party_id": "TNM", "correlation_id": "c"}
        async with self.store.transaction() as tx:
            for topic in (EVENT, RELAY, *DEAD.values()):
                await tx.append(
                    Entry(id=f"{name} {topic}", topic=topic, name="TariffDeleted", key=None, at=now, details=details)
                )
            for state in (CommandState.ANSWERED, CommandState.ACKNOWLEDGED):
                sent = SentCommand(
                    uid=f"{name}-{state}",
                    command=CommandType.START_SESSION,
                    country_code="NL",
                    party_id="TNM",
                    state=state,
                    deadline=now,
                )
                await tx.put(Record(sent.key, encode_document(sent), now, now))
            for number, state_of in enumerate((ReservationState.USED, ReservationState.ACTIVE)):
                reservation = Reservation(
                    country_code="NL",
                    party_id="TNM",
                    reservation_id=number + (10 if name == "new" else 0),
                    location_id="LOC1",
                    token_uid="T",
                    token_type=TokenType.RFID,
                    auth_id="A",
                    expiry_date=now,
                    state=state_of,
                    command="x",
                    asked_at=now,
                )
                await tx.put(Record(reservation.key, encode_document(reservation), now, now))

    def left(self) -> dict[str, list[str]]:
        """What is stored of each kind."""

        async def read() -> dict[str, list[str]]:
            async with self.store.transaction(read_only=True) as tx:
                return {
                    kind: sorted(each.key.id for each in (await tx.page(Query(kind=kind))).records) for kind in KINDS
                } | {topic: [each.id for each in await tx.entries(topic)] for topic in (EVENT, RELAY, *DEAD.values())}

        return run(read())


PRUNED = {
    "rejections": 2,  # what was refused, and the conflict
    "dead_events": 2,
    "authorizations": 1,
    "sessions": 1,
    "cdr_conflicts": 1,
    "commands": 1,
    "reservations": 1,
    "audits": 0,  # tests/store/test_stored_audits.py
    "tariff_versions": 2,  # the first price, and what was deleted; the second price held until the new one came
}


def as_dict(pruned: Any) -> dict[str, int]:
    return {name: getattr(pruned, name) for name in PRUNED}


@pytest.mark.parametrize("mode", MODES)
def test_what_is_old_and_over_is_deleted_and_nothing_else(store: Any, mode: Mode) -> None:
    filled = Filled(store)
    emsp = filled.emsp

    def prune(**options: bool) -> dict[str, int]:
        if mode == "sync":
            return as_dict(emsp.prune(**options))

        async def awaited() -> dict[str, int]:
            try:
                return as_dict(await emsp.aio.prune(**options))
            finally:
                if isinstance(store, SqlStore):
                    await store.aclose()

        return anyio.run(awaited)

    before = filled.left()
    assert set(prune().values()) == {0}, "nothing is deleted unless it is set"
    emsp.retention(Retention(**ALL))
    assert prune(dry_run=True) == PRUNED
    assert filled.left() == before
    assert prune() == PRUNED
    assert set(prune().values()) == {0}, "it is deleted once"
    left = filled.left()
    assert left[Kind.SESSION] == ["new-ACTIVE", "new-COMPLETED", "old-ACTIVE"]
    assert left[Kind.CDR] == ["C1"]
    assert len(left[Kind.CDR_CONFLICT]) == 1
    assert left[Kind.COMMAND] == ["new-ACKNOWLEDGED", "new-ANSWERED", "old-ACKNOWLEDGED"]
    assert left[Kind.RESERVATION] == ["1", "10", "11"]
    assert left[Kind.TARIFF_VERSION] == ["T", "T", "new-deleted"]
    assert left[EVENT] == ["old event", "new event"], "what waits is not deleted"
    assert [left[topic] for topic in DEAD.values()] == [[f"new {topic}"] for topic in DEAD.values()]
    assert [b"new" in each.body or b"C1" in each.body for each in emsp.rejections.list()] == [True, True]
    assert [each.token_uid for each in emsp.authorizations.list()] == ["new"]


def test_each_age_is_its_own() -> None:
    for name in ALL:
        filled = Filled(MemoryStore())
        filled.emsp.retention(Retention(**{name: timedelta(days=30)}))
        wanted = {each: count if each == name else 0 for each, count in PRUNED.items()}
        wanted["reservations"] = PRUNED["reservations"] if name == "commands" else 0
        assert as_dict(filled.emsp.prune()) == wanted


def test_a_session_that_was_received_lately_stays_whatever_its_last_updated_says() -> None:
    filled = Filled(MemoryStore())
    filled.emsp.retention(Retention(sessions=timedelta(days=30)))
    body = {**samples.session("late"), "status": "COMPLETED", "last_updated": "2015-01-01T00:00:00Z"}
    assert b"1000" in filled.push("PUT", "sessions/NL/TNM/late", body)
    filled.emsp.prune()
    assert "late" in filled.left()[Kind.SESSION]


def test_a_command_whose_session_is_still_awaited_stays() -> None:
    filled = Filled(MemoryStore())
    filled.emsp.retention(Retention(commands=timedelta(seconds=1)))
    filled.clock.advance(hours=1)
    filled.emsp.prune()
    assert "new-ANSWERED" in filled.left()[Kind.COMMAND], "a session may come for 25 hours"
    filled.clock.advance(hours=25)
    filled.emsp.prune()
    assert "new-ANSWERED" not in filled.left()[Kind.COMMAND]


def test_many_are_deleted_a_few_at_a_time() -> None:
    """In one transaction: 120 deletions."""
    largest = 0

    class Counting(MemoryStore):
        def transaction(self, *, read_only: bool = False) -> Any:
            return CountingTransaction(super().transaction(read_only=read_only))

    class CountingTransaction:
        def __init__(self, inner: Any) -> None:
            self.inner, self.settled = inner, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        async def __aenter__(self) -> CountingTransaction:
            await self.inner.__aenter__()
            return self

        async def __aexit__(self, *raised: Any) -> None:
            nonlocal largest
            largest = max(largest, self.settled)
            await self.inner.__aexit__(*raised)

        async def settle(self, entry_id: str) -> None:
            self.settled += 1
            await self.inner.settle(entry_id)

    filled = Filled(Counting())
    for number in range(120):
        filled.push("PUT", "sessions/NL/TNM/bad", {"number": number})
    filled.clock.advance(days=40)
    filled.emsp.retention(Retention(rejections=timedelta(days=30)))
    assert filled.emsp.prune().rejections >= 120
    assert 0 < largest <= 25


def test_one_process_at_a_time_deletes_every_few_hours() -> None:
    filled = Filled(MemoryStore())
    retention = Retention(rejections=timedelta(days=30))
    context = filled.emsp._contexts()

    def turn() -> int:
        return run(prune_in_turn(context, retention, lambda: False))

    assert [turn(), turn()] == [2, 0]
    filled.clock.advance(days=31)
    assert [turn(), turn()] == [2, 0], "it is time again"
    filled.push("PUT", "sessions/NL/TNM/bad", {})
    filled.clock.time -= timedelta(days=300)
    assert turn() == 0, "a clock that has gone back stops nothing"
    filled.clock.time += EVERY + timedelta(days=400)
    assert turn() == 1


def test_the_background_work_deletes_what_is_old() -> None:
    filled = Filled(MemoryStore(), limits=Limits(delivery=DeliveryLimits()))
    filled.emsp.retention(Retention(rejections=timedelta(days=30)))
    with filled.emsp.running(push=False):
        deadline = 200
        while len(list(filled.emsp.rejections.list())) > 2 and deadline:
            anyio.run(anyio.sleep, 0.01)
            deadline -= 1
    assert len(list(filled.emsp.rejections.list())) == 2


@pytest.mark.parametrize("given", [timedelta(0), timedelta(days=-1)])
def test_a_time_that_makes_no_sense_is_refused(given: timedelta) -> None:
    with pytest.raises(ValueError, match=r"invalid Retention\.rejections .* for example timedelta\(days=90\)"):
        Retention(rejections=given)


def test_anything_else_is_refused() -> None:
    wrong: Any = 30
    with pytest.raises(TypeError, match=r"invalid Retention\.sessions '30'"):
        Retention(sessions=wrong)
    with pytest.raises(TypeError, match="invalid retention '30'"):
        offline_emsp().retention(wrong)


# --- the command ----------------------------------------------------------------------------------------------------


def test_a_name_that_is_given_twice_is_refused() -> None:
    """Without the look at the names before: the last one counts, in silence."""
    with pytest.raises(click.BadParameter, match=r"expected some of .*, each once and with a time"):
        retention("rejections=1d,rejections=2d")


def test_the_command_counts_and_deletes(sqlite_with_schema: Any, capsys: pytest.CaptureFixture[str]) -> None:
    store = SqlStore(f"sqlite:///{sqlite_with_schema}")
    Filled(store)
    store.close()
    command = ["db", "prune", "--store", f"sqlite:///{sqlite_with_schema}", "--json", "--retention", "rejections=1d"]
    assert main([*command, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["rejections"] == 4
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == {"dry_run": False, **dict.fromkeys(PRUNED, 0), "rejections": 4}
    assert main(command[:5]) == 2
    assert "Missing retention: set --retention" in capsys.readouterr().err
    assert main([*command[:-1], "rejections=soon"]) == 2
    assert "invalid duration 'soon'" in capsys.readouterr().err
    assert main([*command[:-1], "all=30d"]) == 2
    assert "expected some of rejections, dead_events" in capsys.readouterr().err
    assert main([*command[:-1], "rejections=0d"]) == 2
