"""What waits although no process delivers it is logged once, with what to start."""

import pytest

from flows.commands_desk import CommandServer, known, start
from flows.support import Peer, peer
from flows.test_events import SESSION, session
from flows.tokens_desk import town
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.events import Event, SessionReceived


def logged(caplog: pytest.LogCaptureFixture, work: str) -> list[str]:
    """The lines of a backlog since the last look; the registration of a party leaves a push, which is another work."""
    lines = [line for line in caplog.messages if line.startswith(f"backlog.unattended work={work} ")]
    caplog.clear()
    return lines


def refusing() -> Peer:
    """An eMSP whose listener fails, and one session that waits for it."""
    cpo = peer(listen=False)

    @cpo.emsp.on(SessionReceived)
    def refuse(_: SessionReceived) -> None:
        raise ValueError("no")

    cpo.push("PUT", SESSION, session(1))
    return cpo


def test_events_that_no_process_delivers_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    cpo = refusing()
    cpo.push("GET", SESSION)
    cpo.clock.advance(seconds=59)
    cpo.push("GET", SESSION)
    assert logged(caplog, "events") == []
    cpo.clock.advance(seconds=60)
    for _ in range(3):
        cpo.push("GET", SESSION)
        cpo.clock.advance(seconds=61)
    (line,) = logged(caplog, "events")
    assert line.startswith("backlog.unattended work=events waiting=1 since=2024-06-01T12:00:0")
    assert line.endswith('start="emsp.running(), or ocpi-emsp serve"')


def test_a_new_outage_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    cpo = peer(listen=False, outbox_events=[Event])
    batches: list[int] = []
    for minute in (1, 2):
        cpo.push("PUT", SESSION, session(minute))
        for _ in range(3):
            cpo.clock.advance(seconds=61)
            cpo.push("GET", SESSION)
        (line,) = logged(caplog, '"relayed events"')
        assert line.startswith('backlog.unattended work="relayed events"')
        assert line.endswith(" start=emsp.relay(publish).run()")
        while cpo.emsp.relay(lambda events: batches.append(len(events))).once():
            pass
        cpo.clock.advance(seconds=61)
        cpo.push("GET", SESSION)
        assert logged(caplog, '"relayed events"') == []
    assert sum(batches) >= 2


def test_what_another_process_delivers_right_now_is_no_backlog(caplog: pytest.LogCaptureFixture) -> None:
    """One event is leased, and the others wait behind it for minutes."""
    cpo = peer(listen=False, outbox_events=[Event])
    cpo.push("PUT", SESSION, session(1))
    cpo.clock.advance(seconds=61)
    looked: list[list[str]] = []

    def publish(_: object) -> None:
        cpo.push("GET", SESSION)
        looked.append(logged(caplog, '"relayed events"'))

    cpo.emsp.relay(publish, batch=1).once()
    assert looked == [[]]


def test_token_pushes_are_logged_when_the_next_token_is_stored(caplog: pytest.LogCaptureFixture) -> None:
    it = town("NL-TNM")
    it.put("A")
    it.clock.advance(seconds=61)
    it.put("A", issuer="Other")
    it.clock.advance(seconds=61)
    it.put("A", issuer="Third")
    (line,) = logged(caplog, '"token pushes"')
    assert line.startswith('backlog.unattended work="token pushes" waiting=1 since=2024-06-01T12:0')


def test_command_deadlines_are_logged_when_the_next_command_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    cpo = known(CommandServer())
    start(cpo.emsp)
    cpo.clock.advance(seconds=119)
    start(cpo.emsp)
    assert logged(caplog, '"command deadlines"') == []
    cpo.clock.advance(seconds=62)
    start(cpo.emsp)
    (line,) = logged(caplog, '"command deadlines"')
    assert line.startswith('backlog.unattended work="command deadlines" waiting=1 since=2024-06-01T12:02:00Z')


def test_a_store_that_fails_meanwhile_disturbs_no_answer(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpo = refusing()
    cpo.push("GET", SESSION)
    cpo.clock.advance(seconds=61)

    def fail(*_: object) -> None:
        raise StoreFailed("the database is gone")

    monkeypatch.setattr("ocpi_emsp.flows.events.backlog._overdue", fail)
    with caplog.at_level("DEBUG", "ocpi_emsp"):
        assert cpo.push("GET", SESSION).both == (200, 1000)
    assert [line for line in caplog.messages if "backlog" in line] == ["backlog.unknown error=StoreFailed"]
