"""Reservations, as RESERVE_NOW commands change them (mod_commands.md 3.2).

Rules of this module:
- a reservation is identified by its location and ``reservation_id``; the same id again requests a replacement, and the
  current reservation stays valid until the charge point accepts that;
- an ACCEPTED result counts at any time, unless a later command of the same reservation was accepted before;
- an active reservation ends at its ``expiry_date``, by a DEADLINE entry under its key that any worker finds; it does
  not end if it was given another end meanwhile;
- a transaction reads the command before the reservation, and both before their journal entries.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import ClassVar

from attrs import evolve, field, frozen

from ocpi_emsp.codec import decode, encode
from ocpi_emsp.events import ReservationChanged
from ocpi_emsp.flows.commands.session_match import PendingMatch, look_for
from ocpi_emsp.flows.commands.states import SentCommand
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.journal import emit
from ocpi_emsp.flows.inbound.stored import find, reader
from ocpi_emsp.models import CommandResponseType, CommandType, TokenType
from ocpi_emsp.ports import DEADLINE, Entry, Key, Kind, Record, Transaction
from ocpi_emsp.scalars import DateTime, OpenEnum


class ReservationState(OpenEnum):
    """The state of a reservation."""

    ASKED = "ASKED"
    """The charge point has not responded yet."""
    ACTIVE = "ACTIVE"
    """The charge point reserves an EVSE for the driver."""
    REFUSED = "REFUSED"
    """The CPO or the charge point refused, or did not respond in time; it may still accept later."""
    EXPIRED = "EXPIRED"
    """It ended at its ``expiry_date``."""
    USED = "USED"
    """The driver's session, ``session_id``, began."""


OVER = frozenset({ReservationState.REFUSED, ReservationState.EXPIRED, ReservationState.USED})
"""The states in which a reservation no longer reserves anything."""


@frozen(kw_only=True, slots=False)
class Reservation:
    """A driver's reservation at a location of a CPO, according to its last accepted command."""

    clause: ClassVar[str] = "mod_commands.md#32-reservenow-object"

    country_code: str
    party_id: str
    reservation_id: int
    location_id: str
    evse_uid: str | None = None
    """The reserved EVSE; None: the charge point chooses."""
    token_uid: str
    token_type: TokenType
    auth_id: str
    expiry_date: DateTime
    state: ReservationState = ReservationState.ASKED
    command: str
    """The ``uid`` of the command that it is based on."""
    asked_at: DateTime
    """When that command was sent."""
    replacing: str | None = None
    """The ``uid`` of the command that requests a replacement, until that is decided."""
    session_id: str | None = None
    """The session that uses the reservation."""
    sequence: int = field(default=0, eq=False)
    """Its place in a list, which continues ``after`` it; not stored."""

    @property
    def key(self) -> Key:
        """The key of its record."""
        return reservation_key(self.country_code, self.party_id, self.location_id, self.reservation_id)


def reservation_key(country_code: str, party_id: str, location_id: str, reservation_id: int) -> Key:
    """Return the key of a reservation's record."""
    return Key(Kind.RESERVATION, country_code.upper(), party_id.upper(), str(reservation_id), location_id)


def new_reservation_id() -> int:
    """Return a ``reservation_id`` for a new reservation: 31 bits, which every CPO's integers hold."""
    return 1 + secrets.randbelow(2**31 - 1)


# --- storage --------------------------------------------------------------------------------------------------------


async def get_reservation(
    context: Context, country_code: str, party_id: str, location_id: str, reservation_id: int
) -> Reservation | None:
    """Return the reservation, or None."""
    record = await find(context, reservation_key(country_code, party_id, location_id, reservation_id))
    return _read(record) if record else None


async def list_reservations(
    context: Context, country_code: str | None, party_id: str | None, limit: int, after: int
) -> list[Reservation]:
    """Return reservations, oldest first, ``after`` a sequence."""
    return [_read(each) for each in await reader(context, Kind.RESERVATION, (country_code, party_id))(limit, after)]


async def _get(tx: Transaction, key: Key) -> Reservation | None:
    record = await tx.get(key)
    return _read(record) if record else None


def _read(record: Record) -> Reservation:
    return evolve(decode(Reservation, record.document), sequence=record.sequence)


async def _put(tx: Transaction, reservation: Reservation, correlation_id: str, now: datetime) -> None:
    document = encode(evolve(reservation, sequence=0))
    await tx.put(Record(reservation.key, document, now, now, reservation, correlation_id=correlation_id))


# --- effects of commands --------------------------------------------------------------------------------------------


async def asked(tx: Transaction, sent: SentCommand, now: datetime) -> None:
    """Store the reservation, or the replacement of an existing one, of a RESERVE_NOW that is about to be sent."""
    new = _asked_by(sent)
    if new is None:
        return
    old = await _get(tx, new.key)
    is_over = old is None or (old.state in OVER and old.replacing is None)
    await _put(tx, new if old is None or is_over else evolve(old, replacing=new.command), sent.correlation_id, now)


async def settled(
    context: Context, tx: Transaction, sent: SentCommand, now: datetime, correlation_id: str
) -> list[Entry]:
    """Update the reservation of a changed command; call this after every change of a command, in its stored form.

    Returns the leased events, for ``deliver`` after the commit. The pending match of a refused START_SESSION stays
    until its time is over (:func:`ocpi_emsp.flows.commands.session_link.forget_old`).
    """
    new = _asked_by(sent)
    if new is None or sent.outcome is None:
        return []
    old = await _get(tx, new.key)
    if old is None:
        return []
    reservation = _after(old, new, accepted=sent.outcome == CommandResponseType.ACCEPTED)
    if reservation == old:
        return []
    await _put(tx, reservation, correlation_id, now)
    if (reservation.state, reservation.command) == (old.state, old.command):
        return []
    if reservation.state == ReservationState.ACTIVE:
        await tx.append(_deadline(reservation, sent.correlation_id, now))
        await look_for(tx, sent, now)
    return await _emit(context, tx, reservation, correlation_id)


def _after(old: Reservation, new: Reservation, *, accepted: bool) -> Reservation:
    """Return the reservation ``old`` after the decision on the command that requested ``new``."""
    if old.command == new.command:
        if accepted and old.state in (ReservationState.ASKED, ReservationState.REFUSED):
            return evolve(old, state=ReservationState.ACTIVE)
        if not accepted and old.state == ReservationState.ASKED:
            return evolve(old, state=ReservationState.REFUSED)
        return old
    replacing = None if old.replacing == new.command else old.replacing
    # Times are whole seconds: of two commands in the same second, the one that requests a replacement came later.
    is_later = new.asked_at > old.asked_at or (new.asked_at == old.asked_at and old.replacing == new.command)
    if accepted and is_later and old.state != ReservationState.USED:
        return evolve(new, state=ReservationState.ACTIVE, replacing=replacing)
    return evolve(old, replacing=replacing)


def _asked_by(sent: SentCommand) -> Reservation | None:
    """Return the reservation that a command requests; None for other commands, and if too little of it is stored."""
    if sent.command != CommandType.RESERVE_NOW or sent.sent_at is None or sent.expiry_date is None:
        return None
    if sent.reservation_id is None or sent.location_id is None:
        return None
    if sent.token_uid is None or sent.token_type is None or sent.auth_id is None:
        return None
    return Reservation(
        country_code=sent.country_code,
        party_id=sent.party_id,
        reservation_id=sent.reservation_id,
        location_id=sent.location_id,
        evse_uid=sent.evse_uid,
        token_uid=sent.token_uid,
        token_type=sent.token_type,
        auth_id=sent.auth_id,
        expiry_date=sent.expiry_date,
        command=sent.uid,
        asked_at=sent.sent_at,
    )


# --- the end of a reservation ---------------------------------------------------------------------------------------


async def expire(context: Context, tx: Transaction, entry: Entry, now: datetime) -> list[Entry]:
    """End the reservation of a DEADLINE entry that is due. Returns the leased events, for ``deliver``.

    ``tx`` must not have locked anything yet: the reservation is locked before its entry. A second worker finds nothing
    to do.
    """
    reservation = await _get(tx, entry.key) if entry.key else None
    if reservation is None or reservation.state != ReservationState.ACTIVE:
        await tx.settle(entry.id)
        return []
    correlation_id = str(entry.details.get("correlation_id", ""))
    if reservation.expiry_date > now:
        await tx.append(_deadline(reservation, correlation_id, now))
        return []
    await tx.settle(entry.id)
    expired = evolve(reservation, state=ReservationState.EXPIRED)
    await _put(tx, expired, correlation_id, now)
    return await _emit(context, tx, expired, correlation_id)


async def used(
    context: Context, tx: Transaction, pending_match: PendingMatch, session_id: str, correlation_id: str
) -> list[Entry] | None:
    """Record that the session of a reservation began; return the leased events, or None if the reservation now belongs
    to another command, or never became active.

    An EXPIRED reservation also becomes USED: the session began in time, and was received later.
    """
    if pending_match.reservation_id is None:
        return None
    key = reservation_key(
        pending_match.country_code, pending_match.party_id, pending_match.location_id, pending_match.reservation_id
    )
    reservation = await _get(tx, key)
    if reservation is None or reservation.command != pending_match.uid:
        return None
    if reservation.state not in (ReservationState.ACTIVE, ReservationState.EXPIRED):
        return None
    await tx.settle(_deadline_id(key))
    begun = evolve(reservation, state=ReservationState.USED, session_id=session_id)
    await _put(tx, begun, correlation_id, context.clock.now())
    return await _emit(context, tx, begun, correlation_id)


def _deadline(reservation: Reservation, correlation_id: str, now: datetime) -> Entry:
    return Entry(
        id=_deadline_id(reservation.key),
        topic=DEADLINE,
        name=Kind.RESERVATION,
        key=reservation.key,
        at=now,
        details={
            "country_code": reservation.country_code,
            "party_id": reservation.party_id,
            "correlation_id": correlation_id,
        },
        due=reservation.expiry_date,
    )


def _deadline_id(key: Key) -> str:
    text = "\n".join(key)
    return f"reservation-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"


async def _emit(context: Context, tx: Transaction, reservation: Reservation, correlation_id: str) -> list[Entry]:
    entry = await emit(
        context,
        tx,
        ReservationChanged,
        reservation.key,
        correlation_id,
        uid=reservation.command,
        reservation_id=reservation.reservation_id,
        location_id=reservation.location_id,
        evse_uid=reservation.evse_uid,
        state=reservation.state.value,
        session_id=reservation.session_id,
    )
    return [entry] if entry else []
