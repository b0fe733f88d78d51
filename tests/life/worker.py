"""A worker of a backend: serves an eMSP, does what is due, and what it is told on its input.

    worker.py STORE SOCKET PUBLIC_URL

Rules of this program:
- the listening socket comes from the test: a partner who calls while no worker runs waits, and the next one answers;
- a line of the input is ``[id, name, arguments]``; of the output ``[id, "done", value]`` or ``[id, "failed", text]``,
  in the order in which things end; ``[0, "event", ...]`` is what a listener heard;
- what it is told is done in threads, by the blocking interface; requests are served by the async one.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias

from ocpi_emsp import Allowed, Emsp, Limits, PartyId, Token
from ocpi_emsp.cli.server import serving
from ocpi_emsp.codec import dump
from ocpi_emsp.codec.encode import document
from ocpi_emsp.events import Event
from ocpi_emsp.models import WhitelistType
from ocpi_emsp.settings import AuthorizeLimits, CommandLimits, DeliveryLimits, HttpLimits
from ocpi_emsp.storage import SqlStore
from our_emsp import make_emsp, token

LIMITS: Final = Limits(
    delivery=DeliveryLimits(
        lease=timedelta(seconds=1), first_wait=timedelta(seconds=1), longest_wait=timedelta(seconds=1)
    ),
    http=HttpLimits(read_timeout=20.0),
    commands=CommandLimits(result_timeout=timedelta(seconds=60)),
    authorize=AuthorizeLimits(timeout=1.0),
)
"""What a dead worker had in hand is taken over soon."""
EVERY: Final = 0.2
"""Seconds between two looks for what is due."""

Owner: TypeAlias = tuple[str, str]

_saying = threading.Lock()


def say(number: int, kind: str, value: Any) -> None:
    """A line of the output."""
    with _saying:
        print(json.dumps([number, kind, value]), flush=True)


def plain(value: Any) -> Any:
    """A model as plain JSON."""
    return json.loads(dump(document(value)))


def emsp_with_hooks(store: SqlStore, url: str) -> Emsp:
    """The eMSP of a worker, with a hook and a listener."""
    emsp = make_emsp(url=url, store=store, matrix=None, limits=LIMITS, url_policy="loopback")

    @emsp.authorize
    def may_charge(request: Any) -> Any:
        if request.token.uid == "HANGS":
            threading.Event().wait(30)
        return request.allow() if request.token.valid else request.refuse(Allowed.BLOCKED)

    @emsp.on(Event)
    def heard(event: Event) -> None:
        say(0, "event", type(event).__name__)

    return emsp


def make_token(uid: str, *, valid: bool = True) -> Token:
    """One of our drivers' tokens."""
    whitelist = WhitelistType.ALLOWED
    return token(uid, auth_id=f"AUTH-{uid}", valid=valid, whitelist=whitelist, last_updated=datetime.now(UTC))


class Doings:
    """What a worker can be told."""

    def __init__(self, emsp: Emsp) -> None:
        self._emsp = emsp

    def register(self, versions_url: str, token_a: str) -> str:
        return str(self._emsp.parties.register(versions_url, token_a=token_a))

    def rotate(self, country_code: str, party_id: str) -> str:
        return str(self._emsp.partner(PartyId(country_code, party_id)).rotate())

    def parties(self) -> list[str]:
        return [f"{party} {party.state.value}" for party in self._emsp.parties.list()]

    def sync(self, country_code: str, party_id: str, modules: list[str]) -> list[str]:
        report = self._emsp.partner(PartyId(country_code, party_id)).sync(modules=modules)
        return [module.ended.value for module in report.modules]

    def start_session(self, party: Owner, token: str, location: str, evse: str, timeout: float = 60) -> str:
        found = self._emsp.tokens.get(token)
        assert found is not None
        with self._emsp.partner(PartyId(*party)).client() as cpo:
            return cpo.start_session(token=found, location_id=location, evse_uid=evse, timeout=timeout).uid

    def stop_session(self, party: Owner, session_id: str) -> str:
        with self._emsp.partner(PartyId(*party)).client() as cpo:
            return cpo.stop_session(session_id=session_id).uid

    def reserve_now(self, party: Owner, token: str, location: str, evse: str, seconds: float, number: int) -> str:
        found, until = self._emsp.tokens.get(token), datetime.now(UTC) + timedelta(seconds=seconds)
        assert found is not None
        with self._emsp.partner(PartyId(*party)).client() as cpo:
            return cpo.reserve_now(
                token=found, location_id=location, evse_uid=evse, expiry_date=until, reservation_id=number
            ).uid

    def result(self, party: Owner, uid: str, timeout: float = 30) -> str:
        return self._emsp.commands.pending(PartyId(*party), uid).result(timeout=timeout).value

    def command(self, party: Owner, uid: str) -> Any:
        return plain(self._emsp.commands.get(PartyId(*party), uid))

    def commands(self) -> Any:
        return [plain(each) for each in self._emsp.commands.list()]

    def reservation(self, party: Owner, location: str, number: int) -> Any:
        found = self._emsp.reservations.get(PartyId(*party), location, number)
        return None if found is None else plain(found)

    def put_token(self, uid: str) -> None:
        self._emsp.tokens.put(make_token(uid))

    def put_tokens(self, uids: list[str]) -> None:
        self._emsp.tokens.put_many(make_token(uid) for uid in uids)

    def waiting(self) -> list[str]:
        return [f"{each.country_code}-{each.party_id}" for each in self._emsp.tokens.waiting()]

    def set_pace(self, country_code: str, party_id: str, requests_per_second: int) -> None:
        self._emsp.partner(PartyId(country_code, party_id)).set_profile(
            requests_per_second=Decimal(requests_per_second)
        )

    def invalidate(self, uid: str) -> None:
        self._emsp.tokens.invalidate(uid)

    def decisions(self) -> list[list[str]]:
        return [[each.decided_by, each.outcome] for each in self._emsp.authorizations.list()]


async def main(url: str, descriptor: int, public: str) -> None:
    """Serve, do what is due and what is told, until the input ends."""
    store = SqlStore(url)
    emsp = emsp_with_hooks(store, public)
    doings = Doings(emsp)
    loop = asyncio.get_running_loop()
    app = emsp.asgi(background=False)
    async with emsp.aio.running(every=EVERY), serving(app, socket.socket(fileno=descriptor)):
        say(0, "ready", public)
        with ThreadPoolExecutor(16) as threads:
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                number, name, arguments = json.loads(line)
                threads.submit(do, number, getattr(doings, name), arguments)
    await store.aclose()


def do(number: int, doing: Callable[..., Any], arguments: list[Any]) -> None:
    """Do what was told, and say how it ended."""
    try:
        say(number, "done", doing(*arguments))
    except Exception as error:  # noqa: BLE001 # the test is told, whatever it was
        say(number, "failed", f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
