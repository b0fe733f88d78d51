"""Several parties behind one connection: whose objects are whose, who may write them (docs/reference/profiles.md)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve

from flows.support import Peer, at, peer
from ocpi_emsp import PartyId
from ocpi_emsp._bridge import run
from ocpi_emsp.events import CdrReceived, Event, LocationReceived, ResyncRequested, SessionReceived
from ocpi_emsp.flows.parties.pending_resync import ResyncRequest, resync_requests
from ocpi_emsp.ports import Key, Kind
from ocpi_emsp.testing.cpo import samples

HUB = ("NL", "TNM")
ABC, XYZ = ("DE", "ABC"), ("FR", "XYZ")
SESSION = {**samples.session("SES1"), "last_updated": at(1)}
CDR = samples.cdr("CDR1", of=SESSION)
OBJECTS: dict[str, Any] = {
    "locations/{}/LOC1": samples.location(),
    "locations/{}/LOC1/LOC1-E1": samples.evse(),
    "locations/{}/LOC1/LOC1-E1/1": samples.connector(),
    "sessions/{}/SES1": SESSION,
    "tariffs/{}/TAR1": samples.tariff(),
}


@pytest.fixture
def hub() -> Peer:
    """NL-TNM, by whose connection DE-ABC and FR-XYZ come too."""
    made = peer()
    made.emsp.partner(PartyId(*HUB)).set_profile(allowed_parties=["DE-ABC", "FR-XYZ"])
    return made


def stored(hub: Peer, kind: str, object_id: str) -> list[tuple[str, str]]:
    """Who has an object with this id."""

    async def read() -> list[tuple[str, str]]:
        async with hub.store.transaction(read_only=True) as tx:
            return [each for each in (HUB, ABC, XYZ) if await tx.get(Key(kind, *each, object_id)) is not None]

    return run(read())


def owner_of(event: Event) -> tuple[str, str]:
    return event.country_code, event.party_id


def behind(hub: Peer, owner: tuple[str, str]) -> Peer:
    """The same connection, with ``*`` standing for a party behind it."""
    return evolve(hub, country_code=owner[0], party_id=owner[1])


# --- pushes ---------------------------------------------------------------------------------------------------------


def test_an_allowed_partys_objects_are_its_own(hub: Peer) -> None:
    abc = behind(hub, ABC)
    for path, body in OBJECTS.items():
        assert abc.put(path.format("*"), body).status in (200, 201)
    for path in OBJECTS:
        assert abc.push("PATCH", path.format("*"), {"vendor": 1, "last_updated": "2024-05-02T00:00:00Z"}).code == 1000
        assert abc.data(path.format("*"))["vendor"] == 1
        assert hub.push("GET", path.format("*")).status == 404, "the hub's own party has none of this"
    assert stored(hub, Kind.LOCATION, "LOC1") == [ABC]
    assert stored(hub, Kind.SESSION, "SES1") == [ABC]
    assert {owner_of(event) for event in hub.events} == {ABC}
    assert {LocationReceived, SessionReceived} <= {type(event) for event in hub.events}
    assert abc.push("DELETE", "tariffs/*/TAR1").code == 1000


def test_the_same_id_of_two_parties_is_two_objects(hub: Peer) -> None:
    for owner in (HUB, ABC, XYZ):
        behind(hub, owner).put("sessions/*/SES1", {**SESSION, "kwh": len(owner[1])})
    assert stored(hub, Kind.SESSION, "SES1") == [HUB, ABC, XYZ]


@pytest.mark.parametrize("owner", ["de/abc", "De/ABC", "%44E/abc"])
def test_codes_compare_without_case(hub: Peer, owner: str) -> None:
    assert hub.push("PUT", f"sessions/{owner}/SES1", SESSION).both == (201, 1000)
    assert stored(hub, Kind.SESSION, "SES1") == [ABC]


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT"])
@pytest.mark.parametrize("path", sorted(OBJECTS))
def test_nobody_else_is_behind_it(hub: Peer, path: str, method: str) -> None:
    body = OBJECTS[path] if method == "PUT" else {"vendor": 1} if method == "PATCH" else None
    for owner in ("DE/XYZ", "FR/ABC", "BE/QQQ"):
        assert hub.push(method, path.format(owner), body).both == (404, 2000)


def test_a_party_that_registers_is_refused_to_the_hub_from_then_on(hub: Peer) -> None:
    behind(hub, ABC).put("sessions/*/SES1", SESSION)
    abc = hub.other(*ABC)
    before = abc.data("sessions/*/SES1")
    hub.events.clear()
    for method, body in (("PUT", {**SESSION, "kwh": 99}), ("PATCH", {"kwh": 99}), ("GET", None)):
        assert behind(hub, ABC).push(method, "sessions/*/SES1", body).both == (404, 2000)
    assert abc.data("sessions/*/SES1") == before
    assert hub.events == []
    assert behind(hub, XYZ).push("PUT", "sessions/*/SES1", SESSION).both == (201, 1000)


def test_an_invited_party_is_still_behind_the_hub(hub: Peer) -> None:
    hub.emsp.parties.invite(PartyId(*ABC))
    assert behind(hub, ABC).push("PUT", "sessions/*/SES1", SESSION).both == (201, 1000)


def test_the_hubs_own_rules_judge_what_comes_over_its_connection(hub: Peer) -> None:
    hub.emsp.partner(PartyId(*HUB)).set_profile(refuses="warning")
    answer = behind(hub, ABC).push("PUT", "sessions/*/SES1", {**SESSION, "status": "CHARGING"})
    assert answer.code == 2001
    (rejection,) = hub.emsp.rejections.list(PartyId(*HUB))
    assert rejection.path == "/2.1.1/sessions/DE/ABC/SES1"
    hub.emsp.partner(PartyId(*HUB)).set_profile(refuses=None)
    assert hub.emsp.rejections.replay(rejection).status == 201
    assert stored(hub, Kind.SESSION, "SES1") == [ABC]


def wished(hub: Peer, module: str) -> list[ResyncRequest]:
    async def read() -> list[ResyncRequest]:
        async with hub.store.transaction(read_only=True) as tx:
            return list(await resync_requests(tx, HUB, module))

    return run(read())


def test_what_a_patch_did_not_find_is_wished_for_from_the_connection(hub: Peer) -> None:
    assert behind(hub, ABC).push("PATCH", "locations/*/LOC9", {"name": "new"}).status == 404
    assert hub.push("PATCH", "locations/*/LOC9", {"name": "new"}).status == 404
    assert [(wish.id, wish.of) for wish in wished(hub, "locations")] == [("LOC9", ABC), ("LOC9", HUB)]
    assert [owner_of(event) for event in hub.events if isinstance(event, ResyncRequested)] == [ABC, HUB]


# --- CDRs, which say no owner ---------------------------------------------------------------------------------------


def post(hub: Peer, cdr: Any = CDR) -> str:
    """POST a CDR that is taken; the path that it got."""
    answer = hub.push("POST", "cdrs", cdr)
    assert answer.both == (201, 1000), answer
    return answer.headers["location"].partition("/2.1.1/")[2]


def test_a_cdr_is_the_connections_where_nothing_else_is_known(hub: Peer) -> None:
    assert post(hub) == "cdrs/CDR1"
    assert stored(hub, Kind.CDR, "CDR1") == [HUB]
    (event,) = [each for each in hub.events if isinstance(each, CdrReceived)]
    assert owner_of(event) == HUB


def test_a_cdr_goes_to_the_one_that_has_its_location(hub: Peer) -> None:
    behind(hub, ABC).put(f"locations/*/{CDR['location']['id']}", CDR["location"])
    path = post(hub)
    assert stored(hub, Kind.CDR, "CDR1") == [ABC]
    assert hub.data(path)["id"] == "CDR1"
    assert hub.emsp.partner(PartyId(*ABC)).reconcile(date_from=datetime(2015, 1, 1, tzinfo=UTC)).cdrs == 1


@pytest.mark.parametrize("holders", [(HUB, ABC), (ABC, XYZ)])
def test_a_location_that_several_have_says_nothing(hub: Peer, holders: tuple[tuple[str, str], ...]) -> None:
    for owner in holders:
        behind(hub, owner).put(f"locations/*/{CDR['location']['id']}", CDR["location"])
    post(hub)
    assert stored(hub, Kind.CDR, "CDR1") == [HUB]


def test_its_session_counts_before_its_location(hub: Peer) -> None:
    behind(hub, ABC).put(f"locations/*/{CDR['location']['id']}", CDR["location"])
    behind(hub, XYZ).put("sessions/*/CDR1", {**SESSION, "id": "CDR1"})
    post(hub)
    assert stored(hub, Kind.CDR, "CDR1") == [XYZ]


def test_the_session_of_another_driver_says_nothing(hub: Peer) -> None:
    behind(hub, XYZ).put("sessions/*/CDR1", {**SESSION, "id": "CDR1", "auth_id": "SOMEBODY-ELSE"})
    post(hub)
    assert stored(hub, Kind.CDR, "CDR1") == [HUB]


def test_the_same_cdr_twice_is_one_whatever_was_learned_meanwhile(hub: Peer) -> None:
    first = post(hub)
    behind(hub, ABC).put(f"locations/*/{CDR['location']['id']}", CDR["location"])
    assert post(hub) == first
    assert stored(hub, Kind.CDR, "CDR1") == [HUB]


def test_a_cdr_with_another_content_under_a_known_id_is_a_conflict_there(hub: Peer) -> None:
    behind(hub, ABC).put(f"locations/*/{CDR['location']['id']}", CDR["location"])
    post(hub)
    answer = hub.push("POST", "cdrs", {**CDR, "remark": "again"})
    assert answer.code == 2001
    assert stored(hub, Kind.CDR, "CDR1") == [ABC]


def test_a_known_id_with_another_content_stays_a_conflict_where_nothing_else_is_known(hub: Peer) -> None:
    post(hub, {**CDR, "country_code": "FR", "party_id": "XYZ"})
    assert hub.push("POST", "cdrs", {**CDR, "remark": "again"}).code == 2001
    assert stored(hub, Kind.CDR, "CDR1") == [XYZ]


def test_the_same_cdr_id_at_another_partys_location_is_another_cdr(hub: Peer) -> None:
    elsewhere = {**CDR["location"], "id": "LOC77"}
    behind(hub, ABC).put(f"locations/*/{CDR['location']['id']}", CDR["location"])
    behind(hub, XYZ).put("locations/*/LOC77", elsewhere)
    post(hub)
    post(hub, {**CDR, "location": elsewhere})
    assert stored(hub, Kind.CDR, "CDR1") == [ABC, XYZ]


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"id": 1', b'{"id": ["x"]}', b'{"location": 3, "id": "CDR1"}'])
def test_a_cdr_that_nobody_can_read_is_the_hubs_rejection(hub: Peer, body: bytes) -> None:
    assert hub.push("POST", "cdrs", body).status in (200, 400)
    (rejection,) = hub.emsp.rejections.list(PartyId(*HUB))
    assert rejection.body == body


def test_a_cdr_that_names_its_owner_is_believed_where_that_one_is_allowed(hub: Peer) -> None:
    post(hub, {**CDR, "country_code": "fr", "party_id": "xyz"})
    post(hub, {**CDR, "id": "CDR2", "country_code": "BE", "party_id": "QQQ"})
    assert stored(hub, Kind.CDR, "CDR1") == [XYZ]
    assert stored(hub, Kind.CDR, "CDR2") == [HUB]


def test_an_unknown_cdr_is_404(hub: Peer) -> None:
    assert hub.push("GET", "cdrs/CDR9").both == (404, 2000)


def test_one_party_reads_nothing_for_an_owner() -> None:
    """A connection of one party costs what it did: its POST opens one transaction that looks, and one that writes."""
    alone, hub = peer(listen=False), peer(listen=False)
    hub.emsp.partner(PartyId(*HUB)).set_profile(allowed_parties=["DE-ABC"])
    assert transactions(hub) == transactions(alone) + 1


def transactions(cpo: Peer) -> int:
    opened, made = [0], cpo.store.transaction

    def counted(**options: Any) -> Any:
        opened[0] += 1
        return made(**options)

    object.__setattr__(cpo.store, "transaction", counted)
    post(cpo)
    return opened[0]
