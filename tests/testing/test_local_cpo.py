"""A simulated CPO in the process of the eMSP: registered in one line, through every kind of application, both modes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from ocpi_emsp import Emsp
from ocpi_emsp._wake_ups import ThreadWaiter
from ocpi_emsp.errors import CannotUseApi
from ocpi_emsp.events import CdrReceived, CommandLedToSession, Event
from ocpi_emsp.models import CommandResponseType, Status
from ocpi_emsp.testing.clock import START, ManualClock
from ocpi_emsp.testing.cpo import HandshakeError
from ocpi_emsp.testing.local_cpo import AsyncLocalCpo, LocalCpo, local_cpo, threads
from our_emsp import make_emsp, token

APPS: dict[str, Callable[[Emsp], Any]] = {"default": lambda _: None, "asgi": Emsp.asgi, "wsgi": Emsp.wsgi}


def status(emsp: Emsp) -> Status:
    evse = emsp.evses.get("NL-TNM", "LOC1", "LOC1-E1")
    assert evse is not None
    return evse.status


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_both_sides_call_each_other(app: str, store: str, tmp_path: Path) -> None:
    own = object()
    emsp = make_emsp(store=store if store == "memory" else f"sqlite:///{tmp_path}/emsp.db", http_client=lambda: own)
    with local_cpo(locations=2) as cpo:
        assert cpo.register_with(emsp, APPS[app](emsp)).party == "NL-TNM"
        assert cpo.push_location("LOC1").ok
        cpo.patch_evse("LOC1", "LOC1-E1", {"status": "CHARGING"})
        assert status(emsp) == Status.CHARGING
        with emsp.partner("NL-TNM").client() as client:
            assert [each.id for each in client.locations()] == ["LOC1", "LOC2"]
        assert [each.path for each in cpo.received][-1] == "/ocpi/cpo/2.1.1/locations"
    assert emsp._contexts.setup.http_client() is own, "the Emsp has its own clients back"  # type: ignore[misc]
    emsp.close()


def test_a_charge_from_command_to_cdr() -> None:
    seen: list[Event] = []
    emsp = make_emsp()
    emsp.on(CommandLedToSession)(seen.append)
    emsp.on(CdrReceived)(seen.append)
    emsp.tokens.put(token())
    with local_cpo() as cpo:
        cpo.register_with(emsp)
        cpo.push_location("LOC1")
        with emsp.partner("NL-TNM").client() as client:
            client.start_session(token=token(), location_id="LOC1", evse_uid="LOC1-E1")
            cpo.wait_idle()
            (started,) = [each for each in seen if isinstance(each, CommandLedToSession)]
            client.stop_session(session_id=started.session_id)
            cpo.wait_idle()
    assert [type(each) for each in seen] == [CommandLedToSession, CdrReceived]


def test_a_second_registration_and_a_second_cpo() -> None:
    emsp = make_emsp()
    with local_cpo() as tnm, local_cpo(country_code="DE", party_id="ABC", preset="quirky") as abc:
        tnm.register_with(emsp).register_with(emsp)
        abc.register_with(emsp)
        for cpo in (tnm, abc):
            with emsp.partner(cpo.party).client() as client:
                assert len(list(client.tariffs())) == 2
    with local_cpo() as again:
        assert again.register_with(emsp).push_tariff("TAR1").ok


def test_the_async_side_runs_in_the_loop_of_the_test() -> None:
    async def scenario(emsp: Emsp) -> None:
        async with AsyncLocalCpo() as cpo:
            await cpo.register_with(emsp)
            assert (await cpo.push_location("LOC1")).ok
            async with emsp.aio.partner("NL-TNM").client() as client:
                assert [each.id async for each in client.locations()] == ["LOC1", "LOC2", "LOC3"]
            with emsp.partner("NL-TNM").client() as blocking, pytest.raises(RuntimeError, match="await its twin"):
                list(blocking.locations())
        assert emsp._contexts.setup.aio_http_client is None

    anyio.run(scenario, make_emsp())


def test_another_host_is_not_called() -> None:
    emsp = make_emsp()
    with local_cpo() as cpo:
        cpo.register_with(emsp)
        with pytest.raises(CannotUseApi, match=r"unknown host 'cpo\.example\.com': expected .*nl-tnm\.cpo\.test"):
            emsp.parties.register("https://cpo.example.com/versions", token_a="token")


def test_a_refused_registration_says_why() -> None:
    emsp = make_emsp(required_modules=["tariffs"])
    with local_cpo(modules=("credentials", "locations")) as cpo, pytest.raises(HandshakeError, match="tariffs"):
        cpo.register_with(emsp)


def test_a_wsgi_application_runs_in_the_thread_of_the_test() -> None:
    emsp, used = make_emsp(), set()
    inner = emsp.wsgi()

    def app(environ: Any, start_response: Any) -> Any:
        used.add(threading.get_ident())
        return inner(environ, start_response)

    with local_cpo(preset="result-first") as cpo:  # the CPO calls while it is called
        cpo.register_with(emsp, app)
        with emsp.partner("NL-TNM").client() as client:
            assert client.start_session(token=token(), location_id="LOC1", force=True).acknowledgement
        cpo.wait_idle()
        assert len(list(emsp.sessions.list("NL-TNM"))) == 1
    assert used == {threading.get_ident()}


def test_the_thread_of_the_test_answers_cpos_while_it_waits_for_a_command() -> None:
    emsp, used = make_emsp(), set()
    inner = emsp.wsgi()

    def app(environ: Any, start_response: Any) -> Any:
        used.add(threading.get_ident())
        return inner(environ, start_response)

    with local_cpo(locations=1) as cpo, local_cpo(country_code="DE", party_id="ABC") as other:
        cpo.register_with(emsp, app).push_location("LOC1")
        other.register_with(emsp, app)
        with emsp.partner("NL-TNM").client() as client:
            pending = client.start_session(token=token(), location_id="LOC1", force=True)
            assert pending.result(timeout=30) == CommandResponseType.ACCEPTED
            assert pending.session(timeout=30) is not None
    assert used == {threading.get_ident()}
    assert emsp._contexts.setup.wake_ups.thread_waiter is ThreadWaiter


def test_another_thread_that_waits_answers_no_cpo() -> None:
    emsp = make_emsp()
    with local_cpo(locations=1) as cpo, ThreadPoolExecutor(1) as pool:
        cpo.register_with(emsp, emsp.wsgi()).push_location("LOC1")
        with emsp.partner("NL-TNM").client() as client:
            pending = client.start_session(token=token(), location_id="LOC1", force=True)
            result = pool.submit(pending.result, timeout=30)
            cpo.wait_idle()
            assert result.result() == CommandResponseType.ACCEPTED


def test_a_wait_without_work_ends_after_its_time() -> None:
    waiter = threads.CallerThread().waiter()
    anyio.run(waiter.wait, 0.01)
    waiter.wake()
    anyio.run(waiter.wait, 60)
    waiter.rearm()
    anyio.run(waiter.wait, 0.01)


def test_a_thread_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "SECONDS", 0.01)

    async def scenario() -> int:
        return await threads.CallerThread().run(threading.get_ident)

    assert anyio.run(scenario) != threading.get_ident()


def test_what_is_not_sent() -> None:
    with local_cpo(locations=1) as cpo:
        cpo.misbehave("no-totals")
        assert cpo.aio.deviating
        cpo.behave()
        assert not cpo.aio.deviating
        cpo.change("locations", "LOC1", {"name": "Moved"})
        cpo.own("tariffs", {**cpo.aio.known("tariffs", "TAR1"), "id": "NEW"})
        cpo.withdraw("tariffs", "TAR1")
        assert cpo.aio.known("locations", "LOC1")["name"] == "Moved"
        assert [cpo.aio.catalogue.find("tariffs", each) is not None for each in ("NEW", "TAR1")] == [True, False]
        assert (list(cpo.sent), list(cpo.received_tokens), list(cpo.command_results_sent)) == ([], [], [])


def test_every_call_of_a_simulated_cpo_has_its_blocking_twin() -> None:
    calls = {"push_evse", "push_connector", "patch_connector", "patch_location", "get_location", "push_session"}
    calls |= {"patch_session", "get_session", "patch_tariff", "delete_tariff", "get_tariff", "post_cdr", "get_cdr"}
    calls |= {"get_tokens", "authorize", "call", "update_credentials", "unregister"}
    assert [name for name in calls if not getattr(LocalCpo, name, None)] == []


def test_a_clock_that_is_set() -> None:
    clock, emsp = ManualClock(), make_emsp()
    own = emsp._contexts().clock
    clock.drive(emsp)
    with local_cpo() as cpo:
        cpo.register_with(emsp)
        clock.set(datetime(2024, 7, 1, 12, tzinfo=UTC))
        clock.advance(timedelta(hours=1), minutes=30)
        cpo.patch_tariff("TAR1", {"currency": "EUR"})
        assert cpo.aio.known("tariffs", "TAR1")["last_updated"] == "2024-07-01T13:30:00Z"
        anyio.run(emsp._contexts().sleep, 30)
        assert emsp._contexts().clock.now() == datetime(2024, 7, 1, 13, 30, 30, tzinfo=UTC)
    clock.release()
    assert emsp._contexts().clock is own
    with pytest.raises(ValueError, match=f"expected a time zone, for example {START.isoformat()}".replace("+", r"\+")):
        clock.set(datetime(2024, 7, 1))
