"""The stage of the demo: our eMSP under uvicorn in this process, and two simulated CPOs in their own processes.

Rules of this module:
- a scene names its calls and yields the result of each; one that fails does not affect the others;
- every wait has a time limit;
- our eMSP uses a SQLite file, which is deleted with the demo.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias

from attrs import frozen

from ocpi_emsp import AuthorizationRequest, Limits, PartyId
from ocpi_emsp.cli.demo.parties import Cpo, Misbehaved, listening, started
from ocpi_emsp.cli.demo.recorder import Heard, Recorder
from ocpi_emsp.cli.demo.rows import Call, Seen
from ocpi_emsp.cli.server import base_url, listen, serving
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.errors import NotSupported, OcpiError
from ocpi_emsp.events import Event
from ocpi_emsp.models import Allowed, AuthorizationInfo
from ocpi_emsp.resources import AsyncClient
from ocpi_emsp.settings import HttpLimits
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.transports.library import http

CONTROL_SECONDS = 10.0
"""Seconds that a CPO may need to execute an instruction: a handshake is several requests."""


@frozen(kw_only=True)
class Stage:
    """Everything that a scene uses. ``tnm`` registers with us, we register with ``abc``."""

    emsp: Emsp
    recorder: Recorder
    heard: Heard
    tnm: Cpo
    abc: Cpo
    client: AsyncClient
    """Our client for ``abc``."""

    async def ours(self, what: str, method: str, action: Callable[[], Awaitable[str]]) -> Seen:
        """Return the result of one of our own calls; ``action`` makes it, judges its effect and describes it."""
        sent, since = self.recorder.sent, len(self.recorder.answers)
        error, not_supported = "", False
        try:
            what = await action()
        except NotSupported:
            not_supported = True
        except OcpiError as failure:
            error = failure.message
        except Misbehaved as failure:
            error = str(failure)
        answer = self.recorder.last(since, method)
        return Seen(
            what=what,
            http_status=answer.http_status if answer else None,
            status_code=answer.status_code if answer else None,
            error=error,
            not_supported=not_supported,
            sent=self.recorder.sent - sent,
        )

    async def reaches(self, cpo: Cpo) -> bool:
        """Return True if a CPO accepts the token that we have for it."""
        try:
            async with self.emsp.aio.partner(PartyId(cpo.country_code, cpo.party_id)).client() as client:
                return bool(await client.versions())
        except OcpiError:
            return False


Play: TypeAlias = Callable[[Stage], AsyncIterator[tuple[Call, Seen]]]
Do: TypeAlias = Callable[[Stage], Awaitable[str]]
"""Makes one of our calls, judges its effect and describes it."""


@frozen
class Scene:
    """A part of the demo, and the calls that it shows."""

    calls: tuple[Call, ...]
    play: Play


class Act(list[Scene]):
    """Scenes in the order in which they are played."""

    def scene(self, *calls: Call) -> Callable[[Play], Play]:
        """Add a scene; a decorator."""

        def add(play: Play) -> Play:
            self.append(Scene(calls, play))
            return play

        return add

    def theirs(self, call: Call, does: Callable[[Stage], Awaitable[Seen]]) -> None:
        """Add a scene of one call of a CPO to us."""

        async def play(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
            yield call, await does(stage)

        self.append(Scene((call,), play))

    def ours(self, call: Call, what: str) -> Callable[[Do], Do]:
        """Add a scene of one of our calls, which is described by ``what`` until it was made; a decorator."""

        def add(does: Do) -> Do:
            self.theirs(call, lambda stage: stage.ours(what.format(stage), call.method, lambda: does(stage)))
            return does

        return add


def allow_everyone(request: AuthorizationRequest) -> AuthorizationInfo:
    """Authorize any valid token that we know."""
    return request.allow() if request.token.valid else request.refuse(Allowed.BLOCKED)


@contextlib.asynccontextmanager
async def staged(matrix: SupportMatrix, cpo_options: Sequence[str] = ()) -> AsyncIterator[Stage]:
    """Run all parties. Raises Outside if one does not start."""
    recorder, heard = Recorder(), Heard()
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ocpi-emsp-demo-"))
        store = SqlStore(f"sqlite:///{folder}/demo.db")
        stack.push_async_callback(store.aclose)
        address = stack.enter_context(listen("127.0.0.1", 0))
        emsp = Emsp(
            country_code="IT",
            party_id="BEC",
            name="Be Charge",
            url=base_url(address) + "/ocpi/emsp",
            url_policy="loopback",
            store=store,
            matrix=matrix,
            limits=Limits(http=HttpLimits(read_timeout=CONTROL_SECONDS)),
            aio_http_client=recorder.client,
        )
        emsp.authorize(allow_everyone)
        emsp.on(Event)(heard)
        await stack.enter_async_context(serving(emsp.asgi(background=False), address))
        control = await stack.enter_async_context(http.AsyncClient(timeout=CONTROL_SECONDS, trust_env=False))
        sizes = ("--locations", "5", "--sessions", "5", "--cdrs", "5", *cpo_options)
        first, second = await stack.enter_async_context(
            started(("--party", "NL-TNM", *sizes), ("--party", "DE-ABC", *sizes))
        )
        tnm, abc = await listening(first, "NL", "TNM", control), await listening(second, "DE", "ABC", control)
        client = await stack.enter_async_context(emsp.aio.partner("DE-ABC").client())
        yield Stage(emsp=emsp, recorder=recorder, heard=heard, tnm=tnm, abc=abc, client=client)
