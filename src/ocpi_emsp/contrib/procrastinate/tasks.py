"""The tasks: each a thin shell over a method of the eMSP.

Rules of this module:
- one job for each turn: Procrastinate's table of periodic jobs has each party, module and turn once, whatever plans it;
- a queueing lock is the turn's own, so that no retry conflicts with another job;
- Procrastinate never retries a push of changes: the journal says when it is due again;
- no job of the upkeep holds a lock that only itself could release: planning and audits are taken over, and taking over
  has none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeAlias

from attrs import define, field
from procrastinate import App, Blueprint, JobContext
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.tasks import Task

from ocpi_emsp import PartyId, logs
from ocpi_emsp.contrib.procrastinate import planning
from ocpi_emsp.contrib.procrastinate.deferring import ASKED, TOKENS, changes_of, job_arguments, lock_of
from ocpi_emsp.contrib.procrastinate.planning import Pair, Turn
from ocpi_emsp.contrib.procrastinate.retries import SyncFailed, SyncRetries, SyncStopped, turn_ends
from ocpi_emsp.contrib.procrastinate.settings import PUSH_TOKENS, QUEUE, STOP, SYNC, UPKEEP, WorkerSettings
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.events import PublishFunction
from ocpi_emsp.findings import counted
from ocpi_emsp.resources import AsyncRelay, ModuleReport, PartyState, SyncEnded, SyncReport

ReportListener: TypeAlias = Callable[[SyncReport], object]

PUSH_CHANGES: Final = "ocpi_emsp.push_changes"
RELAY: Final = "ocpi_emsp.relay"
FAN_OUT: Final = "ocpi_emsp.fan_out"
EXPIRE: Final = "ocpi_emsp.expire"
AUDIT: Final = "ocpi_emsp.audit"
PLAN: Final = "ocpi_emsp.plan"
TAKE_OVER: Final = "ocpi_emsp.take_over"
TIDY: Final = "ocpi_emsp.tidy"

_NOW = "SELECT extract(epoch FROM clock_timestamp())::bigint AS now"
_PAGE = 500
_AUDIT_SECONDS = 20.0
"""Seconds for which a job makes audits, however many are due: the rest of the upkeep waits no longer."""
_HOUR = 3600
_COUNTED = ("created", "updated", "unchanged", "stale", "rejected")


def tasks(
    emsp: Emsp,
    *,
    settings: WorkerSettings | None = None,
    publish: PublishFunction | None = None,
    on_report: ReportListener | None = None,
) -> Blueprint:
    """Return the tasks for a Procrastinate app of the host: ``app.add_tasks_from(tasks(emsp), namespace="")``.

    ``publish`` gets the ``outbox_events`` of the eMSP, as for ``emsp.aio.relay``; without it nothing is relayed.
    ``on_report`` receives the report of each sync and push, failed ones included; it must be plain, and neither block
    nor raise. Workers run the queues ``ocpi_emsp`` and ``ocpi_emsp_upkeep``; the app's tables lie in any PostgreSQL.
    """
    settings = settings or WorkerSettings()
    blueprint = Blueprint()
    retry = SyncRetries(settings)
    relay = emsp.aio.relay(publish) if publish is not None else None
    work = _Work(emsp, settings, relay, on_report)
    work.tasks = {
        SYNC: blueprint.task(name=SYNC, queue=QUEUE, retry=retry, pass_context=True)(work.sync),
        PUSH_TOKENS: blueprint.task(name=PUSH_TOKENS, queue=QUEUE, retry=retry, pass_context=True)(work.push_tokens),
        PUSH_CHANGES: blueprint.task(name=PUSH_CHANGES, queue=QUEUE, pass_context=True)(work.push_changes),
    }
    take_over_every = planning.divisor_up_to(settings.take_over_after.total_seconds() / 2)
    for name, function, every, lock in (
        (PLAN, work.plan, planning.look_every(settings.seconds), PLAN),
        (TAKE_OVER, work.take_over, take_over_every, None),
        (FAN_OUT, work.fan_out, settings.fan_out_every, None),
        (EXPIRE, work.expire, settings.expire_every, None),
        (AUDIT, work.audit, settings.audit_every, AUDIT),
        *([(RELAY, work.relay, settings.relay_every, None)] if relay is not None else []),
    ):
        task = blueprint.task(name=name, queue=UPKEEP, pass_context=True, lock=lock, queueing_lock=name)(function)
        blueprint.periodic(cron=planning.cron(every))(task)
    tidy = blueprint.task(name=TIDY, queue=UPKEEP, pass_context=True, queueing_lock=TIDY)(work.tidy)
    blueprint.periodic(cron="7 * * * *")(tidy)
    return blueprint


@define
class _Work:
    """The implementation of the tasks."""

    _emsp: Emsp
    _settings: WorkerSettings
    _relay: AsyncRelay | None
    _on_report: ReportListener | None
    tasks: dict[str, Task[..., object, ...]] = field(factory=dict)
    _planned: dict[Pair, int] = field(factory=dict)
    """The last planned turn of each pair, as far as this process knows; it is not requested twice."""

    # --- jobs that call partners ----------------------------------------------------------------------------------

    async def sync(
        self,
        context: JobContext,
        country_code: str,
        party_id: str,
        module: str,
        full: bool = False,
        timestamp: int | None = None,  # noqa: ARG002 # read with the job
    ) -> str:
        """Sync one module of a party; ``timestamp``: the turn that this is, None if it was requested.

        Raises SyncFailed, SyncStopped, NotRegistered, ValueError, StoreFailed.
        """
        ends = turn_ends(context.job, self._settings)
        if ends is not None and ends <= datetime.now(UTC):
            return "skipped: the next sync is due"
        report = await self._emsp.aio.partner(PartyId(country_code, party_id)).sync(
            modules=(module,), full=full, stop=lambda: _is_stopping(context)
        )
        if self._on_report is not None:
            self._on_report(report)
        (ended,) = report.modules
        text = _line(ended)
        party = f"{report.country_code}-{report.party_id}"
        if ended.ended is SyncEnded.FAILED:
            raise SyncFailed(f"{party} {module}: {ended.reason}")
        if ended.ended is SyncEnded.STOPPED:
            raise SyncStopped(f"{party} {module}: {ended.reason}")
        return text

    async def push_tokens(
        self, context: JobContext, country_code: str, party_id: str, timestamp: int | None = None
    ) -> str:
        """Push our tokens to a party; see :meth:`sync`."""
        return await self.sync(context, country_code, party_id, TOKENS, timestamp=timestamp)

    async def push_changes(self, context: JobContext, country_code: str, party_id: str) -> str:
        """Push changed tokens to a party that waits for them. Raises StoreFailed.

        A party's fault is not a failure of the job: the journal stores it, and says when it is tried again.
        """
        report = await self._emsp.aio.partner(PartyId(country_code, party_id)).push_pending(
            stop=lambda: _is_stopping(context)
        )
        if report is None:
            return "nothing to push, or another process is pushing"
        return f"{report.ended}, {report.put} put, {report.patched} patched, {report.failed} failed"

    # --- upkeep ---------------------------------------------------------------------------------------------------

    async def relay(self, context: JobContext, timestamp: int) -> str:  # noqa: ARG002 # Procrastinate gives it
        """Relay the events that are due. Raises RelayFailed, StoreFailed; the journal says when the events are due
        again.
        """
        if self._relay is None:
            raise TypeError("publish is not set: pass publish= to tasks()")
        events = 0
        while not _is_stopping(context) and (published := await self._relay.once()):
            events += published
        return counted(events, "event")

    async def fan_out(self, context: JobContext, timestamp: int) -> str:  # noqa: ARG002 # the journal says what is due
        """Defer a push to each party that waits for changed tokens. Raises StoreFailed, ConnectorException."""
        deferred, after = 0, 0
        while waiting := [each async for each in self._emsp.aio.tokens.waiting(limit=_PAGE, after=after)]:
            after = waiting[-1].sequence
            for each in waiting:
                if each.is_due:
                    deferred += await self._defer_changes(context.app, each.country_code, each.party_id)
        return f"{counted(deferred, 'job')} deferred"

    async def _defer_changes(self, app: App, country_code: str, party_id: str) -> bool:
        """Defer a push of changes; return False if one is already waiting."""
        deferrer = self.tasks[PUSH_CHANGES].configure(
            lock=lock_of(Pair(country_code, party_id, TOKENS)),
            queueing_lock=changes_of(country_code, party_id),
            priority=ASKED,
            task_kwargs={"country_code": country_code, "party_id": party_id},
        )
        try:
            await app.job_manager.defer_job_async(deferrer.job)
        except AlreadyEnqueued:
            return False
        return True

    async def expire(self, context: JobContext, timestamp: int) -> str:  # noqa: ARG002
        """Handle the deadlines of commands and reservations that passed. Raises StoreFailed."""
        return counted(await self._emsp.aio.commands.expire(), "deadline")

    async def audit(self, context: JobContext, timestamp: int) -> str:  # noqa: ARG002 # the journal says what is due
        """Audit the CDRs that wait for it, for some seconds at most: the next job continues. Raises StoreFailed."""
        ends = time.monotonic() + _AUDIT_SECONDS
        stops = lambda: _is_stopping(context) or time.monotonic() >= ends  # noqa: E731
        return f"{counted(await self._emsp.aio.audits.make_pending(stop=stops), 'CDR')} audited"

    async def plan(self, context: JobContext, timestamp: int) -> str:  # noqa: ARG002 # the database has the clock
        """Defer the syncs whose turn is due. Raises StoreFailed, ConnectorException."""
        period = self._settings.seconds
        row = await context.app.connector.execute_query_one_async(_NOW)
        pairs = await self._pairs()
        self._planned = {pair: turn for pair, turn in self._planned.items() if pair in pairs}
        left = planning.most(len(pairs), period, planning.look_every(period))
        deferred = 0
        for turn in planning.due(pairs, period, row["now"], self._planned):
            if deferred == left:
                break
            deferred += await self._defer(context.app, turn)
            self._planned[turn.pair] = turn.at
        return f"{counted(deferred, 'job')} deferred"

    async def _defer(self, app: App, turn: Turn) -> bool:
        """Defer the job of a turn; return False if another planner did so."""
        pair = turn.pair
        full = planning.is_full(turn, self._settings.seconds, self._settings.full_seconds)
        name, arguments = job_arguments(pair, full=full)
        lock = lock_of(pair)
        deferrer = self.tasks[name].configure(
            lock=lock, queueing_lock=f"{lock}/{turn.at}", task_kwargs={**arguments, "timestamp": turn.at}
        )
        try:
            job_id = await app.job_manager.defer_periodic_job(
                job=deferrer.job, periodic_id=str(pair), defer_timestamp=turn.at
            )
        except AlreadyEnqueued:  # by the planner of another app on these tables
            return False
        return job_id is not None

    async def _pairs(self) -> set[Pair]:
        """Return every planned module of every registered party."""
        pairs = set[Pair]()
        async for party in self._emsp.aio.parties.list():
            if party.state is PartyState.REGISTERED:
                modules = (module for module in self._settings.modules if party.endpoint(module) is not None)
                pairs.update(Pair(party.country_code, party.party_id, module) for module in modules)
        return pairs

    async def take_over(self, context: JobContext, timestamp: int) -> str:  # noqa: ARG002
        """Run the jobs of dead workers again. Raises ConnectorException."""
        manager = context.app.job_manager
        seconds = self._settings.take_over_after.total_seconds()
        taken = 0
        for queue in (QUEUE, UPKEEP):
            for job in await manager.get_stalled_jobs(queue=queue, seconds_since_heartbeat=seconds):
                await self._take_over(context.app, job)
                taken += 1
        return f"{counted(taken, 'job')} retried"

    async def _take_over(self, app: App, job: Job) -> None:
        manager = app.job_manager
        if job.attempts >= self._settings.deaths:
            await manager.finish_job(job, Status.FAILED, delete_job=False)
            logs.error("job.given_up", reason="the worker died", attempts=job.attempts, job=job.call_string)
            return
        try:
            await manager.retry_job(job)
            logs.warning("job.taken_over", reason="the worker died", job=job.call_string)
        except UniqueViolation:
            await manager.finish_job(job, Status.FAILED, delete_job=False)
            logs.warning("job.dropped", reason="the worker died; the same job is queued", job=job.call_string)

    async def tidy(self, context: JobContext, timestamp: int) -> None:  # noqa: ARG002
        """Delete jobs that ended long ago, and data older than the eMSP's retention. Raises ConnectorException,
        StoreFailed.
        """
        hours = int(self._settings.keep_jobs.total_seconds() // _HOUR)
        for queue, kept in ((QUEUE, hours), (UPKEEP, 1)):
            await context.app.job_manager.delete_old_jobs(
                nb_hours=kept, queue=queue, include_failed=True, include_cancelled=True, include_aborted=True
            )
        await self._emsp.aio.prune()


def _is_stopping(context: JobContext) -> bool:
    stop = context.additional_context.get(STOP)
    return context.should_abort() or (stop is not None and stop())


def _line(module: ModuleReport) -> str:
    counts = ", ".join(f"{getattr(module, name)} {name}" for name in _COUNTED if getattr(module, name))
    reason = f": {module.reason}" if module.reason else ""
    return f"{module.ended.value}, {counts or 'nothing new'} in {module.duration:.1f} s{reason}"
