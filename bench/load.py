"""Load: uvicorn with 1 and 2 workers on PostgreSQL, alone and while one party floods it.

Rules of this module:
- bounded: so many connections, each with so many requests, one after the other; then everything ends;
- the senders are asyncio streams in a process of their own, with requests that were written before the clock starts;
- each party of the load has locations of its own, and an answer that is no success is counted as an error;
- memory is what all processes of the server have to themselves, after a warm-up and at the end (/proc, Linux);
- server, database and senders share the machine: the figures are for comparisons on one machine.

    python bench/load.py send PORT PARTY CONNECTIONS REQUESTS EVSES     of the measurement itself
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from urllib.request import Request as UrlRequest, urlopen

from attrs import frozen

from partners import register
from samples import location

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from ocpi_emsp.storage import SqlStore
from postgres import PrivatePostgres

HERE = Path(__file__).parent
CONNECTIONS = 8
REQUESTS = 500
"""Of each connection: 4,000 in all."""
WARM_UP = 100
CALM = 200
"""Requests of the party that is measured beside a flood, over one connection."""
TOKENS = {"TNM": "token-of-the-flood", "ABC": "token-of-the-other"}
SECONDS = 60.0
"""What anything here may take before it counts as hanging."""


@frozen
class Load:
    """What one run gave; milliseconds and MiB."""

    workers: int
    what: str
    per_second: float
    p50: float
    p99: float
    errors: int
    memory: tuple[float, float]
    other: tuple[float, float] | None = None
    """The median of another party alone, and meanwhile."""

    @property
    def row(self) -> str:
        """Of the table in results.md."""
        before, after = self.memory
        other = "" if self.other is None else f"{self.other[0]:.1f} -> {self.other[1]:.1f}"
        numbers = f"{self.per_second:,.0f} | {self.p50:.1f} | {self.p99:.1f} | {self.errors}"
        return f"| {self.workers} | {self.what} | {numbers} | {before:.0f} -> {after:.0f} | {other} |"


# --- the server -----------------------------------------------------------------------------------------------------


def _fill(url: str) -> None:
    """The schema and two registered parties."""
    store = SqlStore(url)
    store.upgrade()
    register(store, TOKENS)
    store.close()


@contextmanager
def _served(url: str, workers: int, *, limits: bool) -> Iterator[tuple[int, int]]:
    """uvicorn on a free port; yields the port and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = [sys.executable, "-m", "uvicorn", "load_app:app", "--app-dir", str(HERE), "--port", str(port)]
    line += ["--workers", str(workers), "--lifespan", "off", "--no-access-log", "--log-level", "critical"]
    environment = os.environ | {"LOAD_STORE": url, "LOAD_LIMITS": "on" if limits else ""}
    with subprocess.Popen(line, env=environment, start_new_session=True) as process:
        try:
            _wait_for(port, process)
            yield port, process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(SECONDS)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    request = UrlRequest(f"http://127.0.0.1:{port}/ocpi/emsp/versions")
    request.add_header("authorization", f"Token {TOKENS['TNM']}")
    while time.monotonic() < end and process.poll() is None:
        try:
            urlopen(request, timeout=SECONDS).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("uvicorn did not start")


def _memory(process: int) -> float:
    """MiB that a process and its children have to themselves."""
    children = (Path(f"/proc/{process}/task/{process}/children").read_text()).split()
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024
    return own + sum(_memory(int(child)) for child in children)


# --- the senders ----------------------------------------------------------------------------------------------------


def _request(token: str, party: str, connection: int, turn: int, evses: int) -> bytes:
    """A PUT of a location of this connection, with another moment each time."""
    body = location(evses, charging=frozenset({turn % evses}), moment=turn)
    body = body.replace(b'"LOC1"', b'"LOC%d"' % connection, 1)
    head = f"PUT /ocpi/emsp/2.1.1/locations/NL/{party}/LOC{connection} HTTP/1.1\r\nHost: a\r\n"
    head += f"Authorization: Token {token}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _exchange(port: int, requests: Sequence[bytes], waits: list[float]) -> int:
    """Send one after the other over one connection; gives the number that did not succeed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    errors = 0
    for request in requests:
        start = time.perf_counter()
        writer.write(request)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        waits.append((time.perf_counter() - start) * 1000)
        errors += b'"status_code":1000' not in body
        if b"connection: close" in head.lower():
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.close()
    return errors


async def _send(port: int, party: str, connections: int, requests: int, evses: int) -> None:
    token = TOKENS[party]
    made = [[_request(token, party, each, turn, evses) for turn in range(requests)] for each in range(connections)]
    print("ready", flush=True)
    sys.stdin.readline()
    waits, start = list[float](), time.perf_counter()
    errors = await asyncio.gather(*(_exchange(port, each, waits) for each in made))
    print(json.dumps({"seconds": time.perf_counter() - start, "waits": waits, "errors": sum(errors)}), flush=True)


@contextmanager
def _sender(port: int, party: str, connections: int, requests: int, evses: int = 10) -> Iterator[subprocess.Popen[str]]:
    """A process that has its requests ready; it begins with a line on its stdin, and prints what it saw."""
    line = [sys.executable, __file__, "send", str(port), party, str(connections), str(requests), str(evses)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def _begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _seen(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    seen: dict[str, object] = json.loads(process.stdout.readline())
    return seen


def _run(port: int, party: str, connections: int, requests: int) -> dict[str, object]:
    with _sender(port, party, connections, requests) as process:
        _begin(process)
        return _seen(process)


def _waits(seen: dict[str, object]) -> list[float]:
    waits = seen["waits"]
    assert isinstance(waits, list)
    return sorted(waits)


# --- measurements ---------------------------------------------------------------------------------------------------


def _loaded(url: str, workers: int) -> Load:
    """One party, as fast as it can."""
    with _served(url, workers, limits=False) as (port, process):
        _run(port, "TNM", CONNECTIONS, WARM_UP)
        before = _memory(process)
        seen = _run(port, "TNM", CONNECTIONS, REQUESTS)
        return _load(seen, workers, "PUT location, 10 EVSEs", (before, _memory(process)))


def _flooded(url: str, workers: int) -> Load:
    """One party sends all that its connections take, 3 MiB each; the other one goes on."""
    with _served(url, workers, limits=True) as (port, process):
        _run(port, "ABC", 1, WARM_UP)
        before = _memory(process)
        alone = median(_waits(_run(port, "ABC", 1, CALM)))
        with _sender(port, "TNM", CONNECTIONS, 2, 5100) as flood:
            _begin(flood)
            meanwhile = median(_waits(_run(port, "ABC", 1, CALM)))
            seen = _seen(flood)
        memory = before, _memory(process)
        return _load(seen, workers, "PUT location, 5,100 EVSEs, limits on", memory, (alone, meanwhile))


def _load(
    seen: dict[str, object],
    workers: int,
    what: str,
    memory: tuple[float, float],
    other: tuple[float, float] | None = None,
) -> Load:
    waits, seconds, errors = _waits(seen), seen["seconds"], seen["errors"]
    assert isinstance(seconds, float)
    assert isinstance(errors, int)
    p99 = waits[len(waits) * 99 // 100]
    return Load(workers, what, len(waits) / seconds, median(waits), p99, errors, memory, other)


def results() -> Iterator[Load]:
    """Each on a database of its own."""
    os.environ.setdefault("OCPI_EMSP_SECRET_KEY", "a" * 43 + "=")
    with ExitStack() as stack:
        server = stack.enter_context(PrivatePostgres())
        for setting in ("fsync=on", "full_page_writes=on"):
            server._execute(f"ALTER SYSTEM SET {setting}")
        server.restart()
        for workers in (1, 2):
            for measured in (_loaded, _flooded):
                with server.database() as url:
                    _fill(url)
                    yield measured(url, workers)


def table() -> list[str]:
    """The section of results.md."""
    lines = [
        "## Load: uvicorn on PostgreSQL",
        "",
        f"{CONNECTIONS} connections, each one request after the other, {REQUESTS} in the first rows. Senders, server "
        f"and database share {os.cpu_count()} cores; PostgreSQL with fsync. Targets: no errors, flat memory, another "
        "party's median at most twice its own. In a flood, an answer 429 counts as an error.",
        "",
        "| workers | what | per second | p50, ms | p99, ms | errors | memory, MiB | another party's median, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for load in results():
        lines.append(load.row)
        print(load.row, flush=True)
    return [*lines, ""]


if __name__ == "__main__":
    port, party, *numbers = sys.argv[2:]
    asyncio.run(_send(int(port), party, *map(int, numbers)))
