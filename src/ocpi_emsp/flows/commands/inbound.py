"""The eMSP interface of the commands module: the charge point's result of a command (mod_commands.md 2.2).

Rules of this module (docs/how-to/commands.md; docs/spec-choices.md row 7):
- the id in the URL is ours and unguessable; only the party that received the command may send its result;
- ``{"result": "ACCEPTED"}`` and the bare ``"ACCEPTED"`` are read alike, also inside an envelope (serving/dispatch.py);
- a result is also accepted before the acknowledgement and after the deadline;
- the first result counts; the same result again gets the same response, another one is rejected with a message.
"""

from __future__ import annotations

from ocpi_emsp import logs
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject, UnknownObject
from ocpi_emsp.events import CommandResultReceived
from ocpi_emsp.flows.commands.deadlines import stored
from ocpi_emsp.flows.commands.send import as_object, is_readable, pull_unknown_session
from ocpi_emsp.flows.commands.states import CommandChange, CommandState, command_key, get_command
from ocpi_emsp.flows.inbound.request import Incoming, Outcome, Stored
from ocpi_emsp.models import CommandResponse
from ocpi_emsp.wire import Response


async def result(incoming: Incoming) -> Response:
    """The result of a command that we sent."""
    response = incoming.accept(CommandResponse, as_object(incoming.request.body))
    if not is_readable(response.result):
        raise InvalidObject(f"the result is empty, too long or not printable: {shown(response.result.value)}")
    key = command_key(incoming.party.country_code, incoming.party.party_id, incoming.params["uid"])
    async with incoming.context.store.transaction() as tx:
        sent = await get_command(tx, key)
        if sent is None or sent.command.lower() != incoming.params["command"].lower():
            raise UnknownObject("unknown command: expected the response_url of a command that was sent to this party")
        name, said = sent.command.value, response.result.value
        if sent.result is not None:
            if sent.result == response.result:
                return incoming.reply(Stored(Outcome.UPDATED))
            logs.warning("command.contradicted", party=incoming.party, command=name, uid=key.id, said=said)
            return incoming.reply(Stored.kept(f"the result {sent.result} was received before"))
        settled = sent.changed(CommandChange.RESULT, result=response.result, result_at=incoming.now)
        incoming.leased.extend(await stored(incoming.context, tx, settled, incoming.now, incoming.correlation_id))
        await pull_unknown_session(tx, settled, settled.result, incoming.now)
        late = settled.state == CommandState.LATE
        await incoming.emit(tx, CommandResultReceived, key, uid=key.id, command=name, result=said, late=late)
    incoming.context.notify(key.id)
    logs.info(
        "command.result",
        party=incoming.party,
        command=name,
        uid=key.id,
        said=said,
        late=late,
        correlation_id=sent.correlation_id,
    )
    return incoming.reply(Stored(Outcome.UPDATED))
