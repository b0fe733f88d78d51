"""How a response leaves the simulated CPO: whole, piece by piece, or cut off.

Rules of this module: what is sent piece by piece ends when the client goes away, when the CPO is closed, or when the
server is stopped (`Streams.stop`); then no task is left. A body that is cut, or ended like that, is not completed: an
ASGI server closes the connection, so over HTTP the client sees it end before Content-Length or the last chunk.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from ocpi_emsp.testing.cpo.wire import Receive, Response, Send


class Streams:
    """Sends responses, and can end those that take long."""

    def __init__(self) -> None:
        self._running: set[asyncio.Event] = set()

    def stop(self) -> None:
        """Ends what is being sent piece by piece. To be called in the event loop that sends it."""
        for stopping in self._running:
            stopping.set()

    async def write(self, response: Response, receive: Receive, send: Send) -> None:
        """Sends `response` as ASGI messages."""
        headers = dict(response.headers)
        if response.rest is None:
            headers["content-length"] = str(len(response.body))
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        if response.cut:
            await send(_part(response.body[: len(response.body) // 2]))
        elif response.rest is None:
            await send({"type": "http.response.body", "body": response.body})
        else:
            await self._stream(response, receive, send)

    async def _stream(self, response: Response, receive: Receive, send: Send) -> None:
        stopping = asyncio.Event()
        self._running.add(stopping)
        try:
            await _until_first(_pump(response, send), _disconnected(receive), stopping.wait())
        finally:
            self._running.discard(stopping)


async def _until_first(pump: Coroutine[Any, Any, Any], *ends: Coroutine[Any, Any, Any]) -> None:
    """Runs `pump` until it, or one of the others, has ended; raises what it raised."""
    tasks = [asyncio.ensure_future(each) for each in (pump, *ends)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        [outcome, *_] = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome


async def _pump(response: Response, send: Send) -> None:
    await send(_part(response.body))
    for piece in response.rest or ():
        # Even without a pause: others must get a turn while a fast client reads.
        await asyncio.sleep(response.pause)
        await send(_part(piece))
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _part(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}
