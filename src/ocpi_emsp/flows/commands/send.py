"""Commands that we send (mod_commands.md 2.1).

Rules of this module (docs/how-to/commands.md):
- a command is checked, then stored, then sent: its result may be received before the acknowledgement, and if the
  process is killed in between, the command has a deadline;
- ``response_url`` holds an unguessable id;
- the acknowledgement is ``{"result": ...}`` or the bare text, also in a list of one or a second envelope; all are read;
- a command that the CPO certainly does not carry out is REFUSED; otherwise it is UNANSWERED, and its result is awaited;
- it is sent once: a command whose request failed may have been carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve, frozen

from ocpi_emsp import logs
from ocpi_emsp.codec import decode, encode_valid
from ocpi_emsp.codec.extensions import AUTHORIZATION_ID, extended, require_extensions
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.wrapping import unwrap
from ocpi_emsp.errors import (
    AnswerUnusable,
    InvalidObject,
    NotJson,
    PartnerError,
    PartnerRefused,
    PartnerUnavailable,
    StoreFailed,
    UnsafeUrl,
)
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.flows.calls.call import call, require
from ocpi_emsp.flows.commands import reservations, states as command_state
from ocpi_emsp.flows.commands.deadlines import deliver_logged, stored, watch
from ocpi_emsp.flows.commands.preflight import check_command
from ocpi_emsp.flows.commands.session_match import look_for
from ocpi_emsp.flows.commands.states import Command, CommandChange, SentCommand, command_key, put_command, read_command
from ocpi_emsp.flows.core.context import Context, new_id, whole_second
from ocpi_emsp.flows.events.backlog import log_backlog
from ocpi_emsp.flows.events.journal import error_text
from ocpi_emsp.flows.inbound.stored import find, reader
from ocpi_emsp.flows.parties.party import Party, as_wanted
from ocpi_emsp.flows.parties.pending_resync import request_resync
from ocpi_emsp.models import (
    CommandResponse,
    CommandResponseType,
    CommandType,
    ReserveNow,
    StartSession,
    StopSession,
    UnlockConnector,
)
from ocpi_emsp.ports import Kind, Transaction
from ocpi_emsp.routes import incoming as route, outgoing

_TYPES: dict[type[Command], CommandType] = {
    ReserveNow: CommandType.RESERVE_NOW,
    StartSession: CommandType.START_SESSION,
    StopSession: CommandType.STOP_SESSION,
    UnlockConnector: CommandType.UNLOCK_CONNECTOR,
}
_RESULT = route("commands.result")
_SUBJECT = ("location_id", "evse_uid", "connector_id", "reservation_id", "expiry_date", "session_id")
_LONGEST_ERROR = 500
_LONGEST_SAID = 255


@frozen(kw_only=True)
class CommandAcknowledgement:
    """A command that the CPO acknowledged, in its state at that time."""

    command: SentCommand
    findings: tuple[Finding, ...]
    """The findings of the checks before sending."""


# --- what was sent --------------------------------------------------------------------------------------------------


async def get_command(context: Context, country_code: str, party_id: str, uid: str) -> SentCommand | None:
    """Return the stored command with this id."""
    record = await find(context, command_key(country_code, party_id, uid))
    return read_command(record.document) if record else None


async def list_commands(
    context: Context, country_code: str | None, party_id: str | None, limit: int, after: int
) -> list[SentCommand]:
    """Return commands, oldest first, ``after`` a sequence, of one party if its codes are given."""
    records = await reader(context, Kind.COMMAND, (country_code, party_id))(limit, after)
    return [evolve(read_command(record.document), sequence=record.sequence) for record in records]


# --- sending --------------------------------------------------------------------------------------------------------


async def send_command(
    context: Context,
    party: Party,
    kind: type[Command],
    /,
    *,
    timeout: float | None,
    force: bool,
    authorization_id: str | None = None,
    extensions: Mapping[str, Any] | None = None,
    **members: Any,
) -> CommandAcknowledgement:
    """Send a command with these members; its result is sent later to its ``response_url``.

    ``timeout``: the seconds until its deadline; ``force``: send it even if the checks found an error; ``extensions``:
    members unknown to the specification, of which ``authorization_id`` is one. Raises NotSupported, NotRegistered,
    MissingEndpoints, InvalidObject: nothing was stored or sent; PartnerError, with the ``command_uid`` under which the
    command is stored; StoreFailed, which has it if the command was sent; UnsafeUrl; ValueError if ``timeout`` is not
    positive, and for a time without a zone.
    """
    uid, name = new_id(), _TYPES[kind]
    url = _RESULT.url(context.identity.endpoint("commands"), command=name.value, uid=uid)
    command = kind(response_url=url, **members)
    require(context, party, outgoing(f"commands.{name.value}"))
    if authorization_id is None and AUTHORIZATION_ID not in (extensions if isinstance(extensions, Mapping) else ()):
        authorization_id = _authorization_id(party, command)
    added = require_extensions(kind, extensions, authorization_id)
    body = as_wanted(party.profile, kind, extended(encode_valid(command), added))
    findings = await _checked(context, party, command, force=force)
    context = context.correlated()
    sent = await _store(context, party, uid, command, timeout, added.get(AUTHORIZATION_ID))
    try:
        acknowledgement = await _ask(context, party, name, body)
    except (PartnerError, UnsafeUrl) as error:
        if isinstance(error, PartnerError):
            error.command_uid = uid
        change = CommandChange.REJECTED if _is_refusal(error) else CommandChange.NO_ANSWER
        await _record(context, sent, change, error=error_text(error))
        raise
    is_accepted = acknowledgement == CommandResponseType.ACCEPTED
    change = CommandChange.ACCEPTED if is_accepted else CommandChange.REJECTED
    answered = await _record(context, sent, change, acknowledgement=acknowledgement)
    await log_backlog(context)
    return CommandAcknowledgement(command=answered, findings=findings)


async def _checked(context: Context, party: Party, command: Command, *, force: bool) -> tuple[Finding, ...]:
    """Return the findings of the checks before sending. Raises InvalidObject for an error, unless forced."""
    async with context.store.transaction(read_only=True) as tx:
        findings = tuple(await check_command(context, tx, party, command))
    if not force and any(finding.severity is Severity.ERROR for finding in findings):
        name = _TYPES[type(command)].value
        raise InvalidObject(
            f"this {name} cannot succeed and was not sent; force=True (--force) sends it", findings=findings
        )
    return findings


def _authorization_id(party: Party, command: Command) -> str | None:
    """Return a new authorization_id for a command, if the party's profile requires one."""
    wants = party.profile.authorization_ids and isinstance(command, StartSession | ReserveNow)
    return new_id() if wants else None


async def _store(
    context: Context, party: Party, uid: str, command: Command, timeout: float | None, authorization_id: str | None
) -> SentCommand:
    """Store a command that is about to be sent, with its deadline and its pending match."""
    now = context.clock.now()
    sent = SentCommand(
        uid=uid,
        command=_TYPES[type(command)],
        country_code=party.country_code,
        party_id=party.party_id,
        sent_at=whole_second(now),
        deadline=_deadline(context, now, timeout),
        correlation_id=context.correlation_id,
        authorization_id=authorization_id,
        **_subject(command),
    )
    async with context.store.transaction() as tx:
        await put_command(tx, sent, now)
        await watch(tx, sent, now)
        if isinstance(command, StartSession):
            await look_for(tx, sent, now)
        elif isinstance(command, ReserveNow):
            await reservations.asked(tx, sent, now)
    return sent


def _deadline(context: Context, now: datetime, timeout: float | None) -> datetime:
    """Return the deadline in full seconds, so that it is stored exactly; never earlier than requested."""
    if timeout is not None and not timeout > 0:
        raise ValueError(f"invalid timeout '{timeout}': expected seconds above 0, for example 120")
    try:
        due = now + (context.limits.commands.result_timeout if timeout is None else timedelta(seconds=timeout))
        return whole_second(due if due.microsecond == 0 else due + timedelta(seconds=1))
    except OverflowError:
        raise ValueError(
            f"invalid timeout '{timeout}': expected seconds within the calendar, for example 120"
        ) from None


def _subject(command: Command) -> dict[str, Any]:
    """Return the stored members that a command refers to."""
    subject: dict[str, Any] = {name: getattr(command, name) for name in _SUBJECT if hasattr(command, name)}
    if isinstance(command, ReserveNow):
        subject["expiry_date"] = whole_second(command.expiry_date)
    if isinstance(command, StartSession | ReserveNow):
        token = command.token
        subject |= {"token_uid": token.uid, "token_type": token.type, "auth_id": token.auth_id}
    return subject


async def _ask(context: Context, party: Party, kind: CommandType, body: bytes) -> CommandResponseType:
    """Send the command; return the CPO's acknowledgement. Raises PartnerError, UnsafeUrl."""
    envelope = await call(context, party, outgoing(f"commands.{kind.value}"), body=body)
    data = bytes(envelope.data)
    try:
        unwrapped = unwrap(data, envelopes=True)
        result = decode(CommandResponse, as_object(unwrapped.document)).result
    except (InvalidObject, NotJson) as error:
        raise AnswerUnusable(f"the acknowledgement cannot be read: {error.reason}", findings=error.findings) from error
    if unwrapped.around:
        logs.info("answer.unwrapped", party=party, kind="CommandResponse", note=unwrapped.note)
    if not is_readable(result):
        raise AnswerUnusable(f"the acknowledgement cannot be read: {shown(result.value)}"[:_LONGEST_ERROR])
    return result


def as_object(said: bytes) -> bytes:
    """Return a CommandResponse, even if only its result was sent (docs/spec-choices.md row 7)."""
    said = said.strip()
    return b'{"result":' + said + b"}" if said.startswith(b'"') else said


def is_readable(said: CommandResponseType) -> bool:
    """Return True for a specified value, and for any other short text: partners have values of their own."""
    return 0 < len(said.value) <= _LONGEST_SAID and said.value.isprintable()


def _is_refusal(error: PartnerError | UnsafeUrl) -> bool:
    """Return True if the CPO certainly does not carry the command out."""
    if not isinstance(error, PartnerRefused):
        return isinstance(error, PartnerUnavailable | UnsafeUrl)
    if error.answered_http >= 500:
        return False
    return error.answered_http >= 400 or 2000 <= (error.answered_code or 0) < 3000


async def _record(context: Context, sent: SentCommand, change: CommandChange, **values: Any) -> SentCommand:
    """Return the command after the CPO's response, or the lack of one; its result may already be stored."""
    try:
        now = context.clock.now()
        async with context.store.transaction() as tx:
            known = await command_state.get_command(tx, sent.key) or sent
            answered = known.changed(change, **values)
            leased = await stored(context, tx, answered, now)
            await pull_unknown_session(tx, answered, answered.acknowledgement, now)
    except StoreFailed as error:
        error.command_uid = sent.uid
        raise
    context.notify(sent.uid)
    said = answered.acknowledgement.value if answered.acknowledgement else answered.error
    logs.info(
        "command.answered",
        party=f"{sent.country_code}-{sent.party_id}",
        command=sent.command.value,
        uid=sent.uid,
        said=said,
        correlation_id=sent.correlation_id,
    )
    await deliver_logged(context, leased)
    return answered


async def pull_unknown_session(
    tx: Transaction, sent: SentCommand, said: CommandResponseType | None, now: datetime
) -> None:
    """Request a resync of a session that the party itself sent and no longer knows."""
    if said == CommandResponseType.UNKNOWN_SESSION and sent.session_id is not None:
        await request_resync(tx, (sent.key.country_code, sent.key.party_id), "sessions", sent.session_id, now)
