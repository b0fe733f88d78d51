"""A CPO with a location that asks whether our drivers may charge there."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flows.support import Answer, Peer, peer
from ocpi_emsp import AuthorizationInfo, AuthorizationRequest, Emsp, Token
from ocpi_emsp._bridge import run
from ocpi_emsp.ports import RESYNC
from ocpi_emsp.resources import Decision
from ocpi_emsp.testing.cpo import samples
from our_emsp import token as any_token

START = datetime(2024, 5, 1, tzinfo=UTC)
AUTHORIZE = "tokens/T0/authorize"
PLACE = {"location_id": "LOC1", "evse_uids": ["E1", "E2"]}
EVSE_1 = {"location_id": "LOC1", "evse_uids": ["E1"]}


def token(uid: str = "T0", **changes: Any) -> Token:
    """One of ours, which only we may authorize."""
    return any_token(uid, **({"auth_id": f"IT-BEC-{uid}", "last_updated": START} | changes))


def location(location_id: str = "LOC1", **evses: str) -> dict[str, Any]:
    """A location with EVSEs, each by its connectors' ids and, behind a colon, its status: ``E1="1,2:BLOCKED"``."""
    whole = samples.location(location_id)
    whole["evses"] = [_evse(uid, *said.partition(":")) for uid, said in evses.items()]
    return whole


def _evse(uid: str, connectors: str, _: str, status: str) -> Mapping[str, Any]:
    return {
        **samples.evse(uid, status=status or "AVAILABLE"),
        "connectors": [samples.connector(each) for each in connectors.split(",")],
    }


def desk(**settings: Any) -> Peer:
    """NL-TNM with LOC1 (E1 with two connectors, E2 with one, E3 is REMOVED) and LOC2, and our token T0."""
    cpo = peer(**settings)
    cpo.emsp.tokens.put(token())
    cpo.put("locations/*/LOC1", location(E1="1,2", E2="1", E3="3:REMOVED"))
    cpo.put("locations/*/LOC2", location("LOC2", X1="9"))
    return cpo


def ask(cpo: Peer, place: Any = None, **kwargs: Any) -> Answer:
    """May T0 charge there?"""
    return cpo.push("POST", AUTHORIZE, place, **kwargs)


def last(emsp: Emsp) -> Decision:
    """The newest decision."""
    return list(emsp.authorizations.list())[-1]


def wished(cpo: Peer) -> list[tuple[str, str]]:
    """Module and id of what the next sync of the CPO pulls."""

    async def read() -> list[tuple[str, str]]:
        async with cpo.store.transaction(read_only=True) as tx:
            entries = await tx.entries(RESYNC, owner=(cpo.country_code, cpo.party_id))
        return [(entry.name, entry.details["id"]) for entry in entries]

    return run(read())


def listening(cpo: Peer) -> list[AuthorizationRequest]:
    """What a hook is asked that allows everything."""
    asked: list[AuthorizationRequest] = []

    @cpo.emsp.authorize
    def decide(request: AuthorizationRequest) -> AuthorizationInfo:
        asked.append(request)
        return request.allow()

    return asked
