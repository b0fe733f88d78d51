"""Databases and servers of bench/load.py: each side on stores of its own, each server for one round.

Rules of this module:
- both sides run under the same uvicorn, with uvloop and httptools where they are installed, without a log of requests;
- PostgreSQL is a private one with the settings that matter as the server ships them: nothing is faster than in
  production because the tests have it so; SQLite files are on the disk of the temporary folder;
- memory is what all processes of a server have to themselves, processor time what they took; not those of PostgreSQL
  (/proc, Linux; 0 elsewhere).
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from attrs import frozen

import hand_fill
from latency import further
from load_fill import fill_database
from load_requests import BASE, TOKEN

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from postgres import PrivatePostgres

HERE = Path(__file__).parent
STORES = ("memory", "sqlite", "postgresql")
SIDES = ("ours", "hand", "serve")
SECONDS = 60.0
"""What a server may take to start or to end before it counts as hanging."""
_DURABLE = {
    "autovacuum": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
    "wal_level": "replica",
    "max_wal_senders": "10",
}
_LOADED = tuple(each for each in ("uvloop", "httptools") if importlib.util.find_spec(each))
"""What makes uvicorn faster, where it is installed."""


# --- databases --------------------------------------------------------------------------------------------------------


@contextmanager
def durable_postgres() -> Iterator[PrivatePostgres]:
    """A PostgreSQL that survives a power cut, as one in production does."""
    with PrivatePostgres() as private:
        for name, value in _DURABLE.items():
            private._execute(f"ALTER SYSTEM SET {name} = '{value}'")
        private.restart()
        yield private


@contextmanager
def databases(store: str, folder: Path, postgres: PrivatePostgres | None, latency: float) -> Iterator[dict[str, str]]:
    """The URL of the store of ``ours`` and of ``hand``, both filled alike; PostgreSQL is so many ms further away."""
    if store == "memory":
        yield {"ours": "memory", "hand": "memory"}
        return
    if store == "sqlite":
        urls = {side: f"sqlite:///{folder}/{side}.db" for side in ("ours", "hand")}
        fill_database(urls["ours"])
        hand_fill.fill_sqlite(f"{folder}/hand.db")
        yield urls
        return
    assert postgres is not None
    with ExitStack() as stack:
        urls = {side: stack.enter_context(postgres.database()) for side in ("ours", "hand")}
        urls["hand"] = urls["hand"].replace("+psycopg", "")
        fill_database(urls["ours"])
        hand_fill.fill_postgres(urls["hand"])
        yield {side: stack.enter_context(_further(url, latency)) for side, url in urls.items()}


@contextmanager
def _further(url: str, milliseconds: float) -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="ocpi-emsp-far-") as folder,
        further(url, Path(folder), milliseconds) as far,
    ):
        yield far


# --- servers ----------------------------------------------------------------------------------------------------------


@frozen
class Server:
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def memory(self) -> float:
        """MiB of all its processes."""
        return sum(map(_memory, _processes(self.process.pid)))

    @property
    def processor(self) -> float:
        """Seconds of processor time that all its processes took."""
        return sum(map(_processor, _processes(self.process.pid)))


def _line(side: str, url: str, port: int, workers: int) -> tuple[list[str], Mapping[str, str]]:
    """The command of a side, and what it finds in its environment."""
    if side == "serve":
        identity = "--country-code IT --party-id BEC --name BeCharge --url https://ocpi.example.com/ocpi/emsp"
        command = [str(Path(sys.executable).with_name("ocpi-emsp")), "serve", "--store", url, "--port", str(port)]
        return [*command, *identity.split()], {}
    line = [sys.executable, "-m", "uvicorn", "load_app:app" if side == "ours" else "hand_app:app"]
    line += ["--app-dir", str(HERE), "--port", str(port), "--workers", str(workers)]
    line += ["--no-access-log", "--log-level", "warning"]
    line += ["--loop", "uvloop" if "uvloop" in _LOADED else "asyncio"]
    line += ["--http", "httptools" if "httptools" in _LOADED else "h11"]
    return line, {"LOAD_STORE" if side == "ours" else "HAND_STORE": url}


@contextmanager
def served(side: str, url: str, workers: int, folder: Path) -> Iterator[Server]:
    """The server of a side on a free port, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line, more = _line(side, url, port, workers)
    log = folder / f"{side}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            line, stdout=output, stderr=output, env=os.environ | more, cwd=folder, start_new_session=True
        ) as process,
    ):
        try:
            _wait_for(port, process, log)
            yield Server(port, process)
        finally:
            _end(process)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS
    request = Request(f"http://127.0.0.1:{port}{BASE}/tokens?limit=1")
    request.add_header("authorization", f"Token {TOKEN}")
    while time.monotonic() < end and process.poll() is None:
        try:
            urlopen(request, timeout=SECONDS).close()
        except HTTPError:
            break
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the server did not start: {log.read_text('utf-8', 'replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it in order, and all of its processes if it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(SECONDS / 2)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _processes(first: int) -> Iterator[int]:
    yield first
    with suppress(OSError):
        for child in Path(f"/proc/{first}/task/{first}/children").read_text().split():
            yield from _processes(int(child))


def _memory(process: int) -> float:
    with suppress(OSError):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024
    return 0.0


def _processor(process: int) -> float:
    with suppress(OSError):
        user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0
