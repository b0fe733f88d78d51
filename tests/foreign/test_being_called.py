"""Our own endpoints, called by partners that concatenate and by those that join (issue 11, number 14)."""

from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from client.support import facing, register_tnm
from foreign.cases import cases
from ocpi_emsp import Emsp
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import decode, encode
from ocpi_emsp.wire import Request
from our_emsp import token
from scripted_cpo import ScriptedCpo

Case: TypeAlias = dict[str, Any]
Call: TypeAlias = tuple[str, str, str, Any]
OWNER = "NL/TNM"
CALLS: tuple[Call, ...] = (
    ("PUT", "locations", f"{OWNER}/LOC1", samples.location()),
    ("GET", "locations", f"{OWNER}/LOC1", None),
    ("PUT", "locations", f"{OWNER}/LOC1/LOC1-E1", samples.location()["evses"][0]),
    ("PATCH", "locations", f"{OWNER}/LOC1/LOC1-E1", {"status": "CHARGING"}),
    ("GET", "locations", f"{OWNER}/LOC1/LOC1-E1/1", None),
    ("PUT", "sessions", f"{OWNER}/SES1", samples.session()),
    ("PATCH", "sessions", f"{OWNER}/SES1", {"kwh": 5}),
    ("PUT", "tariffs", f"{OWNER}/TAR1", samples.tariff()),
    ("DELETE", "tariffs", f"{OWNER}/TAR1", None),
    ("POST", "cdrs", "", samples.cdr()),
    ("GET", "cdrs", "CDR1", None),
    ("GET", "tokens", "", None),
    ("POST", "tokens", "T0/authorize", None),
    ("GET", "credentials", "", None),
)


def by_handle(emsp: Emsp, method: str, url: str, headers: dict[str, str], body: bytes) -> int:
    return emsp.handle(Request(method, urlsplit(url).path.partition("/ocpi/emsp")[2], "", headers, body)).status


def by_asgi(emsp: Emsp, method: str, url: str, headers: dict[str, str], body: bytes) -> int:
    async def send() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=emsp.asgi())) as http:
            return (await http.request(method, url, headers=headers, content=body)).status_code

    return anyio.run(send)


def by_wsgi(emsp: Emsp, method: str, url: str, headers: dict[str, str], body: bytes) -> int:
    with httpx.Client(transport=httpx.WSGITransport(app=emsp.wsgi())) as http:
        return http.request(method, url, headers=headers, content=body).status_code


@cases("connecting", "called-*")
@pytest.mark.parametrize("send", [by_handle, by_asgi, by_wsgi])
@pytest.mark.parametrize("slash", [True, False], ids=["announced with a slash", "announced without"])
def test_every_way_of_writing_a_url_is_served(slash: bool, send: Callable[..., int], case: Case) -> None:
    emsp = facing(ScriptedCpo())
    headers = {"authorization": f"Token {register_tnm(emsp)}"}
    emsp.partner("NL-TNM").set_profile(announce_slash=slash)
    emsp.tokens.put(token())
    details = decode(emsp.handle(Request("GET", "/2.1.1", "", headers)).body)["data"]
    endpoints = {each["identifier"]: each["url"] for each in details["endpoints"]}
    assert {url.endswith("/") for url in endpoints.values()} == {slash}
    join = case["input"]["join"]
    for method, module, path, body in CALLS:
        url = endpoints[module]
        if path:
            bare = url.rstrip("/")
            known = {"endpoint": url if slash else f"{bare}/", "bare": bare}
            url = join.format(path=path, doubled=bare.replace("/ocpi/emsp/", "/ocpi/emsp//"), **known)
        content = b"" if body is None else encode(body)
        assert send(emsp, method, url, headers, content) in (200, 201), f"{method} {url}"
