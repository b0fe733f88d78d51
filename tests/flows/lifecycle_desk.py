"""A CPO in this process whose credentials change, and the eMSP that it is registered with."""

import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
from attrs import define, field

from flows.support import Peer, offline_emsp
from ocpi_emsp import Emsp, OcpiError
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.events import Event
from ocpi_emsp.flows.parties.party import Party, PartyState, read_party
from ocpi_emsp.ports import Kind, Query, Transaction
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.wire import Request
from our_emsp import FakeClock, credentials
from scripted_cpo import ScriptedCpo, clients, reply


@define
class Mortal:
    """A store that this process cannot reach once it is dead; others can."""

    kept: MemoryStore = field(factory=MemoryStore)
    dead: bool = False

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        if self.dead:
            raise StoreFailed("the process is gone")
        return self.kept.transaction(read_only=read_only)


@define
class Cpo(ScriptedCpo):
    """A CPO whose credentials change. It takes the tokens in ``taken``, and brings a fresh one with each answer."""

    emsp: Emsp | None = None
    base: str = "https://tnm.test/cpo"
    modules: Sequence[str] = ("credentials", "locations", "tokens")
    taken: list[str] = field(factory=lambda: ["token-a-of-the-cpo"])
    ours: list[str] = field(factory=list)
    """The tokens that it got from us, oldest first."""
    keeps: int = 2
    """How many of its own tokens it takes at once."""

    def lets_in(self, request: httpx.Request) -> bool:
        return request.headers["authorization"].removeprefix("Token ") in self.taken

    def honest(self, request: httpx.Request) -> httpx.Response:
        return super().honest(request) if request.method == "GET" else self.take(request)

    def take(self, request: httpx.Request) -> httpx.Response:
        """POST, PUT, PATCH: our versions are read with the token before the answer, which has a fresh one."""
        if request.method == "DELETE":
            self.taken.clear()
            return reply()
        ours = json.loads(request.content)["token"]
        assert opens(self.reached, ours, "/versions")
        self.ours.append(ours)
        return reply(self.credentials())

    @property
    def reached(self) -> Emsp:
        assert self.emsp is not None
        return self.emsp

    def credentials(self, **changes: Any) -> dict[str, Any]:
        """Its credentials, with a fresh token."""
        self.taken = [*self.taken, f"token-{len(self.requests)}-{len(self.taken)}-of-the-cpo"][-self.keeps :]
        return credentials(**({"token": self.taken[-1], "url": f"{self.base}/versions"} | changes))

    def renew(self, method: str = "PUT") -> int:
        """PUT of its credentials to us; the HTTP status and, where we refuse, nothing changes."""
        before = list(self.taken)
        cpo = Peer(self.reached, FakeClock(), MemoryStore(), self.ours[-1])
        answer = cpo.push(method, "credentials", self.credentials())
        if answer.code != 1000:
            self.taken = before
            return answer.code
        self.ours.append(answer.data["token"])
        return answer.code


@define
class Scene:
    """An eMSP and its CPO."""

    cpo: Cpo
    store: Mortal
    clock: FakeClock
    events: list[Event]
    emsp: Emsp

    def register(self, **options: Any) -> Party:
        party = self.emsp.parties.register("https://tnm.test/cpo/versions", token_a="token-a-of-the-cpo", **options)
        self.cpo.taken = self.cpo.taken[-1:]
        return party

    def party(self) -> Party:
        found = self.emsp.parties.get("nl-tnm")
        assert found is not None
        return found

    def restart(self) -> None:
        """Another process on the same store."""
        self.store = Mortal(self.store.kept)
        self.emsp = self.cpo.emsp = emsp_with(self.cpo, self.store, self.clock)

    def reaches_it(self) -> bool:
        """Whether the CPO lets us in."""
        with self.emsp.partner("NL-TNM").client() as client:
            try:
                return bool(client.versions())
            except OcpiError:
                return False

    def stored(self, state: PartyState) -> list[Party]:
        """Every record of a party in this state, placeholders too."""
        return [party for party in all_parties(self.store) if party.state is state]


async def no_wait(_: float) -> None:
    """Time that passes at once."""


def emsp_with(cpo: Cpo, store: Mortal, clock: FakeClock, **settings: Any) -> Emsp:
    return offline_emsp(clock=clock, store=store, **clients(cpo), **({"sleep": no_wait} | settings))


def scene(*, registered: bool = True, **settings: Any) -> Scene:
    cpo, store, clock, events = Cpo(), Mortal(), FakeClock(), list[Event]()
    cpo.emsp = emsp = emsp_with(cpo, store, clock, **settings)
    emsp.on(Event)(events.append)
    made = Scene(cpo, store, clock, events, emsp)
    if registered:
        made.register()
        events.clear()
        cpo.requests.clear()
    return made


def opens(emsp: Emsp, token: str, path: str = "/2.1.1/tokens") -> bool:
    """Whether a token opens something of ours."""
    status = emsp.handle(Request("GET", path, "", {"authorization": f"Token {token}"}, b"")).status
    assert status in (200, 401), status
    return status == 200


def all_parties(store: Mortal) -> list[Party]:
    async def read() -> list[Party]:
        async with store.kept.transaction() as tx:
            return [read_party(each.document) for each in (await tx.page(Query(kind=Kind.PARTY))).records]

    return run(read())
