"""A whole day with marked secrets, looked for in everything that was written (docs/explanation/security.md).

The day: registrations both ways, pushes, a pull, commands, refused requests, hooks that crash, events and a relay, an
export, reports, a diagnosis, and what the command prints. The secrets: tokens A, B and C of both sides, the key of the
database, cookies, keys of a gateway, tokens in queries, a hub's header.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from attrs import define, field
from sqlalchemy import NullPool, create_engine, text

from cli.conftest import Command
from flows.support import offline_emsp, serve
from flows.telling import Told
from ocpi_emsp import Emsp, OcpiError
from ocpi_emsp.events import CdrReceived, Event, LocationReceived
from ocpi_emsp.flows.inbound import request as inbound_request
from ocpi_emsp.models import WhitelistType
from ocpi_emsp.ports import Kind
from ocpi_emsp.storage import FernetBox, SqlStore, make_tables
from ocpi_emsp.storage.sql.shared import Shared
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import NOW, credentials, token
from scripted_cpo import MODULES, ScriptedCpo, envelope, reply

TOKEN_B = "marked-token-B-with-which-we-call-DE-ONE/="
THEIR_TOKEN_A = "marked-token-A-that-DE-TWO-gave-us+"
THEIR_TOKEN_C = "marked-token-C-with-which-we-call-DE-TWO"
HUB_HEADER = "marked-key-of-a-hub-in-an-extra-header"
COOKIE = "marked-session-cookie-of-a-gateway-0001"
PROXY = "marked-proxy-authorization-of-a-gateway"
API_KEY = "marked-api-key-of-a-gateway-in-a-header"
IN_QUERY = "marked-token-in-a-query-string-0123456789"
MISDIRECTED = "marked-token-of-credentials-sent-elsewhere"
UNKNOWN = "marked-token-that-opens-nothing-of-ours"
HEADERS = {"cookie": f"sid={COOKIE}", "proxy-authorization": f"Basic {PROXY}", "x-api-key": API_KEY}
QUERY = f"limit=5&token={IN_QUERY}&{IN_QUERY}"
BASE = "https://two.test/cpo"


def spellings(secret: str) -> Iterator[str]:
    """The secret as it stands and as it may have been written: encoded, escaped, reversed, cut in half."""
    raw = secret.encode()
    whole = [secret, secret[::-1], quote(secret, safe=""), json.dumps(secret)[1:-1], raw.hex()]
    whole += [encode_it(raw).decode().rstrip("=") for encode_it in (base64.b64encode, base64.urlsafe_b64encode)]
    half = len(secret) // 2
    parts = [secret[:half], secret[half:]] if half >= 16 else []
    yield from {*whole, *parts, *(part[::-1] for part in parts)}


def leaks(secrets: Mapping[str, str], written: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Which secret stands where."""
    return [
        (name, place)
        for name, secret in secrets.items()
        for place, data in written.items()
        if any(each.encode() in data for each in spellings(secret))
    ]


@pytest.mark.parametrize("spelt", sorted(spellings(UNKNOWN)))
def test_the_search_finds_what_is_planted(spelt: str) -> None:
    planted = {"the log": b"nothing", "the database": b"\x00" + spelt.encode() + b"\xff"}
    assert leaks({"unknown": UNKNOWN}, planted) == [("unknown", "the database")]


# --- the day --------------------------------------------------------------------------------------------------------


def their_cpo() -> ScriptedCpo:
    """DE-TWO, which we register with, and DE-ONE's versions as well."""
    endpoints = [{"identifier": each, "url": f"{BASE}/2.1.1/{each}"} for each in MODULES]
    lists: dict[str, list[Any]] = {
        "locations": [samples.location("DE-LOC"), {"id": "bad"}],
        "sessions": [],
        "cdrs": [samples.cdr("DE-CDR")],
        "tariffs": [],
    }

    def answer(request: httpx.Request) -> httpx.Response | None:
        path = request.url.path.removeprefix("/cpo/2.1.1/")
        if path == "credentials":
            return reply(credentials("DE", "TWO", url=f"{BASE}/versions", token=THEIR_TOKEN_C))
        if path.startswith("commands"):
            return reply({"result": "ACCEPTED"})
        if path.startswith("tokens"):  # it repeats our token in its words
            sent = request.headers["authorization"]
            return httpx.Response(401, json={**envelope(None, 2001), "status_message": f"not {sent}"})
        return None if path in lists else reply([])

    details = {"version": "2.1.1", "endpoints": endpoints}
    return ScriptedCpo(answer, lists=lists, script={"/2.1.1": lambda _: reply(details)})


@define
class Day:
    """An eMSP, and what it was given and gave back."""

    emsp: Emsp
    secrets: dict[str, str]
    returned: list[object] = field(factory=list)

    def send(self, method: str, path: str, presented: str, body: Any = None, **headers: str) -> Any:
        content = body if isinstance(body, bytes) else b"" if body is None else encode(body)
        given = {"authorization": f"Token {presented}", **HEADERS, **headers}
        request = Request(method, path, QUERY, given, content)
        answer = self.emsp.handle(request)
        self.returned.append(answer)
        return json.loads(answer.body)

    def play(self) -> None:
        emsp = self.emsp
        emsp.on(Event)(self.returned.append)

        @emsp.on(CdrReceived)
        def crash(event: CdrReceived) -> None:
            raise RuntimeError(f"a bug of ours, at {event!r}")

        self._register()
        token_c = self.secrets["token C of DE-ONE"]
        self._push(token_c)
        self._refused(token_c)
        self._call()
        self.returned += [
            *emsp.parties.list(),
            *emsp.rejections.list(),
            *emsp.events.list(),
            *emsp.locations.list("DE-ONE"),
        ]

    def _register(self) -> None:
        invitation = self.emsp.parties.invite("DE-ONE")
        token_a = self.secrets["token A of DE-ONE"] = invitation.token_a.reveal()
        theirs = credentials("DE", "ONE", url=f"{BASE}/versions", token=TOKEN_B)
        assert self.send("POST", "/2.1.1/credentials", token_a, {**theirs, "url": None})["status_code"] == 2001
        answer = self.send("POST", "/2.1.1/credentials", token_a, theirs)
        self.secrets["token C of DE-ONE"] = answer["data"].pop("token")
        self.returned.pop()  # the response that has to hold token C
        party = self.emsp.parties.register(f"{BASE}/versions", token_a=THEIR_TOKEN_A, headers={"x-hub-key": HUB_HEADER})
        self.returned += [
            invitation,
            party,
            self.emsp.partner("DE-TWO").profile(),
        ]

    def _push(self, token_c: str) -> None:
        for location in (samples.location("LOC1"), {**samples.location("LOC1"), "name": "another"}):
            assert self.send("PUT", "/2.1.1/locations/DE/ONE/LOC1", token_c, location)["status_code"] == 1000
        self.send("POST", "/2.1.1/cdrs", token_c, samples.cdr("CDR1"))
        self.emsp.tokens.put(token("UID1", whitelist=WhitelistType.ALLOWED, last_updated=NOW))
        self.send("POST", "/2.1.1/tokens/UID1/authorize", token_c, {"location_id": "LOC1"})

    def _refused(self, token_c: str) -> None:
        path = "/2.1.1/locations/DE/ONE/LOC2"
        misdirected = credentials("DE", "ONE", token=MISDIRECTED)
        for body in ({"id": "LOC2"}, b"{", misdirected, [misdirected], {"id": token_c}):
            assert self.send("PUT", path, token_c, body, **{"x-request-id": token_c})["status_code"] >= 2000
        self.send("PUT", f"/2.1.1/locations/DE/ONE/{token_c}", token_c, {"id": "LOC2"})
        self.send("GET", f"/{UNKNOWN}/versions", UNKNOWN)
        self.send("GET", "/versions", f"{token_c}, Token {UNKNOWN}")
        self.send("GET", "/versions", base64.b64encode(UNKNOWN.encode()).decode())

        async def fail(*_: object) -> Any:
            raise RuntimeError("a bug of ours")

        self.emsp.authorize(fail)
        self.send("POST", "/2.1.1/tokens/UID1/authorize", token_c, {"location_id": "LOC1"})

    def _call(self) -> None:
        partner = self.emsp.partner("DE-TWO")
        self.returned += [partner.sync(full=True), partner.push_tokens(full=True), partner.diagnose(), partner.report()]
        with partner.client() as client:
            calls: list[Callable[[], object]] = [
                client.credentials,
                lambda: client.start_session(token=token("UID1"), location_id="DE-LOC", force=True),
            ]
            for call in calls:
                try:
                    self.returned.append(call())
                except OcpiError as error:
                    self.returned.append(error)
        self.returned.append(self.emsp.parties.diagnose(f"{BASE}/versions", token=THEIR_TOKEN_A))


def play(url: str, key: str) -> tuple[Day, Told]:
    cpo, told = their_cpo(), Told()
    with closing(SqlStore(url, secrets=FernetBox(key))) as store:
        settings = {"store": store, "telemetry": told, "outbox_events": (LocationReceived,), "sleep": no_time}
        day = Day(offline_emsp(http_client=serve(cpo), **settings), {})
        day.play()
    sent = {request.headers["authorization"].removeprefix("Token ") for request in cpo.requests}
    assert {THEIR_TOKEN_A, THEIR_TOKEN_C} <= sent
    return day, told


async def no_time(_: float) -> None:
    """Waits before retries, over at once."""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "postgresql":
        found: str = request.getfixturevalue("postgres_with_schema")
        return found
    return f"sqlite:///{request.getfixturevalue('sqlite_with_schema')}"


def stored(url: str) -> dict[str, bytes]:
    """The bytes of the database: its files, or every row of every table."""
    if url.startswith("sqlite"):
        folder = Path(url.removeprefix("sqlite:///")).parent
        return {each.name: each.read_bytes() for each in folder.iterdir() if each.name.startswith("emsp.db")}
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        rows = {name: connection.execute(text(f'SELECT t::text FROM "{name}" t')).scalars().all() for name in names}
    tables = make_tables()
    assert rows[tables.objects[Kind.PARTY].name]
    assert rows[tables.rejections.name]
    return {name: "\n".join(each).encode() for name, each in rows.items()}


def printed(url: str, command: Command, key: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the command prints, and writes to files."""
    monkeypatch.setenv("OCPI_EMSP_SECRET_KEY", key)
    found = {}
    for argv in (
        ("parties", "list"),
        ("parties", "list", "--json"),
        ("party", "profile", "DE-TWO"),
        ("rejections", "list", "--json"),
        ("events", "list", "--json"),
        ("locations", "list", "--json"),
        ("report", "DE-ONE", "--format", "html"),
        ("report", "DE-ONE", "--output", str(folder / "report")),
        ("reconcile", "DE-ONE", "--json"),
        ("db", "rotate-key"),
        ("db", "check"),
    ):
        ended = command(*argv, "--store", url)
        assert ended.status in (0, 1), ended
        found[" ".join(argv)] = f"{ended.out}{ended.err}".encode()
    for line in command("rejections", "list", "--json", "--store", url).out.splitlines():
        shown = command("rejections", "show", json.loads(line)["id"], "--store", url)
        found["rejections show"] = found.get("rejections show", b"") + shown.out.encode()
    found["report file"] = (folder / "report").read_bytes()
    return found


def all_secrets(day: Day, key: str) -> dict[str, str]:
    return day.secrets | {
        "token B": TOKEN_B,
        "their token A": THEIR_TOKEN_A,
        "their token C": THEIR_TOKEN_C,
        "hub header": HUB_HEADER,
        "cookie": COOKIE,
        "proxy": PROXY,
        "api key": API_KEY,
        "query": IN_QUERY,
        "misdirected": MISDIRECTED,
        "unknown": UNKNOWN,
        "key": key,
    }


IN_AN_EXPORT = {"token B", "their token C", "hub header"}
"""What opens partners, which an export has to hold: it says so."""


def test_a_day_leaves_no_secret_in_what_is_written(
    url: str, command: Command, caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is red for each of the defences that the next test takes out."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "ocpi_emsp")
    key = FernetBox.new_key()
    day, told = play(url, key)
    secrets = all_secrets(day, key)
    written = stored(url) | printed(url, command, key, tmp_path, monkeypatch)
    written["log"] = "\n".join(lines(caplog)).encode()
    written["telemetry"] = repr((told.spans, told.counts, told.durations)).encode()
    written["reprs"] = "\n".join(map(repr, day.returned)).encode() + "\n".join(map(str, day.returned)).encode()
    exported = command("export", "--store", url).out.encode()
    assert len(secrets) == 13
    assert leaks(secrets, written) == []
    assert {name for name, _ in leaks(secrets, {"export": exported})} == IN_AN_EXPORT
    assert all(len(data) > 0 for name, data in written.items() if name in ("log", "telemetry", "reprs"))


def lines(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    """All that was logged: messages, arguments, tracebacks."""
    for record in caplog.records:
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        yield f"{record.name} {record.getMessage()} {record.args!r} {trace}"


@pytest.mark.parametrize(
    ("of", "name", "instead", "found"),
    [
        (inbound_request, "stored_headers", lambda headers, *_: dict(headers), {"cookie", "proxy", "api key"}),
        (inbound_request, "stored_query", lambda query, *_: query, {"query"}),
        (inbound_request, "stored_body", lambda body, *_: body, {"misdirected", "token C of DE-ONE"}),
        (inbound_request, "without", lambda said, *_: said, {"token C of DE-ONE"}),
        (Shared, "redact", lambda _, document: (document, None), IN_AN_EXPORT),
    ],
    ids=["headers", "query", "body", "path", "sealing"],
)
def test_the_database_shows_a_secret_where_a_defence_is_taken_out(
    of: Any, name: str, instead: Any, found: set[str], sqlite_with_schema: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of, name, instead)
    url, key = f"sqlite:///{sqlite_with_schema}", FernetBox.new_key()
    day, _ = play(url, key)
    assert {name for name, _ in leaks(all_secrets(day, key), stored(url))} >= found
