"""One process of each package for all tests, and an eMSP of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cli.conftest import command
from ocpi_emsp import Emsp
from ocpi_emsp.storage import MemoryStore, SqlStore
from our_emsp import token
from served.support import Host, uvicorn_host
from software.support import TOKEN_A, TOKEN_C, Connected, Extrawest, Sdk, extrawest, sdk_process

__all__ = ["command"]


@pytest.fixture(scope="session")
def cpo() -> Iterator[Extrawest]:
    """The CPO on extrawest-ocpi, with its default settings."""
    with extrawest() as running:
        yield running


@pytest.fixture(scope="session")
def sdk() -> Iterator[Sdk]:
    """The SDK, with no partner yet."""
    with sdk_process() as process:
        yield Sdk(process)


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """The server of our eMSPs."""
    with uvicorn_host() as running:
        yield running


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[MemoryStore | SqlStore]:
    """An empty store: that of the command, unless the test is for every one."""
    kind = getattr(request, "param", "sqlite")
    if kind == "memory":
        yield MemoryStore()
        return
    path = f"sqlite:///{request.getfixturevalue('sqlite_with_schema')}"
    opened = SqlStore(path if kind == "sqlite" else request.getfixturevalue("postgres_with_schema"))
    yield opened
    opened.close()


@pytest.fixture
def emsp(host: Host, store: MemoryStore | SqlStore) -> Iterator[Emsp]:
    """Our eMSP, with one token of a driver, T1."""
    made = Emsp(country_code="IT", party_id="BEC", name="Be Charge", url=host.url, url_policy="loopback", store=store)
    made.tokens.put(token("T1"))
    host.mount(made)
    yield made
    if isinstance(store, SqlStore):
        host.application = closing(store)
        httpx.get(host.origin).raise_for_status()


def closing(store: SqlStore) -> Any:
    """An application that closes the connections of the server's event loop, which no other thread can."""

    async def close(_scope: Any, _receive: Any, send: Any) -> None:
        await store.aclose()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    return close


@pytest.fixture
def registered(emsp: Emsp, cpo: Extrawest, host: Host) -> Connected:
    """We registered with the CPO on extrawest-ocpi."""
    cpo.begin()
    emsp.parties.register(cpo.versions_url, token_a=TOKEN_A)
    return Connected(emsp, host.url, cpo)


@pytest.fixture
def registered_by_sdk(emsp: Emsp, cpo: Extrawest, sdk: Sdk, host: Host) -> Connected:
    """A CPO that calls with the SDK, and serves with extrawest-ocpi, registered with us."""
    invitation = emsp.parties.invite("NL-TNM")
    sdk.become(f"{host.url}/2.1.1", invitation.token_a.reveal())
    cpo.begin(partner={"credentials": {"token": "none yet"}})
    own = {"business_details": {"name": "The New Motion"}, "party_id": "TNM", "country_code": "NL"}
    returned = sdk("credentials.post_credentials", token=TOKEN_C, url=cpo.versions_url, **own)
    credentials = returned["answer"]["data"]
    cpo.begin(partner={"credentials": credentials})
    sdk.become(f"{host.url}/2.1.1", credentials["token"])
    return Connected(emsp, host.url, cpo)
