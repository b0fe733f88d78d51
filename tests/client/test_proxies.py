"""The environment's proxies: they resolve names themselves, and what goes without one is pinned."""

import importlib
from typing import Any

import anyio
import pytest

from client.places import INSIDE, NAME, POLICY, Places
from client.support import MODES, Mode
from client.test_pinned import both, register, sites
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import CannotUseApi, InvalidEnvironment, UnsafeUrl
from ocpi_emsp.transports.httpx import AsyncHttpxSend, HttpxSend, default_async_client, default_client
from ocpi_emsp.transports.library import LIBRARIES
from ocpi_emsp.transports.proxies import environment_proxies
from ocpi_emsp.url_policy import UrlPolicy
from ocpi_emsp.wire import Request
from our_emsp import make_emsp

__all__ = ["both", "sites"]  # fixtures

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
OFTEN = "http://proxy.test:3128"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without a proxy, until a test sets one."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"HTTP_PROXY": OFTEN},
        {"HTTPS_PROXY": "proxy.test:3128"},
        {"ALL_PROXY": OFTEN, "HTTPS_PROXY": "http://user:word@other.test"},
        {"ALL_PROXY": OFTEN, "NO_PROXY": "*"},
        {
            "ALL_PROXY": OFTEN,
            "NO_PROXY": " localhost, LOCALHOST,127.0.0.1 ,::1,10.0.0.0/8,.example.com,cpo.test,,",
        },
        {"HTTP_PROXY": OFTEN, "NO_PROXY": "http://one.test:81,https://two.test"},
        {"NO_PROXY": "cpo.test"},
    ],
)
def test_they_are_read_as_both_libraries_read_them(
    environment: pytest.MonkeyPatch, library: str, values: dict[str, str]
) -> None:
    for name, value in values.items():
        environment.setenv(name.lower(), value)
    theirs = importlib.import_module(f"{library}._utils").get_environment_proxies()
    assert environment_proxies() == theirs


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("make", [default_client, default_async_client])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("HTTPS_PROXY", "ftp://proxy.test", "'ftp://proxy.test': expected the URL of a proxy, for example http://"),
        ("https_proxy", "http://us:secret@proxy.test:x", "'http://***@proxy.test:x': expected the URL of a proxy"),
        ("ALL_PROXY", "socks5://proxy.test:1080", "'socks5://proxy.test:1080': install socksio first"),
        ("NO_PROXY", "localhost,cpo.test:port", "'cpo.test:port': expected hosts, separated by commas, for example"),
        ("no_proxy", "[::1]", "'[::1]': expected hosts, separated by commas, for example localhost,.example.com"),
    ],
)
def test_one_that_cannot_be_used_is_named(
    environment: pytest.MonkeyPatch, make: Any, name: str, value: str, message: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(InvalidEnvironment) as raised:
        make(UrlPolicy(), 5.0)
    assert raised.value.message.startswith(f"invalid {name} {message}")
    assert "secret" not in raised.value.message


def status(mode: Mode, policy: UrlPolicy, url: str) -> int:
    """The answer to a GET by the client that the library makes by itself."""
    if mode == "sync":
        with default_client(policy, 10.0) as http:
            return run(HttpxSend(http, 10**6)(Request("GET", url))).status

    async def sending() -> int:
        async with default_async_client(policy, 10.0) as http:
            return (await AsyncHttpxSend(http, 10**6)(Request("GET", url))).status

    return anyio.run(sending)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("mode", MODES)
def test_a_proxy_of_ours_gets_the_name(mode: Mode, sites: Places, environment: pytest.MonkeyPatch) -> None:
    """It is the user's own way out, so it may stand inside; what the name leads to is for its rules."""
    environment.setenv("http_proxy", f"http://{INSIDE}:{sites.port}")
    assert status(mode, POLICY, f"http://{NAME}:81/x") == 200
    assert [str(each.url) for each in sites.inside.requests] == [f"http://{NAME}:81/x"]
    assert sites.cpo.connections == 0


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("mode", MODES)
def test_what_goes_without_the_proxy_is_pinned(mode: Mode, sites: Places, environment: pytest.MonkeyPatch) -> None:
    """Where the client's own transport stands behind the exception: the request arrives at INSIDE."""
    environment.setenv("http_proxy", f"http://{INSIDE}:{sites.port}")
    environment.setenv("no_proxy", "localhost,127.0.0.1")
    for host in ("localhost", INSIDE):
        with pytest.raises(UnsafeUrl, match="invalid address of"):
            status(mode, POLICY, f"http://{host}:{sites.port}/x")
    assert sites.inside.connections == 0


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "localhost", "[::ffff:10.0.0.1]", "2130706433"])
def test_a_url_is_checked_before_a_proxy_gets_it(
    mode: Mode, sites: Places, environment: pytest.MonkeyPatch, host: str
) -> None:
    """A proxy reaches as far as we do: without the check of the URL it would call what stands in it."""
    environment.setenv("all_proxy", f"http://{INSIDE}:{sites.port}")
    with pytest.raises(CannotUseApi, match=r"url_policy forbids|is not an IPv4 address"):
        register(mode, make_emsp(), f"https://{host}:8443/cpo/versions")
    assert sites.inside.connections == 0
