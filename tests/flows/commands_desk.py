"""A CPO that takes commands, and an eMSP that knows some of its objects: what the tests of commands share."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx
from attrs import define, field

from flows.support import Peer, at, peer
from ocpi_emsp import Emsp, PartyId, Token
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.models import CommandResponseType
from ocpi_emsp.ports import DEADLINE, START, Entry
from ocpi_emsp.resources import PendingCommand, Reservation, SentCommand
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document
from our_emsp import CPO_TOKEN, NOW, URL, token as any_token
from scripted_cpo import ScriptedCpo, clients, reply

ACCEPTED, REJECTED, TIMEOUT = CommandResponseType.ACCEPTED, CommandResponseType.REJECTED, CommandResponseType.TIMEOUT
UNKNOWN_SESSION = CommandResponseType.UNKNOWN_SESSION
SECONDS = 30.0
"""What any wait here may take before it counts as hanging."""
PARTY = ("NL", "TNM")
E1, E2 = "LOC1-E1", "LOC1-E2"


def token(uid: str = "T0") -> Token:
    """A token that was last updated now."""
    return any_token(uid, last_updated=NOW)


def token_of(auth_id: str = "IT-BEC-1", **changes: Any) -> Token:
    """The token of the driver with this contract."""
    return any_token(f"UID-{auth_id}", auth_id=auth_id, **({"last_updated": NOW} | changes))


@define
class CommandServer(ScriptedCpo):
    """A CPO that acknowledges commands with ``data``, unless its ``answer`` does; it lists sessions too."""

    data: Any = field(factory=lambda: {"result": "ACCEPTED"})
    status_code: int = 1000
    modules: Sequence[str] = ("credentials", "locations", "sessions", "commands")
    token: str = CPO_TOKEN
    lists: dict[str, list[Any]] = field(factory=lambda: {"sessions": []})
    page_size: int = 1000
    ignores_dates: bool = True

    def honest(self, request: httpx.Request) -> httpx.Response:
        if "/commands/" in request.url.path:
            return reply(self.data, self.status_code)
        return super().honest(request)

    @property
    def commands(self) -> list[httpx.Request]:
        """The commands that came in, oldest first."""
        return [each for each in self.asked if "/commands/" in each.url.path]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What they said."""
        return [json.loads(each.content) for each in self.commands]

    @property
    def uid(self) -> str:
        """The id of the last command that came in."""
        return str(self.bodies[-1]["response_url"]).rpartition("/")[2]


def known(server: CommandServer, **settings: Any) -> Peer:
    """A registered CPO whose location LOC1 and session SES1 are stored, and our token T0."""
    settings = clients(server) | settings
    cpo = peer(**settings)
    place = samples.location()
    cpo.put("locations/*/LOC1", {**place, "last_updated": at(0)})
    session = samples.session("SES1", at=place, start=NOW - timedelta(hours=1), status="ACTIVE")
    cpo.put("sessions/*/SES1", {**session, "last_updated": at(0)})
    cpo.emsp.tokens.put(token())
    cpo.events.clear()
    return cpo


def start(emsp: Emsp, **options: Any) -> PendingCommand:
    """A START_SESSION for NL-TNM."""
    with emsp.partner("NL-TNM").client() as cpo:
        return cpo.start_session(token=token(), location_id="LOC1", evse_uid="LOC1-E1", **options)


def stop(emsp: Emsp) -> PendingCommand:
    """A STOP_SESSION for NL-TNM."""
    with emsp.partner("NL-TNM").client() as cpo:
        return cpo.stop_session(session_id="SES1")


def callback(sent: SentCommand | PendingCommand) -> str:
    """Where its result comes in, below our 2.1.1."""
    command = sent.command if isinstance(sent, PendingCommand) else sent
    return f"commands/{command.command.value}/{command.uid}"


def path_of(request: httpx.Request) -> str:
    """The same, of a command as the CPO gets it."""
    return str(json.loads(request.content)["response_url"]).removeprefix(f"{URL}/2.1.1/")


def stored(cpo: Peer, uid: str) -> SentCommand:
    """A command as it is stored."""
    sent = cpo.emsp.commands.get("NL-TNM", uid)
    assert sent is not None
    return sent


# --- one location, and all that becomes of its commands -------------------------------------------------------------


@define
class Desk:
    """The eMSP, its CPO NL-TNM with location LOC1 (EVSEs LOC1-E1 and LOC1-E2), and what happens between the two."""

    cpo: Peer
    answers: CommandServer

    def start(self, evse_uid: str | None = None, auth_id: str = "IT-BEC-1", **settings: Any) -> SentCommand:
        """Send a START_SESSION; the command as the acknowledgement left it."""
        values: dict[str, Any] = {"token": token_of(auth_id), "location_id": "LOC1", "evse_uid": evse_uid}
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
            "token": token_of(auth_id),
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
    answers = CommandServer()
    cpo = peer(**(clients(answers) | settings))
    cpo.put("locations/*/LOC1", samples.location("LOC1"))
    for auth_id in ("IT-BEC-1", "IT-BEC-2"):
        cpo.emsp.tokens.put(token_of(auth_id))
    cpo.taken()
    return Desk(cpo, answers)
