"""Both adapters where servers, frameworks and proxies differ; the behaviour behind them is in the other modules."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from ocpi_emsp import Emsp
from ocpi_emsp.ports import Kind
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import make_emsp
from served.cases import put_location, put_tariff
from served.partner import Connect, FakeCpo, Partner, invite, register
from served.support import BASE, Host, Logs, Ocpi, uvicorn_server, waitress_server

Message: TypeAlias = dict[str, Any]


# --- where it is mounted --------------------------------------------------------------------------------------------


def has_the_whole_handshake(ocpi: Ocpi, emsp: Emsp, cpo: FakeCpo) -> None:
    """Registers, follows every published link, and pushes an object with an id that has to be encoded."""
    partner = register(invite(ocpi, emsp, cpo), cpo)
    details = partner("GET", "/2.1.1")
    endpoints = {each["identifier"]: each["url"] for each in details.data["endpoints"]}
    assert set(endpoints.values()) == {f"{emsp.identity.url}/2.1.1/{module}/" for module in endpoints}
    url = f"{endpoints['tariffs']}/NL/TNM/A%2FB%2A1"
    assert partner("PUT", url, samples.tariff("A/B*1")).both == (201, 1000)
    assert partner("GET", endpoints["tokens"]).both == (200, 1000)
    assert partner("GET", f"{emsp.identity.url}/nowhere").both == (404, 2000)


@contextmanager
def behind(
    server: Callable[..., Any], wrap: Callable[[list[Any]], Any], **options: Any
) -> Iterator[tuple[str, list[Any]]]:
    """A server around an application that is made once its address is known."""
    application: list[Any] = []
    with server(wrap(application), **options) as origin:
        yield origin, application


def plain(url: str) -> Emsp:
    """An eMSP with this public URL."""
    return make_emsp(url=url, matrix=None, url_policy="loopback")


@pytest.mark.parametrize("prefix", ["/mnt", "/mnt/deep", BASE])
def test_mounted_in_starlette(http: httpx.Client, logs: Logs, fake_cpo: FakeCpo, prefix: str) -> None:
    def wrap(application: list[Any]) -> Starlette:
        async def mounted(scope: Any, receive: Any, send: Any) -> None:
            await application[0](scope, receive, send)

        async def other(_: Any) -> PlainTextResponse:
            return PlainTextResponse("not OCPI")

        return Starlette(routes=[Mount(prefix, app=mounted), Route("/other", other)])

    with behind(uvicorn_server, wrap) as (origin, application):
        emsp = plain(origin + prefix)
        application.append(emsp.asgi())
        has_the_whole_handshake(Ocpi(http, origin + prefix, logs), emsp, fake_cpo)
        assert http.get(f"{origin}/other").text == "not OCPI"


def test_mounted_in_starlette_below_another_public_path(http: httpx.Client, logs: Logs) -> None:
    """A proxy maps https://public/ocpi/emsp/... to /internal/...: what is published is the public URL."""
    application: list[Any] = []

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await application[0](scope, receive, send)

    with uvicorn_server(Starlette(routes=[Mount("/internal", app=mounted)])) as origin:
        emsp = plain("https://public.example.com/ocpi/emsp")
        application.append(emsp.asgi())
        token_a = logs.secret(emsp.parties.invite("NL-TNM").token_a.reveal())
        versions = Ocpi(http, f"{origin}/internal", logs, token_a)("GET", "/versions")
        assert versions.data == [{"version": "2.1.1", "url": "https://public.example.com/ocpi/emsp/2.1.1"}]
        details = Ocpi(http, f"{origin}/internal", logs, token_a)("GET", "/2.1.1")
        assert {each["url"].rstrip("/").rpartition("/")[0] for each in details.data["endpoints"]} == {
            "https://public.example.com/ocpi/emsp/2.1.1"
        }


def test_root_path_of_uvicorn(http: httpx.Client, logs: Logs, fake_cpo: FakeCpo) -> None:
    """uvicorn --root-path: the proxy in front strips the prefix, and the server puts it back into the path."""
    application: list[Any] = []

    async def root(scope: Any, receive: Any, send: Any) -> None:
        assert scope["root_path"] == "/stripped"
        await application[0](scope, receive, send)

    with uvicorn_server(root, root_path="/stripped") as origin:
        emsp = plain(origin)
        application.append(emsp.asgi())
        has_the_whole_handshake(Ocpi(http, origin, logs), emsp, fake_cpo)


def test_url_prefix_of_waitress(http: httpx.Client, logs: Logs, fake_cpo: FakeCpo) -> None:
    """The server strips the prefix from PATH_INFO and says it in SCRIPT_NAME."""
    application: list[Any] = []

    def root(environ: Any, start_response: Any) -> Any:
        assert environ["SCRIPT_NAME"] == "/wsgi"
        return application[0](environ, start_response)

    with waitress_server(root, url_prefix="/wsgi") as origin:
        emsp = plain(f"{origin}/wsgi")
        application.append(emsp.wsgi())
        has_the_whole_handshake(Ocpi(http, f"{origin}/wsgi", logs), emsp, fake_cpo)


@pytest.mark.parametrize("base", ["", "/", BASE, "/a/very/deep/base"])
def test_any_base(host: Host, http: httpx.Client, logs: Logs, fake_cpo: FakeCpo, base: str) -> None:
    emsp = plain(host.origin + base)
    host.mount(emsp)
    has_the_whole_handshake(Ocpi(http, host.origin + base.rstrip("/"), logs), emsp, fake_cpo)


def test_behind_a_proxy_that_strips_the_base(partner: Partner) -> None:
    stripped = Ocpi(partner.ocpi.http, partner.host.origin, partner.ocpi.logs, partner.ocpi.token)
    versions = stripped("GET", "/versions")
    assert versions.data == [{"version": "2.1.1", "url": f"{partner.host.url}/2.1.1"}]
    assert stripped("PUT", partner.path("tariffs", "TAR1"), samples.tariff()).both == (201, 1000)
    assert stripped("GET", "/2.1.1/nowhere").both == (404, 2000)
    assert stripped("GET", f"{BASE}/versions").both == (200, 1000)


def test_the_host_header_is_not_believed(partner: Partner) -> None:
    forged = {"host": "evil.example.com", "x-forwarded-host": "evil.example.com", "forwarded": "host=evil.example.com"}
    answer = partner.ocpi("GET", "/2.1.1", headers=forged)
    assert answer.both == (200, 1000)
    assert "evil" not in answer.text
    cdr = partner.ocpi("POST", "/2.1.1/cdrs", samples.cdr(), headers=forged)
    assert cdr.headers["location"] == f"{partner.host.url}/2.1.1/cdrs/CDR1"


# --- paths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/versions", "/2.1.1", "/2.1.1/credentials", "/2.1.1/tokens"])
def test_a_trailing_slash_makes_no_difference(partner: Partner, path: str) -> None:
    one, other = partner.ocpi("GET", path), partner.ocpi("GET", f"{path}/")
    assert one.both == other.both == (200, 1000)
    assert one.data == other.data


def test_a_trailing_slash_behind_an_id(partner: Partner) -> None:
    assert partner.ocpi("PUT", partner.path("tariffs", "TAR1/"), samples.tariff()).both == (201, 1000)
    assert partner.ocpi("POST", "/2.1.1/cdrs/", samples.cdr()).both == (201, 1000)
    assert {(key.kind, key.id) for key in partner.objects} == {(Kind.TARIFF, "TAR1"), (Kind.CDR, "CDR1")}


def test_modules_and_owners_compare_without_case_and_ids_with_it(connect: Connect) -> None:
    partner = connect(matrix=SupportMatrix.full())
    put_location(partner)
    before = partner.objects
    for path in ("/2.1.1/LOCATIONS/nl/tnm/LOC1", "/2.1.1/Locations/Nl/tNM/LOC1/", "/2.1.1/locations/%6el/TNM/LOC1"):
        assert partner.ocpi("GET", path).data == samples.location(), path
        assert partner.ocpi("PUT", path, samples.location()).both == (200, 1000)
    assert partner.objects == before
    assert partner.ocpi("GET", partner.path("locations", "loc1")).both == (404, 2003)
    assert partner.ocpi("GET", "/VERSIONS").both == (200, 1000)


IDS = {
    "A%2FB": "A/B",
    "%2F%2F": "//",
    "A*B": "A*B",
    "A%2AB": "A*B",
    "A%20B": "A B",
    "A+B": "A+B",
    "%25": "%",
    "%252F": "%2F",
    "A%3Fb%23c": "A?b#c",
    "%C3%A9": "\xe9",
    "a%2E%2E": "a..",
    "versions": "versions",
    "2.1.1": "2.1.1",
}


@pytest.mark.parametrize("written", IDS)
def test_percent_encoded_ids(connect: Connect, written: str) -> None:
    partner = connect(matrix=SupportMatrix.full())
    tariff = samples.tariff(IDS[written])
    path = partner.path("tariffs", written)
    assert partner.ocpi("PUT", path, tariff).both == (201, 1000)
    assert set(partner.objects) == {partner.key(Kind.TARIFF, IDS[written])}
    assert partner.ocpi("GET", path).data == tariff
    # So it is in a Location that we publish.
    answer = partner.ocpi("POST", "/2.1.1/cdrs", samples.cdr(IDS[written]))
    assert partner.ocpi("GET", answer.headers["location"]).data == samples.cdr(IDS[written])


# --- connections ----------------------------------------------------------------------------------------------------


def raw_request(connection: http.client.HTTPConnection, method: str, path: str, token: str, body: bytes = b"") -> bytes:
    """One request on an open connection; the whole body of the answer."""
    connection.request(method, BASE + path, body or None, {"authorization": f"Token {token}"})
    with connection.getresponse() as response:
        assert response.version == 11
        return response.read()


def test_keep_alive(partner: Partner) -> None:
    token, port = partner.ocpi.token, urlsplit(partner.host.origin).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        ports, codes = set[int](), list[int | None]()
        for method, path, body in (
            ("GET", "/versions", b""),
            ("HEAD", "/versions", b""),
            ("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", encode(samples.tariff())),
            ("OPTIONS", "/2.1.1/tariffs/NL/TNM/TAR1", b""),
            ("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", b"{"),
            ("DELETE", "/2.1.1/nowhere", b"{}"),
            ("GET", "/versions", b""),
        ):
            answer = raw_request(connection, method, path, token, body)
            ports.add(connection.sock.getsockname()[1])
            codes.append(json.loads(answer)["status_code"] if answer else None)
        assert codes == [1000, None, 1000, 2000, 2000, 2000, 1000]
        assert len(ports) == 1
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/versions", "/2.1.1", "/2.1.1/tokens", "/2.1.1/locations/NL/TNM/LOC1"])
def test_head(partner: Partner, path: str) -> None:
    """No method of OCPI, so it is not allowed; an answer to it has headers and no body."""
    response = partner.ocpi.http.head(partner.host.url + path, headers={"authorization": f"Token {partner.ocpi.token}"})
    assert response.status_code == 405
    assert response.headers["content-type"] == "application/json"
    assert "HEAD" not in response.headers["allow"]
    assert response.content == b""
    assert partner.ocpi("GET", "/versions").both == (200, 1000)


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "LINK"])
def test_methods_that_ocpi_has_not(partner: Partner, method: str) -> None:
    answer = partner.ocpi(method, partner.path("sessions", "SES1"))
    assert (answer.both, answer.allow) == ((405, 2000), {"PUT", "PATCH"})


def test_a_chunked_body(partner: Partner) -> None:
    body = encode(samples.location())
    chunks = iter([body[:10], body[10:11], body[11:]])
    answer = partner.ocpi("PUT", partner.path("locations", "LOC1"), content=chunks)
    assert answer.both == (201, 1000)
    assert len(partner.objects) == 3


# --- correlation ----------------------------------------------------------------------------------------------------


def test_ids_of_a_request_are_echoed(partner: Partner) -> None:
    sent = {"x-request-id": "request-1", "x-correlation-id": "correlation-1"}
    for answer in (
        partner.ocpi("PUT", partner.path("tariffs", "TAR1"), samples.tariff(), headers=sent),
        partner.ocpi("GET", "/nowhere", headers=sent),
        partner.ocpi("GET", "/versions", headers=sent | {"authorization": "Token unknown"}),
    ):
        assert {name: answer.headers[name] for name in sent} == sent
    assert [event.correlation_id for event in partner.events] == ["correlation-1"]


def test_an_id_is_made_where_none_comes(partner: Partner) -> None:
    answers = [partner.ocpi("GET", "/versions"), put_tariff(partner)]
    made = [answer.headers["x-correlation-id"] for answer in answers]
    assert len(set(made)) == 2
    assert all(len(each) >= 16 for each in made)
    assert len({answer.headers["x-request-id"] for answer in answers}) == 2
    assert [event.correlation_id for event in partner.events] == made[1:]


def test_a_request_id_stands_in_for_a_correlation_id(partner: Partner) -> None:
    answer = partner.ocpi("GET", "/versions", headers={"x-request-id": "request-1"})
    assert answer.headers["x-correlation-id"] == answer.headers["x-request-id"] == "request-1"


@pytest.mark.parametrize("given", ["x" * 129, "x" * 5000, "caf\xe9", "a\tb"])
def test_an_id_that_is_no_id_is_not_taken_over(partner: Partner, given: str) -> None:
    for name in ("x-correlation-id", "x-request-id"):
        answer = partner.ocpi("PUT", partner.path("tariffs", "TAR1"), samples.tariff(), headers={name: given})
        assert answer.code == 1000
        assert given not in answer.headers["x-correlation-id"]
        assert answer.headers["x-correlation-id"].isprintable()
        assert len(answer.headers.get("x-request-id", "")) <= 128
    assert given not in {event.correlation_id for event in partner.events}
