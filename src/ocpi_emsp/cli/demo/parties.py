"""The other participants of the demo: two simulated CPOs, each in its own process.

Rules of this module:
- a started process is ended, whatever happens: first asked to stop, then killed;
- no credentials of a response are stored; tokens stay inside :class:`Cpo`, out of every repr.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from ocpi_emsp.cli.demo.rows import Seen
from ocpi_emsp.cli.errors import Outside
from ocpi_emsp.codec import dump
from ocpi_emsp.transports.library import http, http_errors

START_SECONDS = 20.0
"""Seconds until a CPO must listen; a loaded machine needs a few."""
END_SECONDS = 3.0
"""Seconds until a CPO must end before it is killed."""


class Misbehaved(Exception):
    """A party of the demo did not do what the demo asked of it; the text has the details."""


@frozen(kw_only=True)
class Exchange:
    """A request of a CPO to us, and our response."""

    method: str
    url: str
    http_status: int
    status_code: int | None
    headers: Mapping[str, str] = field(repr=False)
    data: Any = field(repr=False)

    @property
    def ok(self) -> bool:
        """True if both HTTP and OCPI report success."""
        return self.seen("").success

    def seen(self, what: str, *, effect: bool = True) -> Seen:
        """Return the exchange as the result of a call."""
        return Seen(
            what=what,
            http_status=self.http_status,
            status_code=self.status_code,
            effect=effect,
            allow=self.headers.get("allow", ""),
        )


@frozen(kw_only=True)
class Cpo:
    """A simulated CPO, driven through its control interface."""

    country_code: str
    party_id: str
    versions_url: str
    token_a: str = field(repr=False)
    control_url: str
    _http: http.AsyncClient = field(repr=False, alias="http")

    def __str__(self) -> str:
        return f"{self.country_code}-{self.party_id}"

    def owned(self, *ids: str) -> str:
        """Return the path of an object that the CPO owns, below a module's endpoint."""
        return "/".join((self.country_code, self.party_id, *ids))

    async def call(
        self, method: str, module: str, path: str = "", *, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Exchange:
        """Make the CPO send us one request. Raises Misbehaved."""
        order = {"method": method, "module": module, "path": path, "query": dict(query or {})}
        return _exchange(await self.control("call", order if body is None else {**order, "body": body}))

    async def register(self, versions_url: str, token_a: str) -> list[Exchange]:
        """Make the CPO register with us. Raises Misbehaved."""
        return _exchanges(await self.control("register", {"versions_url": versions_url, "token_a": token_a}))

    async def update(self, method: str, *fields: str) -> list[Exchange]:
        """Make the CPO renew its credentials, all of them or these fields. Raises Misbehaved."""
        return _exchanges(await self.control("update", {"method": method, "fields": list(fields)}))

    async def command_results(self) -> list[dict[str, Any]]:
        """Return the command results that the CPO has sent, once none is pending. Raises Misbehaved."""
        await self.control("wait-idle", {})
        results: list[dict[str, Any]] = (await self.control("state"))["command_results"]
        return results

    async def control(self, action: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send one request to the control interface. Raises Misbehaved."""
        method = "GET" if body is None else "POST"
        content = None if body is None else dump(body)
        try:
            answer = await self._http.request(method, f"{self.control_url}/{action}", content=content)
            document: dict[str, Any] = answer.json()
        except http_errors(ValueError) as error:
            raise Misbehaved(f"CPO {self} does not answer: {type(error).__name__} {error}".rstrip()) from None
        if answer.status_code != 200:
            raise Misbehaved(f"CPO {self}: {document.get('error')}")
        return document


def _exchanges(outcome: Mapping[str, Any]) -> list[Exchange]:
    if outcome["error"]:
        raise Misbehaved(f"the CPO gives up: {outcome['error']}")
    return [_exchange(document) for document in outcome["exchanges"]]


def _exchange(document: Mapping[str, Any]) -> Exchange:
    body = document["body"]
    return Exchange(
        method=document["method"],
        url=document["url"],
        http_status=document["status"],
        status_code=document["status_code"],
        headers=document["headers"],
        data=body.get("data") if isinstance(body, dict) else None,
    )


@contextlib.asynccontextmanager
async def started(*processes: Sequence[str]) -> AsyncIterator[list[Process]]:
    """Start simulated CPOs with these options; they are ended with the block."""
    running: list[Process] = []
    try:
        for options in processes:
            command = (sys.executable, "-P", "-m", "ocpi_emsp", "simulate-cpo", *options)
            running.append(await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE))
        yield running
    finally:
        await asyncio.gather(*map(_end, running))


async def listening(process: Process, country_code: str, party_id: str, client: http.AsyncClient) -> Cpo:
    """Return the CPO of a process, once it listens. Raises Outside."""
    party = f"{country_code}-{party_id}"
    if process.stdout is None:
        raise Outside(f"CPO {party} has no output")
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        return Cpo(country_code=country_code, party_id=party_id, http=client, **json.loads(line))
    except TimeoutError:
        raise Outside(f"CPO {party} did not start within {START_SECONDS:g} seconds") from None
    except (ValueError, TypeError):
        raise Outside(f"CPO {party} did not start") from None


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS)
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
