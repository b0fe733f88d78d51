"""Hostile bodies of 4 MiB: their time against ``json.loads`` of the same bytes, their memory, and what others wait.

    python bench/hostile.py [PART OF A NAME...]

Targets: the worst takes at most 20 times ``json.loads``, and another party's median while it is served is at most twice
its own. The other party pushes a location of its own with one EVSE and reads it, over the ASGI app in one event loop,
where every request takes a turn of the loop before its body, as behind a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from attrs import frozen

import samples
import shapes
from ocpi_emsp import Emsp, SupportMatrix
from ocpi_emsp.wire import Request
from put_location import registered

ROUNDS = 3
_SAMPLES = 20
_OTHERS = "/ocpi/emsp/2.1.1/locations/DE/ABC/OTHER"


@frozen
class Measured:
    """What one shape took."""

    name: str
    answer: str
    ours: float
    """Milliseconds."""
    loads: float
    peak: float
    """MiB beside the body."""
    alone: float
    beside: float
    """Milliseconds of another party's request: its median alone, and while the shape is served."""
    worst: float


def measure(shape: shapes.Shape) -> Measured:
    """Serve one shape: in place, with memory traced, and beside another party."""
    answer, ours, loads = _times(shape)
    peak = _peak(shape)
    alone, beside, worst = asyncio.run(_others(shape))
    return Measured(shape.name, answer, ours, loads, peak, alone, beside, worst)


def _stocked() -> tuple[Emsp, dict[str, str]]:
    emsp, token = registered(matrix=SupportMatrix.full())
    headers = {"authorization": f"Token {token}"}
    own = shapes.objects()
    for path, kind in ((shapes.LOCATION, "location"), (shapes.SESSION, "session"), (shapes.TARIFF, "tariff")):
        body = json.dumps(own[kind]).encode()
        assert emsp.handle(Request("PUT", path, headers=headers, body=body)).status == 201
    return emsp, headers


def _other(emsp: Emsp) -> dict[str, str]:
    """The headers of another party, which is registered as the first one is."""
    headers = {"authorization": f"Token {emsp.parties.invite('DE-ABC').token_a.reveal()}"}
    theirs = shapes.objects()["credentials"] | {"country_code": "DE", "party_id": "ABC"}
    answer = emsp.handle(Request("POST", shapes.CREDENTIALS, headers=headers, body=json.dumps(theirs).encode()))
    return {"authorization": f"Token {json.loads(answer.body)['data']['token']}"}


def _times(shape: shapes.Shape) -> tuple[str, float, float]:
    ours, loads, answer = [], [], ""
    for _ in range(ROUNDS):
        emsp, headers = _stocked()
        request = Request(shape.method, shape.path, headers=headers, body=shape.body)
        gc.collect()
        start = time.thread_time()
        response = emsp.handle(request)
        ours.append((time.thread_time() - start) * 1e3)
        answer = f"{response.status} / {json.loads(response.body)['status_code']}"
        gc.collect()
        start = time.thread_time()
        with contextlib.suppress(ValueError, RecursionError):
            json.loads(shape.body)
        loads.append((time.thread_time() - start) * 1e3)
    return answer, median(ours), median(loads)


def _peak(shape: shapes.Shape) -> float:
    emsp, headers = _stocked()
    request = Request(shape.method, shape.path, headers=headers, body=shape.body)
    tracemalloc.start()
    try:
        emsp.handle(request)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


async def _others(shape: shapes.Shape) -> tuple[float, float, float]:
    """Milliseconds: the median of another party's requests alone, and its median and worst beside the shape."""
    emsp, headers = _stocked()
    app, other = emsp.asgi(background=False), _other(emsp)
    alone = [await _timed(app, other, number) for number in range(200)]
    path = f"/ocpi/emsp{shape.path}"
    hostile = asyncio.create_task(_send(app, shape.method, path, headers, shape.body))
    beside = list[float]()
    while not hostile.done() or len(beside) < _SAMPLES:
        if hostile.done():  # it was refused at once: again
            hostile = asyncio.create_task(_send(app, shape.method, path, headers, shape.body))
        beside.append(await _timed(app, other, len(beside)))
    await hostile
    return median(alone), median(beside), max(beside)


async def _timed(app: Any, headers: dict[str, str], number: int) -> float:
    method, body = ("PUT", _own(number)) if number % 2 == 0 else ("GET", b"")
    start = time.perf_counter()
    await _send(app, method, _OTHERS, headers, body)
    return (time.perf_counter() - start) * 1e3


def _own(number: int) -> bytes:
    return samples.location(1, charging=frozenset({0}), moment=number % 600).replace(b'"LOC1"', b'"OTHER"')


async def _send(app: Any, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(_: dict[str, Any]) -> None:
        await asyncio.sleep(0)

    await app(scope, receive, send)


def table(wanted: Sequence[str] = ()) -> list[str]:
    """The section of the results: all shapes, the slowest first."""
    logging.disable()
    found = [shape for shape in shapes.shapes() if not wanted or any(part in shape.name for part in wanted)]
    rows = list(_rows(found))
    rows.sort(key=lambda row: -row.ours / row.loads)
    lines = [f"## Hostile bodies of 4 MiB, {len(rows)} shapes", ""]
    lines += [
        "Time against `json.loads` of the same bytes (target: at most 20 times), memory beside the body, and what"
    ]
    lines += ["another party's request takes meanwhile (target: a median of at most twice its own).", ""]
    columns = "shape, answer, ours ms, json.loads ms, ratio, peak MiB, other alone ms, beside it median ms, worst ms"
    lines += [f"| {columns.replace(', ', ' | ')} |"]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    return [*lines, *map(_line, rows), ""]


def _rows(found: Sequence[shapes.Shape]) -> Iterator[Measured]:
    for shape in found:
        row = measure(shape)
        print(_line(row), flush=True)
        yield row


def _line(row: Measured) -> str:
    times = f"{row.ours:.0f} | {row.loads:.1f} | {row.ours / row.loads:.1f} | {row.peak:.0f}"
    return f"| {row.name} | {row.answer} | {times} | {row.alone:.2f} | {row.beside:.2f} | {row.worst:.1f} |"


if __name__ == "__main__":
    table(sys.argv[1:])
