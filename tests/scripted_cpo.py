"""A CPO that answers what a test writes down. Beside the shipped simulator it is the only double of a CPO.

By itself it serves versions, version details and the lists it was given, as the specification has it; `script` and
`answer` say anything else. It is a function from request to response, for httpx.MockTransport or, over HTTP, `served`.
"""

import base64
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import httpx
import msgspec
from attrs import define, field

from ocpi_emsp.testing.cpo.wire import encode

Handler: TypeAlias = Callable[[httpx.Request], httpx.Response]
Reply: TypeAlias = Callable[[httpx.Request], httpx.Response | None]
"""What a CPO answers; None leaves it to the specification."""

SECONDS = 30.0
"""What a client that says nothing may take: closing the server waits for it."""
MODULES = ("cdrs", "commands", "credentials", "locations", "sessions", "tariffs", "tokens")


def envelope(data: Any = None, status_code: Any = 1000) -> dict[str, Any]:
    """An OCPI envelope."""
    return {"data": data, "status_code": status_code, "status_message": "", "timestamp": "2024-01-01T00:00:00Z"}


def reply(data: Any = None, code: Any = 1000, *, status: int = 200, **headers: str) -> httpx.Response:
    """An answer with an envelope, decimals exact."""
    return httpx.Response(
        status, content=encode(envelope(data, code)), headers={"content-type": "application/json", **headers}
    )


def page(data: Any, link: str | None = None, *, total: Any = None, limit: Any = None) -> httpx.Response:
    """A page, of a list as a rule; an item that is bytes stands in it as it is."""
    given = {"link": link and f'<{link}>; rel="next"', "x-total-count": total, "x-limit": limit}
    headers = {name: str(value) for name, value in given.items() if value is not None}
    if isinstance(data, list):
        data = [msgspec.Raw(item if isinstance(item, bytes) else encode(item)) for item in data]
    return httpx.Response(200, content=encode(envelope(data)), headers=headers)


def by_specification(_: httpx.Request) -> None:
    """Leaves the answer to the specification."""


@define
class ScriptedCpo:
    """Answers by its `script`, by `answer`, or by the specification; remembers what it was asked.

    `script` is by path below `root`, with a method before it where it is for one only: "/versions", "POST /2.1.1/x".
    `answer` is for everything beside versions and version details. `lists` is by module: documents, or bytes that
    stand for one. The eMSP has to present `token`, if there is one.
    """

    answer: Reply = by_specification
    modules: Sequence[str] = MODULES
    lists: dict[str, list[Any]] = field(factory=dict)
    page_size: int = 10
    ignores_dates: bool = False
    """Lists everything, whatever date_from and date_to are."""
    root: str = "/cpo"
    versions: Sequence[str] = ("2.1.1",)
    token: str = field(default="", repr=False)
    base64: bool = False
    script: dict[str, Reply] = field(factory=dict)
    requests: list[httpx.Request] = field(factory=list)
    asked: list[httpx.Request] = field(factory=list)
    """The requests beside those for versions and version details."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if not self.lets_in(request):
            return reply(None, 2000, status=401)
        path = self.path(request)
        replies = [self.script.get(f"{request.method} {path}"), self.script.get(path)]
        if path not in ("/versions", "/2.1.1"):
            self.asked.append(request)
            replies.append(self.answer)
        answers = (each(request) for each in replies if each is not None)
        found = next((each for each in answers if each is not None), None)
        return self.honest(request) if found is None else found

    def lets_in(self, request: httpx.Request) -> bool:
        """Whether the token of a request opens it."""
        return not self.token or request.headers.get("authorization") == f"Token {self.presented(self.token)}"

    def honest(self, request: httpx.Request) -> httpx.Response:
        """What the specification says."""
        path, base = self.path(request), str(request.url.join(f"{self.root}/"))
        if path == "/versions":
            return reply([{"version": each, "url": f"{base}{each}"} for each in self.versions])
        if path == "/2.1.1":
            endpoints = [{"identifier": each, "url": f"{base}2.1.1/{each}"} for each in self.modules]
            return reply({"version": "2.1.1", "endpoints": endpoints})
        return self._object(request, path.removeprefix("/2.1.1").removeprefix("/"))

    def _object(self, request: httpx.Request, path: str) -> httpx.Response:
        """A list, or one object of it."""
        with contextlib.suppress(KeyError):  # the last answer below is for what is not listed
            return self._page(request, self.lists[path])
        module, _, object_id = path.partition("/")
        documents = (each for each in self.lists.get(module, ()) if isinstance(each, dict))
        found = [each for each in documents if each.get("id") == object_id]
        return reply(found[0]) if found else reply(None, 2003, status=404)

    def _page(self, request: httpx.Request, everything: Sequence[Any]) -> httpx.Response:
        query = self.query(request)
        listed = [each for each in everything if self.ignores_dates or _in_window(each, query)]
        offset, limit = int(query.get("offset", 0)), min(int(query.get("limit", self.page_size)), self.page_size)
        following = None
        if offset + limit < len(listed):
            kept = {name: value for name, value in query.items() if name.startswith("date_")}
            following = str(request.url.copy_with(params=kept | {"offset": offset + limit, "limit": limit}))
        return page(list(listed[offset : offset + limit]), following, total=len(listed), limit=limit)

    def path(self, request: httpx.Request) -> str:
        """The path of a request below the root."""
        return request.url.path.removeprefix(self.root)

    def presented(self, token: str) -> str:
        """A token as the eMSP has to write it."""
        return base64.b64encode(token.encode()).decode() if self.base64 else token

    @staticmethod
    def query(request: httpx.Request) -> dict[str, str]:
        """The parameters of a request."""
        return dict(parse_qsl(request.url.query.decode()))

    def queries(self, module: str) -> list[dict[str, str]]:
        """The parameters of every request for a list."""
        return [self.query(each) for each in self.asked if self.path(each) == f"/2.1.1/{module}"]

    @property
    def paths(self) -> list[str]:
        """Method and path of every request, oldest first."""
        return [f"{each.method} {self.path(each)}" for each in self.requests]

    @property
    def calls(self) -> list[str]:
        """Method and URL of every request, oldest first."""
        return [f"{each.method} {each.url}" for each in self.requests]

    @property
    def urls(self) -> list[str]:
        """The URLs of the requests beside those for versions and version details."""
        return [str(each.url) for each in self.asked]


def _in_window(item: Any, query: Mapping[str, str]) -> bool:
    moment = item.get("last_updated", "") if isinstance(item, dict) else ""
    after = not moment or query.get("date_from", "") <= moment
    return after and not (moment and "date_to" in query and moment >= query["date_to"])


def clients(answer: Handler) -> dict[str, Any]:
    """The settings of an eMSP whose every request, of either mode, is answered by a function."""
    transport = httpx.MockTransport(answer)
    return {
        "http_client": lambda: httpx.Client(transport=transport),
        "aio_http_client": lambda: httpx.AsyncClient(transport=transport),
    }


@contextlib.contextmanager
def served(answer: Handler) -> Iterator[str]:
    """Serves a function over HTTP, one thread per connection, so that it may call back; gives the origin.

    What it raises ends the connection without an answer.
    """

    def origin() -> str:
        return f"http://127.0.0.1:{server.server_port}"

    class Requests(BaseHTTPRequestHandler):
        wbufsize = -1  # headers and body in one packet
        timeout = SECONDS

        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = list(self.headers.items())
            response = answer(httpx.Request(self.command, f"{origin()}{self.path}", headers=headers, content=body))
            with contextlib.suppress(ConnectionError):  # who asked may be gone
                self.send_response(response.status_code)
                for name, value in ({"content-length": str(len(response.content))} | dict(response.headers)).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response.content)
                self.wfile.flush()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815 # the names http.server looks for

        def log_message(self, *_: object) -> None:
            """Prints nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = False
        request_queue_size = 100

    with Server(("127.0.0.1", 0), Requests) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield origin()
        finally:
            server.shutdown()
            thread.join(SECONDS)
