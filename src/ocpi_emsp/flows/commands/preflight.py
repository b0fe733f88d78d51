"""Problems of a command that are known before it is sent: with its location, EVSE, token or session.

Rules of this module (mod_commands.md 3; docs/how-to/reservations-and-sessions.md lists the rules):
- a finding names the place in the command, and the clause; a command with an error is not sent, unless the caller
  forces it; a warning does not prevent sending;
- the stored objects may be older than the CPO's: data that they lack gives a warning, data that contradicts an error;
- if the party sends no locations, by its profile, an unknown location is a warning;
- nothing is sent or written: there are a few reads in a read-only transaction, which locks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from ocpi_emsp.codec import decode, wire_time
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.findings import Finding, Rule, Severity
from ocpi_emsp.flows.commands.states import Command
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.inbound.evses import evses_of
from ocpi_emsp.flows.parties.hub_owners import holders
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.models import (
    Capability,
    Evse,
    ReserveNow,
    Session,
    SessionStatus,
    StartSession,
    Status,
    StopSession,
    Token,
    UnlockConnector,
)
from ocpi_emsp.ports import Kind, Transaction

_LOCATIONS = "mod_locations.md"
_TABLE = (
    ("location.unknown", Severity.ERROR, "", "The CPO has sent no such location."),
    ("evse.unknown", Severity.ERROR, "", "The location has no such EVSE."),
    ("evse.none", Severity.ERROR, f"{_LOCATIONS}#31-location-object", "No EVSE of the location is left."),
    ("evse.removed", Severity.ERROR, f"{_LOCATIONS}#420-status-enum", "The EVSE is REMOVED."),
    (
        "evse.status",
        Severity.WARNING,
        f"{_LOCATIONS}#420-status-enum",
        "The EVSE, or each of the location's, is BLOCKED, INOPERATIVE, OUTOFORDER or PLANNED.",
    ),
    (
        "capability.missing",
        Severity.ERROR,
        f"{_LOCATIONS}#42-capability-enum",
        "The EVSE lists capabilities, and not the one that the command needs; without an EVSE: each of the location's.",
    ),
    (
        "capability.unlisted",
        Severity.WARNING,
        f"{_LOCATIONS}#42-capability-enum",
        "The EVSE lists no capabilities at all, which many CPOs leave out.",
    ),
    ("connector.unknown", Severity.ERROR, "", "The EVSE has no such connector."),
    ("token.unknown", Severity.WARNING, "mod_tokens.md#32-token-object", "The token is not stored here."),
    ("token.invalid", Severity.ERROR, "mod_tokens.md#32-token-object", "The token is not valid."),
    ("expiry.past", Severity.ERROR, "mod_commands.md#32-reservenow-object", "The reservation ends in the past."),
    ("session.unknown", Severity.ERROR, "", "The CPO has sent no such session."),
    ("session.ended", Severity.ERROR, "mod_sessions.md#41-sessionstatus-enum", "The session is COMPLETED or INVALID."),
)
COMMAND_RULES: Mapping[str, Rule] = {
    rule.id: rule
    for rule in (
        Rule(id=f"command.{name}", severity=severity, clause=clause, sentence=sentence)
        for name, severity, clause, sentence in _TABLE
    )
}
"""Every rule that a finding about a command may name, by id; a rule without a clause has that of the command's object.

The rules of :data:`ocpi_emsp.check.RULES` only use a document, these also use stored objects.
"""

NEEDS: Mapping[type[Command], Capability] = {
    StartSession: Capability.REMOTE_START_STOP_CAPABLE,
    ReserveNow: Capability.RESERVABLE,
    UnlockConnector: Capability.UNLOCK_CAPABLE,
}
"""The capability of an EVSE that a command needs."""
_OUT = frozenset({Status.BLOCKED, Status.INOPERATIVE, Status.OUTOFORDER, Status.PLANNED})
_ENDED = frozenset({SessionStatus.COMPLETED, SessionStatus.INVALID})


async def check_command(context: Context, tx: Transaction, party: Party, command: Command) -> list[Finding]:
    """Return the problems of sending ``command`` to ``party``, according to the stored objects."""
    check = _Check(context, tx, party, command)
    if isinstance(command, StopSession):
        await check.session(command.session_id)
        return check.findings
    await check.place(command.location_id, command.evse_uid)
    if not isinstance(command, UnlockConnector):
        await check.token(context, command.token)
    if isinstance(command, ReserveNow) and command.expiry_date <= context.clock.now():
        check.found("expiry.past", "/expiry_date", f"the reservation ends at {wire_time(command.expiry_date)}")
    return check.findings


@frozen
class _Check:
    """A command, and the findings about it so far."""

    context: Context
    tx: Transaction
    party: Party
    command: Command
    findings: list[Finding] = field(factory=list)

    def found(self, name: str, pointer: str, message: str, *, is_known_to_lack: bool = False) -> None:
        """Add a finding; it is a warning if the party is known not to send these objects."""
        rule = COMMAND_RULES[f"command.{name}"]
        severity = Severity.WARNING if is_known_to_lack else rule.severity
        clause = rule.clause or self.command.clause
        self.findings.append(Finding(pointer=pointer, rule=rule.id, severity=severity, message=message, clause=clause))

    async def session(self, session_id: str) -> None:
        """Check that the session belongs to the party, and is running."""
        for record in await holders(self.context, self.tx, self.party, Kind.SESSION, session_id):
            status = decode(Session, record.document, updated=record.last_updated).status
            if status in _ENDED:
                self.found("session.ended", "/session_id", f"session {shown(session_id)} is {status}")
            return
        self.found("session.unknown", "/session_id", f"{self.party} has sent no session {shown(session_id)}")

    async def token(self, context: Context, token: Token) -> None:
        """Check that the token is ours, and valid both as given and as stored."""
        record = await self.tx.get(context.identity.token_key(token.uid, token.type))
        if record is None:
            self.found("token.unknown", "/token/uid", f"no token {shown(token.uid)} of type {token.type} is stored")
        if not token.valid:
            self.found("token.invalid", "/token/valid", f"token {shown(token.uid)} is given as not valid")
        elif record is not None and not decode(Token, record.document).valid:
            self.found("token.invalid", "/token/valid", f"token {shown(token.uid)} is stored as not valid")

    async def place(self, location_id: str, evse_uid: str | None) -> None:
        """Check that the location, and the EVSE or one that the CPO may choose, is known and supports the command."""
        evses = await self._evses(location_id)
        lacks = self.party.profile.without_locations
        if evses is None:
            message = f"{self.party} has sent no location {shown(location_id)}: sync its locations first"
            self.found("location.unknown", "/location_id", message, is_known_to_lack=lacks)
        elif evse_uid is None:
            self._any_of(evses)
        else:
            evse = next((each for each in evses if each.uid == evse_uid), None)
            if evse is None:
                message = f"location {shown(location_id)} has no EVSE {shown(evse_uid)}"
                self.found("evse.unknown", "/evse_uid", message, is_known_to_lack=lacks)
            else:
                self._this(evse)

    async def _evses(self, location_id: str) -> list[Evse] | None:
        """Return the EVSEs of a location; None if it is unknown."""
        for location in await holders(self.context, self.tx, self.party, Kind.LOCATION, location_id):
            evses = await evses_of(self.tx, location)
            return [decode(Evse, each.document, updated=each.last_updated) for each in evses]
        return None

    def _this(self, evse: Evse) -> None:
        """Check the EVSE of the command."""
        if evse.status == Status.REMOVED:
            self.found("evse.removed", "/evse_uid", f"EVSE {shown(evse.uid)} is REMOVED")
        elif evse.status in _OUT:
            self.found("evse.status", "/evse_uid", f"EVSE {shown(evse.uid)} is {evse.status}")
        self._capability([evse], "/evse_uid")
        if isinstance(self.command, UnlockConnector):
            wanted = self.command.connector_id
            if all(connector.id != wanted for connector in evse.connectors):
                self.found(
                    "connector.unknown", "/connector_id", f"EVSE {shown(evse.uid)} has no connector {shown(wanted)}"
                )

    def _any_of(self, evses: Sequence[Evse]) -> None:
        """Check the EVSEs that the CPO may choose from: one that fits suffices."""
        left = [evse for evse in evses if evse.status != Status.REMOVED]
        if not left:
            self.found("evse.none", "/location_id", "the location has no EVSE")
            return
        usable = [evse for evse in left if evse.status not in _OUT]
        if not usable:
            statuses = ", ".join(sorted({evse.status.value for evse in left}))
            self.found("evse.status", "/location_id", f"every EVSE of the location is out of use: {statuses}")
        self._capability(usable or left, "/location_id")

    def _capability(self, evses: Sequence[Evse], pointer: str) -> None:
        needed = NEEDS[type(self.command)]
        if any(needed in evse.capabilities for evse in evses):
            return
        named = ", ".join(_named(evses))
        if all(evse.capabilities for evse in evses):
            self.found("capability.missing", pointer, f"{needed} is not among the capabilities of {named}")
        else:
            self.found("capability.unlisted", pointer, f"no capabilities are listed, so {needed} is uncertain: {named}")


def _named(evses: Sequence[Evse]) -> Iterator[str]:
    """Yield the first few EVSEs, for a message."""
    yield from (f"EVSE {shown(evse.uid)}" for evse in evses[:3])
    if len(evses) > 3:
        yield f"{len(evses) - 3} more"
