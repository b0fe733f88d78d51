"""A sync of one party: module by module, and the results.

Rules of this module:
- a partner's fault ends its module, not the others, and is in the report; a failure of our own store is raised;
- retries, the circuit breaker and the rate are those of retries.py, with one budget for the whole sync;
- our tokens are pushed last: by then the partner is known to answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from ocpi_emsp import logs
from ocpi_emsp.errors import (
    MissingEndpoints,
    NotRegistered,
    NotSupported,
    OcpiError,
    PartnerError,
    QuotaExceeded,
    UnsafeUrl,
)
from ocpi_emsp.findings import worst_first
from ocpi_emsp.flows.calls.call import require
from ocpi_emsp.flows.calls.call_log import without_drivers
from ocpi_emsp.flows.calls.request_log import milliseconds
from ocpi_emsp.flows.calls.retries import retrying_send
from ocpi_emsp.flows.core.context import Context, new_id
from ocpi_emsp.flows.core.limits import Budget
from ocpi_emsp.flows.inbound.quota_reached import report_quota
from ocpi_emsp.flows.parties.party import Party, PartyState, load_party
from ocpi_emsp.flows.sync.page import SOURCES, Pull
from ocpi_emsp.flows.sync.pull import TakenOver, pull_module
from ocpi_emsp.flows.sync.report import ModuleReport, RejectedObject, SyncEnded, SyncProgress, SyncReport, Tally
from ocpi_emsp.flows.tokens.push.party_run import push_tokens
from ocpi_emsp.flows.tokens.push.report import TokensPushed
from ocpi_emsp.ports import Sleep
from ocpi_emsp.routes import outgoing
from ocpi_emsp.scalars import aware

MODULES = (*SOURCES, "tokens")
"""The modules of a sync, in this order: tariffs and sessions come before the CDRs that refer to them."""

Watch: TypeAlias = Callable[[SyncProgress], object]
Stop: TypeAlias = Callable[[], bool]

_COUNTED = ("created", "updated", "unchanged", "stale", "rejected", "pages", "retries")
_SKIPPED = (NotSupported, MissingEndpoints)
_FAILED = (PartnerError, UnsafeUrl, NotRegistered, TakenOver, QuotaExceeded)


async def sync(
    context: Context,
    country_code: str,
    party_id: str,
    *,
    modules: Iterable[str] = MODULES,
    since: datetime | None = None,
    full: bool = False,
    watch: Watch | None = None,
    stop: Stop | None = None,
) -> SyncReport:
    """Pull a party's objects, and push our tokens to it; see :meth:`ocpi_emsp.resources.Partner.sync`.

    Raises NotRegistered, StoreFailed; ValueError for an unknown module, a naive ``since``, or one of a full sync.
    """
    wanted = _wanted(modules, since, full=full)
    started = context.clock.now()
    party = await load_party(context, country_code, party_id, state=PartyState.REGISTERED)
    budget = Budget(context.retry_policy)
    context = evolve(context, sleep=_until(stop, context.sleep)) if stop else context
    retrying = evolve(context, send=retrying_send(context, party, budget))
    reports = []
    for module in wanted:
        run = _Run(evolve(retrying, correlation_id=new_id()), party, module, budget, watch, stop or (lambda: False))
        reports.append(await run.report(since, full=full))
    return SyncReport(
        country_code=party.country_code,
        party_id=party.party_id,
        started_at=started,
        duration=(context.clock.now() - started).total_seconds(),
        modules=tuple(reports),
    )


def require_modules(modules: Iterable[str]) -> None:
    """Raise ValueError if a module, by its id in lower case, is not one that a sync can pull or push."""
    unknown = sorted(set(modules) - set(MODULES))
    if unknown:
        raise ValueError(
            f"invalid modules '{', '.join(unknown)}': expected some of {', '.join(MODULES)}, for example {MODULES[0]}"
        )


def _wanted(modules: Iterable[str], since: datetime | None, *, full: bool) -> list[str]:
    asked = {module.lower() for module in modules}
    require_modules(asked)
    if full and since is not None:
        raise ValueError("since cannot be combined with full=True")
    if since is not None:
        aware(since, "since")
    return [module for module in MODULES if module in asked]


def _until(stop: Stop, sleep: Sleep) -> Sleep:
    """Return a sleep that ends within a second of a stop: a partner may ask for a wait of five minutes."""

    async def sleep_until(seconds: float) -> None:
        while seconds > 0 and not stop():
            await sleep(min(seconds, 1.0))
            seconds -= 1.0

    return sleep_until


@frozen
class _Run:
    """The sync of one module."""

    _context: Context
    _party: Party
    _module: str
    _budget: Budget
    _watch: Watch | None
    _stop: Stop
    _tally: Tally = field(init=False)

    @_tally.default
    def _empty(self) -> Tally:
        return Tally(self._party.country_code, self._party.party_id, self._module)

    async def report(self, since: datetime | None, *, full: bool) -> ModuleReport:
        """Sync the module."""
        started, retries = self._context.clock.now(), self._budget.retries
        about: dict[str, str | int | float | bool] = {
            "ocpi.party": str(self._party),
            "ocpi.module": self._module,
            "ocpi.sync.full": full,
            "ocpi.correlation_id": self._context.correlation_id,
        }
        with self._context.telemetry.span(f"sync {self._module}", "internal", about) as span:
            ended, reason = await self._judged(since, full=full)
            span.set({"ocpi.sync.ended": ended.value})
            if ended is SyncEnded.FAILED:
                span.set({"error.type": ended.value})
        self._tally.add("retries", self._budget.retries - retries)
        self._tell(ended)
        report = self._tally.report(ended, reason, (self._context.clock.now() - started).total_seconds())
        self._log(report, full=full)
        return report

    def _log(self, report: ModuleReport, *, full: bool) -> None:
        values: dict[str, Any] = {
            "party": self._party,
            "module": self._module,
            "ended": report.ended.value,
            "full": True if full else None,
            **{name: getattr(report, name) or None for name in _COUNTED},
            "reason": without_drivers(self._party, report.reason) or None,
            "ms": milliseconds(report.duration),
            "correlation_id": self._context.correlation_id,
        }
        if report.ended is SyncEnded.FAILED:
            logs.warning("sync.failed", **values)
        else:
            logs.info("sync.ended", **values)

    async def _judged(self, since: datetime | None, *, full: bool) -> tuple[SyncEnded, str]:
        if self._stop():
            return SyncEnded.STOPPED, "stopped on request"
        try:
            return await self._do(since, full=full)
        except _SKIPPED as error:
            return SyncEnded.SKIPPED, error.message
        except _FAILED as error:
            if isinstance(error, QuotaExceeded):
                await report_quota(self._context, self._party, error, self._context.correlation_id)
            return SyncEnded.FAILED, _why(error)

    async def _do(self, since: datetime | None, *, full: bool) -> tuple[SyncEnded, str]:
        if self._module == "tokens":
            require(self._context, self._party, outgoing("tokens.put"))
            return self._pushed(await push_tokens(self._context, self._party, full=full, stop=self._stop))
        pull = Pull(self._context, self._party, SOURCES[self._module], self._tally, self._context.correlation_id)
        return await pull_module(pull, since=since, full=full, on_progress=self._tell, stop=self._stop)

    def _pushed(self, pushed: TokensPushed) -> tuple[SyncEnded, str]:
        """Return the result of a token push in the terms of a sync."""
        self._tally.add("created", pushed.put)
        self._tally.add("updated", pushed.patched)
        self._tally.add("unchanged", pushed.unchanged)
        for failure in pushed.failures:
            self._tally.reject(RejectedObject(id=failure.uid, url="", message=failure.error, findings=()))
        self._tally.add("rejected", pushed.failed - len(pushed.failures))
        return SyncEnded(pushed.ended), pushed.why

    def _tell(self, ended: SyncEnded | None = None) -> None:
        if self._watch is not None:
            self._watch(self._tally.progress(ended))


def _why(error: OcpiError) -> str:
    findings = [str(finding) for finding in worst_first(error.findings)[:1]]
    return "; ".join([error.message, *findings])
