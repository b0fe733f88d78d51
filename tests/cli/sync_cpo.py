"""CPOs that list what a test wants, over real HTTP, and wait in the middle; a database that knows them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from attrs import define, field

from cli import filled
from ocpi_emsp.codec import encode
from ocpi_emsp.flows.parties.party import Party, PartyState, party_key
from ocpi_emsp.models import Endpoint, ModuleID
from ocpi_emsp.storage import SqlStore

WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url-policy", "loopback")
SECONDS = 60.0
MODULES = ("locations", "tariffs", "sessions", "cdrs", "tokens")
PAGE = 2
"""Objects of a page."""
Place: TypeAlias = tuple[str, str, int]
"""Code of a party, a module, and an offset."""


def locations(count: int) -> list[dict[str, Any]]:
    document: dict[str, Any] = json.loads(filled.example("locations/location-LOC1.json"))
    return [{**document, "id": f"LOC{number}"} for number in range(count)]


@define
class Hold:
    """A page that is not answered before it is let go."""

    reached: threading.Event = field(factory=threading.Event)
    go: threading.Event = field(factory=threading.Event)


@define
class Cpos:
    """What each party lists, by its code and the module; whom nobody filled lists nothing."""

    url: str = ""
    lists: dict[tuple[str, str], Sequence[Any]] = field(factory=dict)
    holds: dict[Place, Hold] = field(factory=dict)
    broken: set[Place] = field(factory=set)
    """Pages that are answered with HTTP 500."""
    asked: list[Place] = field(factory=list)
    filters: list[Mapping[str, str]] = field(factory=list)
    """Of each request."""

    def hold(self, party: str, module: str, offset: int) -> Hold:
        held = self.holds[party, module, offset] = Hold()
        return held

    def answer(self, place: Place, filters: Mapping[str, str]) -> tuple[Sequence[Any], Mapping[str, str]]:
        """A page, and its headers."""
        self.asked.append(place)
        self.filters.append(filters)
        party, module, offset = place
        if (hold := self.holds.get(place)) is not None:
            hold.reached.set()
            assert hold.go.wait(SECONDS)
        listed = self.lists.get((party, module), ())
        headers = {"X-Total-Count": str(len(listed)), "X-Limit": str(PAGE)}
        following = offset + PAGE
        if following < len(listed):
            query = urlencode({**filters, "offset": following})
            headers["Link"] = f'<{self.url}/{party}/{module}?{query}>; rel="next"'
        return listed[offset:following], headers


@contextlib.contextmanager
def served() -> Iterator[Cpos]:
    """CPOs that answer until the block ends."""
    cpos = Cpos()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            _, party, module = url.path.split("/")
            filters = dict(parse_qsl(url.query))
            place = party, module, int(filters.get("offset", "0"))
            data, headers = cpos.answer(place, filters)
            body = json.dumps({"data": data, "status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"}).encode()
            with contextlib.suppress(ConnectionError):  # who asked may have been killed
                self.send_response(500 if place in cpos.broken else 200)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        cpos.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield cpos
        finally:
            for hold in cpos.holds.values():
                hold.go.set()
            server.shutdown()
            thread.join(SECONDS)


def know(database: str, cpos_url: str, *parties: str) -> None:
    """Write parties into a database, as if they had registered."""
    store = SqlStore(database)
    store.upgrade()
    with store.for_mode("sync").blocking_transaction() as tx:  # type: ignore[union-attr] # it is one of a URL
        for code in parties:
            country_code, party_id = code.split("-")
            urls = {module: f"{cpos_url}/{code}/{module}" for module in MODULES}
            party = Party(
                country_code=country_code,
                party_id=party_id,
                state=PartyState.REGISTERED,
                token=filled.SECRET,
                versions_url=f"{cpos_url}/{code}/versions",
                endpoints=tuple(Endpoint(identifier=ModuleID(module), url=url) for module, url in urls.items()),
            )
            tx.put(filled.record(party_key(country_code, party_id), encode(party)))
    store.dispose()
