"""``ocpi-emsp serve``: an eMSP under uvicorn, on a store in memory.

Rules of this module:
- what it prints on stdout is where it is reached and the invitations that were asked for, once requests are answered;
- every request is logged on stderr, without any token;
- SIGTERM and Ctrl-C end it in order: what is being answered is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from argparse import Namespace
from collections.abc import Iterator

from attrs import asdict, frozen

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.settings import Settings, read_settings
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.storage import MemoryStore

BASE_PATH = "/ocpi/emsp"


@frozen(kw_only=True)
class Invited:
    """What to hand to a CPO, in a secure way."""

    country_code: str
    party_id: str
    versions_url: str
    token_a: str


def run(arguments: Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    settings = read_settings(arguments, os.environ)
    output.require("uvicorn", "server")
    from ocpi_emsp.cli.server import base_url, listen

    with _log_on_stderr(), listen(arguments.host, arguments.port) as listening:
        emsp = _emsp(settings, settings.url or base_url(listening) + BASE_PATH)
        if settings.url is None and arguments.host in ("0.0.0.0", "::", ""):
            output.say(f"only this machine reaches {emsp.identity.url}: --url says what partners are told")
        output.say("everything is kept in memory and is gone when this process ends")
        asyncio.run(_serve(emsp, listening, arguments))
    return 0


def _emsp(settings: Settings, url: str) -> Emsp:
    try:
        return Emsp(
            country_code=settings.country_code,
            party_id=settings.party_id,
            name=settings.name,
            url=url,
            url_policy=settings.url_policy,
            store=MemoryStore(),
        )
    except ValueError as error:
        raise Usage(str(error)) from None


async def _serve(emsp: Emsp, listening: socket.socket, arguments: Namespace) -> None:
    from ocpi_emsp.cli.server import on_signals, serving

    end = asyncio.Event()
    with on_signals(lambda _: end.set(), signal.SIGTERM, signal.SIGINT):
        async with serving(emsp.asgi(), listening):
            invited = [await _invite(emsp, *party) for party in dict.fromkeys(arguments.invite)]
            _announce(emsp, invited, as_json=arguments.json)
            await end.wait()


async def _invite(emsp: Emsp, country_code: str, party_id: str) -> Invited:
    invitation = await emsp.async_invite(country_code, party_id)
    return Invited(country_code=country_code, party_id=party_id, **asdict(invitation))


def _announce(emsp: Emsp, invited: list[Invited], *, as_json: bool) -> None:
    identity = emsp.identity
    if as_json:
        output.write_json(
            {
                "country_code": identity.country_code,
                "party_id": identity.party_id,
                "url": identity.url,
                "versions_url": identity.versions_url,
                "invitations": [asdict(each) for each in invited],
            },
            indent=None,
        )
        return
    party = f"{identity.country_code}-{identity.party_id}"
    output.write(f"eMSP {party} answers at {identity.versions_url}\n")
    for each in invited:
        output.write(f"invitation for {each.country_code}-{each.party_id}\n")
        output.write(f"  versions URL  {each.versions_url}\n  token A       {each.token_a}\n")
    output.flush()


@contextlib.contextmanager
def _log_on_stderr() -> Iterator[None]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    ours = logging.getLogger("ocpi_emsp")
    level = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(level)
