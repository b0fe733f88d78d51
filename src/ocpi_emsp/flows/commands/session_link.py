"""From command to session: the session that a START_SESSION brought about is found, and linked to it.

Rules of this module (mod_commands.md 1; the law of matching is in session_match.py):
- a session is looked at once, when it is new: nothing links two sessions to a command, or two commands to a session;
- a command that was refused leads to no session; one without an answer, or whose deadline passed, may;
- a session that begins during a reservation of the same driver uses it, whether a command began it or not;
- a pending match stays for as long as a session may arrive; a refusal changes nothing about that, since a result may
  follow it, and since a transaction that locks a command must not wait for a pending match;
- a transaction reads sessions first, then pending matches, then commands, then reservations. One with several sessions
  looks for their commands when it has read them all (:attr:`Incoming.fresh`).
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from ocpi_emsp.events import CommandLedToSession
from ocpi_emsp.flows.commands.reservations import used
from ocpi_emsp.flows.commands.session_match import PendingMatch, fitting, matches_at, place
from ocpi_emsp.flows.commands.states import CommandState, SentCommand, command_key, get_command, put_command
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.journal import page
from ocpi_emsp.flows.inbound.request import Incoming, NewSession
from ocpi_emsp.models import CommandResponseType, CommandType, Session
from ocpi_emsp.ports import START, Transaction

REFUSALS = frozenset(
    {CommandResponseType.REJECTED, CommandResponseType.NOT_SUPPORTED, CommandResponseType.UNKNOWN_SESSION}
)
"""Results after which no session follows; TIMEOUT is none: the charge point may have received the command."""
_PAGE = 100


async def link(incoming: Incoming, tx: Transaction, new: NewSession) -> None:
    """Link a new session to the command and the reservation that wait for it. One read where none does.

    Commands are sent to the party of the connection; behind a hub, the session may be another's. One that says which
    authorization it is of may be at another location than the command named.
    """
    session, owner = new.view, incoming.party.owner
    if new.authorization_id is None:
        pending_matches = await matches_at(tx, place(*owner, session.location.id))
    else:
        pending_matches = await matches_at(tx, None, owner)
    near = fitting(pending_matches, session, incoming.context.limits, new.authorization_id)
    await _link_command(incoming, tx, session, [each for each in near if each.command == CommandType.START_SESSION])
    await _use_reservation(incoming, tx, session, [each for each in near if each.command == CommandType.RESERVE_NOW])


async def link_fresh(incoming: Incoming, tx: Transaction) -> None:
    """:func:`link` for each new session of a transaction of many.

    One read for all of them, and one for each that matches; one for each where the party has many pending matches.
    """
    if not incoming.fresh:
        return
    entries = await tx.entries(START, limit=_PAGE, owner=incoming.party.owner)
    pending_matches = [PendingMatch.of(entry) for entry in entries]
    has_more = len(pending_matches) == _PAGE
    for new in sorted(incoming.fresh, key=lambda each: (each.view.location.id, each.view.start_datetime)):
        if has_more or fitting(pending_matches, new.view, incoming.context.limits, new.authorization_id):
            await link(incoming, tx, new)


async def _link_command(incoming: Incoming, tx: Transaction, session: Session, near: Sequence[PendingMatch]) -> None:
    for pending_match in near:
        sent = await get_command(tx, command_key(pending_match.country_code, pending_match.party_id, pending_match.uid))
        if sent is None or sent.session_id is not None:
            await tx.settle(pending_match.entry_id)
        elif may_lead_to_a_session(sent):
            await put_command(tx, evolve(sent, session_id=session.id), incoming.now, incoming.correlation_id)
            await tx.settle(pending_match.entry_id)
            await incoming.emit(
                tx, CommandLedToSession, sent.key, uid=sent.uid, command=sent.command.value, session_id=session.id
            )
            return


async def _use_reservation(incoming: Incoming, tx: Transaction, session: Session, near: Sequence[PendingMatch]) -> None:
    for pending_match in near:
        events = await used(incoming.context, tx, pending_match, session.id, incoming.correlation_id)
        await tx.settle(pending_match.entry_id)  # it is used, or stands on another command by now
        if events is not None:
            incoming.leased.extend(events)
            return


def may_lead_to_a_session(sent: SentCommand) -> bool:
    """False where the CPO or the charge point refused the command."""
    return sent.state != CommandState.REFUSED and sent.outcome not in REFUSALS


async def forget_old(context: Context) -> int:
    """Delete the pending matches whose session would have arrived by now; their number.

    Commands are over in about the order in which they were sent, so that it looks no further than to the first one that
    is too young; reservations that run are passed over, and commands with a deadline that is far away.
    """
    forgotten, after = 0, 0
    now = context.clock.now()
    while entries := await page(context, START, after):
        after = entries[-1].sequence
        for entry in entries:
            pending_match = PendingMatch.of(entry)
            if pending_match.is_over(now, context.limits):
                forgotten += await _forget(context, entry.id)
            elif pending_match.command == CommandType.START_SESSION and pending_match.is_young(now, context.limits):
                return forgotten
    return forgotten


async def _forget(context: Context, entry_id: str) -> bool:
    """Delete in a transaction for each: a flow that links sessions locks pending matches in another order."""
    async with context.store.transaction() as tx:
        is_there = await tx.entry(entry_id) is not None
        await tx.settle(entry_id)
    return is_there
