"""Commands that we send (mod_commands.md 2.1).

Rules of this module:
- a command is stored before it is sent, since its result may come before the acknowledgement;
- ``response_url`` holds an id that nobody can guess;
- the acknowledgement is ``{"result": ...}`` or the bare text; both are read.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, TypeAlias

from attrs import evolve, frozen

from ocpi_emsp.codec import decode, encode, encode_valid
from ocpi_emsp.errors import AnswerUnusable, InvalidObject, NotJson
from ocpi_emsp.flows.call import call, require
from ocpi_emsp.flows.context import Context, new_id
from ocpi_emsp.flows.parties import Party
from ocpi_emsp.models import (
    CommandResponse,
    CommandResponseType,
    CommandType,
    ReserveNow,
    StartSession,
    StopSession,
    Token,
    UnlockConnector,
)
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.routes import incoming as route
from ocpi_emsp.routes import outgoing

Command: TypeAlias = ReserveNow | StartSession | StopSession | UnlockConnector

_TYPES: dict[type[Command], CommandType] = {
    ReserveNow: CommandType.RESERVE_NOW,
    StartSession: CommandType.START_SESSION,
    StopSession: CommandType.STOP_SESSION,
    UnlockConnector: CommandType.UNLOCK_CONNECTOR,
}
_RESULT = route("commands.result")


@frozen(kw_only=True, slots=False)
class SentCommand:
    """A command and what became of it: the CPO's acknowledgement, later the charge point's result."""

    clause: ClassVar[str] = "mod_commands.md#1-flow"

    uid: str
    command: CommandType
    country_code: str
    party_id: str
    acknowledgement: CommandResponseType | None = None
    result: CommandResponseType | None = None


def command_key(country_code: str, party_id: str, uid: str) -> Key:
    """The key of a command's record."""
    return Key(Kind.COMMAND, country_code.upper(), party_id.upper(), uid)


def read_command(document: bytes) -> SentCommand:
    """The command of a record's document."""
    return decode(SentCommand, document)


def response_url(context: Context, kind: type[Command], uid: str) -> str:
    """Where the result of a command comes in."""
    return _RESULT.url(context.identity.endpoint("commands"), command=_TYPES[kind].value, uid=uid)


async def get_command(context: Context, country_code: str, party_id: str, uid: str) -> SentCommand | None:
    """The command with this id, as it stands now."""
    async with context.store.transaction(read_only=True) as tx:
        record = await tx.get(command_key(country_code, party_id, uid))
    return read_command(record.document) if record else None


async def reserve_now(
    context: Context,
    party: Party,
    *,
    token: Token,
    location_id: str,
    expiry_date: datetime,
    reservation_id: int,
    evse_uid: str | None = None,
) -> SentCommand:
    """RESERVE_NOW until ``expiry_date``; the same ``reservation_id`` replaces a reservation."""
    uid = new_id()
    command = ReserveNow(
        response_url=response_url(context, ReserveNow, uid),
        token=token,
        expiry_date=expiry_date,
        reservation_id=reservation_id,
        location_id=location_id,
        evse_uid=evse_uid,
    )
    return await send_command(context, party, uid, command)


async def start_session(
    context: Context, party: Party, *, token: Token, location_id: str, evse_uid: str | None = None
) -> SentCommand:
    """START_SESSION."""
    uid = new_id()
    url = response_url(context, StartSession, uid)
    command = StartSession(response_url=url, token=token, location_id=location_id, evse_uid=evse_uid)
    return await send_command(context, party, uid, command)


async def stop_session(context: Context, party: Party, *, session_id: str) -> SentCommand:
    """STOP_SESSION."""
    uid = new_id()
    command = StopSession(response_url=response_url(context, StopSession, uid), session_id=session_id)
    return await send_command(context, party, uid, command)


async def unlock_connector(
    context: Context, party: Party, *, location_id: str, evse_uid: str, connector_id: str
) -> SentCommand:
    """UNLOCK_CONNECTOR; for help-desk operators only (mod_commands.md 4.2)."""
    uid = new_id()
    command = UnlockConnector(
        response_url=response_url(context, UnlockConnector, uid),
        location_id=location_id,
        evse_uid=evse_uid,
        connector_id=connector_id,
    )
    return await send_command(context, party, uid, command)


async def send_command(context: Context, party: Party, uid: str, command: Command) -> SentCommand:
    """Send a command; the acknowledgement is in the answer, the result comes later to ``response_url``.

    Raises NotSupported, InvalidObject, PartnerError; the command stays stored without an acknowledgement then, since
    the CPO may have got it.
    """
    kind = _TYPES[type(command)]
    to = outgoing(f"commands.{kind.value}")
    require(context, party, to)
    body = encode_valid(command)
    sent = SentCommand(uid=uid, command=kind, country_code=party.country_code, party_id=party.party_id)
    key = command_key(party.country_code, party.party_id, uid)
    now = context.clock.now()
    async with context.store.transaction() as tx:
        await tx.put(Record(key, encode(sent), now, now))
    envelope = await call(context, party, to, body=body)
    acknowledgement = _read_acknowledgement(bytes(envelope.data)).result
    async with context.store.transaction() as tx:
        record = await tx.get(key)
        settled = evolve(read_command(record.document) if record else sent, acknowledgement=acknowledgement)
        now = context.clock.now()
        await tx.put(Record(key, encode(settled), now, now))
    return settled


def _read_acknowledgement(data: bytes) -> CommandResponse:
    try:
        return decode(CommandResponse, b'{"result":' + data + b"}" if data.startswith(b'"') else data)
    except (InvalidObject, NotJson) as error:
        raise AnswerUnusable(f"the acknowledgement cannot be read: {error.message}", findings=error.findings) from error
