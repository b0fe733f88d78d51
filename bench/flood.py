"""What one party waits for while another sends bodies of 3 MiB over eight connections: uvicorn in a process of its own.

Rules of this module:
- the server, the flood and the party that is measured are three processes; rounds alone and under the flood take turns;
- what is counted is the clock on the wall of a small PUT, as its sender sees it; the ratio is that of two medians.

    python bench/flood.py serve STORE      used by the measurement itself
    python bench/flood.py send URL SECONDS
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
from attrs import frozen

from samples import location

ROUNDS = 5
CALLS = 60
CONNECTIONS = 8
PAUSE = 0.02
"""Seconds between two PUTs of the party that is measured."""
PARTIES = {"TNM": "token-of-the-flood", "ABC": "token-of-the-other"}


@frozen
class Waited:
    """Medians in milliseconds, the largest one under the flood, and the statuses of the flood."""

    store: str
    alone: float
    flooded: float
    worst: float
    statuses: dict[str, int]

    @property
    def ratio(self) -> float:
        """How many times as long as alone."""
        return self.flooded / self.alone


def serve(store: str) -> None:
    """Serve an eMSP with two parties until the process is ended; prints its URL."""
    from ocpi_emsp import Emsp
    from ocpi_emsp.cli.server import base_url, listen, serving
    from ocpi_emsp.storage import MemoryStore, SqlStore
    from partners import register

    opened = MemoryStore() if store == "memory" else SqlStore(store)

    async def serving_it() -> None:
        with listen("127.0.0.1", 0) as listening:
            url = base_url(listening) + "/ocpi/emsp"
            emsp = Emsp(country_code="IT", party_id="BEC", name="Be Charge", url=url, store=opened)
            async with serving(emsp.asgi(background=False), listening):
                print(url, flush=True)
                await asyncio.Event().wait()

    register(opened, PARTIES)
    asyncio.run(serving_it())


def send(url: str, seconds: float) -> None:
    """Send large locations over all connections for so long; prints how often each status was answered."""
    body = location(5100)
    statuses: dict[str, int] = {}
    headers = {"authorization": f"Token {PARTIES['TNM']}"}

    async def flood(client: httpx.AsyncClient, number: int, end: float) -> None:
        turn = 0
        while time.monotonic() < end:
            turn += 1
            text = body.replace(b'"LOC1"', f'"LOC{number}"'.encode(), 1).replace(
                b"2015-06-29T20:00:00Z", f"2015-06-29T20:{turn // 60 % 60:02}:{turn % 60:02}Z".encode(), 1
            )
            answer = await client.put(f"{url}/2.1.1/locations/NL/TNM/LOC{number}", content=text)
            statuses[str(answer.status_code)] = statuses.get(str(answer.status_code), 0) + 1

    async def all_at_once() -> None:
        end = time.monotonic() + seconds
        limits = httpx.Limits(max_connections=CONNECTIONS)
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False, limits=limits) as client:
            print(len(body), flush=True)
            await asyncio.gather(*(flood(client, number, end) for number in range(CONNECTIONS)))

    asyncio.run(all_at_once())
    print(json.dumps(statuses))


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, __file__, *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _waits(client: httpx.Client, url: str, turn: int) -> list[float]:
    """Milliseconds of each PUT of a location with ten EVSEs, of which one changed."""
    waits = list[float]()
    for number in range(CALLS):
        body = location(10, charging=frozenset({number % 10}), moment=(turn * CALLS + number) % 3600)
        start = time.perf_counter()
        answer = client.put(f"{url}/2.1.1/locations/NL/ABC/LOC1", content=body)
        waits.append((time.perf_counter() - start) * 1000)
        assert answer.status_code in (200, 201), answer.text
        time.sleep(PAUSE)
    return waits


def measure(name: str, store: str) -> Waited:
    """Alone and under the flood, in turns."""
    alone, flooded, statuses = list[float](), list[float](), dict[str, int]()
    with (
        _process("serve", store) as server,
        httpx.Client(headers={"authorization": f"Token {PARTIES['ABC']}"}, timeout=60, trust_env=False) as client,
    ):
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        _waits(client, url, 0)
        for turn in range(ROUNDS):
            alone += _waits(client, url, 2 * turn + 1)
            with _process("send", url, "4") as flood:
                assert flood.stdout is not None
                flood.stdout.readline()
                flooded += _waits(client, url, 2 * turn + 2)
                for status, number in json.loads(flood.stdout.read()).items():
                    statuses[status] = statuses.get(status, 0) + number
    return Waited(name, median(alone), median(flooded), max(flooded), statuses)


def results() -> Iterator[Waited]:
    """On the store in memory, and on SQLite."""
    yield measure("memory", "memory")
    with tempfile.TemporaryDirectory() as folder:
        yield measure("SQLite", f"sqlite:///{Path(folder)}/emsp.db")


def main(arguments: Sequence[str]) -> None:
    """Be one of the processes."""
    if arguments[0] == "serve":
        serve(arguments[1])
    else:
        send(arguments[1], float(arguments[2]))


if __name__ == "__main__":
    main(sys.argv[1:])
