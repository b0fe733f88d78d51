"""Where a page runs: a folder of its own, the partner https://cpo.example.com (NL-TNM), and no network.

Rules of this module:
- a call to a host of example.com is answered by a simulated CPO in this process, whose calls to us are answered by the
  eMSP with that URL that the page, or a command of it, made last;
- everything else reaches this machine alone.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from attrs import define, field
from starlette.testclient import TestClient

from client.support import PortalTransport
from ocpi_emsp import Emsp, SupportMatrix
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import SimulatedCpo
from our_emsp import token as driver_token
from pages.blocks import ROOT

URL = "https://ocpi.example.com/ocpi/emsp"
VERSIONS_URL = "https://cpo.example.com/ocpi/cpo/versions"
TOKEN_A = "their-token-a"
EVERYONE = "all://*.example.com"
EXAMPLES = ROOT / "docs" / "examples"
_OF_A_PROJECT = ("DATABASE", "OCPI_URL")
"""Variables that the tests of a project set for their process, and that a page reads as its own."""


@define
class Scene:
    """What a page finds, and what it makes."""

    folder: Path
    cpo: SimulatedCpo
    names: dict[str, Any] = field(factory=dict)
    """Of the page's Python."""
    emsps: list[Emsp] = field(factory=list)
    """Those that were made, by the page and by its commands."""

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a call of the CPO."""
        (called,) = [emsp for emsp in self.emsps if _serves(emsp, scope)][-1:]
        await called.asgi(background=False)(scope, receive, send)


def _serves(emsp: Emsp, scope: Any) -> bool:
    url = urlsplit(emsp.identity.url)
    return bool(url.hostname == scope["server"][0] and scope["path"].startswith(f"{url.path}/"))


@contextmanager
def scene(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A folder with a partner."""
    cpo = SimulatedCpo(url="https://cpo.example.com", token_a=TOKEN_A, sessions_follow_commands=True)
    for name in [name for name in os.environ if name.startswith("OCPI_EMSP_") or name in _OF_A_PROJECT]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    # A module of a page may have the name of one that another test of this process imported from an example project.
    for name in [name for name, module in sys.modules.items() if _is_in(EXAMPLES, module)]:
        monkeypatch.delitem(sys.modules, name)
    with start_blocking_portal() as portal:
        made = Scene(folder, cpo)
        cpo.transport = httpx.ASGITransport(app=made.answer)

        def client(*_: Any) -> Any:
            return httpx.Client(mounts={EVERYONE: PortalTransport(portal, cpo.app)}, trust_env=False)

        def aio_client(*_: Any) -> Any:
            return httpx.AsyncClient(mounts={EVERYONE: httpx.ASGITransport(app=cpo.app)}, trust_env=False)

        monkeypatch.setattr("ocpi_emsp.transports.httpx.default_client", client)
        monkeypatch.setattr("ocpi_emsp.transports.httpx.default_async_client", aio_client)
        init = Emsp.__init__

        def remembered(self: Emsp, **settings: Any) -> None:
            init(self, **settings)
            made.emsps.append(self)

        monkeypatch.setattr(Emsp, "__init__", remembered)
        try:
            yield made
        finally:
            portal.call(cpo.aclose)
            for store in (emsp._contexts.setup.store for emsp in made.emsps):
                if isinstance(store, SqlStore):
                    portal.call(store.aclose)
            for name in [name for name in os.environ if name.startswith("OCPI_EMSP_")]:
                del os.environ[name]
            for name in [name for name, module in sys.modules.items() if _is_in(folder, module)]:
                del sys.modules[name]


def _is_in(folder: Path, module: ModuleType) -> bool:
    """Whether it was imported from this folder or one below it."""
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder)


# --- for the invisible blocks of pages ------------------------------------------------------------------------------


def make_emsp(**settings: Any) -> Emsp:
    """IT-BEC on a store in memory."""
    values: dict[str, Any] = {"country_code": "IT", "party_id": "BEC", "name": "Be Charge", "url": URL}
    return Emsp(**(values | {"store": "memory"} | settings))


def connect(emsp: Emsp) -> None:
    """Register the eMSP with NL-TNM, pull what that has, and store a driver's token."""
    emsp.tokens.put(token)
    emsp.parties.register(VERSIONS_URL, token_a=TOKEN_A)
    emsp.partner("NL-TNM").sync()


def connected_emsp(**settings: Any) -> Emsp:
    """An eMSP that is registered with NL-TNM and has what it has."""
    emsp = make_emsp(**({"matrix": SupportMatrix.full()} | settings))
    connect(emsp)
    return emsp


def asks_for_a_token(app: Any) -> bool:
    """Whether an application, ASGI with its lifespan or WSGI, answers at our path with 401."""
    if inspect.iscoroutinefunction(app.__call__):
        with TestClient(app) as client:
            status = client.get("/ocpi/emsp/versions").status_code
    else:
        with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://a") as wsgi:
            status = wsgi.get("/ocpi/emsp/versions").status_code
    return status == HTTPStatus.UNAUTHORIZED


token = driver_token("012345678", auth_id="DE8ACC12E46L89")
"""A driver's token."""
