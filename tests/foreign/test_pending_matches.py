"""A new session finds its command by its authorization_id at once, however many commands wait (issue 11, number 22)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from flows.commands_desk import CommandServer, known, start
from flows.support import Peer
from foreign.test_authorization_id import new_session
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.commands.session_link import forget_old
from ocpi_emsp.flows.commands.session_match import PendingMatch, look_for
from ocpi_emsp.flows.commands.states import SentCommand
from ocpi_emsp.ports import STARTS, Entry
from ocpi_emsp.resources import PendingCommand
from ocpi_emsp.storage import MemoryStore
from our_emsp import NOW


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """The pending matches that were read."""
    found = list[Entry]()
    of = PendingMatch.of

    def noted(entry: Entry) -> PendingMatch:
        found.append(entry)
        return of(entry)

    monkeypatch.setattr(PendingMatch, "of", noted)
    return found


def wait(cpo: Peer, like: PendingCommand, *, at_one_place: bool) -> int:
    """So many commands that wait for their session, each with an authorization_id; how many."""
    store: object = cpo.store
    many = 10_000 if isinstance(store, MemoryStore) else 1_000
    sent: SentCommand = like.refresh()

    async def put() -> None:
        async with lift_store(cpo.store, in_place).transaction() as tx:
            for number in range(many):
                place = "LOC1" if at_one_place else f"LOC{number}"
                one = evolve(sent, uid=f"U{number}", authorization_id=f"W-{number}", location_id=place)
                await look_for(tx, one, NOW)

    run(put())
    return many


def waiting(cpo: Peer) -> Iterator[str]:
    """The ids of what waits."""

    async def ids() -> list[str]:
        async with lift_store(cpo.store, in_place).transaction(read_only=True) as tx:
            return [entry.id for topic in STARTS for entry in await tx.entries(topic, limit=50_000)]

    yield from run(ids())


def send(cpo: Peer, server: CommandServer, path: str, session: dict[str, Any]) -> None:
    if path == "pushed":
        cpo.put(f"sessions/*/{session['id']}", session)
        return
    server.lists["sessions"] = [session]
    assert not cpo.emsp.partner("NL-TNM").sync(modules=["sessions"]).rejected


@pytest.mark.parametrize("path", ["pushed", "pulled"])
@pytest.mark.parametrize("at_one_place", [True, False], ids=["at one place", "at many places"])
def test_it_is_found_among_ten_thousand(any_store: Any, path: str, at_one_place: bool, read: list[Entry]) -> None:
    server = CommandServer()
    cpo = known(server, store=any_store)
    named = start(cpo.emsp, authorization_id="A-1")
    wait(cpo, named, at_one_place=at_one_place)
    read.clear()
    send(cpo, server, path, new_session(cpo, "NEW", "LOC1", authorization_id="a-1"))
    assert named.refresh().session_id == "NEW"
    assert len(read) == 1
    read.clear()
    send(cpo, server, path, new_session(cpo, "OTHER", "LOC1", authorization_id="nobody"))
    assert read == []


@pytest.mark.parametrize("path", ["pushed", "pulled"])
def test_one_that_names_no_authorization_reads_what_is_at_its_place(
    any_store: Any, path: str, read: list[Entry]
) -> None:
    server = CommandServer()
    cpo = known(server, store=any_store)
    plain = start(cpo.emsp)
    wait(cpo, plain, at_one_place=False)
    read.clear()
    send(cpo, server, path, new_session(cpo, "NEW", "LOC1", start_datetime="2024-06-01T12:00:00Z"))
    assert plain.refresh().session_id == "NEW"
    assert 1 <= len(read) <= 2


@pytest.mark.parametrize("path", ["pushed", "pulled"])
@pytest.mark.parametrize("names_it", [True, False], ids=["by its name", "by its place"])
def test_a_command_leads_to_one_session(any_store: Any, path: str, names_it: bool) -> None:
    server = CommandServer()
    cpo = known(server, store=any_store)
    named = start(cpo.emsp, authorization_id="A-1")
    first: dict[str, Any] = {"authorization_id": "A-1"} if names_it else {}
    send(cpo, server, path, new_session(cpo, "FIRST", **first))
    assert named.refresh().session_id == "FIRST"
    for session_id, said in (("AGAIN", {"authorization_id": "A-1"}), ("LATE", {})):
        send(cpo, server, path, new_session(cpo, session_id, **said))
        assert named.refresh().session_id == "FIRST"
    assert list(waiting(cpo)) == [], "what its place still had went with the session that found it there"


@pytest.mark.parametrize("path", ["pushed", "pulled"])
def test_a_session_of_another_authorization_is_not_that_commands(any_store: Any, path: str) -> None:
    server = CommandServer()
    cpo = known(server, store=any_store)
    named = start(cpo.emsp, authorization_id="A-1")
    send(cpo, server, path, new_session(cpo, "OTHER", authorization_id="A-2"))
    assert named.refresh().session_id is None
    send(cpo, server, path, new_session(cpo, "NEW", authorization_id="A-1"))
    assert named.refresh().session_id == "NEW"


def test_what_is_over_is_forgotten_in_every_topic(any_store: Any) -> None:
    cpo = known(CommandServer(), store=any_store)
    start(cpo.emsp)
    start(cpo.emsp, authorization_id="A-1")
    assert len(list(waiting(cpo))) == 3
    cpo.clock.time += timedelta(days=3)
    assert run(forget_old(cpo.emsp._contexts())) == 3
    assert list(waiting(cpo)) == []
