"""The attempts to reach objects of NL-TNM as somebody else: every route, method and spelling, through every door.

What an attempt asks for is what the wire has: the raw path and the headers, as an attacker writes them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

from attrs import frozen

from ocpi_emsp import Emsp
from ocpi_emsp._bridge import run
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document, decode, encode
from ocpi_emsp.wire import Request
from our_emsp import credentials
from two_parties import DRIVER, OBJECTS as THEIRS, OWNER, SECRET

OBJECTS: Final[Mapping[str, Document]] = {
    path: decode(encode(document).replace(SECRET.encode(), b"Mine")) for path, document in THEIRS.items()
}
"""What the attacker sends: it does not know the SECRET."""
METHODS: Final = ("GET", "PUT", "PATCH", "DELETE", "POST", "HEAD", "OPTIONS", "put", "PROPFIND")
OWNERS: Final = (
    "NL/TNM", "nl/tnm", "nL/TnM", "NL/tnm",
    # percent-encoded, once, twice and three times, in part, overlong, and as some servers of old had it
    "%4EL/%54NM", "%4e%4c/%74%6e%6d", "%254EL/TNM", "%25254EL/TNM", "NL%2FTNM", "NL%2fTNM", "NL%252FTNM", "NL%5CTNM",
    "%u004EL/TNM", "%C1%8EL/TNM", "NL%C0%AFTNM", "%4/TNM", "NL%/TNM",
    # dots and slashes
    "NL//TNM", "//NL/TNM", "NL/./TNM", "./NL/TNM", "NL/x/../TNM", "DE/ABC/../../NL/TNM", "DE/ABC/%2e%2e/%2e%2e/NL/TNM",
    "DE/ABC/..%2f..%2fNL/TNM", "DE/ABC%2f..%2f..%2fNL/TNM", "DE/../NL/TNM", "DE/ABC/..;/..;/NL/TNM", "..%5cNL/TNM",
    "DE/ABC/%252e%252e/%252e%252e/NL/TNM", "../locations/NL/TNM", "../../2.1.1/locations/NL/TNM", "NL\\TNM",
    # what stands beside
    "NL%00/TNM", "NL/TNM%00", "%00NL/TNM", "NL/TNM%00.ABC", "NL%20/TNM", "NL/TNM%20", "%20NL/TNM", "NL/%20TNM",
    "NL/TNM%09", "NL/TNM%0A", "NL/TNM%0D%0A", "NL/TNM.", "NL/TNM%E2%80%8B", "NL/TNM%C2%AD", "%EF%BB%BFNL/TNM",
    "NL;v=1/TNM", "NL/TNM;v=1", "NL/TNM;jsessionid=1", "NL/TNM,ABC", "DE,NL/ABC,TNM", "NL+/TNM", "NL-TNM", "NL*TNM",
    "*/*", "%2A/%2A", "%25/%25", "_%5F/___", "NL/TNM%3F", "NL/TNM%23", "NL'--/TNM", "NL/TNM'%20OR%20'1'='1",
    # letters that look alike, or become the same one when their case is changed
    "%EF%BC%AE%EF%BC%AC/%EF%BC%B4%EF%BC%AE%EF%BC%AD", "%CE%9DL/%CE%A4%CE%9D%CE%9C", "N%CA%9F/TNM", "NL/T%C9%B4M",
    "%D0%9DL/%D0%A2NM", "NL/TN%D0%9C", "%F0%9D%90%8D%F0%9D%90%8B/TNM", "N%CC%88L/TNM", "%C5%87L/TNM",
    # another cut, and half of it
    "N/LTNM", "NLT/NM", "DE/TNM", "NL/ABC", "NL", "TNM/NL", "NL/TNM/NL/TNM", "DE/ABC/NL/TNM",
)  # fmt: skip
PREFIXES: Final = (
    "/2.1.1/{}", "/2.1.1//{}", "//2.1.1/{}", "/2.1.1/./{}", "/versions/../2.1.1/{}", "/2.1.1/../2.1.1/{}",
    "/2%2E1.1/{}", "/ocpi/emsp/2.1.1/{}", "/ocpi/cpo/2.1.1/{}", "/2.1.1/hub/{}", "/2.1.1/%2e/{}", "/{}",
)  # fmt: skip
MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "locations": ("LOCATIONS", "location", "%6Cocations", "locations%20", "locations;v=1"),
    "sessions": ("Sessions", "session"),
    "tariffs": ("TARIFFS", "tariff"),
}
HEADERS: Final[tuple[Mapping[str, str], ...]] = (
    {"x-http-method-override": "PUT"},
    {"x-http-method-override": "DELETE", "x-method-override": "DELETE", "x-http-method": "DELETE"},
    {"ocpi-from-country-code": "NL", "ocpi-from-party-id": "TNM"},
    {"ocpi-to-country-code": "NL", "ocpi-to-party-id": "TNM"},
    {"x-original-url": "/2.1.1/{path}", "x-rewrite-url": "/2.1.1/{path}"},
    {"x-forwarded-prefix": "/2.1.1/locations/NL/TNM", "x-forwarded-path": "/2.1.1/{path}"},
    {"x-forwarded-user": "NL-TNM", "x-remote-user": "NL-TNM", "remote-user": "NL-TNM"},
    {"content-type": "application/merge-patch+json", "x-correlation-id": "NL-TNM"},
    {"host": "tnm.test", "x-forwarded-host": "tnm.test", "forwarded": "for=127.0.0.1"},
    {"cookie": "country_code=NL; party_id=TNM", "if-none-match": "*", "range": "bytes=0-10"},
)
QUERIES: Final = (
    "country_code=NL&party_id=TNM", "_method=DELETE", "owner=NL-TNM", "path=/2.1.1/{path}", "type=%00",
    "country_code[]=NL&party_id[]=TNM", "date_from=2000-01-01T00:00:00Z&limit=1000&owner=NL/TNM", "token={path}",
)  # fmt: skip


@frozen
class Attempt:
    """One request as the wire has it, without the token; what is no ASCII stands for one byte."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Answer(NamedTuple):
    """What came back."""

    status: int
    text: bytes
    """Headers and body."""


Door: TypeAlias = Callable[[Emsp, Attempt, str], Answer]


# --- what is tried ----------------------------------------------------------------------------------------------------


def by_owner() -> Iterator[Attempt]:
    """Every object under every spelling of its owner, with every method."""
    for path, document in OBJECTS.items():
        for owner in OWNERS:
            spelled = path.replace("NL/TNM", owner, 1)
            for method in METHODS[:4]:
                yield Attempt(method, f"/2.1.1/{spelled}", body=_body(method, document))
        for method in METHODS[4:]:
            yield Attempt(method, f"/2.1.1/{path}", body=_body(method, document))


def by_path() -> Iterator[Attempt]:
    """Every object under every spelling of the base and the module, with headers and queries that name it."""
    for path, document in OBJECTS.items():
        module = path.partition("/")[0]
        spelled = [each.format(path) for each in PREFIXES]
        spelled += [f"/2.1.1/{path.replace(module, name, 1)}" for name in MODULES[module]]
        spelled += [f"/2.1.1/{path}{end}" for end in ("/", "//", "%2F", "?", "/.", ";", "%00", ".json", "/..")]
        for each in spelled:
            yield Attempt("GET", each)
            yield Attempt("PUT", each, body=encode(document))
        own = path.replace("NL/TNM", "DE/ABC", 1)
        for target in (path, own):
            for headers in HEADERS:
                filled = {name: value.format(path=path) for name, value in headers.items()}
                for method in ("GET", "PATCH", "POST"):
                    yield Attempt(method, f"/2.1.1/{target}", "", _body(method, document), filled)
            for query in QUERIES:
                yield Attempt("GET", f"/2.1.1/{target}", query.format(path=path))


def by_body() -> Iterator[Attempt]:
    """Objects under the attacker's own name whose bodies name the owner, or its ids."""
    named = {"country_code": "NL", "party_id": "TNM", "owner": {"name": "NL-TNM"}, "operator": {"name": "NL-TNM"}}
    for path, document in OBJECTS.items():
        own = f"/2.1.1/{path.replace('NL/TNM', 'DE/ABC', 1)}"
        for body in (
            {**document, **named},
            {**document, "id": "../../NL/TNM/LOC1"},
            {**document, "id": "NL/TNM/LOC1", "uid": "NL/TNM/LOC1-E1"},
            [{**document, **named}],
            {"data": {**document, **named}, "status_code": 1000},
            {**named, "last_updated": "2030-01-01T00:00:00Z"},
        ):
            for method in ("PUT", "PATCH", "POST", "DELETE"):
                yield Attempt(method, own, body=encode(body))


def by_id(command: str) -> Iterator[Attempt]:
    """What has no owner in its path: CDRs, commands, tokens, credentials."""
    yield from _cdrs()
    yield from _commands(command)
    for place, named, query in product(_PLACES, ({}, _NAMED), ("", "type=RFID", "country_code=NL&party_id=TNM")):
        yield Attempt("POST", f"/2.1.1/tokens/{DRIVER}/authorize", query, encode({**place, **named}))
    for method, changes in product(("POST", "PUT", "PATCH"), _CREDENTIALS):
        yield Attempt(method, "/2.1.1/credentials", body=encode({**credentials(*OWNER), **changes}))
    paths = ("/2.1.1", "/versions", "/2.1.1/credentials", "/2.1.1/tokens", "/2.1.1/locations", "/2.1.1/cdrs")
    for path, query in product(paths, QUERIES):
        yield Attempt("GET", path, query.format(path="locations/NL/TNM/LOC1"))


_CREDENTIALS: Final[tuple[Document, ...]] = (
    {},
    {"country_code": "nl", "party_id": "tnm"},
    {"url": "https://abc.test/cpo/versions"},
)
_NAMED: Final = {"country_code": "NL", "party_id": "TNM"}
_PLACES: Final[tuple[Document, ...]] = (
    {"location_id": "LOC1"},
    {"location_id": "LOC1", "evse_uids": ["LOC1-E1"]},
    {"location_id": "NL/TNM/LOC1"},
)
_CDR_IDS: Final = (
    "CDR1", "cdr1", "%43DR1", "NL/TNM/CDR1", "NL%2FTNM%2FCDR1", "NL-TNM-CDR1", "..%2F..%2FNL%2FTNM%2FCDR1", "CDR1%00",
    "CDR1%20", "CDR1;v=1", "CDR1?country_code=NL&party_id=TNM", "*", "%25", "CDR1/", "CDR%EF%BC%91",
)  # fmt: skip


def _cdrs() -> Iterator[Attempt]:
    cdr = samples.cdr(of=OBJECTS["sessions/NL/TNM/SES1"])
    for cdr_id, method in product(_CDR_IDS, METHODS):
        path, _, query = f"/2.1.1/cdrs/{cdr_id}".partition("?")
        yield Attempt(method, path, query, encode(cdr))
    for changes in ({}, _NAMED, {"id": "cdr1"}, {"id": "NL/TNM/CDR1"}):
        yield Attempt("POST", "/2.1.1/cdrs", body=encode({**cdr, **changes, "total_cost": 0}))


def _commands(uid: str) -> Iterator[Attempt]:
    names = ("START_SESSION", "start_session", "RESERVE_NOW", "STOP_SESSION", "START_SESSION;v=1")
    uids = (uid, f"{uid}%00", f"{uid}/", f"{uid}%20", f"NL%2FTNM%2F{uid}", f"x%2F..%2F{uid}")
    for name, spelled, method in product(names, uids, ("POST", "PUT", "GET", "DELETE")):
        yield Attempt(method, f"/2.1.1/commands/{name}/{spelled}", body=b'{"result":"ACCEPTED"}')


def _body(method: str, document: Mapping[str, Any]) -> bytes:
    if method.upper() == "PUT":
        return encode({**document, "name": "taken over", "last_updated": "2030-01-01T00:00:00Z"})
    return encode({"last_updated": "2030-01-01T00:00:00Z", "status": "REMOVED"}) if method == "PATCH" else b""


# --- through which door -----------------------------------------------------------------------------------------------


def handle(emsp: Emsp, attempt: Attempt, token: str) -> Answer:
    """As an adapter of a host's own would."""
    sent = {**attempt.headers, "authorization": f"Token {token}"}
    response = emsp.handle(Request(attempt.method, attempt.path, attempt.query, sent, attempt.body))
    return Answer(response.status, _text(response.headers, response.body))


def asgi(emsp: Emsp, attempt: Attempt, token: str, *, raw: bool = True) -> Answer:
    """As uvicorn hands it over, where nothing waits: on a store in memory. ``raw``: see :func:`awaited`."""
    return run(awaited(emsp, attempt, token, raw=raw))


async def awaited(emsp: Emsp, attempt: Attempt, token: str, *, raw: bool = True) -> Answer:
    """As uvicorn hands it over; without ``raw``, as servers do that give the decoded path alone."""
    sent = {**attempt.headers, "authorization": f"Token {token}"}
    scope: dict[str, Any] = {
        "type": "http",
        "method": attempt.method,
        "path": unquote_to_bytes(attempt.path.encode("latin-1")).decode("utf-8", "replace"),
        "query_string": attempt.query.encode("latin-1"),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    if raw:
        scope["raw_path"] = attempt.path.encode("latin-1")
    started: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": attempt.body}

    async def send(message: Any) -> None:
        started.append(message)

    await emsp.asgi(background=False)(scope, receive, send)
    text = b"\n".join(name + b": " + value for name, value in started[0]["headers"])
    return Answer(started[0]["status"], text + b"\n" + started[1]["body"])


def asgi_decoded(emsp: Emsp, attempt: Attempt, token: str) -> Answer:
    """As a server that gives the decoded path alone."""
    return asgi(emsp, attempt, token, raw=False)


def wsgi(emsp: Emsp, attempt: Attempt, token: str, **more: str) -> Answer:
    """As a server that gives the decoded path alone, which is all that WSGI asks for."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": attempt.method,
        "PATH_INFO": unquote_to_bytes(attempt.path.encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": attempt.query,
        "CONTENT_LENGTH": str(len(attempt.body)),
        "wsgi.input": io.BytesIO(attempt.body),
        "HTTP_AUTHORIZATION": f"Token {token}",
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in attempt.headers.items()},
        **more,
    }
    started: list[Any] = []

    def start(*given: Any) -> Callable[[bytes], int]:
        started.extend(given)
        return io.BytesIO().write

    body = b"".join(emsp.wsgi()(environ, start))
    return Answer(int(started[0].split()[0]), _text(started[1], body))


def wsgi_raw(emsp: Emsp, attempt: Attempt, token: str) -> Answer:
    """As gunicorn and uWSGI, which give the raw path too."""
    return wsgi(emsp, attempt, token, RAW_URI=f"{attempt.path}?{attempt.query}")


DOORS: Final[tuple[Door, ...]] = (handle, asgi, asgi_decoded, wsgi, wsgi_raw)


def _text(headers: Any, body: bytes) -> bytes:
    return "\n".join(f"{name}: {value}" for name, value in headers).encode("utf-8", "replace") + b"\n" + body
