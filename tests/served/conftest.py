"""Fixtures of the tests over HTTP; what they are made of is in support.py."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from in_turn import take_in_turn
from ocpi_emsp import Emsp
from ocpi_emsp.events import Event
from ocpi_emsp.storage import MemoryStore
from scripted_cpo import served
from served.partner import Connect, FakeCpo, FakeCpos, MakeEmsp, Partner, invite, register
from served.support import Host, Logs, Ocpi, emsp_at, quick_client, uvicorn_host, waitress_host

SERVERS = ("uvicorn", "waitress")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker."""
    config.addinivalue_line("markers", "servers_in_turn: each input meets one server, the next input the other one")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the other server of each input of a test that takes servers in turn: what is behind them answers."""
    take_in_turn(config, items, "servers_in_turn", "host", SERVERS)


@pytest.fixture(scope="session")
def uvicorn_running() -> Iterator[Host]:
    """A uvicorn server for the whole run."""
    with uvicorn_host() as host:
        yield host


@pytest.fixture(scope="session")
def waitress_running() -> Iterator[Host]:
    """A waitress server for the whole run."""
    with waitress_host() as host:
        yield host


@pytest.fixture(params=SERVERS)
def host(request: pytest.FixtureRequest) -> Host:
    """Each of the two servers in turn."""
    running: Host = request.getfixturevalue(f"{request.param}_running")
    return running


@pytest.fixture(scope="session")
def fake_cpos() -> Iterator[FakeCpos]:
    """Where the scripted CPOs are."""
    cpos = FakeCpos()
    with served(cpos) as cpos.origin:
        yield cpos


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    """The connections of the partner."""
    with quick_client() as client:
        yield client


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread, for simulated CPOs."""
    with start_blocking_portal() as running:
        yield running


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[Logs]:
    """Everything is logged, and no token shows."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "ocpi_emsp")
    watched = Logs(caplog)
    yield watched
    watched.check()


@pytest.fixture
def fake_cpo(fake_cpos: FakeCpos, logs: Logs) -> FakeCpo:
    """NL-TNM, as a test wants it to be."""
    return fake_cpos.add(logs)


@pytest.fixture
def make_emsp(host: Host) -> MakeEmsp:
    """Makes an eMSP with a fresh store, and mounts it on the server."""

    def make(**options: Any) -> Emsp:
        emsp = emsp_at(host, **options)
        host.mount(emsp)
        return emsp

    return make


@pytest.fixture
def ocpi(host: Host, http: httpx.Client, logs: Logs) -> Ocpi:
    """Sends requests without a token."""
    return Ocpi(http, host.url, logs)


@pytest.fixture
def connect(host: Host, make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo) -> Connect:
    """Makes an eMSP and registers NL-TNM with it, over HTTP; `events` hears everything from then on."""

    def connect_with(**options: Any) -> Partner:
        store = options.setdefault("store", MemoryStore())
        emsp = make_emsp(**options)
        with_a = invite(ocpi, emsp, fake_cpo)
        partner = Partner(host, emsp, store, fake_cpo, register(with_a, fake_cpo), with_a.token)
        emsp.on(Event)(partner.events.append)
        return partner

    return connect_with


@pytest.fixture
def partner(connect: Connect) -> Partner:
    """NL-TNM, registered with an eMSP of the published matrix."""
    return connect()
