"""From command to session: the session that a START_SESSION caused is found, and linked to the command.

Rules of this module (mod_commands.md 1; session_match.py has the rules of matching):
- a session is linked when it is new: two sessions are never linked to one command, or two commands to one session. A
  session that gets its authorization_id later is matched once more, only by that id, and is unlinked from the command
  that it was linked to by its place;
- a command that was refused leads to no session; one without a response, or whose deadline passed, may;
- a session that begins during a reservation of the same driver uses it, whether a command started it or not;
- a pending match stays for as long as a session may be received. A refusal does not remove it, since a result may
  follow, and since a transaction that locks a command must not wait for a pending match;
- a transaction reads sessions first, then all pending matches, then commands, then reservations. One with several
  sessions looks for their commands after it has read them all (:attr:`Incoming.fresh`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from attrs import evolve

from ocpi_emsp.codec.moments import EARLIEST
from ocpi_emsp.events import CommandLedToSession
from ocpi_emsp.flows.commands.reservations import used
from ocpi_emsp.flows.commands.session_match import PendingMatch, authorization_key, fitting, matches_at, place
from ocpi_emsp.flows.commands.states import (
    CommandState,
    SentCommand,
    command_key,
    get_command,
    put_command,
    read_command,
)
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.journal import page
from ocpi_emsp.flows.inbound.request import Incoming, NewSession
from ocpi_emsp.models import CommandResponseType, CommandType
from ocpi_emsp.ports import NAMED_START, START, START_PLACE, STARTS, Key, Kind, Query, Transaction

REFUSALS = frozenset(
    {CommandResponseType.REJECTED, CommandResponseType.NOT_SUPPORTED, CommandResponseType.UNKNOWN_SESSION}
)
"""Results after which no session follows. TIMEOUT is not one: the charge point may have received the command."""
_PAGE = 100
_DAY = timedelta(days=1)
"""A session is not linked to a command that was sent longer than this before it began."""


async def link(incoming: Incoming, tx: Transaction, new: NewSession) -> None:
    """Link a new session to the command and the reservation that wait for it. Costs two reads if none does.

    Commands are sent to the connection's party; behind a hub, the session may belong to another party. A session with
    an authorization_id may be at another location than its command named.
    """
    unnamed = await matches_at(tx, START, _place_of(incoming, new))
    await _link(incoming, tx, new, await _near(incoming, tx, new, [*unnamed, *await _named(incoming, tx, new)]))


async def _near(
    incoming: Incoming, tx: Transaction, new: NewSession, pending: Sequence[PendingMatch]
) -> list[PendingMatch]:
    """Return the pending matches that fit the session and still wait, the nearest first."""
    if new.is_late:
        pending = [each for each in pending if each.authorization_id is not None]
    near = []  # this locks one of NAMED_START before any command, as does a search by authorization_id
    for pending_match in fitting(pending, new.view, incoming.context.limits, new.authorization_id):
        if pending_match.authorization_id is None or await tx.entry(pending_match.entry_id) is not None:
            near.append(pending_match)
        else:  # it was matched by its authorization_id, and is still stored under its place
            await _settle(tx, pending_match, new)
    return near


async def _link(incoming: Incoming, tx: Transaction, new: NewSession, near: Sequence[PendingMatch]) -> None:
    await _link_command(incoming, tx, new, [each for each in near if each.command == CommandType.START_SESSION])
    await _use_reservation(incoming, tx, new, [each for each in near if each.command == CommandType.RESERVE_NOW])


async def _named(incoming: Incoming, tx: Transaction, new: NewSession) -> Sequence[PendingMatch]:
    """Return the pending matches with an authorization_id: that of the session, or any at its place."""
    if new.authorization_id is None:
        return await matches_at(tx, START_PLACE, _place_of(incoming, new))
    return await matches_at(tx, NAMED_START, authorization_key(incoming.party.owner, new.authorization_id))


def _place_of(incoming: Incoming, new: NewSession) -> Key:
    return place(*incoming.party.owner, new.view.location.id)


async def link_fresh(incoming: Incoming, tx: Transaction) -> None:
    """Call :func:`link` for each new session of a transaction of many.

    Costs two reads for all of them; two for each if the party has many pending matches.
    """
    if not incoming.fresh:
        return
    fresh = sorted(incoming.fresh, key=lambda each: (each.view.location.id, each.view.start_datetime))
    unnamed = await _few(incoming, tx, START)
    here = [await matches_at(tx, START, _place_of(incoming, new)) if unnamed is None else unnamed for new in fresh]
    named = await _few(incoming, tx, START_PLACE)
    of_name = dict[int, Sequence[PendingMatch]]()
    for place_in_page, new in sorted(enumerate(fresh), key=lambda each: each[1].authorization_id is not None):
        of_name[place_in_page] = await _named(incoming, tx, new) if named is None else named
    near = [
        await _near(incoming, tx, new, [*at_place, *of_name[place_in_page]])
        for place_in_page, (new, at_place) in enumerate(zip(fresh, here, strict=True))
    ]
    for new, found in zip(fresh, near, strict=True):
        await _link(incoming, tx, new, found)


async def _few(incoming: Incoming, tx: Transaction, topic: str) -> Sequence[PendingMatch] | None:
    """Return all pending matches of the party in a topic; None if there are many."""
    entries = await tx.entries(topic, limit=_PAGE, owner=incoming.party.owner)
    return None if len(entries) == _PAGE else [PendingMatch.of(entry) for entry in entries]


async def _settle(tx: Transaction, pending_match: PendingMatch, new: NewSession) -> None:
    """Settle a pending match; its entry by place is only locked if it was found by that."""
    await tx.settle(pending_match.entry_id)
    if pending_match.authorization_id is not None and new.authorization_id is None:
        await tx.settle(pending_match.place_id)


async def _link_command(incoming: Incoming, tx: Transaction, new: NewSession, near: Sequence[PendingMatch]) -> None:
    for pending_match in near:
        sent = await get_command(tx, command_key(pending_match.country_code, pending_match.party_id, pending_match.uid))
        if sent is None or sent.session_id is not None:
            await _settle(tx, pending_match, new)
        elif may_lead_to_a_session(sent):
            session_id = new.view.id
            if new.is_late:
                await _take_back(incoming, tx, new)
            await put_command(tx, evolve(sent, session_id=session_id), incoming.now, incoming.correlation_id)
            await _settle(tx, pending_match, new)
            await incoming.emit(
                tx, CommandLedToSession, sent.key, uid=sent.uid, command=sent.command.value, session_id=session_id
            )
            return


async def _take_back(incoming: Incoming, tx: Transaction, new: NewSession) -> None:
    """Unlink the session from a command found by its place, since its authorization_id names its command."""
    begun, (country_code, party_id) = new.view.start_datetime, incoming.party.owner
    since = begun - _DAY if begun - EARLIEST > _DAY else None
    query = Query(
        kind=Kind.COMMAND, country_code=country_code, party_id=party_id, date_from=since, limit=1000, count=False
    )
    while records := (await tx.page(query)).records:
        for sent in map(read_command, (record.document for record in records)):
            if sent.command == CommandType.START_SESSION and sent.session_id == new.view.id:
                await put_command(tx, evolve(sent, session_id=None), incoming.now, incoming.correlation_id)
        query = evolve(query, after=records[-1].sequence)


async def _use_reservation(incoming: Incoming, tx: Transaction, new: NewSession, near: Sequence[PendingMatch]) -> None:
    for pending_match in near:
        events = await used(incoming.context, tx, pending_match, new.view.id, incoming.correlation_id)
        await _settle(tx, pending_match, new)  # it is used, or based on another command by now
        if events is not None:
            incoming.leased.extend(events)
            return


def may_lead_to_a_session(sent: SentCommand) -> bool:
    """Return False if the CPO or the charge point refused the command."""
    return sent.state != CommandState.REFUSED and sent.outcome not in REFUSALS


async def forget_old(context: Context) -> int:
    """Delete the pending matches whose session would have been received by now; return their number.

    Commands end in about the order in which they were sent, so the search stops at the first one that is too young; it
    skips active reservations, and commands with a distant deadline.
    """
    return sum([await _forget_topic(context, topic) for topic in STARTS])


async def _forget_topic(context: Context, topic: str) -> int:
    forgotten, after = 0, 0
    now = context.clock.now()
    while entries := await page(context, topic, after):
        after = entries[-1].sequence
        for entry in entries:
            pending_match = PendingMatch.of(entry)
            if pending_match.is_over(now, context.limits):
                forgotten += await _forget(context, entry.id)
            elif pending_match.command == CommandType.START_SESSION and pending_match.is_young(now, context.limits):
                return forgotten
    return forgotten


async def _forget(context: Context, entry_id: str) -> bool:
    """Delete one entry in its own transaction: a flow that links sessions locks pending matches in another order."""
    async with context.store.transaction() as tx:
        is_there = await tx.entry(entry_id) is not None
        await tx.settle(entry_id)
    return is_there
