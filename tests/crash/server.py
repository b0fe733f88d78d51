"""The server that the crash tests kill: an eMSP under uvicorn or waitress, with a listener and a puller of its own.

    server.py URL HOST EVENTS SOCKET

Rules of this program:
- what is killed is a fork (forks.py); the listening socket comes from the test: a partner who calls meanwhile waits,
  and the next server answers;
- an event is one line in the file, written at once: a killed server leaves it whole or not at all;
- the puller syncs the tariffs of a CPO whose list has no end: a page whenever a request was answered, beside the
  requests, by an eMSP of its own, so that nobody waits for events of what it pulls. A sync keeps the objects of a page
  and its checkpoint in one transaction: a store that does not keep them together is found out.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import uvicorn
from attrs import define
from waitress.server import create_server  # type: ignore[import-untyped] # waitress ships no types

from crash.forks import fork_for_each_message
from ocpi_emsp import Emsp, Limits, OcpiError
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.events import Event, EvseReceived
from ocpi_emsp.flows.parties.party import Party, PartyState, checkpoint_key, issue, put_party
from ocpi_emsp.models import Endpoint, ModuleID
from ocpi_emsp.ports import AnyStore
from ocpi_emsp.resources import SyncEnded, SyncProgress, SyncReport
from ocpi_emsp.settings import DeliveryLimits
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import make_emsp
from scripted_cpo import clients, page

TOKEN: Final = "token-of-the-partner"
BASE: Final = "http://127.0.0.1/ocpi/emsp"
LIMITS: Final = Limits(
    delivery=DeliveryLimits(
        lease=timedelta(seconds=1), first_wait=timedelta(seconds=1), longest_wait=timedelta(seconds=1)
    )
)
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
CHECKPOINT: Final = checkpoint_key("NL", "TNM", "tariffs")
CPO: Final = "http://127.0.0.1/cpo"
"""What the partner's URLs begin with; nothing is sent there, its list is made in this process."""
PAGE: Final = 3


def pulled_id(number: int) -> str:
    """The id of a pulled object."""
    return f"PULLED-{number}"


def main(url: str, host: str, events: str, listening: int) -> None:
    """Start a server for each message on the input."""
    _warm_up()
    store = SqlStore(url)
    emsp = emsp_on(store)
    fork_for_each_message(lambda _: serve(emsp, store, host, events, socket.socket(fileno=listening)))


def listed(request: httpx.Request) -> httpx.Response:
    """A page of the partner's tariffs, which have no end."""
    first = int(request.url.params.get("offset", 0))
    tariffs = [samples.tariff(pulled_id(number)) for number in range(first, first + PAGE)]
    return page(tariffs, str(request.url.copy_merge_params({"offset": first + PAGE})))


def emsp_on(store: AnyStore) -> Emsp:
    """The eMSP on a store."""
    return make_emsp(
        url=BASE,
        store=store,
        limits=LIMITS,
        url_policy="loopback",
        **clients(listed),
    )


@define
class OnePage:
    """Lets a sync end after a page."""

    is_told: bool = False

    def watch(self, _: SyncProgress) -> None:
        self.is_told = True

    def stop(self) -> bool:
        return self.is_told


def register(store: AnyStore) -> None:
    """Have the partner registered, without a handshake."""
    now = datetime.now(UTC)
    party = Party(
        country_code="NL",
        party_id="TNM",
        state=PartyState.REGISTERED,
        issued=(issue(TOKEN, now),),
        token="token-of-ours",
        endpoints=(Endpoint(identifier=ModuleID.TARIFFS, url=f"{CPO}/tariffs"),),
    )

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
    emsp = emsp_on(store)
    uvicorn.Config(emsp.asgi(), **UVICORN).load()
    for path, document in (
        ("locations/NL/TNM/LOC1", samples.location()),
        ("sessions/NL/TNM/SES1", samples.session()),
        ("tariffs/NL/TNM/TAR1", samples.tariff()),
    ):
        answer = emsp.handle(request("PUT", path, encode(document)))
        assert answer.status == 201, answer
    store.close()


def serve(emsp: Emsp, store: SqlStore, host: str, events: str, listening: socket.socket) -> None:
    """Serve until the input ends, or the process is killed."""
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    journal = os.open(events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    if host == "uvicorn":
        asyncio.run(_serve_async(emsp, emsp_on(store), journal, listening))
    else:
        _serve_threads(emsp, emsp_on(store), journal, listening)


def _end_with_the_input() -> None:
    os.read(0, 1)
    os._exit(0)


async def _serve_async(emsp: Emsp, puller: Emsp, journal: int, listening: socket.socket) -> None:
    application, answered = emsp.asgi(), asyncio.Event()

    async def listener(event: Event) -> None:
        await asyncio.to_thread(note, journal, event)

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        await application(scope, receive, send)
        answered.set()

    async def keep_pulling() -> None:
        while await answered.wait():
            answered.clear()
            page = OnePage()
            with failing():
                check(await puller.aio.partner("NL-TNM").sync(modules=["tariffs"], watch=page.watch, stop=page.stop))

    emsp.on(Event)(listener)
    server = uvicorn.Server(uvicorn.Config(counted, **UVICORN))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_pulling())
        async with emsp.aio.running(push=False, every=EVERY):
            await server.serve([listening])


def _serve_threads(emsp: Emsp, puller: Emsp, journal: int, listening: socket.socket) -> None:
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
            page = OnePage()
            with failing():
                check(puller.partner("NL-TNM").sync(modules=["tariffs"], watch=page.watch, stop=page.stop))

    emsp.on(Event)(listener)
    threading.Thread(target=keep_pulling, daemon=True).start()
    with emsp.running(push=False, every=EVERY):
        create_server(counted, map={}, sockets=[listening], threads=THREADS).run()


@contextmanager
def failing() -> Iterator[None]:
    """Says what fails; the database may be away."""
    try:
        yield
    except OcpiError as error:
        print("pull failed:", error, file=sys.stderr)


def check(report: SyncReport) -> None:
    """Whoever asks for one page gets one, and nothing that is known already."""
    (tariffs,) = report.modules
    counts = tariffs.created, tariffs.unchanged, tariffs.pages
    if tariffs.ended is not SyncEnded.STOPPED or counts != (PAGE, 0, 1):
        print("pull was wrong:", tariffs, file=sys.stderr)
        os._exit(1)


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
