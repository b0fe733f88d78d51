"""CPOs that list what a test wants, over real HTTP, and wait in the middle; a database that knows them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, TypeAlias

import httpx
from attrs import define, field

import scripted_cpo
from cli import filled
from ocpi_emsp.codec import encode
from ocpi_emsp.flows.parties.party import Party, PartyState, party_key
from ocpi_emsp.models import Endpoint, ModuleID
from ocpi_emsp.storage import SqlStore
from scripted_cpo import ScriptedCpo

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


def _nothing() -> dict[str, list[Any]]:
    return defaultdict(list)


@define
class Cpos(ScriptedCpo):
    """What each party lists, by its code and the module, such as "NL-TNM/locations"; nothing, unless it is filled."""

    lists: dict[str, list[Any]] = field(factory=_nothing)
    page_size: int = PAGE
    ignores_dates: bool = True
    root: str = ""
    url: str = ""
    holds: dict[Place, Hold] = field(factory=dict)
    broken: set[Place] = field(factory=set)
    """Pages that are answered with HTTP 500."""

    def __attrs_post_init__(self) -> None:
        self.answer = self._answer

    def hold(self, party: str, module: str, offset: int) -> Hold:
        held = self.holds[party, module, offset] = Hold()
        return held

    @property
    def places(self) -> list[Place]:
        """The pages that were asked for."""
        return [self._place(each) for each in self.asked]

    @property
    def filters(self) -> list[dict[str, str]]:
        """The parameters of each request."""
        return [self.query(each) for each in self.asked]

    def _place(self, request: httpx.Request) -> Place:
        _, party, module = self.path(request).split("/")
        return party, module, int(self.query(request).get("offset", "0"))

    def _answer(self, request: httpx.Request) -> httpx.Response | None:
        place = self._place(request)
        if (hold := self.holds.get(place)) is not None:
            hold.reached.set()
            assert hold.go.wait(SECONDS)
        return httpx.Response(500) if place in self.broken else None


@contextlib.contextmanager
def served() -> Iterator[Cpos]:
    """CPOs that answer until the block ends."""
    cpos = Cpos()
    with scripted_cpo.served(cpos) as cpos.url:
        try:
            yield cpos
        finally:
            for hold in cpos.holds.values():
                hold.go.set()


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
    store.close()
