"""How fast a party's locations are synced into each store, against a loop that only fetches and parses the same pages.

    python bench/run.py sync [--locations 100000] [--rounds 3] [--store memory] [--store sqlite] [--store postgresql]

Rules of this module:
- the CPO is a simulated one in a process of its own; each location has two EVSEs, each page a hundred locations;
- the bare side is httpx GET and ``json.loads`` of the same pages along their next links; both sides take turns within
  one run, and what is counted is the clock on the wall, beside it the processor time of this process;
- each round has a fresh store, with schema and party; both databases are fully durable (fsync on);
- memory is that of a process of its own for each store and size, which does nothing but one sync.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from attrs import frozen

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from ocpi_emsp import Emsp
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.parties.party import Party, PartyState, put_party
from ocpi_emsp.models import Endpoint, ModuleID
from ocpi_emsp.ports import AnyStore
from ocpi_emsp.resources import SyncEnded
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.testing.cpo import SimulatedCpo
from postgres import PrivatePostgres

TOKEN = "token-of-the-emsp"
PAGE = 100
EVSES = 2
SMALL = 1_000
"""Locations of the sync that the memory of a large one is compared with."""
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MB = 1024 * 1024
STORES = {"memory": "MemoryStore", "sqlite": "SQLite", "postgresql": "PostgreSQL"}
SYNCS: dict[str, dict[str, Any]] = {
    "first": {},
    "second, from the checkpoint on": {},
    "all again, nothing changed": {"since": EPOCH},
    "full": {"full": True},
}
"""The syncs of a round, one after the other into the same store."""
BARE = "bare loop"


@frozen
class Taken:
    """Seconds of one sync or loop: on the wall's clock, and of this process."""

    wall: float
    cpu: float


# --- the CPO --------------------------------------------------------------------------------------------------------


@contextmanager
def served(locations: int) -> Iterator[str]:
    """The URL of the locations of a CPO in another process."""
    line = [sys.executable, __file__, "serve", str(locations)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            versions: str = json.loads(process.stdout.readline())["versions_url"]
            yield versions.removesuffix("versions") + "2.1.1/locations"
        finally:
            process.terminate()


def serve(locations: int) -> None:
    """Be that process, until SIGTERM."""
    from ocpi_emsp.testing.cpo.server import run as serve_cpo

    cpo = SimulatedCpo(locations=locations, evses=EVSES, page_limit=PAGE)
    cpo.registration.server_token = TOKEN
    serve_cpo(cpo=cpo)


# --- both sides -----------------------------------------------------------------------------------------------------


def fetch_and_parse(url: str) -> int:
    """The bare side: every page, parsed; how many objects there were."""
    following: str | None = f"{url}?limit={PAGE}"
    found = 0
    with httpx.Client(headers={"authorization": f"Token {TOKEN}"}) as client:
        while following is not None:
            answer = client.get(following)
            found += len(json.loads(answer.content)["data"])
            following = answer.links.get("next", {}).get("url")
    return found


def registered(store: AnyStore, url: str) -> Emsp:
    """An eMSP that knows the CPO."""
    endpoint = Endpoint(identifier=ModuleID.LOCATIONS, url=url)
    party = Party(country_code="NL", party_id="TNM", state=PartyState.REGISTERED, token=TOKEN, endpoints=(endpoint,))

    async def register() -> None:
        async with lift_store(store, in_place).transaction() as tx:
            await put_party(tx, party, datetime.now(UTC))

    run(register())
    return Emsp(
        country_code="IT",
        party_id="BEC",
        name="Be Charge",
        url="https://emsp.example/ocpi/emsp",
        store=store,
        url_policy="loopback",
    )


def pull(emsp: Emsp, **parameters: Any) -> int:
    """Our side: one sync; how many objects it listed."""
    report = emsp.partner("NL-TNM").sync(modules=["locations"], **parameters).module("locations")
    assert report.ended is SyncEnded.DONE, report
    return report.created + report.updated + report.unchanged


def timed(act: Callable[[], int], wanted: int) -> Taken:
    """How long it takes; it has to give what is wanted."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = act()
    taken = Taken(time.perf_counter() - wall, time.process_time() - cpu)
    assert found == wanted, (found, wanted)
    return taken


# --- stores ---------------------------------------------------------------------------------------------------------


@contextmanager
def server() -> Iterator[PrivatePostgres]:
    """A PostgreSQL server that is fully durable, and that gathers statistics as one in production does."""
    with PrivatePostgres() as private:
        for setting in (
            "autovacuum=on",
            "fsync=on",
            "full_page_writes=on",
            "shared_buffers='512MB'",
            "max_wal_size='4GB'",
        ):
            private._execute(f"ALTER SYSTEM SET {setting}")
        private.restart()
        yield private


@contextmanager
def database(name: str, postgres: PrivatePostgres | None) -> Iterator[str]:
    """The URL of a fresh store; empty for the one in memory."""
    if name == "memory":
        yield ""
    elif name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="ocpi-emsp-bench-") as folder:
            yield f"sqlite:///{folder}/emsp.db"
    else:
        assert postgres is not None
        with postgres.database() as url:
            yield url


@contextmanager
def opened(url: str) -> Iterator[AnyStore]:
    """The store of a URL, with its schema."""
    if not url:
        yield MemoryStore()
        return
    store = SqlStore(url)
    store.upgrade()
    try:
        yield store
    finally:
        store.close()


# --- speed ----------------------------------------------------------------------------------------------------------


def rounds(
    url: str, locations: int, stores: Sequence[str], count: int, postgres: PrivatePostgres | None
) -> dict[tuple[str, str], list[Taken]]:
    """What every sync into every store took, in turns with the bare loop."""
    taken: dict[tuple[str, str], list[Taken]] = {}
    fetch_and_parse(url)  # warms up the CPO
    for _ in range(count):
        taken.setdefault((BARE, ""), []).append(timed(lambda: fetch_and_parse(url), locations))
        for name in stores:
            for sync, seconds in _syncs(name, url, locations, postgres).items():
                taken.setdefault((name, sync), []).append(seconds)
    return taken


def _syncs(name: str, url: str, locations: int, postgres: PrivatePostgres | None) -> dict[str, Taken]:
    with database(name, postgres) as address, opened(address) as store:
        emsp = registered(store, url)
        found = {}
        for sync, parameters in SYNCS.items():
            wanted = 0 if "checkpoint" in sync else locations
            found[sync] = timed(lambda parameters=parameters: pull(emsp, **parameters), wanted)  # type: ignore[misc]
        return found


# --- memory ---------------------------------------------------------------------------------------------------------


def peak(name: str, url: str, postgres: PrivatePostgres | None) -> int:
    """Bytes of resident memory at the most, of a process that only syncs."""
    with database(name, postgres) as address:
        line = [sys.executable, __file__, "pull", url, address]
        return int(subprocess.run(line, capture_output=True, text=True, check=True).stdout)


def pull_alone(url: str, address: str) -> None:
    """Be that process."""
    with opened(address) as store:
        pull(registered(store, url))
    try:  # kB; getrusage on Linux counts what the process held before exec, too: the memory of whoever started it
        found = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
    except OSError:  # macOS, in bytes
        found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(found)


# --- the table ------------------------------------------------------------------------------------------------------


def table(arguments: Sequence[str] = ()) -> list[str]:
    """The section of results.md."""
    asked = _parser().parse_args(arguments)
    locations, stores = asked.locations, asked.store or list(STORES)
    with ExitStack() as stack:
        postgres = stack.enter_context(server()) if "postgresql" in stores else None
        url = stack.enter_context(served(locations))
        small = stack.enter_context(served(SMALL))
        lines = _speed(rounds(url, locations, stores, asked.rounds, postgres), locations, asked.rounds)
        lines += [
            "",
            f"| store | peak at {SMALL:,}, MB | peak at {locations:,}, MB | growth, MB |",
            "|---|---|---|---|",
        ]
        for name in stores:
            least, most = peak(name, small, postgres) / MB, peak(name, url, postgres) / MB
            lines.append(f"| {STORES[name]} | {least:.0f} | {most:.0f} | {most - least:.0f} |")
            print(lines[-1], flush=True)
    return ["## Sync", "", *lines, ""]


def _speed(taken: dict[tuple[str, str], list[Taken]], locations: int, count: int) -> list[str]:
    ran = f"Python {platform.python_version()}, {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}."
    lines = [
        f"Medians of {count} rounds in which all took turns. {ran} {locations:,} locations of {EVSES} EVSEs, {PAGE} a "
        f"page, from a simulated CPO in another process. The bare loop is httpx GET and `json.loads` of the same "
        "pages. Rates are locations per second on the wall's clock, both databases with fsync. Targets: 0.5 of the "
        f"bare loop for the first sync into SQLite; a peak memory that grows by less than 50 MB from {SMALL:,} to "
        "100,000 locations into SQLite and PostgreSQL (a process of its own for each size; the store in memory keeps "
        "everything).",
        "",
        "| store | sync | per second | seconds | our CPU, seconds | rate / bare | CPU, bare / ours |",
        "|---|---|---|---|---|---|---|",
    ]
    bare = taken[BARE, ""]
    for (name, sync), rows in taken.items():
        wall, cpu = median(row.wall for row in rows), median(row.cpu for row in rows)
        ratio = median(each.wall / row.wall for each, row in zip(bare, rows, strict=True))
        rate = "" if "checkpoint" in sync else f"{locations / wall:,.0f}"
        spared = median(each.cpu / row.cpu for each, row in zip(bare, rows, strict=True))
        shown = " | " if "checkpoint" in sync else f"{ratio:.2f} | {spared:.2f}"
        lines.append(f"| {STORES.get(name, name)} | {sync} | {rate} | {wall:,.3f} | {cpu:,.3f} | {shown} |")
        print(lines[-1], flush=True)
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py sync", description="Measure the sync of locations.")
    parser.add_argument("--locations", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", action="append", choices=STORES)
    return parser


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", number]:
            serve(int(number))
        case ["pull", cpo, address]:
            pull_alone(cpo, address)
        case _:
            table(sys.argv[1:])
