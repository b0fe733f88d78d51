"""A CPO whose answers to commands can be set, and an eMSP that knows a location of it and sends it commands."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
from attrs import define, field

from flows.support import NOW, Peer, cpo_server, envelope, peer, serve
from ocpi_emsp import PartyId, Token
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.models import TokenType, WhitelistType
from ocpi_emsp.ports import DEADLINE, START, Entry
from ocpi_emsp.resources import Reservation, SentCommand
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document, encode

PARTY = ("NL", "TNM")
E1, E2 = "LOC1-E1", "LOC1-E2"


def token(auth_id: str = "IT-BEC-1", **changes: Any) -> Token:
    """A driver's token."""
    values: dict[str, Any] = {
        "uid": f"UID-{auth_id}",
        "type": TokenType.RFID,
        "auth_id": auth_id,
        "issuer": "Be Charge",
        "valid": True,
        "whitelist": WhitelistType.NEVER,
        "last_updated": NOW,
    }
    return Token(**(values | changes))


@define
class Answers:
    """The CPO's commands endpoint, and its list of sessions; the rest is `cpo_server`.

    ``meanwhile`` runs before a command is answered, and may answer or raise instead.
    """

    acknowledgement: str = "ACCEPTED"
    sessions: list[Document] = field(factory=list)
    bodies: list[dict[str, Any]] = field(factory=list)
    meanwhile: Callable[[], httpx.Response | None] = lambda: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        match request.url.path.removeprefix("/cpo/2.1.1"):
            case "":
                names = ("credentials", "locations", "sessions", "commands")
                endpoints = [{"identifier": name, "url": f"{request.url}/{name}"} for name in names]
                return httpx.Response(200, json=envelope({"version": "2.1.1", "endpoints": endpoints}))
            case "/sessions":
                headers = {"x-total-count": str(len(self.sessions)), "x-limit": "1000"}
                return httpx.Response(200, content=encode(envelope(self.sessions)), headers=headers)
            case path if path.startswith("/commands/"):
                self.bodies.append(json.loads(request.content))
                instead = self.meanwhile()
                return instead or httpx.Response(200, json=envelope({"result": self.acknowledgement}))
        return cpo_server(request)


@define
class Desk:
    """The eMSP, its CPO NL-TNM with location LOC1 (EVSEs LOC1-E1 and LOC1-E2), and what happens between the two."""

    cpo: Peer
    answers: Answers

    def start(self, evse_uid: str | None = None, auth_id: str = "IT-BEC-1", **settings: Any) -> SentCommand:
        """Send a START_SESSION; the command as the acknowledgement left it."""
        values: dict[str, Any] = {"token": token(auth_id), "location_id": "LOC1", "evse_uid": evse_uid}
        with self.cpo.emsp.partner(PartyId(*PARTY)).client() as client:
            return client.start_session(**(values | settings)).command

    def reserve(
        self,
        reservation_id: int | None = 7,
        *,
        until: datetime | None = None,
        auth_id: str = "IT-BEC-1",
        **settings: Any,
    ) -> SentCommand:
        """Send a RESERVE_NOW, for an hour unless said otherwise."""
        values: dict[str, Any] = {
            "token": token(auth_id),
            "location_id": "LOC1",
            "expiry_date": until or self.cpo.clock.now() + timedelta(hours=1),
            "reservation_id": reservation_id,
        }
        with self.cpo.emsp.partner(PartyId(*PARTY)).client() as client:
            return client.reserve_now(**(values | settings)).command

    def result(self, sent: SentCommand, result: str = "ACCEPTED") -> None:
        """The charge point's result comes in."""
        answer = self.cpo.push("POST", f"commands/{sent.command}/{sent.uid}", {"result": result})
        assert answer.both == (200, 1000), answer

    def session(self, session_id: str = "SES1", **changes: Any) -> None:
        """A session is pushed that has just begun; see `began`."""
        began = self.began(session_id, **changes)
        self.cpo.put(f"sessions/*/{session_id}", began)

    def began(
        self,
        session_id: str = "SES1",
        *,
        evse_uid: str | None = E1,
        auth_id: str = "IT-BEC-1",
        start: datetime | None = None,
        location_id: str = "LOC1",
    ) -> Document:
        """A session at one EVSE of a location, or at none of its; it began now unless said otherwise."""
        location = samples.location(location_id)
        at = location | {"evses": []} if evse_uid is None else samples.relevant(location, evse_uid)
        moment = start or self.cpo.clock.now()
        return samples.started_session(session_id, at=at, auth_id=auth_id, start=moment)

    def linked(self, sent: SentCommand) -> str | None:
        """The session that a command led to."""
        return self.stored(sent).session_id

    def stored(self, sent: SentCommand) -> SentCommand:
        """A command as it is stored."""
        stored = self.cpo.emsp.commands.get(PartyId(*PARTY), sent.uid)
        assert stored is not None
        return stored

    def reservation(self, reservation_id: int = 7) -> Reservation:
        """A reservation at LOC1."""
        found = self.cpo.emsp.reservations.get(PartyId(*PARTY), "LOC1", reservation_id)
        assert found is not None
        return found

    def expire(self) -> int:
        """What a worker does."""
        return self.cpo.emsp.commands.expire()

    def pass_time(self, **step: float) -> None:
        """Let time pass, and a worker look."""
        self.cpo.clock.advance(**step)
        self.expire()

    def taken(self) -> list[str]:
        """The events since the last look, without those of sessions."""
        return [name for name in self.cpo.taken() if name != "SessionReceived"]

    def entries(self, topic: str) -> list[Entry]:
        """What the journal holds of a topic."""

        async def read() -> list[Entry]:
            async with lift_store(self.cpo.store, in_place).transaction(read_only=True) as tx:
                return list(await tx.entries(topic, limit=1000))

        return run(read())

    def looked_for(self) -> int:
        """How many sessions are looked for."""
        return len(self.entries(START))

    def deadlines(self) -> int:
        """How many deadlines are open."""
        return len(self.entries(DEADLINE))


def desk(**settings: Any) -> Desk:
    """A desk whose tokens are stored; nothing has happened yet."""
    answers = Answers()
    cpo = peer(http_client=serve(answers), **settings)
    cpo.put("locations/*/LOC1", samples.location("LOC1"))
    for auth_id in ("IT-BEC-1", "IT-BEC-2"):
        cpo.emsp.tokens.put(token(auth_id))
    cpo.taken()
    return Desk(cpo, answers)
