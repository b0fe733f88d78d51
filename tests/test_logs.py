"""Log lines: their shape, their names as the docs have them, and that nothing secret is in them."""

import ast
import base64
import json
import logging
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define, evolve, field
from hypothesis import given, strategies as st

from flows.support import Answer, offline_emsp, serve
from ocpi_emsp import Emsp, OcpiError, Token, logs
from ocpi_emsp.models import WhitelistType
from ocpi_emsp.testing.cpo.samples import location
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import CPO_TOKEN, NOW, credentials, register, token
from pages.blocks import pages
from pages.test_names import code
from scripted_cpo import MODULES, ScriptedCpo, envelope, reply

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "ocpi_emsp"
DOCS = ROOT / "docs" / "how-to" / "observability.md"

# --- the shape of a line --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("LOC1", "LOC1"),
        ("/2.1.1/locations/DE/ONE/LOC%201?x", "/2.1.1/locations/DE/ONE/LOC%201?x"),
        (12, "12"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('a"b', '"a\\"b"'),
        ("a\\b", '"a\\\\b"'),
        ("a\nrequest.answered status=200", '"a\\nrequest.answered status=200"'),
        ("\r\x1b[31m\x7f\x00", '"\\r\\u001b[31m\\u007f\\u0000"'),
        ("Zür\u2028ich\u202e", '"Z\\u00fcr\\u2028ich\\u202e"'),
    ],
)
def test_a_value_cannot_break_a_line(value: object, written: str) -> None:
    assert logs.line("x.y", key=value, none=None, last=1) == f"x.y key={written} last=1"


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text(max_size=logs.LONGEST)))
def test_whatever_the_values_hold_they_are_read_back(values: dict[str, str]) -> None:
    line = logs.line("x.y", **values)
    assert line.isascii()
    assert line.isprintable()
    event, *pairs = re.findall(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+', line)
    assert event == "x.y"
    read = dict(pair.split("=", 1) for pair in pairs)
    assert {name: json.loads(text) if text.startswith('"') else text for name, text in read.items()} == values


def test_a_long_value_is_cut() -> None:
    assert logs.text("x" * 1_000_000) == "x" * (logs.LONGEST - 3) + "..."


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/2.1.1/tokens/012345/authorize", "/2.1.1/tokens/*"),
        ("PUT https://cpo.test/tokens/IT/BEC/012345: ReadTimeout", '"PUT https://cpo.test/tokens/* ReadTimeout"'),
        ("/2.1.1/TOKENS/012345", "/2.1.1/TOKENS/*"),
        ("https://cpo.test/tokens/IT/BEC/012345?type=RFID", '"https://cpo.test/tokens/*?type=RFID"'),
        ("/2.1.1/tokens?offset", "/2.1.1/tokens?offset"),
        ("/2.1.1/sessions/DE/ONE/S1", "/2.1.1/sessions/DE/ONE/S1"),
    ],
)
def test_a_path_says_no_uid(url: str, shown: str) -> None:
    assert logs.text(url) == shown


def test_the_caller_is_who_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "ocpi_emsp")
    for write in (logs.debug, logs.info, logs.warning, logs.error):
        write("x.y", a=1)
    assert {(record.filename, record.getMessage()) for record in caplog.records} == {("test_logs.py", "x.y a=1")}
    levels = [record.levelname for record in caplog.records]
    assert levels == ["DEBUG", "INFO", "WARNING", "ERROR"]


# --- the names ------------------------------------------------------------------------------------------------------

_LEVELS = ("debug", "info", "warning", "error")


@cache
def calls() -> list[tuple[Path, ast.Call, ast.Attribute]]:
    """Every call of a method of something that has a name of a log, in the source."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "logger" | "logging" | "logs")) as function):
                    found.append((path, node, function))
    return found


def written() -> Iterator[tuple[str, str, str]]:
    """Every event in the source, its level, and where it stands."""
    for path, node, function in calls():
        on, level = function.value, function.attr
        if isinstance(on, ast.Name) and on.id == "logs" and level in _LEVELS:
            (event,) = node.args
            assert isinstance(event, ast.Constant), f"{path}:{node.lineno}: an event's name is a text in place"
            yield str(event.value), level.upper(), f"{path.relative_to(SRC)}:{node.lineno}"


def documented() -> dict[str, str]:
    """The events of the docs, with their levels."""
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([A-Z]+) \|", DOCS.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == len(dict(rows)), "an event has one row"
    return dict(rows)


def test_every_event_is_in_the_docs_with_its_level() -> None:
    found = sorted({(event, level) for event, level, _ in written()})
    assert found == sorted(documented().items())


def test_events_that_other_pages_name_exist() -> None:
    """Names that begin as an attribute, a rule or a reason does are left out: those have tests of their own."""
    others = {"cdr", "command", "partner", "party", "server", "store"}
    first = {event.partition(".")[0] for event in documented()} - others
    named = {each for page in pages() for each in code(page) if re.fullmatch(r"[a-z_]+\.[a-z_]+", each)}
    found = {each for each in named if each.partition(".")[0] in first} - {"authorization.location"}  # a finding
    assert found <= documented().keys()


def test_an_event_has_a_name_of_two_parts() -> None:
    wrong = [(event, place) for event, _, place in written() if not re.fullmatch(r"[a-z_]+\.[a-z_]+", event)]
    assert wrong == []


def test_nobody_logs_in_another_way() -> None:
    wrong = []
    for path, node, function in calls():
        on, name = function.value, function.attr
        is_logger = isinstance(on, ast.Name) and on.id in ("log", "logger", "logging")
        if is_logger and name in (*_LEVELS, "exception", "critical", "log") and path.name != "logs.py":
            wrong.append(f"{path.relative_to(SRC)}:{node.lineno}")
    assert wrong == []


# --- the values: no secret ------------------------------------------------------------------------------------------

TOKEN_A = "token-a-of-theirs/with=signs"
UID = "04A1B2C3D4E5F6"
BASE = "https://two.test/cpo"


@define
class Cpo(ScriptedCpo):
    """DE-TWO, every secret that went over the line, and how it fails once it shall."""

    fails: str = ""
    secrets: set[str] = field(factory=lambda: {TOKEN_A, CPO_TOKEN})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["authorization"].removeprefix("Token ")
        self.secrets.add(token)
        if request.method == "POST" and self.path(request) == "/2.1.1/credentials":
            self.secrets.add(json.loads(request.content)["token"])
        if self.fails == "quoting":
            return httpx.Response(401, json={**envelope(None, 2001), "status_message": f"unknown token {token}"})
        if self.fails == "html":
            return httpx.Response(502, text=f"<html>Bad gateway for {token}\n</html>")
        if self.fails == "gone":
            raise httpx.ConnectError(f"no route to {request.url}")
        return super().__call__(request)


def two(cards: str) -> Cpo:
    """What DE-TWO serves; drivers' tokens are at ``cards``."""
    endpoints = [{"identifier": each, "url": f"{BASE}/2.1.1/{cards if each == 'tokens' else each}"} for each in MODULES]
    lists = {"locations": [location("DE-LOC"), {"id": "bad"}], "sessions": [], "cdrs": [], "tariffs": []}
    ours = credentials("DE", "TWO", url=f"{BASE}/versions", token=CPO_TOKEN)

    def answer(request: httpx.Request) -> httpx.Response | None:
        path = request.url.path.removeprefix("/cpo/2.1.1/")
        if path == "credentials":
            return reply(ours)
        if path.startswith("commands"):
            return reply({"result": "ACCEPTED"})
        return None if path in lists else reply([])

    details = {"version": "2.1.1", "endpoints": endpoints}
    return Cpo(answer, lists=lists, script={"/2.1.1": lambda _: reply(details)})


def driver() -> Token:
    """A driver's token, whose uid and auth_id are personal data."""
    return token(UID, auth_id=f"IT-BEC-{UID}", whitelist=WhitelistType.ALLOWED, last_updated=NOW)


def drive(emsp: Emsp, cpo: Cpo) -> None:
    """Traffic of every kind, both ways, good and bad."""
    token_c = register(emsp, "DE", "ONE", url=f"{BASE}/versions")
    cpo.secrets.add(token_c)
    invited = emsp.parties.invite("FR-THR")
    cpo.secrets.add(invited.token_a.reveal())

    def request(method: str, path: str, body: Any = None, token: str = token_c, **headers: str) -> Answer:
        content = body if isinstance(body, bytes) else b"" if body is None else encode(body)
        sent = {"authorization": f"Token {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return Answer.of(emsp.handle(Request(method, path, "", sent, content)))

    emsp.parties.register(f"{BASE}/versions", token_a=TOKEN_A)
    emsp.tokens.put(driver())
    assert request("PUT", "/2.1.1/locations/DE/ONE/LOC1", location("LOC1")).code == 1000
    assert request("PUT", "/2.1.1/locations/DE/ONE/LOC1", {"id": "LOC1"}).code == 2001
    assert request("PUT", "/2.1.1/locations/DE/ONE/LOC1", b"{").code == 2000
    assert request("GET", "/versions", token="nobody-has-this-token").status == 401
    cpo.secrets.add("nobody-has-this-token")
    refused = {"token": "token-of-refused-credentials", "url": 1}
    assert request("PUT", "/2.1.1/credentials", refused).code == 2001
    cpo.secrets.add("token-of-refused-credentials")
    assert request("POST", f"/2.1.1/tokens/{UID}/authorize", {"location_id": "LOC1"}).code < 3000
    assert request("POST", "/2.1.1/tokens/nobody/authorize").status == 404
    with emsp.partner("DE-TWO").client() as client:
        client.start_session(token=driver(), location_id="DE-LOC", force=True)
    emsp.partner("DE-TWO").sync()
    for fails in ("quoting", "html", "gone"):
        cpo.fails = fails
        emsp.tokens.put_many(evolve(driver(), uid=f"{UID}-{fails}-{number}") for number in range(5))
        emsp.partner("DE-TWO").sync(modules=["tokens"])
        emsp.partner("DE-TWO").sync()
        emsp.partner("DE-TWO").push_tokens(full=True)
        with emsp.partner("DE-TWO").client() as client:
            for call in (
                client.credentials,
                lambda: client.start_session(token=driver(), location_id="DE-LOC", force=True),
            ):
                with pytest.raises(OcpiError) as failed:
                    call()
                assert CPO_TOKEN not in str(failed.value)
    cpo.fails = ""

    async def fail(*_: object) -> Any:
        raise RuntimeError("a bug\nof ours")

    emsp.authorize(fail)
    request("POST", f"/2.1.1/tokens/{UID}/authorize", {"location_id": "LOC1"})


@pytest.mark.parametrize("cards", ["tokens", "rfid/cards", "cards?of=us"])
def test_no_secret_is_logged(cards: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "ocpi_emsp")
    cpo = two(cards)
    drive(offline_emsp(http_client=serve(cpo), sleep=no_time), cpo)
    events = {record.getMessage().partition(" ")[0] for record in caplog.records if record.name == "ocpi_emsp"}
    assert events >= {"request.answered", "request.refused", "call.answered", "call.failed", "sync.page", "sync.failed"}
    assert len(cpo.secrets) == 7
    hidden = [*cpo.secrets, *(base64.b64encode(secret.encode()).decode() for secret in cpo.secrets)]
    assert [(secret, line) for line in lines(caplog) for secret in hidden if secret in line] == []
    assert [line for line in lines(caplog) if line.startswith("ocpi_emsp ") and UID in line] == []


async def no_time(seconds: float) -> None:
    """Waits before retries, over at once."""


def lines(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    """All that was logged, also by the libraries below: messages, arguments and tracebacks."""
    for record in caplog.records:
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        if record.name.startswith("ocpi_emsp"):
            assert "\n" not in record.getMessage()
        yield f"{record.name} {record.getMessage()} {record.args!r} {trace}"
