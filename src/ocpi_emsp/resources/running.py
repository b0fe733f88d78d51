"""The background work: events, deadlines of commands, pushes of tokens, and syncs if requested.

Rules of this module: each is done at most once at a time, however many processes run it on one store: events, pushes
and syncs are leased.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeAlias

from ocpi_emsp.background import Loop, Seldom
from ocpi_emsp.errors import NotRegistered
from ocpi_emsp.flows.cdrs.stored_audits import audit_pending
from ocpi_emsp.flows.commands.upkeep import do_what_is_due
from ocpi_emsp.flows.core.settings import Retention
from ocpi_emsp.flows.credentials.renew import list_parties
from ocpi_emsp.flows.parties.party import PartyState, sync_entry_id
from ocpi_emsp.flows.serving.retention import prune_in_turn
from ocpi_emsp.flows.sync.run import sync
from ocpi_emsp.flows.sync.schedule import take_turn, waiting_turns
from ocpi_emsp.flows.tokens.push.fan_out import fan_out_once
from ocpi_emsp.resources.contexts import Contexts
from ocpi_emsp.resources.tokens import pushing
from ocpi_emsp.scalars import given

AT_ONCE = 4
"""Parties that are pushed to, and synced, at once: a slow one delays no other."""
_SYNC_ROUND = 5.0
"""Seconds between two checks which party is to be synced."""
_DEADLINES = 5000
"""Deadlines that a loop checks in a second: with more open ones, it checks less often. A caller that awaits a command
finds its deadline nevertheless.
"""
_TIDY_SECONDS = 300.0
"""Seconds between two searches for outdated pending matches: nothing waits for that."""
_PRUNE_ROUND = 300.0
"""Seconds between two checks whether it is time to delete old data."""
_PARTIES = 500

Once: TypeAlias = Callable[[], Coroutine[Any, Any, int]]


def background(
    contexts: Contexts, stop: Callable[[], bool], sync_every: timedelta | None, push: bool, every: float
) -> list[Loop]:
    """Return the loops of one eMSP. Raises ValueError or TypeError for an invalid time."""
    if not every >= 0:
        raise ValueError(f"invalid every '{every}': expected seconds of 0 or more, for example 1")
    loops = [Loop("delivering events", _delivering(contexts), every)]
    if push:
        loops += [Loop("pushing tokens", _pushing(contexts, stop), every)] * AT_ONCE
    if contexts.setup.audits:
        loops.append(Loop("auditing CDRs", _auditing(contexts, stop), every))
    if sync_every is not None:
        _require_time(sync_every)
        loops += [Loop("syncing partners", _syncing(contexts, stop, sync_every), _SYNC_ROUND)] * AT_ONCE
    if contexts.setup.retention != Retention():
        loops.append(Loop("deleting what is old", _pruning(contexts, stop), _PRUNE_ROUND))
    return loops


def _auditing(contexts: Contexts, stop: Callable[[], bool]) -> Once:
    async def once() -> int:
        return await audit_pending(contexts(), stop=stop)

    return once


def _pruning(contexts: Contexts, stop: Callable[[], bool]) -> Once:
    async def once() -> int:
        await prune_in_turn(contexts(), contexts.setup.retention, stop)
        return 0  # the rest has time until the next turn

    return once


def _require_time(sync_every: object) -> None:
    expected = "expected a timedelta above 0, for example timedelta(hours=4)"
    if not isinstance(sync_every, timedelta):
        raise TypeError(f"invalid sync_every '{given(sync_every)}': {expected}")
    if sync_every <= timedelta(0):
        raise ValueError(f"invalid sync_every '{sync_every}': {expected}")


def _delivering(contexts: Contexts) -> Once:
    looks, tidy = Seldom(0.0), Seldom(_TIDY_SECONDS)

    async def once() -> int:
        done = await do_what_is_due(contexts(), look=looks.is_due(), tidy=tidy.is_due())
        looks.rest(done.looked / _DEADLINES)
        return done.number

    return once


def _pushing(contexts: Contexts, stop: Callable[[], bool]) -> Once:
    async def once() -> int:
        return len(await fan_out_once(contexts(), pushing(contexts), stop=stop))

    return once


def _syncing(contexts: Contexts, stop: Callable[[], bool], every: timedelta) -> Once:
    async def once() -> int:
        done = after = 0
        waiting = await waiting_turns(contexts(), every)
        while parties := await list_parties(contexts(), _PARTIES, after):
            after = parties[-1].sequence
            for party in parties:
                if stop():
                    return done
                if sync_entry_id(*party.owner) in waiting:
                    continue
                if party.state is PartyState.REGISTERED and await take_turn(contexts(), *party.owner, every):
                    async with contexts.calling() as context:
                        with suppress(NotRegistered):  # it was unregistered meanwhile
                            await sync(context, *party.owner, stop=stop)
                    done += 1
        return done

    return once
