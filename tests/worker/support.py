"""Light CPOs in one process, an eMSP that is registered with them, and workers that are processes.

The CPOs only list locations: what the tests ask is who was asked when, and what became of the jobs.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import psycopg
from attrs import define, field
from psycopg.rows import dict_row

from forked import Forked, forked
from ocpi_emsp import Emsp
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.contrib.procrastinate.apps import conninfo
from ocpi_emsp.flows.parties.party import Party, PartyState, put_party
from ocpi_emsp.models import Endpoint, ModuleID
from ocpi_emsp.ports import AnyStore
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import samples
from our_emsp import make_emsp
from scripted_cpo import ScriptedCpo, served

SECONDS = 60.0
"""What anything here may take before it counts as hanging."""
WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url-policy", "loopback")
LOCATIONS = 3
"""Of each CPO, one on each page."""

PartyId: TypeAlias = tuple[str, str]
Hold: TypeAlias = Callable[[PartyId, int], None]


def _hold_nothing(_party: PartyId, _offset: int) -> None: ...


def _locations() -> dict[str, list[Any]]:
    return defaultdict(lambda: [samples.location(f"LOC{number}", index=number) for number in range(LOCATIONS)])


@define
class Cpos(ScriptedCpo):
    """Every CPO that there could be, each with the same locations: the path says which one is asked."""

    hold: Hold = _hold_nothing
    """Called before a page is answered."""
    lists: dict[str, list[Any]] = field(factory=_locations)
    page_size: int = LOCATIONS
    root: str = ""
    base: str = ""

    def __attrs_post_init__(self) -> None:
        self.answer = self._wait

    def url(self, party: PartyId, module: str = "locations") -> str:
        return f"{self.base}/{'/'.join(party)}/{module}"

    @property
    def pages(self) -> list[tuple[PartyId, int]]:
        """Whose list was asked for, from which offset on."""
        return [self._page_of(each) for each in self.asked if each.url.path.endswith("/locations")]

    def begun(self) -> Counter[PartyId]:
        """How often each CPO's list was begun."""
        return Counter(party for party, offset in self.pages if offset == 0)

    def _wait(self, request: httpx.Request) -> None:
        if request.url.path.endswith("/locations"):
            self.hold(*self._page_of(request))

    def _page_of(self, request: httpx.Request) -> tuple[PartyId, int]:
        country_code, party_id, _ = request.url.path.strip("/").split("/")
        return (country_code, party_id), int(self.query(request).get("offset", "0"))


@contextlib.contextmanager
def serving(cpos: Cpos) -> Iterator[None]:
    """The CPOs answer at ``cpos.base``, in threads."""
    with served(cpos) as cpos.base:
        yield


def emsp_on(store: AnyStore, **options: Any) -> Emsp:
    """Our eMSP of the published matrix, which may call CPOs of this machine."""
    return make_emsp(**({"store": store, "url_policy": "loopback", "matrix": None} | options))


def register(store: AnyStore, cpos: Cpos, parties: Sequence[PartyId], *modules: str) -> None:
    """Write down that these parties are registered, and have these modules."""

    async def put() -> None:
        async with lift_store(store, in_place).transaction() as tx:
            for party in parties:
                endpoints = (
                    Endpoint(identifier=ModuleID(name), url=cpos.url(party, name)) for name in modules or ("locations",)
                )
                country_code, party_id = party
                await put_party(
                    tx,
                    Party(
                        country_code=country_code,
                        party_id=party_id,
                        state=PartyState.REGISTERED,
                        token=f"token-of-{party_id}",
                        versions_url=cpos.url(party, "versions"),
                        endpoints=tuple(endpoints),
                    ),
                    datetime.now(UTC),
                )

    run(put())


@contextlib.contextmanager
def store_on(url: str) -> Iterator[SqlStore]:
    store = SqlStore(url)
    store.upgrade()
    try:
        yield store
    finally:
        store.close()


def rows(url: str, query: str) -> list[dict[str, Any]]:
    """What the database says."""
    with psycopg.connect(conninfo(url), row_factory=dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


# --- workers --------------------------------------------------------------------------------------------------------


@define
class Worker:
    """A worker process; what it printed is read as it comes, in threads, so that it never waits for us."""

    process: Forked
    synced: list[dict[str, Any]] = field(factory=list)
    """The reports of its syncs."""
    said: list[str] = field(factory=list)
    _ready: threading.Event = field(factory=threading.Event)
    _readers: list[threading.Thread] = field(factory=list)

    def read(self) -> None:
        for act in (self._read_out, self._read_err):
            thread = threading.Thread(target=act, daemon=True)
            thread.start()
            self._readers.append(thread)

    def wait_until_ready(self) -> None:
        assert self._ready.wait(SECONDS), self.log
        assert self.process.returncode is None, self.log

    def end(self, signal_number: int) -> int:
        """Send a signal; the exit status."""
        self.process.send_signal(signal_number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(SECONDS)
        for thread in self._readers:
            thread.join(SECONDS)
        return status

    @property
    def log(self) -> str:
        return "".join(self.said)

    def _read_out(self) -> None:
        for line in self.process.stdout:
            document = json.loads(line)
            if "worker" in document:
                self._ready.set()
            else:
                self.synced.append(document)
        self._ready.set()

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)


Start: TypeAlias = Callable[..., Worker]


@contextlib.contextmanager
def workers(url: str, folder: Path) -> Iterator[Start]:
    """Starts workers on a store; they are gone at the end, and what they said is shown where a test fails."""
    started: list[Worker] = []
    with contextlib.ExitStack() as stack:

        def start(*argv: str) -> Worker:
            line = ("worker", "--store", url, *WHO, "--json", *argv)
            worker = Worker(stack.enter_context(forked("ocpi_emsp", *line, folder=folder, errors=True)))
            worker.read()
            started.append(worker)
            return worker

        try:
            yield start
        finally:
            for worker in started:
                print(worker.log)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what other processes write into the database: nothing there can be awaited."""
    gone = threading.Event()
    for _ in range(int(SECONDS / 0.1)):
        if condition():
            return
        gone.wait(0.1)
    raise AssertionError(f"{what}: not within {SECONDS:g} seconds")


class Gate:
    """Opens once so many are waiting at it."""

    def __init__(self, needed: int) -> None:
        self._arrivals = itertools.count(1)
        self._needed = needed
        self._open = threading.Event()

    def wait(self) -> None:
        if next(self._arrivals) >= self._needed:
            self._open.set()
        assert self._open.wait(SECONDS)
