"""The state of a command that we sent, and its changes: one table.

Rules of this module (mod_commands.md 1 and 2):
- every change of a command goes through :data:`TRANSITIONS`; docs/how-to/commands.md draws it from here;
- the first result counts: later responses only add what was still unknown;
- a result may be received before the acknowledgement, after a refusal, and after the deadline: it is recorded each
  time;
- a state is final if nothing more is awaited; ``result`` is then the outcome of the command.
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
"""The commands that are sent (mod_commands.md 3)."""


class CommandState(OpenEnum):
    """The progress of a command."""

    SENDING = "SENDING"
    """It is stored, and about to reach the CPO."""
    UNANSWERED = "UNANSWERED"
    """The CPO's response is missing or unreadable: the CPO may have received the command."""
    ACKNOWLEDGED = "ACKNOWLEDGED"
    """The CPO passes it on to the charge point, whose result is awaited."""
    REFUSED = "REFUSED"
    """The CPO does not pass it on, or it was not sent: no result is awaited."""
    ANSWERED = "ANSWERED"
    """The charge point's result was received."""
    TIMED_OUT = "TIMED_OUT"
    """The deadline passed without a result."""
    LATE = "LATE"
    """The result was received after the deadline."""


class CommandChange(Enum):
    """An event that may change a command's state."""

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
"""The state after a change; a change that is not in a row leaves the state as it is."""

OPEN = frozenset({CommandState.SENDING, CommandState.UNANSWERED, CommandState.ACKNOWLEDGED})
"""The states in which a result is awaited."""


def after(state: CommandState, change: CommandChange) -> CommandState:
    """Return the state after a change."""
    return TRANSITIONS.get(state, {}).get(change, state)


@frozen(kw_only=True, slots=False)
class SentCommand:
    """A command and its responses: the CPO's acknowledgement, later the charge point's result."""

    clause: ClassVar[str] = "mod_commands.md#1-flow"

    uid: str
    command: CommandType
    country_code: str
    party_id: str
    state: CommandState = CommandState.SENDING
    sent_at: DateTime | None = None
    """When it was stored, right before it was sent."""
    deadline: DateTime | None = None
    """When it becomes TIMED_OUT if there is no result."""
    acknowledgement: CommandResponseType | None = None
    """The CPO's immediate response."""
    result: CommandResponseType | None = None
    """The charge point's response."""
    result_at: DateTime | None = None
    error: str | None = None
    """Why there is no readable acknowledgement."""
    correlation_id: str = ""
    token_uid: str | None = None
    token_type: TokenType | None = None
    auth_id: str | None = None
    authorization_id: str | None = None
    """Its authorization_id, if it was sent with one (docs/how-to/extensions.md)."""
    location_id: str | None = None
    evse_uid: str | None = None
    connector_id: str | None = None
    reservation_id: int | None = None
    expiry_date: DateTime | None = None
    session_id: str | None = None
    """The session that a STOP_SESSION names, or that a START_SESSION caused, once it is known."""
    sequence: int = field(default=0, eq=False)
    """Its place in a list, which continues ``after`` it; not stored."""

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
        """The outcome: the result, a refusal, TIMEOUT after the deadline; None while it is open."""
        if self.result is not None:
            return self.result
        if self.state == CommandState.TIMED_OUT:
            return CommandResponseType.TIMEOUT
        if self.state == CommandState.REFUSED:
            return self.acknowledgement or CommandResponseType.REJECTED
        return None

    def changed(self, change: CommandChange, **values: Any) -> SentCommand:
        """Return the command after a change that brought these values."""
        return evolve(self, state=after(self.state, change), **values)


def command_key(country_code: str, party_id: str, uid: str) -> Key:
    """Return the key of a command's record."""
    return Key(Kind.COMMAND, country_code.upper(), party_id.upper(), uid)


def read_command(document: bytes) -> SentCommand:
    """Return the command of a record's document."""
    return decode(SentCommand, document)


async def get_command(tx: Transaction, key: Key) -> SentCommand | None:
    """Return the command, or None."""
    record = await tx.get(key)
    return read_command(record.document) if record else None


async def put_command(tx: Transaction, command: SentCommand, now: datetime, correlation_id: str = "") -> None:
    """Store a command in its current state; ``correlation_id`` is that of the request that changed it, if not its
    own.
    """
    under = correlation_id or command.correlation_id
    record = Record(command.key, encode(command), now, now, command, correlation_id=under)
    await tx.put(record)
