"""``ocpi-emsp worker``: several processes on one PostgreSQL."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from pathlib import Path

from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.contrib.procrastinate.planning import Pair, last_turn
from ocpi_emsp.ports import Kind, Query
from worker.support import LOCATIONS, SECONDS, Cpos, Gate, PartyId, register, rows, serving, store_on, until, workers

JOBS = """
SELECT job.id, job.status, job.attempts, job.args, job.lock, job.queueing_lock,
       array_agg(event.type::text ORDER BY event.id) AS events, extract(epoch FROM max(event.at))::float AS last_event
FROM procrastinate_jobs job JOIN procrastinate_events event ON event.job_id = job.id
WHERE job.task_name = 'ocpi_emsp.sync' AND event.type <> 'scheduled'
GROUP BY job.id ORDER BY job.id
"""
ONCE = ["deferred", "started", "succeeded"]
PERIOD = 12
"""Seconds: so long that a busy machine is rarely a whole turn late."""


def test_two_workers_sync_each_of_20_parties_once_per_period(postgres_url: str, tmp_path: Path) -> None:
    parties = [("NL", f"P{number:02}") for number in range(20)]
    gate = Gate(2)

    def hold(_party: PartyId, _offset: int) -> None:
        gate.wait()  # each worker does one job at a time: two lists at once are two workers

    cpos = Cpos(hold=hold)
    with store_on(postgres_url) as store, serving(cpos), workers(postgres_url, tmp_path) as start:
        register(store, cpos, parties)
        argv = ("--upgrade", "--concurrency", "1", "--full-every", "never", "--period", f"{PERIOD}s")
        both = [start(*argv), start(*argv)]
        for worker in both:
            worker.wait_until_ready()
        until(lambda: all(cpos.begun()[party] >= 2 for party in parties), "every party was synced twice")
        assert [worker.end(signal.SIGTERM) for worker in both] == [0, 0]
        jobs = rows(postgres_url, JOBS)
    for party in parties:
        turns = [job["args"]["timestamp"] for job in jobs if job["args"]["party_id"] == party[1]]
        assert turns == list(range(turns[0], turns[0] + len(turns) * PERIOD, PERIOD)), "one job in each period"
    done = [job for job in jobs if job["status"] == "succeeded"]
    assert all(job["events"] == ONCE for job in done)
    assert {job["status"] for job in jobs} <= {"succeeded", "todo"}, "what was not done yet waits"
    synced = [Counter(report["party_id"] for report in worker.synced if report["ok"]) for worker in both]
    assert all(synced), "both worked"
    jobs_of, syncs_of = Counter(job["args"]["party_id"] for job in done), sum(synced, Counter())
    late = Counter(job["args"]["party_id"] for job in done if job["last_event"] >= job["args"]["timestamp"] + PERIOD)
    assert syncs_of <= jobs_of
    assert jobs_of - syncs_of <= late, "a job ends without a sync only where the next turn has come"
    assert sum(cpos.begun().values()) - syncs_of.total() in (0, 1, 2), "one list for each job, and what the signal met"


def test_the_job_of_a_killed_worker_is_taken_over(postgres_url: str, tmp_path: Path) -> None:
    held, killed = threading.Event(), threading.Event()

    def hold(_party: PartyId, offset: int) -> None:
        if offset == 1:
            held.set()
            assert killed.wait(SECONDS)

    cpos = Cpos(hold=hold, page_size=1)
    with store_on(postgres_url) as store, serving(cpos), workers(postgres_url, tmp_path) as start:
        (now,) = rows(postgres_url, "SELECT extract(epoch FROM now())::bigint AS now")
        party = _whose_turn_lasts(now["now"])
        register(store, cpos, [party])
        argv = ("--upgrade", "--full-every", "never", "--take-over-after", "2s")
        first = start(*argv)
        assert held.wait(SECONDS), first.log
        other = start(*argv)
        other.wait_until_ready()
        first.process.kill()
        assert first.wait() == -signal.SIGKILL
        killed.set()
        until(lambda: bool(other.synced), "the other one did the job")
        assert other.end(signal.SIGTERM) == 0
        (job,) = rows(postgres_url, JOBS)
        assert (job["status"], job["attempts"]) == ("succeeded", 2)
        assert job["events"] == ["deferred", "started", "deferred_for_retry", "started", "succeeded"]
        assert (job["lock"], first.synced) == (f"sync/NL-{party[1]}/locations", [])
        (report,) = other.synced
        assert (report["ok"], report["modules"][0]["created"]) == (True, LOCATIONS - 1), "the first page was stored"
        assert [offset for _, offset in cpos.pages[:4]] == [0, 1, 1, 2], "it went on where the first one was"
        assert 'job.taken_over reason="the worker died"' in other.log

        async def count() -> int:
            async with lift_store(store, in_place).transaction(read_only=True) as tx:
                return (await tx.page(Query(kind=Kind.LOCATION))).total

        assert run(count()) == LOCATIONS


def _whose_turn_lasts(now: int) -> PartyId:
    """A party whose turn of four hours is not over soon: a killed sync is left to the next turn where that has come."""
    period = 4 * 3600
    parties = [("NL", f"P{number:02}") for number in range(20)]
    return max(parties, key=lambda party: last_turn(Pair(party[0], party[1], "locations"), period, now))


def test_a_worker_that_ends_leaves_its_sync_after_the_page_in_hand(postgres_url: str, tmp_path: Path) -> None:
    held, ending = threading.Event(), threading.Event()

    def hold(_party: PartyId, offset: int) -> None:
        if offset == 1:
            held.set()
            assert ending.wait(SECONDS)

    cpos = Cpos(hold=hold, page_size=1)
    with store_on(postgres_url) as store, serving(cpos), workers(postgres_url, tmp_path) as start:
        (now,) = rows(postgres_url, "SELECT extract(epoch FROM now())::bigint AS now")
        register(store, cpos, [_whose_turn_lasts(now["now"])])
        worker = start("--upgrade", "--full-every", "never")
        assert held.wait(SECONDS), worker.log
        worker.process.send_signal(signal.SIGTERM)
        until(lambda: "worker.stopping" in worker.log, "it heard of the signal")
        ending.set()
        assert worker.wait() == 0, worker.log
        (job,) = rows(postgres_url, JOBS)
        assert (job["status"], job["events"]) == ("todo", ["deferred", "started", "deferred_for_retry"])
        (report,) = worker.synced
        (module,) = report["modules"][:1]
        # In hand is the page that is stored, or the next one, where it is waited for already.
        assert (module["ended"], module["pages"] in (1, 2)) == ("stopped", True)
