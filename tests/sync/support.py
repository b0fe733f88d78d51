"""An eMSP in sync with a CPO whose lists are made by hand: what it lists, and how it lies, is up to the test.

The eMSP is driven through its public doors; the CPO answers without a network, a clock stands still until it is set.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from attrs import define, evolve

from client.support import Mode, facing, register_tnm
from ocpi_emsp import Emsp, PartyId
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.events import Event
from ocpi_emsp.flows.inbound.evses import evses_of
from ocpi_emsp.flows.parties.party import checkpoint_key, find_party, put_party
from ocpi_emsp.flows.sync.checkpoint import Checkpoint, get_checkpoint
from ocpi_emsp.ports import Key, Kind, Query, Record, Store
from ocpi_emsp.resources import Party, SyncReport
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode, timestamp
from ocpi_emsp.wire import Request
from our_emsp import FakeClock
from scripted_cpo import ScriptedCpo

Document: TypeAlias = dict[str, Any]

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
OLD = datetime(2024, 1, 1, tzinfo=UTC)
"""When the samples were last updated, unless said otherwise."""
OWNER = ("NL", "TNM")
ALL = ("locations", "sessions", "cdrs", "tariffs", "tokens")


def location(number: int, moment: datetime = OLD, **changes: Any) -> Document:
    """A location with two EVSEs."""
    return samples.location(f"LOC{number}", index=number, last_updated=moment) | changes


def tariff(number: int, moment: datetime = OLD) -> Document:
    return samples.tariff(f"TAR{number}", last_updated=moment)


def session(number: int, moment: datetime = OLD, **changes: Any) -> Document:
    return samples.session(f"SES{number}", start=moment) | changes


def cdr(number: int, moment: datetime = OLD, **changes: Any) -> Document:
    return samples.cdr(f"CDR{number}", of=samples.session(f"SES{number}", start=moment)) | changes


@define
class Synced:
    """An eMSP, its CPO, and what the eMSP has of it."""

    emsp: Emsp
    cpo: ScriptedCpo
    clock: FakeClock
    store: Any
    mode: Mode
    token: str
    slept: list[float]

    def sync(self, **parameters: Any) -> SyncReport:
        if self.mode == "sync":
            return self.emsp.partner(PartyId(*OWNER)).sync(**parameters)
        return anyio.run(self._async_sync, parameters)

    async def _async_sync(self, parameters: dict[str, Any]) -> SyncReport:
        try:
            return await self.emsp.aio.partner(PartyId(*OWNER)).sync(**parameters)
        finally:  # the connections belong to this loop
            if isinstance(self.store, SqlStore):
                await self.store.aclose()

    def pull(self, module: str = "locations", **parameters: Any) -> Any:
        """The report of one module."""
        return self.sync(modules=[module], **parameters).module(module)

    def push(self, method: str, path: str, body: Any) -> int:
        """A push of the CPO; the HTTP status of the answer."""
        target = "/2.1.1/" + path.replace("*/", "NL/TNM/", 1)
        headers = {"authorization": f"Token {self.token}"}
        return self.emsp.handle(Request(method, target, headers=headers, body=encode(body))).status

    def records(self, kind: str) -> list[Record]:
        """Everything of a kind, in the order of creation; EVSEs wherever they are stored, by location."""

        async def read(store: Store) -> list[Record]:
            async with store.transaction(read_only=True) as tx:
                query = Query(kind=kind, country_code="NL", party_id="TNM", limit=100_000)
                if kind != Kind.EVSE:
                    return list((await tx.page(query)).records)
                locations = (await tx.page(evolve(query, kind=Kind.LOCATION))).records
                return [evse for location in locations for evse in await evses_of(tx, location)]

        return run(read(lift_store(self.store, in_place)))

    def ids(self, kind: str) -> list[str]:
        return [record.key.id for record in self.records(kind)]

    def record(self, kind: str, object_id: str, parent: str = "") -> Record | None:
        async def read(store: Store) -> Record | None:
            async with store.transaction(read_only=True) as tx:
                return await tx.get(Key(kind, *OWNER, object_id, parent))

        return run(read(lift_store(self.store, in_place)))

    def party_of(self) -> Party:
        """The party as it is stored."""

        async def read(store: Store) -> Party | None:
            async with store.transaction(read_only=True) as tx:
                return await find_party(tx, *OWNER)

        found = run(read(lift_store(self.store, in_place)))
        assert found is not None
        return found

    def checkpoint(self, module: str) -> Checkpoint:
        async def read(store: Store) -> Checkpoint:
            async with store.transaction(read_only=True) as tx:
                return await get_checkpoint(tx, checkpoint_key(*OWNER, module))

        return run(read(lift_store(self.store, in_place)))

    def missing(self, kind: str = Kind.LOCATION) -> list[str]:
        return [record.key.id for record in self.records(kind) if record.missing_since is not None]


@contextmanager
def synced(
    mode: Mode = "sync",
    store: Any = None,
    listen: list[Event] | None = None,
    offered: Sequence[str] = ALL,
    **settings: Any,
) -> Iterator[Synced]:
    """An eMSP at which NL-TNM is registered."""
    lists: dict[str, list[Any]] = {"locations": [], "sessions": [], "cdrs": [], "tariffs": []}
    cpo, clock, slept = ScriptedCpo(lists=lists, modules=(*offered, "credentials")), FakeClock(NOW), list[float]()
    kept = MemoryStore() if store is None else store

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.time += timedelta(seconds=seconds)

    emsp = facing(cpo, store=kept, **({"clock": clock, "sleep": sleep} | settings))
    token = register_tnm(emsp)
    if listen is not None:
        emsp.on(Event)(listen.append)
    yield Synced(emsp, cpo, clock, kept, mode, token, slept)


@contextmanager
def on_sqlite(path: Path, **settings: Any) -> Iterator[Synced]:
    """The same on a database file that has a schema."""
    store = SqlStore(f"sqlite:///{path}")
    try:
        with synced(store=store, **settings) as pair:
            yield pair
    finally:
        store.close()


def change_party(pair: Synced, change: Callable[[Party], Party]) -> None:
    """What a handshake would change."""

    async def write() -> None:
        async with lift_store(pair.store, in_place).transaction() as tx:
            party = await find_party(tx, *OWNER)
            assert party is not None
            await put_party(tx, change(party), NOW)

    run(write())


def moved(document: Document, moment: datetime, **changes: Any) -> Document:
    """A later version of an object."""
    return document | changes | {"last_updated": timestamp(moment)}
