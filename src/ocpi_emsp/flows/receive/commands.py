"""The eMSP interface of the commands module: the charge point's result of a command (mod_commands.md 2.2).

Rules of this module (docs/spec-choices.md row 7):
- the id in the URL is one that we made and nobody can guess; only the party that got the command may answer it;
- ``{"result": "ACCEPTED"}`` and the bare ``"ACCEPTED"`` are read alike;
- the first result stands; the same again is answered alike, another one is kept out and says so.
"""

from __future__ import annotations

from attrs import evolve

from ocpi_emsp.codec import encode
from ocpi_emsp.errors import UnknownObject
from ocpi_emsp.events import CommandResultReceived
from ocpi_emsp.flows.command import command_key, read_command
from ocpi_emsp.flows.incoming import Incoming, Outcome, Stored
from ocpi_emsp.flows.receive.objects import emit
from ocpi_emsp.models import CommandResponse
from ocpi_emsp.ports import Record
from ocpi_emsp.wire import Response


async def result(incoming: Incoming) -> Response:
    """The result of a command that we sent."""
    body = incoming.request.body.strip()
    response = incoming.accept(CommandResponse, b'{"result":' + body + b"}" if body.startswith(b'"') else body)
    key = command_key(incoming.party.country_code, incoming.party.party_id, incoming.params["uid"])
    async with incoming.context.store.transaction() as tx:
        record = await tx.get(key)
        command = read_command(record.document) if record else None
        if record is None or command is None or command.command.lower() != incoming.params["command"].lower():
            raise UnknownObject("this command is not known")
        if command.result is not None:
            if command.result == response.result:
                return incoming.reply(Stored(Outcome.UPDATED))
            return incoming.reply(Stored.kept(f"the result {command.result} was received before"))
        settled = evolve(command, result=response.result)
        await tx.put(Record(key, encode(settled), incoming.now, incoming.now))
        name, result_ = command.command.value, response.result.value
        await emit(incoming, tx, CommandResultReceived, key, uid=key.id, command=name, result=result_)
    return incoming.reply(Stored(Outcome.UPDATED))
