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

from ocpi_emsp import Emsp
from ocpi_emsp._bridge import run
from ocpi_emsp.events import Event
from ocpi_emsp.flows.parties.party import Party, find_party, put_party
from ocpi_emsp.resources import AsyncItems
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request, Response
from our_emsp import CPO_TOKEN, FakeClock, make_emsp, register
from scripted_cpo import Handler, ScriptedCpo

T = TypeVar("T")


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


def cpo_server(**settings: Any) -> ScriptedCpo:
    """What a CPO serves during a handshake: versions and version details, for anyone who has its token."""
    values: dict[str, Any] = {
        "modules": ("credentials", "locations", "commands", "vendor"),
        "versions": ("2.0", "2.1.1"),
        "token": CPO_TOKEN,
    }
    return ScriptedCpo(**(values | settings))


def serve(server: Handler) -> Callable[[], httpx.Client]:
    """The ``http_client`` of an eMSP whose partner is ``server``."""
    return lambda: httpx.Client(transport=httpx.MockTransport(server))


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
    emsp = offline_emsp(clock=clock, store=kept, **settings)
    events: list[Event] = []
    token = register(emsp)
    if listen:
        emsp.on(Event)(events.append)
    return Peer(emsp, clock, kept, token, events=events)


def offline_emsp(**settings: Any) -> Emsp:
    """An eMSP that can do everything and reaches no network."""
    return make_emsp(**({"clock": FakeClock(), "http_client": serve(cpo_server())} | settings))


def without(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A document without some members."""
    return {name: value for name, value in document.items() if name not in names}


def uids(location: Mapping[str, Any]) -> Sequence[str]:
    """The EVSEs of a location, in order."""
    return [evse["uid"] for evse in location["evses"]]
