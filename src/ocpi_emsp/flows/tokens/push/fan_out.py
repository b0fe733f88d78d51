"""Pushes of our tokens to every party that lacks a change: which party is next, and how its push ended.

Rules of this module:
- only one process pushes to a party at a time: it leases the party's entry, and renews the lease before each request;
  if the process dies, the lease ends by itself, and another process continues;
- a request may take longer than the lease. Then two processes push for this one request: the one that lost its lease
  stops, and requests one more push, since it is unknown which of their requests the party processed last;
- an entry is settled once everything was tried, nothing failed and nothing changed meanwhile; so is that of a party
  that was deleted, or no longer gets tokens;
- a party that fails waits, longer each time, and delays no other; it is never given up. A change ends the wait of a
  party that answered: it only rejected single tokens. A party that is down is not called more often because of a
  change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import TypeAlias

from attrs import define, evolve, frozen

from ocpi_emsp import logs
from ocpi_emsp.errors import OcpiError, StoreFailed
from ocpi_emsp.findings import counted
from ocpi_emsp.flows.core.context import Context, new_id
from ocpi_emsp.flows.events.journal import backoff, due_page, is_due, page
from ocpi_emsp.flows.parties.party import find_party
from ocpi_emsp.flows.parties.pending_push import PushRequest, entry_id, gets_tokens, request_push
from ocpi_emsp.flows.tokens.push.failures import reason_of, short
from ocpi_emsp.flows.tokens.push.party_run import Stop, push_tokens_to
from ocpi_emsp.flows.tokens.push.report import TokensPushed
from ocpi_emsp.ports import FAN_OUT, Entry, Transaction, is_joined

_FRESH = 2 / 3
"""The share of the lease that must be left when a request begins: a party that does not answer takes no longer."""

Push: TypeAlias = Callable[[Context], Awaitable[TokensPushed]]
CallParty: TypeAlias = Callable[[str, str, Push], Awaitable[TokensPushed]]
"""Runs a push with a context whose calls go to the party with these codes."""


class PushTakenOver(OcpiError):
    """The lease ended before the push did, and another process now pushes to the party."""


@frozen(kw_only=True)
class WaitingPush:
    """A party that is not known to have the current state of all tokens."""

    country_code: str
    party_id: str
    at: datetime
    """Since when it waits."""
    leased: bool
    """True if a process pushes to it now."""
    is_due: bool
    """True if no process pushes to it, and it does not wait for another attempt."""
    attempts: int
    """Number of consecutive failed pushes to it."""
    error: str
    """Why the last one failed."""
    due: datetime | None
    """When it is tried again, at the latest if it is leased; None: as soon as possible."""
    sequence: int
    """Its place in a list, which continues ``after`` it."""


async def waiting_pushes(context: Context, limit: int, after: int) -> list[WaitingPush]:
    """Return the parties that wait for a push, or are being pushed to."""
    return [_waiting(context, entry) for entry in await page(context, FAN_OUT, after, limit)]


def _waiting(context: Context, entry: Entry) -> WaitingPush:
    due = is_due(context, entry)
    return WaitingPush(
        country_code=entry.details["country_code"],
        party_id=entry.details["party_id"],
        at=entry.at,
        leased=bool(PushRequest.of(entry).push) and not due,
        is_due=due,
        attempts=entry.attempts,
        error=entry.error,
        due=entry.due,
        sequence=entry.sequence,
    )


async def fan_out_once(
    context: Context, call_party: CallParty, *, at_once: bool = False, stop: Stop | None = None
) -> list[TokensPushed]:
    """Push to each waiting party that is due, one after the other; with ``at_once`` also to those that are not due.

    ``stop`` is called between two tokens. A party's faults are in its report. Raises StoreFailed.
    """
    reports, seen, after = list[TokensPushed](), set[str](), 0
    while entries := await due_page(context, FAN_OUT, after, everything=at_once):
        after = entries[-1].sequence
        for entry in entries:
            if stop is not None and stop():
                return reports
            if entry.id in seen or not _is_free(context, entry, at_once=at_once):
                continue
            seen.add(entry.id)  # a party that is requested again meanwhile has its turn in the next round
            owner = entry.details["country_code"], entry.details["party_id"]
            report = await fan_out_to(context, call_party, *owner, at_once=at_once, stop=stop)
            reports += [report] if report is not None else []
    return reports


async def fan_out_to(
    context: Context,
    call_party: CallParty,
    country_code: str,
    party_id: str,
    *,
    at_once: bool = False,
    stop: Stop | None = None,
) -> TokensPushed | None:
    """Push to one waiting party; None if it does not wait, or another process leases it."""
    entry = await _take(context, country_code, party_id, at_once)
    if entry is None:
        return None
    started, renew = context.clock.now(), _LeaseRenewal(context, entry, entry.due)

    async def push(calling: Context) -> TokensPushed:
        return await push_tokens_to(calling, country_code, party_id, stop=stop, renew=renew)

    try:
        report = await call_party(country_code, party_id, push)
    except PushTakenOver:
        await _taken_over(context, entry)
        return None
    except StoreFailed:
        raise  # nothing can be stored now: the lease ends by itself
    except Exception as error:  # noqa: BLE001 # whatever is wrong with one party: the others get their tokens
        if not isinstance(error, OcpiError):
            logs.error("push.failed", party=_name(entry), error=type(error).__name__, trace=error)
        report = _failed(entry, error, (context.clock.now() - started).total_seconds())
    except BaseException:  # cancelled: another process may continue at once
        with suppress(StoreFailed, PushTakenOver):  # then it continues once the lease ends
            await _let_go(context, entry)
        raise
    try:
        await _finish(context, entry, report)
    except PushTakenOver:
        await _taken_over(context, entry)
    return report


def _failed(entry: Entry, error: Exception, duration: float) -> TokensPushed:
    return TokensPushed(
        country_code=entry.details["country_code"],
        party_id=entry.details["party_id"],
        duration=max(0.0, duration),
        ended="failed",
        why=short(error.message if isinstance(error, OcpiError) else f"{type(error).__name__}: {error}"),
        reason=type(error).__name__ if not isinstance(error, OcpiError) else short(reason_of(error)),
    )


# --- entries --------------------------------------------------------------------------------------------------------


async def _take(context: Context, country_code: str, party_id: str, at_once: bool) -> Entry | None:
    """Return the party's entry, leased from now on; None if it has none, or the entry is not free."""
    async with context.store.transaction() as tx:
        party = await find_party(tx, country_code, party_id)  # a registration also locks the party before the entry
        entry = await tx.entry(entry_id(country_code, party_id))
        if entry is None or is_joined(tx) or not _is_free(context, entry, at_once=at_once):
            return None
        if party is None or not gets_tokens(party):
            await tx.settle(entry.id)
            return None
        leased = evolve(entry, due=context.clock.now() + context.limits.delivery.lease)
        leased = PushRequest(push=new_id(), answers=PushRequest.of(entry).answers).on(leased)
        await tx.append(leased)
        return leased


async def _finish(context: Context, entry: Entry, report: TokensPushed) -> None:
    """Settle the entry of a push that did everything; otherwise schedule another attempt. Raises PushTakenOver."""
    async with context.store.transaction() as tx:
        current = await _mine(tx, entry)
        is_changed = PushRequest.of(current).changed
        if report.ended == "done" and not report.failed:
            if not is_changed:
                await tx.settle(entry.id)
                return
            current = evolve(current, attempts=0, error="", due=None)
        elif report.ended == "stopped":
            current = evolve(current, due=None)
        else:
            attempts = current.attempts + 1
            wait = backoff(context.limits, attempts)
            due = None if is_changed and report.ended == "done" else context.clock.now() + wait
            current = evolve(current, attempts=attempts, error=_why(report), due=due)
        await tx.append(PushRequest(answers=report.ended == "done").on(current))
    if current.due is not None:  # neither the tokens nor the party's responses belong into a log
        logs.warning(
            "push.waits",
            party=_name(entry),
            ended=report.ended,
            tokens=report.failed,
            attempts=current.attempts,
            reason=report.reason or None,
        )


async def _taken_over(context: Context, entry: Entry) -> None:
    """Request one more push to the party: a request of this push may have arrived after those of the next one."""
    logs.warning("push.taken_over", party=_name(entry))
    async with context.store.transaction() as tx:
        party = await find_party(tx, entry.details["country_code"], entry.details["party_id"])
        if party is not None:
            await request_push(tx, party, context.clock.now())


async def _let_go(context: Context, entry: Entry) -> None:
    async with context.store.transaction() as tx:
        current = await _mine(tx, entry)
        await tx.append(PushRequest(answers=PushRequest.of(current).answers).on(evolve(current, due=None)))


@define
class _LeaseRenewal:
    """Renews the lease of a push before it ends."""

    _context: Context
    _entry: Entry
    _until: datetime | None

    async def __call__(self) -> None:
        """Renew the lease. Raises PushTakenOver if another process leases the party now."""
        limits, now = self._context.limits, self._context.clock.now()
        if self._until is not None and self._until - now > limits.delivery.lease * _FRESH:
            return
        async with self._context.store.transaction() as tx:
            current = await _mine(tx, self._entry)
            self._until = now + limits.delivery.lease
            await tx.append(evolve(current, due=self._until))


async def _mine(tx: Transaction, entry: Entry) -> Entry:
    """Return the current entry. Raises PushTakenOver if this push no longer leases it."""
    current = await tx.entry(entry.id)
    if current is None or PushRequest.of(current).push != PushRequest.of(entry).push:
        raise PushTakenOver(f"another process pushes tokens to {_name(entry)}")
    return current


def _is_free(context: Context, entry: Entry, *, at_once: bool) -> bool:
    return is_due(context, entry) or (at_once and not PushRequest.of(entry).push)


def _why(report: TokensPushed) -> str:
    """Return why the party waits, in a sentence."""
    if report.why:
        return report.why
    return f"{counted(report.failed, 'token')} failed" + (f": {report.failures[0].error}" if report.failures else "")


def _name(entry: Entry) -> str:
    return f"{entry.details['country_code']}-{entry.details['party_id']}"
