"""A worker in this process, on PostgreSQL: stopping, taking over, and a database that restarts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import procrastinate
from procrastinate.jobs import Job, Status

from ocpi_emsp.contrib.procrastinate import (
    QUEUE,
    UPKEEP,
    WorkerSettings,
    aio,
    make_app,
    run_worker,
    upgrade,
)
from ocpi_emsp.contrib.procrastinate.settings import SYNC
from ocpi_emsp.contrib.procrastinate.tasks import PLAN, TAKE_OVER, TIDY
from ocpi_emsp.storage import SqlStore
from postgres import PrivatePostgres
from worker.support import SECONDS, Cpos, PartyId, emsp_on, register, serving, store_on

OWNER = ("NL", "TNM")


def on_queue(url: str, work: Callable[[procrastinate.App, SqlStore], Awaitable[None]], **settings: Any) -> None:
    """Run something on an open app, with both schemas."""

    async def run() -> None:
        app = make_app(emsp_on(store), url, settings=WorkerSettings(**settings))
        try:
            async with app.open_async():
                await upgrade(app)
                with anyio.fail_after(SECONDS):
                    await work(app, store)
        finally:
            await store.aclose()

    with store_on(url) as store:
        anyio.run(run)


async def die(app: procrastinate.App, queue: str = QUEUE) -> Job:
    """Be a worker that begins a job and is gone."""
    worker_id = await app.job_manager.register_worker()
    job = await app.job_manager.fetch_job([queue], worker_id)
    await app.job_manager.unregister_worker(worker_id)
    assert job is not None
    return job


async def do(app: procrastinate.App, name: str) -> None:
    """Run a task of the upkeep, whether or not one waits already."""
    await app.configure_task(name, queue="now", lock="now", queueing_lock="now").defer_async(timestamp=1)
    await app.run_worker_async(queues=["now"], wait=False, listen_notify=False, install_signal_handlers=False)


async def status(app: procrastinate.App, job: Job | int) -> tuple[str | None, int]:
    (found,) = await app.job_manager.list_jobs_async(id=job.id if isinstance(job, Job) else job)
    return found.status, found.attempts


def test_a_job_that_kills_its_workers_is_given_up(postgres_url: str) -> None:
    async def work(app: procrastinate.App, _: SqlStore) -> None:
        await aio.defer_sync(app, "-".join(OWNER), modules=["locations"])
        job = await die(app)
        for attempts in (1, 2):
            await do(app, TAKE_OVER)
            assert await status(app, job) == ("todo", attempts)
            assert (await die(app)).id == job.id
        await do(app, TAKE_OVER)
        assert await status(app, job) == ("failed", 3)

    on_queue(postgres_url, work, deaths=2)


def test_a_planner_that_died_is_not_in_the_way_of_the_next(postgres_url: str) -> None:
    async def work(app: procrastinate.App, _: SqlStore) -> None:
        await app.tasks[PLAN].defer_async(timestamp=1)
        dead = await die(app, UPKEEP)
        following = await app.tasks[PLAN].defer_async(timestamp=2)
        await do(app, TAKE_OVER)
        assert await status(app, dead) == ("failed", 1)
        await app.run_worker_async(queues=[UPKEEP], wait=False, listen_notify=False, install_signal_handlers=False)
        assert (await status(app, following))[0] == "succeeded"

    on_queue(postgres_url, work)


def test_jobs_that_ended_long_ago_are_deleted(postgres_url: str) -> None:
    async def work(app: procrastinate.App, _: SqlStore) -> None:
        kept, old, waiting = await aio.defer_sync(app, "-".join(OWNER), modules=["locations", "cdrs", "sessions"])
        for job_id in (kept, old):
            await app.job_manager.finish_job_by_id_async(job_id, Status.FAILED, delete_job=False)
        await app.connector.execute_query_async(
            "UPDATE procrastinate_events SET at = now() - interval '8 days' WHERE job_id IN (%(old)s, %(waiting)s)",
            old=old,
            waiting=waiting,
        )
        await do(app, TIDY)
        assert [job.id for job in await app.job_manager.list_jobs_async(queue=QUEUE)] == [kept, waiting]

    on_queue(postgres_url, work)


def test_a_planner_defers_what_a_registered_party_has(postgres_url: str) -> None:
    async def work(app: procrastinate.App, store: SqlStore) -> None:
        register(store, Cpos(base="http://127.0.0.1:9"), [OWNER], "locations", "tokens", "sessions")
        for _ in "123":  # each look plans one of these few
            await do(app, PLAN)
        jobs = {job.lock: job for job in await app.job_manager.list_jobs_async(queue=QUEUE)}
        assert sorted(map(str, jobs)) == [f"sync/NL-TNM/{name}" for name in ("locations", "sessions", "tokens")]
        assert {job.task_name for job in jobs.values()} == {SYNC, "ocpi_emsp.push_tokens"}
        for lock, job in jobs.items():
            assert job.queueing_lock == f"{lock}/{job.task_kwargs['timestamp']}"
        await do(app, PLAN)
        other = make_app(emsp_on(store), postgres_url, settings=WorkerSettings(period=timedelta(days=365)))
        async with other.open_async():
            await do(other, PLAN)
        assert len(list(await app.job_manager.list_jobs_async(queue=QUEUE))) == 3, "each turn once"

    on_queue(postgres_url, work, period=timedelta(days=365))


def test_a_page_that_takes_too_long_is_given_up_at_the_end(postgres_url: str) -> None:
    held, over = asyncio.Event(), threading.Event()
    stop = asyncio.Event()
    loops = list[asyncio.AbstractEventLoop]()

    def hold(_party: PartyId, _offset: int) -> None:
        loops[0].call_soon_threadsafe(held.set)
        over.wait(SECONDS)

    async def work(app: procrastinate.App, store: SqlStore) -> None:
        loops.append(asyncio.get_running_loop())
        register(store, cpos, [OWNER])
        (job_id,) = await aio.defer_sync(app, "-".join(OWNER), modules=["locations"])
        settings = WorkerSettings(modules=("tokens",))
        worker = run_worker(emsp_on(store), postgres_url, stop=stop, settings=settings, grace=timedelta(seconds=0.1))
        running = asyncio.create_task(worker)
        await held.wait()
        stop.set()
        await running
        assert await status(app, job_id) == ("todo", 1)

    cpos = Cpos(hold=hold)
    with serving(cpos):
        try:
            on_queue(postgres_url, work)
        finally:
            over.set()


def test_a_worker_outlives_a_database_that_restarts(private_postgres: PrivatePostgres) -> None:
    url = private_postgres.url
    cpos = Cpos()
    done = asyncio.Event()

    async def ask() -> None:
        app = make_app(emsp, url)
        async with app.open_async():
            await upgrade(app)
            await aio.defer_sync(app, "-".join(OWNER), modules=["locations"])
        await asyncio.wait_for(done.wait(), SECONDS)
        done.clear()

    async def run() -> None:
        stop = asyncio.Event()
        app = make_app(emsp, url)
        async with app.open_async():
            await upgrade(app)
        settings = WorkerSettings(modules=("tokens",))
        running = run_worker(emsp, url, stop=stop, settings=settings, on_report=lambda _: done.set())
        worker = asyncio.create_task(running)
        try:
            await ask()
            await anyio.to_thread.run_sync(private_postgres.restart, "immediate")
            await ask()
            assert not worker.done()
        finally:
            stop.set()
            await asyncio.wait_for(worker, SECONDS)
            await store.aclose()

    with store_on(url) as store, serving(cpos):
        emsp = emsp_on(store)
        register(store, cpos, [OWNER])
        anyio.run(run)
    assert cpos.begun()[OWNER] >= 2
