"""What is known of a command that we sent, and how that changes: one table.

Rules of this module (mod_commands.md 1 and 2):
- every change of a command goes through :data:`TRANSITIONS`; docs/how-to/commands.md draws it from here;
- the first result stands: what comes after it changes nothing but what was not known yet;
- a result may come before the acknowledgement, after a refusal, and after the deadline: it is recorded each time;
- a state is final where nothing more is awaited; ``result`` then is the outcome of the command.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

from attrs import evolve, field, frozen

from ocpi_emsp.codec import decode, encode
from ocpi_emsp.models import (
    CommandResponseType,
    CommandType,
    ReserveNow,
    StartSession,
    StopSession,
    TokenType,
    UnlockConnector,
)
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.scalars import DateTime, OpenEnum

Command: TypeAlias = ReserveNow | StartSession | StopSession | UnlockConnector
"""What is sent (mod_commands.md 3)."""


class CommandState(OpenEnum):
    """How far a command is."""

    SENDING = "SENDING"
    """It is stored, and on its way to the CPO."""
    UNANSWERED = "UNANSWERED"
    """The CPO's answer did not come or cannot be read: it may have received the command."""
    ACKNOWLEDGED = "ACKNOWLEDGED"
    """The CPO passes it on to the charge point, whose result is awaited."""
    REFUSED = "REFUSED"
    """The CPO does not pass it on, or it was not sent: no result is awaited."""
    ANSWERED = "ANSWERED"
    """The charge point's result is there."""
    TIMED_OUT = "TIMED_OUT"
    """The deadline passed without a result."""
    LATE = "LATE"
    """The result was received after the deadline."""


class CommandChange(Enum):
    """What can happen to a command."""

    ACCEPTED = "the CPO acknowledges it with ACCEPTED"
    REJECTED = "the CPO acknowledges it with anything else, or refuses the request"
    NO_ANSWER = "no answer, or none that can be read"
    RESULT = "a result comes"
    DEADLINE = "the deadline passes"


_S, _C = CommandState, CommandChange

TRANSITIONS: Mapping[CommandState, Mapping[CommandChange, CommandState]] = {
    _S.SENDING: {
        _C.ACCEPTED: _S.ACKNOWLEDGED,
        _C.REJECTED: _S.REFUSED,
        _C.NO_ANSWER: _S.UNANSWERED,
        _C.RESULT: _S.ANSWERED,
        _C.DEADLINE: _S.TIMED_OUT,
    },
    _S.UNANSWERED: {_C.RESULT: _S.ANSWERED, _C.DEADLINE: _S.TIMED_OUT},
    _S.ACKNOWLEDGED: {_C.RESULT: _S.ANSWERED, _C.DEADLINE: _S.TIMED_OUT},
    _S.REFUSED: {_C.RESULT: _S.ANSWERED},
    _S.ANSWERED: {},
    _S.TIMED_OUT: {_C.RESULT: _S.LATE},
    _S.LATE: {},
}
"""The state after a change; what is not in a row leaves the state as it is."""

OPEN = frozenset({CommandState.SENDING, CommandState.UNANSWERED, CommandState.ACKNOWLEDGED})
"""The states in which a result is awaited."""


def after(state: CommandState, change: CommandChange) -> CommandState:
    """The state after a change."""
    return TRANSITIONS.get(state, {}).get(change, state)


@frozen(kw_only=True, slots=False)
class SentCommand:
    """A command and what became of it: the CPO's acknowledgement, later the charge point's result."""

    clause: ClassVar[str] = "mod_commands.md#1-flow"

    uid: str
    command: CommandType
    country_code: str
    party_id: str
    state: CommandState = CommandState.SENDING
    sent_at: DateTime | None = None
    """When it was stored, right before it was sent."""
    deadline: DateTime | None = None
    """When it is TIMED_OUT if there is no result by then."""
    acknowledgement: CommandResponseType | None = None
    """The CPO's immediate response."""
    result: CommandResponseType | None = None
    """The charge point's response."""
    result_at: DateTime | None = None
    error: str | None = None
    """Why there is no acknowledgement that can be read."""
    correlation_id: str = ""
    token_uid: str | None = None
    token_type: TokenType | None = None
    auth_id: str | None = None
    authorization_id: str | None = None
    """What its authorization is called, where it was sent with that (docs/how-to/extensions.md)."""
    location_id: str | None = None
    evse_uid: str | None = None
    connector_id: str | None = None
    reservation_id: int | None = None
    expiry_date: DateTime | None = None
    session_id: str | None = None
    """The session that a STOP_SESSION is about, or that a START_SESSION brought about, once it is known."""
    sequence: int = field(default=0, eq=False)
    """Its place in a list, which continues ``after`` it; it is not stored."""

    @cached_property
    def key(self) -> Key:
        """The key of its record."""
        return command_key(self.country_code, self.party_id, self.uid)

    @property
    def is_open(self) -> bool:
        """True while a result is awaited."""
        return self.state in OPEN

    @property
    def outcome(self) -> CommandResponseType | None:
        """What became of it: the result, a refusal, TIMEOUT after the deadline; None while that is open."""
        if self.result is not None:
            return self.result
        if self.state == CommandState.TIMED_OUT:
            return CommandResponseType.TIMEOUT
        if self.state == CommandState.REFUSED:
            return self.acknowledgement or CommandResponseType.REJECTED
        return None

    def changed(self, change: CommandChange, **values: Any) -> SentCommand:
        """The command after a change that brought these values."""
        return evolve(self, state=after(self.state, change), **values)


def command_key(country_code: str, party_id: str, uid: str) -> Key:
    """The key of a command's record."""
    return Key(Kind.COMMAND, country_code.upper(), party_id.upper(), uid)


def read_command(document: bytes) -> SentCommand:
    """The command of a record's document."""
    return decode(SentCommand, document)


async def get_command(tx: Transaction, key: Key) -> SentCommand | None:
    """The command, or None."""
    record = await tx.get(key)
    return read_command(record.document) if record else None


async def put_command(tx: Transaction, command: SentCommand, now: datetime, correlation_id: str = "") -> None:
    """Store a command as it is now; ``correlation_id`` of the request that changed it, where it is not its own."""
    under = correlation_id or command.correlation_id
    record = Record(command.key, encode(command), now, now, command, correlation_id=under)
    await tx.put(record)
