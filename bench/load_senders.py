"""Who sends the load: ``wrk`` where it is installed, else a process of our own.

Rules of this module:
- each of so many connections sends one request after the other, for so many seconds;
- an answer that is not HTTP 2xx with status_code 1000 is an error, and so is a connection that fails;
- our own sender is Python, and takes more of the processor than wrk does: the output says who sent.

    python bench/load_senders.py PORT FILE FIRST CONNECTIONS SECONDS     our own, as bench/load.py starts it
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import define, frozen

WRK = shutil.which("wrk")
NAME = "wrk" if WRK else "a sender of its own (asyncio): install wrk for the rates of fast servers"
_BEGIN = datetime(2016, 1, 1, tzinfo=UTC)
_SECONDS = 30.0
"""What an answer may take before it counts as an error."""


@frozen
class Sent:
    """What one run gave; times in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int
    sample: str = ""
    """The first answer that was an error."""

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def send(port: int, templates: Path, first: int, connections: int, seconds: int) -> Sent:
    """Send the templates of a file in turn; ``first`` is the first serial number."""
    if WRK:
        line = [WRK, "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={_SECONDS:.0f}s", "-s"]
        line += [
            str(Path(__file__).with_name("load.lua")),
            f"http://127.0.0.1:{port}",
            "--",
            str(templates),
            str(first),
        ]
    else:
        line = [sys.executable, __file__, str(port), str(templates), str(first), str(connections), str(seconds)]
    limit = seconds + 3 * _SECONDS
    said = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, timeout=limit).stdout
    found = re.search(r"RESULT (\{.*\})", said)
    if found is None:
        raise RuntimeError(f"the sender gave no result: {said}")
    sample = re.search(r"WRONG (.*)", said)
    return Sent(**json.loads(found[1]), sample=sample[1] if sample else "")


# --- our own ----------------------------------------------------------------------------------------------------------


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while length := file.readline():
            yield file.read(int(length))


@define
class _Sender:
    port: int
    templates: list[bytes]
    serial: int
    end: float
    waits: list[float]
    errors: int = 0
    sample: str = ""

    def _next(self) -> bytes:
        template = self.templates[self.serial % len(self.templates)]
        moment = (_BEGIN + timedelta(seconds=self.serial)).strftime("%Y-%m-%dT%H:%M:%SZ")
        number = f"{self.serial:09}"
        self.serial += 1
        return template.replace(b"@" * 20, moment.encode()).replace(b"#" * 9, number.encode())

    def _count(self, wrong: bool, answer: bytes) -> None:
        self.errors += wrong
        if wrong and not self.sample:
            self.sample = answer[:300].decode("utf-8", "replace").replace("\n", " ")

    async def connection(self) -> None:
        while time.monotonic() < self.end:
            try:
                async with asyncio.timeout(_SECONDS):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
                try:
                    await self._exchange(reader, writer)
                finally:
                    writer.close()
            except (OSError, EOFError, TimeoutError) as error:
                self._count(True, repr(error).encode())

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send until the time or the connection ends."""
        while time.monotonic() < self.end:
            begun = time.perf_counter()
            writer.write(self._next())
            async with asyncio.timeout(_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
            self.waits.append((time.perf_counter() - begun) * 1000)
            succeeded = head[9:10] == b"2" and re.search(rb'"status_code": ?1000', body)
            self._count(not succeeded, head + body)
            if b"connection: close" in head:
                return


async def _send(port: int, path: Path, first: int, connections: int, seconds: int) -> dict[str, Any]:
    begun = time.monotonic()
    sender = _Sender(port, list(_read(path)), first, begun + seconds, [])
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(sender.connection())
    waits = sorted(sender.waits) or [0.0]
    if sender.sample:
        print("WRONG", sender.sample)
    return {
        "requests": len(sender.waits),
        "seconds": time.monotonic() - begun,
        "p50": waits[len(waits) // 2],
        "p99": waits[len(waits) * 99 // 100],
        "errors": sender.errors,
    }


if __name__ == "__main__":
    port, file, *numbers = sys.argv[1:]
    print("RESULT", json.dumps(asyncio.run(_send(int(port), Path(file), *map(int, numbers)))))
