"""Both adapters without a server: what a well-behaved one never sends, and what only some do."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterable
from typing import Any, TypeAlias
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import anyio
import httpx
import pytest
from attrs import define, field

from ocpi_emsp import Emsp, Limits
from ocpi_emsp._bridge import run
from ocpi_emsp.adapters.asgi import AsgiApp
from ocpi_emsp.adapters.wsgi import WsgiApp
from ocpi_emsp.errors import Refusal
from ocpi_emsp.ports import ReadBody
from ocpi_emsp.settings import HttpLimits
from ocpi_emsp.wire import Request, Response
from our_emsp import make_emsp
from served.partner import FakeCpo, invite, register
from served.support import BASE, Logs, Ocpi, uvicorn_server

Message: TypeAlias = dict[str, Any]
LIMIT = 1000
LIMITS = HttpLimits(request_body=LIMIT)


@define
class Recorder:
    """Stands for an eMSP behind an adapter: remembers what it was handed."""

    requests: list[Request] = field(factory=list)

    def handle(self, request: Request, read: ReadBody) -> Response:
        """Answer 200 with the length of the body, which is read to one byte over the limit."""
        return run(self.handle_async(request, read))

    async def handle_async(self, request: Request, read: ReadBody) -> Response:
        """The same; what the reading raises is answered as an eMSP does it."""
        try:
            request.body = await read(LIMIT + 1)
        except Refusal as refusal:
            return Response(refusal.http_status, [], b"{}")
        self.requests.append(request)
        return Response(200, [("content-type", "application/json")], b"%d" % len(request.body))

    @property
    def last(self) -> Request:
        """The latest request."""
        return self.requests[-1]


@pytest.fixture
def recorder() -> Recorder:
    """A fresh one."""
    return Recorder()


def real(**settings: Any) -> Emsp:
    """An eMSP that nobody is registered with."""
    return make_emsp(url=f"https://emsp.example{BASE}", matrix=None, **settings)


# --- ASGI -----------------------------------------------------------------------------------------------------------


def asgi(app: AsgiApp, scope: Message, *received: Message) -> tuple[list[Message], int]:
    """What the application sends, and how much of what it may receive it takes."""
    sent: list[Message] = []
    waiting = list(received)

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(app, scope, receive, send)
    return sent, len(received) - len(waiting)


def http_scope(path: str = f"{BASE}/versions", **more: Any) -> Message:
    """A scope as uvicorn makes it."""
    raw = {"raw_path": path.encode(), "path": path}
    return {"type": "http", "method": "GET", "query_string": b"", "headers": [], "root_path": "", **raw, **more}


def chunk(body: bytes, more: bool = False) -> Message:
    """A part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


def status(sent: list[Message]) -> int:
    """The status of a complete answer."""
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    headers = dict(sent[0]["headers"])
    assert headers[b"content-length"] == str(len(sent[1]["body"])).encode()
    return int(sent[0]["status"])


def test_lifespan() -> None:
    sent, taken = asgi(real().asgi(), {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert taken == 2


def test_lifespan_under_uvicorn(http: httpx.Client, logs: Logs, fake_cpo: FakeCpo) -> None:
    """uvicorn with lifespan="on" refuses to start where an application does not take part."""
    application: list[AsgiApp] = []
    seen: list[str] = []

    async def root(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        app = application[0] if application else real().asgi()
        await app(scope, receive, send)

    with uvicorn_server(root, lifespan="on") as origin:
        emsp = make_emsp(url=origin, matrix=None, url_policy="loopback")
        application.append(emsp.asgi())
        assert register(invite(Ocpi(http, origin, logs), emsp, fake_cpo), fake_cpo)("GET", "/versions").code == 1000
    assert seen[0] == "lifespan"
    assert not any(
        "lifespan" in record.getMessage().lower() and record.levelname == "ERROR" for record in logs.caplog.records
    )


def test_a_websocket_is_closed() -> None:
    sent, _ = asgi(real().asgi(), {"type": "websocket", "path": f"{BASE}/versions"}, {"type": "websocket.connect"})
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_a_body_in_parts(recorder: Recorder) -> None:
    app = AsgiApp(recorder.handle_async, BASE, LIMITS)
    sent, _ = asgi(app, http_scope(), chunk(b"ab", True), chunk(b"", True), chunk(b"c", True), chunk(b""))
    assert status(sent) == 200
    assert recorder.last.body == b"abc"
    asgi(app, http_scope(), {"type": "http.request"})
    assert recorder.last.body == b""


@pytest.mark.parametrize("before", [[], [chunk(b'{"id":"TAR1"', True)], [chunk(b"a" * LIMIT, True)]])
def test_a_partner_that_is_gone_in_the_middle_of_a_body(recorder: Recorder, before: list[Message]) -> None:
    """Half a body is no request: nothing is handled, and nobody is there to answer."""
    sent, _ = asgi(AsgiApp(recorder.handle_async, BASE, LIMITS), http_scope(), *before, {"type": "http.disconnect"})
    assert sent == []
    assert recorder.requests == []


def test_a_body_is_read_to_its_limit(recorder: Recorder) -> None:
    """One byte over the limit tells the flow; the rest is read and dropped around the answer, which is heard so."""
    app = AsgiApp(recorder.handle_async, BASE, LIMITS)
    for parts in ([chunk(b"a" * 5000)], [chunk(b"a" * 700, True), chunk(b"a" * 700)]):
        sent, taken = asgi(app, http_scope(), *parts)
        assert (status(sent), len(recorder.last.body), taken) == (200, LIMIT + 1, len(parts))
    endless = [chunk(b"a" * 1000, True) for _ in range(100)]
    for header, most in ((b"content-length", 20), (b"transfer-encoding", 2)):  # chunks may cost an event for each byte
        sent, taken = asgi(app, http_scope(headers=[(header, b"100000")]), *endless)
        assert early(sent) == 200
        assert len(recorder.last.body) == LIMIT + 1
        assert most // 2 - 1 < taken <= most


def early(sent: list[Message]) -> int:
    """The status of an answer that is whole before the body of its request is."""
    start, body, end = sent
    assert (body["more_body"], end) == (True, {"type": "http.response.body", "body": b""})
    assert (b"connection", b"close") in start["headers"]
    return status([start, {"type": body["type"], "body": body["body"]}])


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        (http_scope(f"{BASE}/versions"), "/versions"),
        (http_scope("/versions"), "/versions"),
        (http_scope("/mnt/versions", root_path="/mnt"), "/versions"),
        (http_scope("/versions", root_path="/mnt"), "/versions"),
        (http_scope(f"{BASE}/versions", root_path=BASE), "/versions"),
        (http_scope(f"{BASE}/2.1.1/tariffs/NL/TNM/A%2FB*%25"), "/2.1.1/tariffs/NL/TNM/A%2FB*%25"),
        (
            {**http_scope("/2.1.1/tariffs/NL/TNM/A%2FB"), "path": "/2.1.1/tariffs/NL/TNM/A/B"},
            "/2.1.1/tariffs/NL/TNM/A%2FB",
        ),
        (http_scope("/elsewhere/versions"), "/elsewhere/versions"),
        (http_scope("/"), "/"),
    ],
)
def test_the_path_below_the_base(recorder: Recorder, scope: Message, path: str) -> None:
    asgi(AsgiApp(recorder.handle_async, BASE, LIMITS), scope, chunk(b""))
    assert recorder.last.url == path


@pytest.mark.parametrize(
    ("name", "values", "joined"),
    [
        (b"authorization", (b"Token one", b"Token two"), "Token one, Token two"),
        (b"x-request-id", (b"a", b"b"), "a, b"),
        (b"content-encoding", (b"gzip", b"identity"), "gzip, identity"),
        (b"content-type", (b"application/json",), "application/json"),
    ],
)
def test_headers_given_twice_are_joined(
    recorder: Recorder, name: bytes, values: tuple[bytes, ...], joined: str
) -> None:
    """Without the join: the last one counts, and of two tokens a proxy may have judged the other."""
    scope = http_scope(f"{BASE}/versions") | {"headers": [(name, value) for value in values]}
    asgi(AsgiApp(recorder.handle_async, BASE, LIMITS), scope, chunk(b""))
    assert recorder.last.headers == {name.decode(): joined}


def test_a_server_without_raw_paths(recorder: Recorder) -> None:
    scope = http_scope(f"{BASE}/2.1.1/tariffs/NL/TNM/\xe9 %")
    del scope["raw_path"]
    asgi(AsgiApp(recorder.handle_async, BASE, LIMITS), scope, chunk(b""))
    assert recorder.last.url == "/2.1.1/tariffs/NL/TNM/%C3%A9%20%25"


# --- WSGI -----------------------------------------------------------------------------------------------------------


def wsgi(
    app: Any, method: str, path: str = f"{BASE}/versions", body: bytes = b"", more: Message | None = None
) -> tuple[int, bytes]:
    """Status and body of the answer."""
    started: list[Any] = []

    def start_response(line: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        started.append((line, headers))
        return started.append

    environ: Message = {"REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "", "wsgi.input": io.BytesIO(body)}
    if body:
        environ |= {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json"}
    environ |= more or {}
    environ.setdefault("QUERY_STRING", "")
    setup_testing_defaults(environ)
    environ = {name: value for name, value in environ.items() if value is not None}
    answer: Iterable[bytes] = app(environ, start_response)
    content = b"".join(answer)
    getattr(answer, "close", lambda: None)()
    [(line, headers)] = started
    assert line.split(" ", 1)[1]
    assert dict(headers)["content-length"] == str(len(content)) or method == "HEAD"
    return int(line.split()[0]), content


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [f"{BASE}/versions", "/versions", "", "/2.1.1/tariffs/NL/TNM/TAR1"])
def test_the_application_is_valid_wsgi(method: str, path: str) -> None:
    emsp = real()
    token = emsp.parties.invite("NL-TNM").token_a.reveal()
    body = b'{"id": "TAR1"}' if method in ("PUT", "POST", "PATCH") else b""
    for headers in ({}, {"HTTP_AUTHORIZATION": f"Token {token}"}):
        code, content = wsgi(validator(emsp.wsgi()), method, path, body, headers)
        assert code in (200, 401, 404, 405)
        assert content == b"" if method == "HEAD" else "status_code" in json.loads(content)


def test_valid_wsgi_with_a_body_over_the_limit() -> None:
    emsp = real(limits=Limits(http=HttpLimits(request_body=LIMIT)))
    token = emsp.parties.invite("NL-TNM").token_a.reveal()
    header = {"HTTP_AUTHORIZATION": f"Token {token}"}
    app = validator(emsp.wsgi())
    assert wsgi(app, "POST", "/2.1.1/credentials", b" " * (LIMIT + 1), header)[0] == 413
    assert wsgi(app, "POST", "/2.1.1/credentials", b" " * LIMIT, header)[0] == 400


def test_a_wsgi_body_is_kept_to_its_limit(recorder: Recorder) -> None:
    app = WsgiApp(recorder.handle, BASE, LIMITS)
    for length, kept, left in (
        (10, 10, 0),
        (LIMIT, LIMIT, 0),
        (5 * LIMIT, LIMIT + 1, 0),
        (50 * LIMIT, LIMIT + 1, 42 * LIMIT),
    ):
        stream = io.BytesIO(b"a" * length)
        wsgi(app, "PUT", body=b"a" * length, more={"wsgi.input": stream})
        assert len(recorder.last.body) == kept
        assert len(stream.read()) == left


@pytest.mark.parametrize("length", [None, "", "0", "abc", "-1", "1e3", " 3 ", "\u0663", "9" * 5000])
def test_a_content_length_that_is_none(recorder: Recorder, length: str | None) -> None:
    """No server should let it through; the partner hears an OCPI answer all the same, and no read goes on for ever."""
    stream = io.BytesIO(b"abc")
    code, _ = wsgi(WsgiApp(recorder.handle, BASE, LIMITS), "PUT", more={"wsgi.input": stream, "CONTENT_LENGTH": length})
    assert code == 200
    assert recorder.last.body in (b"", b"abc")
    assert recorder.last.body == b"" or length in (" 3 ", "9" * 5000)


def test_a_chunked_body_under_wsgi(recorder: Recorder) -> None:
    """A server that takes chunked bodies says that its input ends by itself."""
    chunked = {"wsgi.input": io.BytesIO(b"abc"), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    wsgi(WsgiApp(recorder.handle, BASE, LIMITS), "PUT", more=chunked)
    assert recorder.last.body == b"abc"


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"PATH_INFO": f"{BASE}/versions"}, "/versions"),
        ({"PATH_INFO": "/versions"}, "/versions"),
        ({"SCRIPT_NAME": BASE, "PATH_INFO": "/versions"}, "/versions"),
        ({"SCRIPT_NAME": "/mnt", "PATH_INFO": "/versions"}, "/versions"),
        ({"SCRIPT_NAME": "/m n", "PATH_INFO": "/versions"}, "/versions"),
        ({"SCRIPT_NAME": "/mnt", "PATH_INFO": "/versions", "RAW_URI": "/mnt/versions?x=1"}, "/versions"),
        ({"PATH_INFO": "/2.1.1/x/A/B", "RAW_URI": f"{BASE}/2.1.1/x/A%2FB?limit=1"}, "/2.1.1/x/A%2FB"),
        ({"PATH_INFO": "/2.1.1/x/A/B", "REQUEST_URI": "/2.1.1/x/A%2FB"}, "/2.1.1/x/A%2FB"),
        ({"PATH_INFO": "/2.1.1/x/A", "REQUEST_URI": "http://host/2.1.1/x/A"}, "/2.1.1/x/A"),
        ({"PATH_INFO": "/2.1.1/x/A*B"}, "/2.1.1/x/A%2AB"),
        ({"PATH_INFO": "/2.1.1/x/\xc3\xa9"}, "/2.1.1/x/%C3%A9"),
        ({"PATH_INFO": "/elsewhere"}, "/elsewhere"),
    ],
)
def test_the_path_below_the_base_under_wsgi(recorder: Recorder, environ: dict[str, str], path: str) -> None:
    wsgi(WsgiApp(recorder.handle, BASE, LIMITS), "GET", more=environ)
    assert recorder.last.url == path


def test_headers_under_wsgi(recorder: Recorder) -> None:
    headers = {"HTTP_X_REQUEST_ID": "1", "HTTP_AUTHORIZATION": "Token x", "QUERY_STRING": "limit=1"}
    wsgi(WsgiApp(recorder.handle, BASE, LIMITS), "PUT", body=b"{}", more=headers)
    assert recorder.last.headers["x-request-id"] == "1"
    assert recorder.last.headers["authorization"] == "Token x"
    assert recorder.last.headers["content-type"] == "application/json"
    assert (recorder.last.method, recorder.last.query) == ("PUT", "limit=1")


# --- the tests' own watch -------------------------------------------------------------------------------------------


def test_a_logged_token_is_noticed(logs: Logs, caplog: pytest.LogCaptureFixture) -> None:
    """The other tests rest on this."""
    caplog.clear()
    logging.getLogger("ocpi_emsp").debug("the token is %s", "secret-token")
    logs.check()
    logs.secret("secret-token")
    with pytest.raises(AssertionError, match="a token was logged"):
        logs.check()
    logs.tokens.clear()
