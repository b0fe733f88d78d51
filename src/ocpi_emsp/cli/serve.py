"""``ocpi-emsp serve``: an eMSP under uvicorn, on a database.

Rules of this module:
- the database and its schema are checked before it listens; stderr names the database;
- waiting events are delivered beside the requests, whichever process journalled them; so are tokens, unless that is
  left to other processes: a few parties at once, so that a slow one delays no other;
- stdout only has its address and the requested invitations, once requests are answered;
- stderr has the limits on connections, heads and bodies, and the event loop and parser in use;
- every request is logged on stderr, without any token;
- SIGTERM and Ctrl-C end it in order: requests in progress are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from ocpi_emsp import PartyId
from ocpi_emsp.cli import laptop, output
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.invite import as_json as invitation_json, print_invitation
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.settings import MEMORY, require_identity, store_url
from ocpi_emsp.cli.signals import on_signals
from ocpi_emsp.cli.stores import (
    BASE_PATH,
    make_emsp,
    open_store,
    require_usable_identity,
    require_usable_key,
    warn_of_readers,
)
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.ports import AnyStore
from ocpi_emsp.resources import Invitation
from ocpi_emsp.settings import Forwarded
from ocpi_emsp.storage import MemoryStore

if TYPE_CHECKING:
    from ocpi_emsp.cli.connections import ConnectionLimits

Close: TypeAlias = Callable[[], Awaitable[None]]
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def run(arguments: Arguments) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    if arguments.laptop:
        arguments = laptop.served(arguments)
    require_identity(arguments)
    require_usable_identity(arguments)
    forwarded = _forwarded(arguments.forwarded)
    output.require("uvicorn", "server")
    from ocpi_emsp.cli.connections import ConnectionLimits
    from ocpi_emsp.cli.server import LIBRARIES, base_url, listen, run as run_loop

    with (
        _opened(store_url(arguments, memory_allowed=True), arguments.auto_upgrade) as (store, close),
        output.log_on_stderr(logging.Formatter, ocpi_emsp=logging.INFO),
        listen(arguments.host, arguments.port) as listening,
    ):
        url = base_url(listening) + BASE_PATH
        arguments = _at_its_port(arguments, listening)
        emsp = make_emsp(arguments, store, url, forwarded=forwarded, audit=arguments.audit)
        if arguments.retention is not None:
            emsp.retention(arguments.retention)
        if arguments.url is None and arguments.host in ("0.0.0.0", "::", ""):
            output.say(
                f"only this machine can connect to {emsp.identity.url}: set --url to the public URL for partners"
            )
        output.say(f"listening on {base_url(listening)}")
        limits = ConnectionLimits(connections=arguments.connections)
        http = emsp.limits.http
        output.say(f"limits: {limits}; a body has {http.request_body} bytes and {http.body_timeout:g} s")
        output.say(f"served with {' and '.join(LIBRARIES)}")
        run_loop(_serve(emsp, listening, arguments, close, limits))
    return 0


def _at_its_port(arguments: Arguments, listening: socket.socket) -> Arguments:
    """Return the arguments; a URL of this machine gets the actual port, if any free one was requested."""
    url, taken = urlsplit(arguments.url or ""), listening.getsockname()[1]
    if url.scheme != "http" or url.hostname not in _THIS_MACHINE or url.port in (None, taken):
        return arguments
    own = url._replace(netloc=f"{url.netloc.rpartition(':')[0]}:{taken}").geturl()
    if arguments.port != 0:
        output.say(
            f"url is {arguments.url}, and this server listens on port {taken}: set --port {url.port} or "
            f"--url {own}, unless a proxy of this machine listens on port {url.port}"
        )
        return arguments
    output.say(
        f"partners get {own} instead of url {arguments.url}: give other commands the same --url, or set a --port"
    )
    return Arguments(**vars(arguments) | {"url": own})


def _forwarded(proxies: Sequence[str]) -> Forwarded | None:
    try:
        return Forwarded(proxies) if proxies else None
    except ValueError as error:
        raise Usage(str(error).replace("Forwarded.proxies", "--forwarded")) from None


@contextlib.contextmanager
def _opened(url: str, auto_upgrade: bool) -> Iterator[tuple[AnyStore, Close]]:
    """Open the store, and yield it with a function that closes it in its event loop; otherwise the end of the block
    does.
    """
    if url == MEMORY:
        output.say("stores everything in memory: it is lost when this process ends")
        yield MemoryStore(), _nothing
        return
    require_usable_key()
    with contextlib.closing(open_store(url, auto_upgrade=auto_upgrade)) as store:
        output.say(f"stores everything in {store}")
        warn_of_readers(store)
        yield store, store.aclose


async def _nothing() -> None:
    """Do nothing, since there is nothing to close."""


async def _serve(
    emsp: Emsp, listening: socket.socket, arguments: Arguments, close: Close, limits: ConnectionLimits
) -> None:
    from ocpi_emsp.cli.server import keep_started, serving

    end = asyncio.Event()
    try:
        with on_signals(lambda _: end.set(), signal.SIGTERM, signal.SIGINT):
            app = emsp.asgi(background=False)
            async with emsp.aio.running(push=not arguments.no_push), serving(app, listening, limits):
                invited = {party: await emsp.aio.parties.invite(party) for party in arguments.invite}
                keep_started()
                _announce(emsp, invited, as_json=arguments.json)
                await end.wait()
    finally:
        await close()


def _announce(emsp: Emsp, invited: Mapping[PartyId, Invitation], *, as_json: bool) -> None:
    identity = emsp.identity
    if as_json:
        invitations = [
            {"country_code": party.country_code, "party_id": party.party_id, **invitation_json(each)}
            for party, each in invited.items()
        ]
        output.write_json(
            {
                "country_code": identity.country_code,
                "party_id": identity.party_id,
                "url": identity.url,
                "versions_url": identity.versions_url,
                "invitations": invitations,
            },
            indent=None,
        )
        return
    output.write(f"eMSP {identity.country_code}-{identity.party_id} answers at {identity.versions_url}\n")
    for party, invitation in invited.items():
        print_invitation(party, invitation)
    output.flush()
