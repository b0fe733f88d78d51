"""The tasks in a Procrastinate app of the host's, on Procrastinate's own store in memory."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import anyio
import httpx
import procrastinate
import pytest
from attrs import define, field
from procrastinate.jobs import Job
from procrastinate.testing import InMemoryConnector

from flows.audits_desk import START, cdr
from ocpi_emsp import PartyId
from ocpi_emsp.contrib.procrastinate import (
    QUEUE,
    STOP,
    UPKEEP,
    SyncFailed,
    SyncStopped,
    WorkerSettings,
    aio,
    defer_sync,
    tasks,
)
from ocpi_emsp.contrib.procrastinate.apps import conninfo, make_app
from ocpi_emsp.contrib.procrastinate.retries import SyncRetries
from ocpi_emsp.errors import NotRegistered, StoreFailed, UnsafeUrl
from ocpi_emsp.events import Event
from ocpi_emsp.flows.commands.states import CommandState
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.resources import SyncReport
from ocpi_emsp.settings import RetryPolicy
from ocpi_emsp.storage import MemoryStore
from our_emsp import FakeClock, token
from worker.support import Cpos, emsp_on, register

OWNER = ("NL", "TNM")
SETTINGS = WorkerSettings()


@define
class Desk:
    """A host: an app of its own, an eMSP, and a CPO behind it."""

    app: procrastinate.App
    queue: InMemoryConnector
    store: MemoryStore
    reports: list[SyncReport] = field(factory=list)
    stops: bool = False

    def job(self, job_id: int) -> dict[str, Any]:
        return self.queue.jobs[job_id]

    def work(self, queue: str = QUEUE) -> None:
        """Run what can be run now."""

        async def run() -> None:
            async with self.app.open_async():
                await self.app.run_worker_async(
                    queues=[queue],
                    wait=False,
                    listen_notify=False,
                    install_signal_handlers=False,
                    additional_context={STOP: lambda: self.stops},
                )

        anyio.run(run)

    def defer(self, name: str, **arguments: Any) -> int:
        with self.app.open():
            return self.app.configure_task(name, queue=QUEUE).defer(**arguments)


def desk(answer: Callable[[httpx.Request], httpx.Response], *, namespace: str = "", **options: Any) -> Desk:
    store, queue = MemoryStore(), InMemoryConnector()
    emsp = emsp_on(
        store,
        retry_policy=RetryPolicy(attempts=1),
        aio_http_client=lambda: httpx.AsyncClient(transport=httpx.MockTransport(answer)),
        outbox_events=[Event],
    )
    cpos = Cpos(base="http://127.0.0.1:9")
    register(store, cpos, [OWNER], "locations", "tokens")
    emsp.tokens.put(token("A"))
    app = procrastinate.App(connector=queue)
    reports: list[SyncReport] = []
    app.add_tasks_from(tasks(emsp, on_report=reports.append, **options), namespace=namespace)
    return Desk(app, queue, store, reports)


def empty_list(request: httpx.Request) -> httpx.Response:
    data: dict[str, Any] = {"status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"}
    return httpx.Response(200, json=data | ({"data": []} if request.method == "GET" else {}))


def broken(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(503, text="<html>closed</html>")


def planned(**more: Any) -> dict[str, Any]:
    """The arguments of a sync whose turn began just now."""
    return {"country_code": "NL", "party_id": "TNM", "module": "locations", "timestamp": int(time.time()), **more}


def test_a_sync_that_somebody_asks_for_has_a_job_for_each_module() -> None:
    host = desk(empty_list)
    with host.app.open():
        ids = defer_sync(host.app, "nl-tnm", modules=["tokens", "Locations"], full=True)
        assert defer_sync(host.app, "NL-TNM", modules=["locations"], full=True) == [], "that one waits already"
        (other,) = defer_sync(host.app, "NL-TNM", modules=["locations"])
    pull, push = (host.job(job_id) for job_id in ids)
    party = {"country_code": "NL", "party_id": "TNM"}
    assert (pull["task_name"], pull["args"]) == ("ocpi_emsp.sync", {**party, "module": "locations", "full": True})
    assert (push["task_name"], push["args"]) == ("ocpi_emsp.push_tokens", party)
    assert [each["lock"] for each in (pull, push)] == ["sync/NL-TNM/locations", "sync/NL-TNM/tokens"]
    assert (pull["queue_name"], pull["queueing_lock"]) == ("ocpi_emsp", None)
    host.work()
    assert {host.job(job_id)["status"] for job_id in (*ids, other)} == {"succeeded"}
    assert sorted(report.modules[0].module for report in host.reports) == ["locations", "locations", "tokens"]
    assert all(report.ok for report in host.reports)
    assert sum(report.created for report in host.reports) == 1, "the token that was pushed"


def test_a_module_that_does_not_exist_is_not_deferred() -> None:
    host = desk(empty_list)
    with pytest.raises(ValueError, match="invalid modules 'vendor'"):
        defer_sync(host.app, "NL-TNM", modules=["vendor"])


def test_the_tasks_have_the_namespace_of_the_host() -> None:
    host = desk(empty_list, namespace="ev")

    async def ask() -> list[int]:
        async with host.app.open_async():
            twice = [await aio.defer_sync(host.app, "NL-TNM", modules=["locations"], namespace="ev") for _ in "12"]
            return twice[0] + twice[1]

    (job_id,) = anyio.run(ask)
    assert host.job(job_id)["task_name"] == "ev:ocpi_emsp.sync"
    host.work()
    assert host.job(job_id)["status"] == "succeeded"


def test_a_sync_that_fails_says_why_and_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "procrastinate")
    host = desk(broken)
    job_id = host.defer("ocpi_emsp.sync", **planned())
    before = datetime.now(UTC)
    host.work()
    job = host.job(job_id)
    assert (job["status"], job["attempts"]) == ("todo", 1)
    assert before + timedelta(seconds=225) <= job["scheduled_at"] <= datetime.now(UTC) + timedelta(seconds=225)
    (report,) = host.reports
    assert report.failed
    said = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [type(error) for error in said] == [SyncFailed]
    assert str(said[0]).startswith("NL-TNM locations: ")
    assert "503" in str(said[0])


def test_a_party_that_is_not_registered_is_not_tried_again() -> None:
    host = desk(empty_list)
    job_id = host.defer("ocpi_emsp.sync", **planned(party_id="XYZ"))
    host.work()
    assert (host.job(job_id)["status"], host.reports) == ("failed", [])


def test_a_sync_whose_turn_is_over_is_left_out() -> None:
    host = desk(broken)
    job_id = host.defer("ocpi_emsp.sync", **planned(timestamp=int(time.time()) - SETTINGS.seconds))
    host.work()
    assert (host.job(job_id)["status"], host.reports) == ("succeeded", [])


def test_a_sync_that_is_stopped_waits_for_another_worker() -> None:
    host = desk(empty_list)
    job_id = host.defer("ocpi_emsp.sync", **planned())

    async def run() -> None:
        """The signal comes while the job is under way: none is fetched after it."""
        workers = list[asyncio.Task[None]]()

        def stop() -> bool:
            workers[0].cancel()
            return True

        async with host.app.open_async():
            work = host.app.run_worker_async(
                queues=[QUEUE], listen_notify=False, install_signal_handlers=False, additional_context={STOP: stop}
            )
            workers.append(asyncio.create_task(work))
            await asyncio.wait(workers, timeout=20)
            assert workers[0].cancelled()

    anyio.run(run)
    assert (host.job(job_id)["status"], host.job(job_id)["attempts"]) == ("todo", 1)


def test_events_are_relayed() -> None:
    published: list[str] = []
    host = desk(empty_list, publish=lambda events: published.extend(event.name for event in events))
    with host.app.open():
        job_id = host.app.configure_task("ocpi_emsp.relay", queue=UPKEEP).defer(timestamp=1)
        without = desk(empty_list).app.tasks
    host.work(UPKEEP)
    assert host.job(job_id)["status"] == "succeeded"
    assert "ocpi_emsp.relay" not in without, "without something to publish with"


# --- changed tokens, and deadlines ------------------------------------------------------------------------------------


def look(host: Desk, name: str) -> str:
    """Run a task of the upkeep; how it ended."""
    with host.app.open():
        job_id = host.app.configure_task(name, queue=UPKEEP).defer(timestamp=1)
    host.work(UPKEEP)
    return str(host.job(job_id)["status"])


def pushes(host: Desk) -> list[dict[str, Any]]:
    return [job for job in host.queue.jobs.values() if job["task_name"] == "ocpi_emsp.push_changes"]


def test_a_party_that_waits_for_changed_tokens_has_one_job_for_all_of_them() -> None:
    host = desk(empty_list)
    emsp = emsp_on(host.store)
    emsp.tokens.put(token("B"))
    assert [look(host, "ocpi_emsp.fan_out") for _ in "12"] == ["succeeded", "succeeded"]
    (job,) = pushes(host)
    assert job["args"] == {"country_code": "NL", "party_id": "TNM"}
    assert (job["lock"], job["queueing_lock"], job["priority"]) == ("sync/NL-TNM/tokens", "changes/NL-TNM", 10)
    host.work()
    assert (job["status"], list(emsp.tokens.waiting())) == ("succeeded", [])
    assert look(host, "ocpi_emsp.fan_out") == "succeeded"
    assert len(pushes(host)) == 1, "nothing waits any more"


def test_a_push_of_changes_that_fails_waits_as_the_journal_says() -> None:
    host = desk(broken)
    look(host, "ocpi_emsp.fan_out")
    host.work()
    (job,) = pushes(host)
    assert (job["status"], job["attempts"]) == ("succeeded", 1)
    (waiting,) = emsp_on(host.store).tokens.waiting()
    assert (waiting.attempts, waiting.leased) == (1, False)
    assert "503" in waiting.error


def test_a_push_of_changes_that_is_stopped_leaves_them_to_the_next() -> None:
    host = desk(empty_list)
    look(host, "ocpi_emsp.fan_out")
    host.stops = True
    host.work()
    (waiting,) = emsp_on(host.store).tokens.waiting()
    assert (waiting.attempts, waiting.is_due) == (0, True)


def test_deadlines_that_passed_are_dealt_with() -> None:
    host = desk(empty_list)
    clock = FakeClock()
    accepted = {"data": {"result": "ACCEPTED"}, "status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"}
    emsp = emsp_on(
        host.store,
        clock=clock,
        http_client=lambda: httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=accepted))),
    )
    register(host.store, Cpos(base="http://127.0.0.1:9"), [OWNER], "commands")
    with emsp.partner(PartyId(*OWNER)).client() as client:
        command = client.stop_session(session_id="S1", force=True)
    assert look(host, "ocpi_emsp.expire") == "succeeded"
    assert command.refresh().state is CommandState.TIMED_OUT, "the clock of the worker is years ahead of that one"


def test_audits_that_cdrs_wait_for_are_made_for_some_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    host = desk(empty_list)
    emsp = emsp_on(host.store)

    async def put() -> None:
        async with host.store.transaction() as tx:
            for number in range(11):  # more than are leased together
                await tx.put(Record(Key(Kind.CDR, *OWNER, f"CDR{number}"), cdr(number), START, START))

    anyio.run(put)
    assert emsp.audits.request() == 11
    monkeypatch.setattr(import_module("ocpi_emsp.contrib.procrastinate.tasks"), "_AUDIT_SECONDS", 0.0)
    assert look(host, "ocpi_emsp.audit") == "succeeded"
    assert list(emsp.audits.list()) == []
    monkeypatch.undo()
    assert look(host, "ocpi_emsp.audit") == "succeeded"
    assert {stored.audit.verdict for stored in emsp.audits.list()} == {"right"}
    assert len(list(emsp.audits.list())) == 11
    task = host.app.tasks["ocpi_emsp.audit"]
    assert task.lock == task.queueing_lock == "ocpi_emsp.audit", "one at a time, however many workers there are"


# --- what is tried again --------------------------------------------------------------------------------------------


def job(attempts: int = 0, **arguments: Any) -> Job:
    return Job(
        queue=QUEUE, lock=None, queueing_lock=None, task_name="t", attempts=attempts, task_kwargs=planned(**arguments)
    )


def waits(error: BaseException, settings: WorkerSettings = SETTINGS, **arguments: Any) -> list[int]:
    """Seconds before each retry."""
    found = []
    for attempts in range(20):
        now = datetime.now(UTC)
        decision = SyncRetries(settings).get_retry_decision(exception=error, job=job(attempts, **arguments))
        if decision is None:
            break
        assert decision.retry_at is not None
        assert decision.priority == 0, "what somebody asks for goes first"
        found.append(round((decision.retry_at - now).total_seconds()))
    return found


def test_waits_grow_until_the_retries_are_used_up() -> None:
    assert waits(SyncFailed("503")) == waits(OSError("x")) == [225, 450, 900, 1800, 3600]
    assert waits(StoreFailed("gone")) == [2, 4, 8, 16, 32]
    assert waits(SyncFailed("503"), timestamp=None) == [225, 450, 900, 1800, 3600]
    assert waits(SyncFailed("503"), WorkerSettings(retries=0)) == []


def test_no_retry_reaches_into_the_next_turn() -> None:
    ends_in_ten_minutes = int(time.time()) - SETTINGS.seconds + 600
    assert waits(SyncFailed("503"), timestamp=ends_in_ten_minutes) == [225, 450]
    assert waits(SyncStopped("stopped"), timestamp=int(time.time()) - SETTINGS.seconds) == []


@pytest.mark.parametrize("error", [NotRegistered("x"), UnsafeUrl("x"), ValueError("x"), TypeError("x")], ids=repr)
def test_what_cannot_be_mended_is_not_tried_again(error: Exception) -> None:
    assert waits(error) == []


@pytest.mark.parametrize("error", [SyncStopped("x"), asyncio.CancelledError()], ids=["stopped", "cancelled"])
def test_what_was_stopped_is_run_again_at_once_however_often(error: BaseException) -> None:
    assert waits(error) == [0] * 20


# --- the database ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://u:p%40w%20x@h:5433/db?sslmode=require", "user=u password='p@w x' dbname=db"),
        ("postgresql://postgres@/db?host=/run/pg", "user=postgres dbname=db host=/run/pg"),
    ],
)
def test_a_url_in_the_words_of_libpq(url: str, said: str) -> None:
    found = conninfo(url)
    assert all(part in found for part in said.split(" ") if "'" not in part), found
    assert "connect_timeout=10" in found


def test_another_database_has_no_queue() -> None:
    with pytest.raises(ValueError, match="Procrastinate requires postgresql"):
        make_app(emsp_on(MemoryStore()), "sqlite:///emsp.db")
