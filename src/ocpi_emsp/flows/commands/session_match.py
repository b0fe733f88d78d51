"""Which session a command, or a reservation, waits for: the rules by which the two are matched.

Rules of this module (mod_commands.md 1; mod_sessions.md 3.1):
- OCPI 2.1.1 has no reference from a session to its command: they are matched by token, location, EVSE and time, unless
  both have the extension authorization_id, which then decides alone;
- a session names its token only by ``auth_id``, and may name no EVSE: an absent value excludes nothing;
- a pending match is a journal entry of topic START under the key of its location. One with an authorization_id is in
  topic NAMED_START under the key of that id, and in START_PLACE under its location: a new session costs two index
  lookups, however many there are, whether it names its authorization or not;
- an entry in START_PLACE only counts while NAMED_START has it. They are locked in the order START, START_PLACE,
  NAMED_START, so a match found by its authorization leaves its place entry to ``session_link.forget_old``;
- its id is derived from the command, and it never changes: a transaction that locks it only waits for commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from attrs import frozen

from ocpi_emsp.codec import wire_time
from ocpi_emsp.codec.extensions import same_authorization
from ocpi_emsp.flows.commands.states import SentCommand
from ocpi_emsp.flows.core.settings import Limits
from ocpi_emsp.models import CommandType, Session
from ocpi_emsp.ports import NAMED_START, START, START_PLACE, Entry, Key, Kind, Owner, Transaction

_LAST = datetime.max.replace(tzinfo=UTC)
_PAGE = 100
"""Pending matches that are read at once: more at one location within a day are rare."""


@frozen(kw_only=True)
class PendingMatch:
    """A session that a command or a reservation waits for."""

    command: CommandType
    """START_SESSION; or RESERVE_NOW, for the session that uses the reservation."""
    uid: str
    """The uid of the command."""
    country_code: str
    party_id: str
    auth_id: str
    location_id: str
    evse_uid: str | None
    since: datetime
    """When the command was sent."""
    until: datetime
    """The deadline of the command, or the end of the reservation."""
    reservation_id: int | None = None
    authorization_id: str | None = None

    @property
    def entry_id(self) -> str:
        """The id of its journal entry."""
        return f"start-{self.uid}"

    @property
    def place_id(self) -> str:
        """The id of its journal entry under its location, if it has an authorization_id."""
        return f"{self.entry_id}-place"

    def entries(self, now: datetime, correlation_id: str) -> list[Entry]:
        """Return its journal entries."""
        here = place(self.country_code, self.party_id, self.location_id)
        if self.authorization_id is None:
            return [self._entry(self.entry_id, START, here, now, correlation_id)]
        name = authorization_key((self.country_code, self.party_id), self.authorization_id)
        return [
            self._entry(self.place_id, START_PLACE, here, now, correlation_id),
            self._entry(self.entry_id, NAMED_START, name, now, correlation_id),
        ]

    def _entry(self, entry_id: str, topic: str, key: Key, now: datetime, correlation_id: str) -> Entry:
        return Entry(
            id=entry_id,
            topic=topic,
            name=self.command.value,
            key=key,
            at=now,
            details={
                "country_code": self.country_code,
                "party_id": self.party_id,
                "correlation_id": correlation_id,
                "uid": self.uid,
                "auth_id": self.auth_id,
                "location_id": self.location_id,
                "evse_uid": self.evse_uid,
                "since": wire_time(self.since),
                "until": wire_time(self.until),
                "reservation_id": self.reservation_id,
                "authorization_id": self.authorization_id,
            },
        )

    @classmethod
    def of_command(cls, sent: SentCommand) -> PendingMatch | None:
        """Return the pending match of a START_SESSION or a RESERVE_NOW; None if too little of it is stored."""
        if sent.sent_at is None or sent.auth_id is None or sent.location_id is None:
            return None
        return cls(
            command=sent.command,
            uid=sent.uid,
            country_code=sent.country_code,
            party_id=sent.party_id,
            auth_id=sent.auth_id,
            location_id=sent.location_id,
            evse_uid=sent.evse_uid,
            since=sent.sent_at,
            until=sent.expiry_date or sent.deadline or sent.sent_at,
            reservation_id=sent.reservation_id,
            authorization_id=sent.authorization_id,
        )

    @classmethod
    def of(cls, entry: Entry) -> PendingMatch:
        """Read a journal entry."""
        details = {name: value for name, value in entry.details.items() if name != "correlation_id"}
        times = {name: datetime.fromisoformat(details[name]) for name in ("since", "until")}
        return cls(command=CommandType.of(entry.name), **{**details, **times})

    def last_start(self, limits: Limits) -> datetime:
        """Return the moment by which the session must have begun."""
        is_start = self.command == CommandType.START_SESSION
        return later(self.until, limits.commands.session_window if is_start else limits.commands.clock_skew)

    def is_over(self, now: datetime, limits: Limits) -> bool:
        """Return True if the session is too late, whenever it is received."""
        return now > later(self.last_start(limits), limits.commands.session_delay)

    def is_young(self, now: datetime, limits: Limits) -> bool:
        """Return True if a START_SESSION with the usual deadline would not be over, nor any sent after it."""
        usual = limits.commands
        return now <= self.since + usual.result_timeout + usual.session_window + usual.session_delay

    def fits(self, session: Session, limits: Limits, authorization_id: str | None = None) -> bool:
        """Return True if the session, with its ``authorization_id``, may be the one."""
        is_same = same_authorization(self.authorization_id, authorization_id)
        if is_same is not None:
            return is_same
        evses = _evses(session)
        return (
            session.auth_id == self.auth_id
            and session.location.id == self.location_id
            and (self.evse_uid is None or not evses or self.evse_uid in evses)
            and self.since - limits.commands.clock_skew <= session.start_datetime <= self.last_start(limits)
        )

    def distance(self, session: Session, authorization_id: str | None = None) -> tuple[bool, bool, timedelta]:
        """Return the distance from a fitting session: the authorization counts first, then the EVSE, then the time."""
        is_other = not same_authorization(self.authorization_id, authorization_id)
        return is_other, self.evse_uid not in _evses(session), abs(session.start_datetime - self.since)


def fitting(
    pending_matches: Iterable[PendingMatch], session: Session, limits: Limits, authorization_id: str | None = None
) -> list[PendingMatch]:
    """Return the matches that fit the session, the nearest first; of two equally near ones, the one sent first."""
    found = [each for each in pending_matches if each.fits(session, limits, authorization_id)]
    return sorted(found, key=lambda each: (*each.distance(session, authorization_id), each.since))


def later(moment: datetime, step: timedelta) -> datetime:
    """Return the moment plus a step, at most the last possible moment: some reservations last until then."""
    return moment + min(step, _LAST - moment)


def _evses(session: Session) -> frozenset[str]:
    return frozenset(evse.uid for evse in session.location.evses if evse.uid)


def place(country_code: str, party_id: str, location_id: str) -> Key:
    """Return the key of the pending matches at a location; the party is the one that the commands are sent to."""
    return Key(Kind.LOCATION, country_code.upper(), party_id.upper(), location_id)


def authorization_key(owner: Owner, authorization_id: str) -> Key:
    """Return the key of the pending matches of an authorization; case is ignored."""
    return Key(Kind.COMMAND, owner[0].upper(), owner[1].upper(), authorization_id.casefold())


async def look_for(tx: Transaction, sent: SentCommand, now: datetime) -> None:
    """Add the pending match of a command, in the transaction that stores that command."""
    pending_match = PendingMatch.of_command(sent)
    for entry in pending_match.entries(now, sent.correlation_id) if pending_match is not None else ():
        await tx.append(entry)


async def matches_at(tx: Transaction, topic: str, key: Key) -> Sequence[PendingMatch]:
    """Return every pending match of a topic under a key, in the order of their commands."""
    found: list[PendingMatch] = []
    after = 0
    while True:
        entries = await tx.entries(topic, key, _PAGE, after=after)
        found.extend(PendingMatch.of(entry) for entry in entries)
        if len(entries) < _PAGE:
            return found
        after = entries[-1].sequence
