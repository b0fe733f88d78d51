"""A CPO's tokens endpoint that can be scripted, and an eMSP that pushes to it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import unquote

import httpx
import pytest
from attrs import define, field

from client.support import facing, registered
from ocpi_emsp import Emsp, PartyId, SupportMatrix, Token
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.parties.party import Party, PartyState, Profile, delete_party, find_party, put_party
from ocpi_emsp.models import Endpoint, ModuleID
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.resources import TokensPushed
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.support import TO_CPO
from our_emsp import FakeClock, token
from scripted_cpo import ScriptedCpo, envelope, reply

PARTY = ("NL", "TNM")
OURS = ("IT", "BEC")
Sent: TypeAlias = tuple[str, str]


Scripted: TypeAlias = httpx.Response | BaseException | None
Script: TypeAlias = Callable[[Sent], Scripted]


def passes(_: Sent) -> None:
    """Let every request pass."""


@define
class Desk:
    """How a scripted CPO answers at its tokens endpoint, written from mod_tokens.md 2.1: tokens by uid.

    ``script`` may answer instead of it; ``lost`` replaces the answer to a request that was served.
    """

    tokens: dict[str, dict[str, Any]] = field(factory=dict)
    log: list[Sent] = field(factory=list)
    bodies: list[Any] = field(factory=list)
    authorizations: list[str] = field(factory=list)
    script: Script = passes
    lost: Script = passes

    def __call__(self, request: httpx.Request) -> httpx.Response:
        sent = request.method, unquote(request.url.raw_path.decode().rpartition("/")[2])
        assert request.url.path == f"/cpo/2.1.1/tokens/IT/BEC/{sent[1]}"
        self.log.append(sent)
        body = json.loads(request.content) if request.content else None
        self.bodies.append(body)
        self.authorizations.append(request.headers["authorization"])
        answer = self.script(sent)
        if answer is None:
            served = self._serve(*sent, body)
            answer = self.lost(sent) or served
        if isinstance(answer, BaseException):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def _serve(self, method: str, uid: str, body: Any) -> httpx.Response:
        if method != "PUT" and uid not in self.tokens:
            return said(404, 2000)
        if method == "PUT":
            self.tokens[uid] = body
        if method == "PATCH":
            self.tokens[uid] = {**self.tokens[uid], **body}
        return reply(self.tokens[uid] if method == "GET" else None)

    def obey(self) -> None:
        """Answer as it should from now on."""
        self.script = self.lost = passes

    def taken(self) -> list[Sent]:
        """What was asked since the last look."""
        log = list(self.log)
        self.log.clear()
        return log


def said(status: int, code: int, message: str = "") -> httpx.Response:
    return httpx.Response(status, json=envelope(None, code) | {"status_message": message})


OFF = httpx.ConnectError("refused")


@define
class World:
    emsp: Emsp
    desk: Desk
    clock: FakeClock
    store: MemoryStore

    def put(self, uid: str, **changes: Any) -> None:
        """Store a token, a moment later than the last one."""
        self.clock.advance(seconds=1)
        self.emsp.tokens.put(token(uid, **{"last_updated": self.clock.now()} | changes))

    def push(self, **options: Any) -> TokensPushed:
        self.clock.advance(seconds=1)
        return self.emsp.partner(PartyId(*PARTY)).push_tokens(**options)

    def pushed(self, uid: str) -> dict[str, Any]:
        """What is known of what the party has."""
        record = self.read(lambda tx: tx.get(Key(Kind.PUSHED, *PARTY, uid, "RFID")))
        document: dict[str, Any] = json.loads(record.document)
        return document

    def read(self, ask: Callable[[Transaction], Any]) -> Any:
        async def reading() -> Any:
            async with self.store.transaction() as tx:
                return await ask(tx)

        return run(reading())

    def write(self, record: Record) -> None:
        self.read(lambda tx: tx.put(record))

    def switch_off(self, *methods: str) -> None:
        matrix = SupportMatrix.full()
        for method in methods:
            matrix = matrix.switch(False, module="tokens", direction=TO_CPO, method=method, path="/tokens/:path")
        self.emsp.partner(PartyId(*PARTY)).set_matrix(matrix)


def world(**settings: Any) -> World:
    desk, clock, store = Desk(), FakeClock(), MemoryStore()
    return World(registered(ScriptedCpo(desk), store=store, clock=clock, **settings), desk, clock, store)


def counts(report: TokensPushed) -> tuple[int, int, int, int]:
    return report.put, report.patched, report.unchanged, report.failed


def html(status: int) -> httpx.Response:
    return httpx.Response(status, html="<html>")


def failing(*failures: Sent, by: httpx.Response | BaseException) -> Script:
    return lambda sent: by if sent in failures else None


def by_name(place: int, **answers: httpx.Response | BaseException) -> Script:
    """Answers by the method (place 0), or by the uid (place 1)."""
    return lambda sent: answers.get(sent[place])


REFUSALS = {
    "404": said(404, 2000),
    "2001": said(200, 2001),
    "3000": said(500, 3000),
    "405 without an envelope": httpx.Response(405),
    "HTML": html(200),
}


def invalidated(**settings: Any) -> World:
    """A party that has token A, which is invalid now."""
    it = world(**settings)
    it.put("A")
    it.push()
    it.put("A", valid=False)
    it.desk.taken()
    return it


# --- several parties --------------------------------------------------------------------------------------------------


@contextmanager
def made_store(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The store that a fixture's parameter names: ``memory``, ``postgresql`` or ``sqlite``."""
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param == "postgresql":
        yield request.getfixturevalue("postgres_store")
        return
    store = SqlStore(f"sqlite:///{request.getfixturevalue('sqlite_with_schema')}")
    try:
        yield store
    finally:
        store.close()


@define
class Town:
    """An eMSP, and CPOs that are registered with it: by name, such as ``NL-TNM``, the desk of each."""

    emsp: Emsp
    clock: FakeClock
    store: Any
    desks: dict[str, Desk]

    def handle(self, request: httpx.Request) -> httpx.Response:
        return ScriptedCpo(self.desks[request.url.host.removesuffix(".test").upper()])(request)

    def worker(self, **settings: Any) -> Emsp:
        """Another process on the same store."""
        return facing(self.handle, store=self.store, clock=self.clock, **settings)

    def put(self, uid: str, **changes: Any) -> Token:
        """Put a token that is new or changed, a moment later than the last one."""
        self.clock.advance(seconds=1)
        return self.emsp.tokens.put(token(uid, **{"last_updated": self.clock.now()} | changes))

    def join(self, name: str, **profile: Any) -> None:
        """Register a party, or change its profile, without a push that follows from it."""
        country_code, _, party_id = name.partition("-")
        url = f"https://{name.lower()}.test/cpo/2.1.1/tokens"
        party = Party(
            country_code=country_code,
            party_id=party_id,
            state=PartyState.REGISTERED,
            token=f"token-of-{name}",
            endpoints=(Endpoint(identifier=ModuleID.TOKENS, url=url),),
            profile=Profile(**profile),
        )
        self.desks.setdefault(name, Desk())
        self.write(lambda tx: put_party(tx, party, self.clock.now()))

    def leave(self, name: str) -> None:
        """End a registration."""

        async def forget(tx: Transaction) -> None:
            party = await find_party(tx, *name.split("-"))
            assert party is not None
            await delete_party(tx, party)

        self.write(forget)

    def write(self, act: Callable[[Transaction], Any]) -> Any:
        async def writing() -> Any:
            async with lift_store(self.store, in_place).transaction() as tx:
                return await act(tx)

        return run(writing())

    def taken(self) -> dict[str, list[Sent]]:
        """What each party was asked since the last look, those that were asked nothing left out."""
        return {name: log for name, desk in self.desks.items() if (log := desk.taken())}

    def waiting(self) -> list[str]:
        return [f"{each.country_code}-{each.party_id}" for each in self.emsp.tokens.waiting()]


def town(*names: str, store: Any = None, **settings: Any) -> Town:
    """An eMSP with these parties."""
    clock, kept = FakeClock(), store or MemoryStore()
    made = Town(None, clock, kept, {})  # type: ignore[arg-type] # it is made with the town's own door
    made.emsp = made.worker(**settings)
    for name in names:
        made.join(name)
    return made


def pushed(reports: list[TokensPushed]) -> dict[str, tuple[int, int, int, int]]:
    """The counts of each report, by party."""
    return {f"{each.country_code}-{each.party_id}": counts(each) for each in reports}
