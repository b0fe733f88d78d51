"""``ocpi-emsp command start-session|stop-session|reserve-now|show``: commands to a CPO.

Rules of this module:
- the result is posted to our server, whichever process sent the command: the server must run on the same store;
- the command is named as soon as it is sent, so a wait that ends early can continue with ``show --wait``;
- exit status 0 for ACCEPTED by the CPO and, if its result was waited for, by the charge point; 1 for anything else, or
  no result in time; 3 if the CPO's response is unusable.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import CommandFailed
from ocpi_emsp.cli.identity import extensions
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.stores import emsp_of
from ocpi_emsp.codec import dump
from ocpi_emsp.codec.encode import document
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.errors import PartnerError, StoreFailed
from ocpi_emsp.findings import counted
from ocpi_emsp.models import CommandResponseType, CommandType, Token, TokenType
from ocpi_emsp.resources import Client, PendingCommand

SESSION_SECONDS: Final = 3.0
"""How long ``--wait`` waits for the session after an accepted result."""


def run(arguments: Arguments) -> int:
    """Send the command, or read one, and wait for its result if requested."""
    needed = None if arguments.action == "show" else "the CPO posts the result to our server"
    with emsp_of(arguments, url_needed_for=needed) as emsp:
        if arguments.action == "show":
            return _ended(emsp.commands.pending(arguments.party, arguments.uid), arguments)
        with emsp.partner(arguments.party).client() as cpo:
            try:
                pending = _send(cpo, emsp, arguments)
            except (PartnerError, StoreFailed) as error:
                if (uid := error.command_uid) is not None:
                    output.say(f"it may have arrived: ocpi-emsp command show {'-'.join(arguments.party)} {uid}")
                raise
        return _ended(pending, arguments)


# --- sending --------------------------------------------------------------------------------------------------------


def _send(cpo: Client, emsp: Emsp, arguments: Arguments) -> PendingCommand:
    sending: dict[str, Any] = {"timeout": arguments.timeout, "force": arguments.force}
    if arguments.extensions is not None:
        sending["extensions"] = extensions(arguments.extensions)
    if arguments.action == "stop-session":
        return cpo.stop_session(session_id=arguments.session_id, **sending)
    token = _token(emsp, arguments)
    sending["authorization_id"] = arguments.authorization_id
    charging = {"token": token, "location_id": arguments.location, "evse_uid": arguments.evse, **sending}
    if arguments.action == "start-session":
        return cpo.start_session(**charging)
    return cpo.reserve_now(expiry_date=arguments.until, reservation_id=arguments.reservation_id, **charging)


def _token(emsp: Emsp, arguments: Arguments) -> Token:
    token = emsp.tokens.get(arguments.token, TokenType.of(arguments.type))
    if token is None:
        raise CommandFailed(f"there is no token '{arguments.token}' of type {arguments.type} in the store")
    return token


# --- the result -----------------------------------------------------------------------------------------------------


def _ended(pending: PendingCommand, arguments: Arguments) -> int:
    for finding in pending.findings:
        output.say(str(finding))
    if not arguments.json:
        _say_sent(pending)
    if arguments.wait is not None:
        _wait(pending, arguments.wait)
    sent = pending.refresh()
    if arguments.json:
        output.write_bytes(dump(document(sent)) + b"\n")
    elif sent.outcome is not None:
        said = "the charge point says" if sent.result is not None else "it ended with"
        session = f"; session {sent.session_id}" if sent.session_id is not None else ""
        output.write_line(f"{said} {sent.outcome.value}{session}")
    if sent.outcome is not None:
        return 0 if sent.outcome == CommandResponseType.ACCEPTED else CommandFailed.status
    is_done = arguments.wait is None and sent.acknowledgement == CommandResponseType.ACCEPTED
    return 0 if is_done else CommandFailed.status


def _wait(pending: PendingCommand, seconds: int) -> None:
    """Wait for the result, and for the session that most CPOs push right after it: stop-session needs its id."""
    try:
        result = pending.result(timeout=seconds)
    except TimeoutError:
        output.say(f"no result within {counted(seconds, 'second')}; the command is still open")
        return
    if result == CommandResponseType.ACCEPTED and pending.command.command == CommandType.START_SESSION:
        with suppress(TimeoutError):
            pending.session(timeout=SESSION_SECONDS)


def _say_sent(pending: PendingCommand) -> None:
    sent: Any = pending.command
    said = sent.acknowledgement.value if sent.acknowledgement is not None else "nothing that can be read"
    party = f"{sent.country_code}-{sent.party_id}"
    number = f", reservation {sent.reservation_id}" if sent.reservation_id is not None else ""
    output.write_line(f"{sent.command.value} {sent.uid}{number}: {party} says {said}")
