"""An eMSP with everything switched on, a clock that can be set, and a CPO that is registered without a network.

The eMSP is driven through its public doors: ``emsp.handle(Request(...))`` as a server would, hooks as a backend would.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import httpx
import msgspec
from attrs import define, evolve, field, frozen

from ocpi_emsp import Emsp, PartyId, SupportMatrix
from ocpi_emsp._bridge import run
from ocpi_emsp.events import Event
from ocpi_emsp.flows.parties.party import Party, find_party, put_party
from ocpi_emsp.resources import AsyncItems
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request, Response

T = TypeVar("T")
URL = "https://emsp.test/ocpi/emsp"
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
CPO_TOKEN = "token-of-the-cpo"


@define
class FakeClock:
    """A clock that stands still until it is set."""

    time: datetime = NOW

    def now(self) -> datetime:
        return self.time

    def advance(self, **step: float) -> None:
        self.time += timedelta(**step)


def stamp(moment: datetime) -> str:
    """A timestamp as the wire has it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def at(minute: int) -> str:
    """A timestamp so many minutes after midnight of the first of May: before the clock's NOW."""
    return stamp(datetime(2024, 5, 1, tzinfo=UTC) + timedelta(minutes=minute))


@frozen
class Answer:
    """An answer of the eMSP, its envelope checked for what every envelope has."""

    status: int
    headers: Mapping[str, str]
    text: str
    envelope: Mapping[str, Any]

    @classmethod
    def of(cls, response: Response) -> "Answer":
        envelope = json.loads(response.body, parse_float=Decimal)
        assert isinstance(envelope["status_code"], int)
        assert envelope["timestamp"].endswith("Z")
        return cls(response.status, dict(response.headers), response.body.decode(), envelope)

    @property
    def code(self) -> int:
        return int(self.envelope["status_code"])

    @property
    def both(self) -> tuple[int, int]:
        """The statuses of both layers."""
        return self.status, self.code

    @property
    def data(self) -> Any:
        return self.envelope.get("data")

    @property
    def message(self) -> str:
        return str(self.envelope["status_message"])

    @property
    def raw(self) -> bytes:
        """The bytes of ``data``."""
        data = msgspec.json.decode(self.text, type=dict[str, msgspec.Raw])["data"]
        return bytes(data)

    @property
    def findings(self) -> list[tuple[str, str]]:
        """Pointer and rule of every error in ``data``."""
        return [(each["pointer"], each["rule"]) for each in self.data if each["severity"] == "error"]


async def drained(items: AsyncItems[T]) -> list[T]:
    """All that an awaited list gives."""
    return [each async for each in items]


def cpo_server(request: httpx.Request) -> httpx.Response:
    """What a CPO serves during a handshake: versions and version details, for anyone who has its token."""
    if request.headers["authorization"] != f"Token {CPO_TOKEN}":
        return httpx.Response(401)
    base = f"https://{request.url.host}/cpo"
    modules = ("credentials", "locations", "commands", "vendor")
    endpoints = [{"identifier": name, "url": f"{base}/2.1.1/{name}"} for name in modules]
    data: Any = {"version": "2.1.1", "endpoints": endpoints}
    if request.url.path == "/cpo/versions":
        data = [{"version": "2.0", "url": f"{base}/2.0"}, {"version": "2.1.1", "url": f"{base}/2.1.1"}]
    return httpx.Response(200, json=envelope(data))


def envelope(data: Any, status_code: int = 1000) -> dict[str, Any]:
    """What a CPO answers with."""
    return {"data": data, "status_code": status_code, "timestamp": "2024-01-01T00:00:00Z"}


def serve(server: Callable[[httpx.Request], httpx.Response]) -> Callable[[], httpx.Client]:
    """The ``http_client`` of an eMSP whose partner is ``server``."""
    return lambda: httpx.Client(transport=httpx.MockTransport(server))


def credentials(country_code: str = "NL", party_id: str = "TNM", **changes: Any) -> dict[str, Any]:
    """The credentials object of a CPO."""
    return {
        "token": CPO_TOKEN,
        "url": f"https://{party_id.lower()}.test/cpo/versions",
        "business_details": {"name": "The New Motion"},
        "party_id": party_id,
        "country_code": country_code,
        **changes,
    }


@define
class Peer:
    """A CPO that is registered with an eMSP, and what its requests are answered."""

    emsp: Emsp
    clock: FakeClock
    store: MemoryStore
    token: str
    country_code: str = "NL"
    party_id: str = "TNM"
    events: list[Event] = field(factory=list)

    def push(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: str = "",
        authorization: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; ``path`` is below /2.1.1, its ``*`` stands for the party; ``body`` is bytes or a document."""
        content = b"" if body is None else body if isinstance(body, bytes) else encode(body)
        sent = {"authorization": authorization or f"Token {self.token}", **(headers or {})}
        target = "/2.1.1/" + path.replace("*/", f"{self.country_code}/{self.party_id}/", 1)
        return Answer.of(self.emsp.handle(Request(method, target, query, sent, content)))

    def data(self, path: str) -> Any:
        """The object at a path as the eMSP stores it."""
        answer = self.push("GET", path)
        assert answer.both == (200, 1000), answer
        return answer.data

    def put(self, path: str, body: Any) -> Answer:
        """PUT something that is accepted."""
        answer = self.push("PUT", path, body)
        assert answer.code == 1000, answer
        return answer

    def taken(self) -> list[str]:
        """The names of the events since the last look."""
        names = [type(event).__name__ for event in self.events]
        self.events.clear()
        return names

    def party(self) -> Party:
        """What the eMSP knows of this CPO."""

        async def read() -> Party | None:
            async with self.store.transaction() as tx:
                return await find_party(tx, self.country_code, self.party_id)

        party = run(read())
        assert party is not None
        return party

    def set_profile(self, **changes: Any) -> None:
        """Change how the eMSP deals with this CPO."""
        party = self.party()

        async def write() -> None:
            async with self.store.transaction() as tx:
                await put_party(tx, evolve(party, profile=evolve(party.profile, **changes)), self.clock.now())

        run(write())

    def other(self, country_code: str = "DE", party_id: str = "ABC") -> "Peer":
        """Another CPO, registered with the same eMSP."""
        token = register(self.emsp, country_code, party_id)
        return evolve(self, token=token, country_code=country_code, party_id=party_id)


def peer(*, listen: bool = True, store: MemoryStore | None = None, **settings: Any) -> Peer:
    """A registered CPO; its ``events`` are all that the eMSP told a listener, unless it shall have none."""
    clock, kept = FakeClock(), store or MemoryStore()
    emsp = make_emsp(clock=clock, store=kept, **settings)
    events: list[Event] = []
    token = register(emsp)
    if listen:
        emsp.on(Event)(events.append)
    return Peer(emsp, clock, kept, token, events=events)


def make_emsp(**settings: Any) -> Emsp:
    """An eMSP that can do everything and reaches no network."""
    values: dict[str, Any] = {
        "country_code": "IT",
        "party_id": "BEC",
        "name": "Be Charge",
        "url": URL,
        "store": MemoryStore(),
        "matrix": SupportMatrix.full(),
        "clock": FakeClock(),
        "http_client": serve(cpo_server),
    }
    return Emsp(**(values | settings))


def register(emsp: Emsp, country_code: str = "NL", party_id: str = "TNM") -> str:
    """Register a CPO by its own POST credentials; the token that it got."""
    invitation = emsp.parties.invite(PartyId(country_code, party_id))
    request = Request(
        "POST",
        "/2.1.1/credentials",
        headers={"authorization": f"Token {invitation.token_a}"},
        body=encode(credentials(country_code, party_id)),
    )
    answer = Answer.of(emsp.handle(request))
    assert answer.both == (201, 1000), answer
    return str(answer.data["token"])


def without(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A document without some members."""
    return {name: value for name, value in document.items() if name not in names}


def uids(location: Mapping[str, Any]) -> Sequence[str]:
    """The EVSEs of a location, in order."""
    return [evse["uid"] for evse in location["evses"]]
