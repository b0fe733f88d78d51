"""The server that the crash tests kill: an eMSP under uvicorn or waitress, with a listener and a puller of its own.

    server.py URL HOST EVENTS SOCKET

Rules of this program:
- what is killed is a fork of a process that has everything imported and nothing open, so that a restart takes no
  second; the listening socket comes from the test: a partner who calls meanwhile waits, and the next server answers;
- for each byte on the input a server starts: its process id is announced, and its end; with the input all ends;
- a process that is gone is not reaped before the next one starts: nobody else can have its id while it may be killed;
- an event is one line in the file, written at once: a killed server leaves it whole or not at all;
- the puller keeps objects and its checkpoint in one transaction, the checkpoint first: a store that does not keep
  them together is found out. It works a page whenever a request was answered, beside the requests.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import uvicorn
from waitress.server import create_server  # type: ignore[import-untyped] # waitress ships no types

from ocpi_emsp import Emsp, Event, EvseReceived, OcpiError, Request, SupportMatrix
from ocpi_emsp._bridge import in_place, in_thread, lift_store, run
from ocpi_emsp.flows.context import Limits
from ocpi_emsp.flows.parties import Party, PartyState, issue, put_party
from ocpi_emsp.ports import AnyStore, Key, Kind, Record, Store
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode

TOKEN: Final = "token-of-the-partner"
BASE: Final = "http://127.0.0.1/ocpi/emsp"
LIMITS: Final = Limits(lease=timedelta(seconds=1), retry_first=timedelta(seconds=1), retry_longest=timedelta(seconds=1))
"""What a dead server had in hand is delivered by the next one, and not only by the last."""
EVERY: Final = 0.2
"""Seconds between two looks for events that wait."""
THREADS: Final = 8
UVICORN: Final[dict[str, Any]] = {
    "interface": "asgi3",
    "lifespan": "off",
    "ws": "none",
    "log_config": None,
    "access_log": False,
}
CHECKPOINT: Final = Key(Kind.CHECKPOINT, "NL", "TNM", "tariffs")
PAGE: Final = 3
LINE: Final = b"x"
"""What is sent to have a server started."""


def pulled_key(number: int) -> Key:
    """The key of a pulled object."""
    return Key(Kind.TARIFF, "NL", "TNM", f"PULLED-{number}")


def main(url: str, host: str, events: str, listening: int) -> None:
    """Start a server for each byte on the input."""
    _warm_up()
    store = SqlStore(url)
    emsp = make_emsp(store)
    child = 0
    while os.read(0, len(LINE)):
        if child:
            os.waitpid(child, 0)
        child = os.fork()
        if child == 0:
            try:
                serve(emsp, store, host, events, socket.socket(fileno=listening))
            finally:
                os._exit(1)
        print(child, flush=True)
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        print("killed by" if ended.si_code == os.CLD_KILLED else "exited with", ended.si_status, flush=True)


def make_emsp(store: AnyStore) -> Emsp:
    """The eMSP on a store."""
    return Emsp(
        country_code="IT",
        party_id="BEC",
        name="Be Charge",
        url=BASE,
        store=store,
        matrix=SupportMatrix.full(),
        limits=LIMITS,
    )


def register(store: AnyStore) -> None:
    """Have the partner registered, without a handshake."""
    now = datetime.now(UTC)
    party = Party(country_code="NL", party_id="TNM", state=PartyState.REGISTERED, issued=(issue(TOKEN, now),))

    async def put() -> None:
        async with lift_store(store, in_place).transaction() as tx:
            await put_party(tx, party, now)

    run(put())


def request(method: str, path: str, body: bytes = b"") -> Request:
    """A request of the partner, without a network."""
    return Request(method, f"/2.1.1/{path}", headers={"authorization": f"Token {TOKEN}"}, body=body)


def _warm_up() -> None:
    """Import and compile what the first requests would."""
    store = SqlStore("sqlite://")
    register(store)
    emsp = make_emsp(store)
    uvicorn.Config(emsp.asgi(), **UVICORN).load()
    for path, document in (
        ("locations/NL/TNM/LOC1", samples.location()),
        ("sessions/NL/TNM/SES1", samples.session()),
        ("tariffs/NL/TNM/TAR1", samples.tariff()),
    ):
        answer = emsp.handle(request("PUT", path, encode(document)))
        assert answer.status == 201, answer
    store.dispose()


def serve(emsp: Emsp, store: SqlStore, host: str, events: str, listening: socket.socket) -> None:
    """Serve until the input ends, or the process is killed."""
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    journal = os.open(events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    if host == "uvicorn":
        asyncio.run(_serve_async(emsp, lift_store(store, in_thread), journal, listening))
    else:
        _serve_threads(emsp, lift_store(store, in_place), journal, listening)


def _end_with_the_input() -> None:
    os.read(0, 1)
    os._exit(0)


async def _serve_async(emsp: Emsp, store: Store, journal: int, listening: socket.socket) -> None:
    application, answered = emsp.asgi(), asyncio.Event()

    async def listener(event: Event) -> None:
        await asyncio.to_thread(note, journal, event)

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        await application(scope, receive, send)
        answered.set()

    async def keep_pulling() -> None:
        while await answered.wait():
            answered.clear()
            try:
                await pull(store)
            except OcpiError as error:
                print("pull failed:", error, file=sys.stderr)

    emsp.on(Event)(listener)
    server = uvicorn.Server(uvicorn.Config(counted, **UVICORN))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(emsp.async_keep_delivering(every=EVERY))
        tasks.create_task(keep_pulling())
        tasks.create_task(server.serve([listening]))


def _serve_threads(emsp: Emsp, store: Store, journal: int, listening: socket.socket) -> None:
    application, answered = emsp.wsgi(), threading.Event()

    def listener(event: Event) -> None:
        note(journal, event)

    def counted(environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = application(environ, start_response)
        answered.set()
        return answer

    def keep_pulling() -> None:
        while answered.wait():
            answered.clear()
            try:
                run(pull(store))
            except OcpiError as error:
                print("pull failed:", error, file=sys.stderr)

    emsp.on(Event)(listener)
    threading.Thread(target=emsp.keep_delivering, kwargs={"every": EVERY}, daemon=True).start()
    threading.Thread(target=keep_pulling, daemon=True).start()
    create_server(counted, map={}, sockets=[listening], threads=THREADS).run()


async def pull(store: Store) -> None:
    """One page: objects, and a checkpoint that says how many there are."""
    now = datetime.now(UTC)
    async with store.transaction() as tx:
        checkpoint = await tx.get(CHECKPOINT)
        first = json.loads(checkpoint.document)["pulled"] if checkpoint is not None else 0
        await tx.put(Record(CHECKPOINT, json.dumps({"pulled": first + PAGE}).encode(), now, now))
        for number in range(first, first + PAGE):
            # A store may keep writes back until the end; what was put is sent when it is read.
            assert await tx.get(CHECKPOINT) is not None
            key = pulled_key(number)
            await tx.put(Record(key, encode(samples.tariff(key.id, last_updated=now)), now, now))
            assert await tx.get(key) is not None


def note(journal: int, event: Event) -> None:
    """Take an event; slowly, as somebody who forwards it would, so that many a kill comes in between."""
    os.fsync(journal)
    os.write(journal, line(event))


def line(event: Event) -> bytes:
    """An event of an object, as it is noted."""
    assert event.model is not None, event
    name = event.model[0]
    view = getattr(event, name)
    parent = f"{event.location_id}/" if isinstance(event, EvseReceived) else ""
    noted = {
        "event": type(event).__name__,
        "object": f"{name}/{parent}{getattr(view, 'uid', None) or view.id}",
        "created": getattr(event, "created", None),
        "last_updated": view.last_updated.isoformat(),
        "id": event.correlation_id,
    }
    return json.dumps(noted).encode() + b"\n"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
