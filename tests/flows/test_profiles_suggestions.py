"""What a profile could say by what is stored: suggested with its reason, never applied."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from flows.support import Peer, peer
from ocpi_emsp import Limits, PartyId, SupportMatrix
from ocpi_emsp.flows.parties.party import Profile
from ocpi_emsp.flows.partner_health import profile_suggestions as module
from ocpi_emsp.settings import SyncLimits
from ocpi_emsp.testing.cpo import samples
from scripted_cpo import page
from sync.support import OWNER, Synced, synced, tariff

WHO = ("NL", "TNM")


@pytest.fixture
def cpo() -> Peer:
    return peer(listen=False)


def suggested(cpo: Peer | Synced) -> dict[str, tuple[Any, int]]:
    """Value and evidence of each suggestion; nothing of it is applied."""
    before = cpo.emsp.partner(PartyId(*WHO)).profile()
    found = cpo.emsp.partner(PartyId(*WHO)).suggestions()
    assert cpo.emsp.partner(PartyId(*WHO)).profile() == before
    assert all(each.why for each in found)
    return {each.name: (each.value, each.evidence) for each in found}


def session(number: int, **changes: Any) -> dict[str, Any]:
    return samples.session(f"SES{number}") | changes


def put_sessions(cpo: Peer, count: int) -> None:
    for number in range(count):
        cpo.put(f"sessions/*/SES{number}", session(number))


def post_cdr(cpo: Peer, number: int, **changes: Any) -> None:
    cdr = samples.cdr(f"SES{number}", of=session(number)) | changes
    assert cpo.push("POST", "cdrs", cdr).code == 1000


def test_there_is_nothing_to_say_of_a_party_that_is_as_the_specification_has_it(cpo: Peer) -> None:
    cpo.put("locations/*/LOC1", samples.location())
    put_sessions(cpo, 5)
    assert suggested(cpo) == {}


def test_a_token_in_base64(cpo: Peer) -> None:
    token = base64.b64encode(cpo.token.encode()).decode()
    cpo.push("GET", "tokens", authorization=f"Token {token}")
    assert suggested(cpo) == {"base64_token": (True, 1)}
    cpo.emsp.partner(PartyId(*WHO)).set_profile(base64_token=True)
    assert suggested(cpo) == {}


def naive(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"last_updated": document["last_updated"].rstrip("Z")}


@pytest.mark.parametrize(
    ("zones", "value"),
    [
        ([], None),
        (["Europe/Oslo"], "Europe/Oslo"),
        (["Europe/Oslo", "Europe/Oslo"], "Europe/Oslo"),
        (["Europe/Oslo", "Europe/Rome"], None),
        (["CEST"], None),
    ],
)
def test_timestamps_without_a_zone(cpo: Peer, zones: list[str], value: str | None) -> None:
    for number, zone in enumerate(zones):
        cpo.put(f"locations/*/LOC{number}", samples.location(f"LOC{number}") | {"time_zone": zone})
    for number in range(2):
        cpo.put(f"sessions/*/SES{number}", naive(session(number)))
    assert suggested(cpo)["time_zone"] == (value, 2)
    cpo.emsp.partner(PartyId(*WHO)).set_profile(time_zone="Europe/Rome")
    assert "time_zone" not in suggested(cpo)


def test_cdrs_with_the_ids_of_their_sessions(cpo: Peer) -> None:
    cpo.put("locations/*/LOC1", samples.location())
    put_sessions(cpo, 4)
    for number in range(2):
        post_cdr(cpo, number)
    assert suggested(cpo) == {}, "two may be an accident"
    post_cdr(cpo, 2)
    assert suggested(cpo) == {"cdr_id_is_session_id": (True, 3)}
    cpo.emsp.partner(PartyId(*WHO)).set_profile(cdr_id_is_session_id=True)
    assert suggested(cpo) == {}


def test_cdrs_that_are_only_numbered_alike(cpo: Peer) -> None:
    cpo.put("locations/*/LOC1", samples.location())
    put_sessions(cpo, 9)
    for number in range(9):
        post_cdr(cpo, number, **({"auth_id": "SOMEBODY-ELSE"} if number < 2 else {}))
    assert suggested(cpo) == {}


def test_sessions_without_locations(cpo: Peer) -> None:
    put_sessions(cpo, 2)
    assert suggested(cpo) == {}
    put_sessions(cpo, 3)
    assert suggested(cpo) == {"without_locations": (True, 3)}
    cpo.emsp.partner(PartyId(*WHO)).set_profile(without_locations=True)
    assert suggested(cpo) == {}
    cpo.put("locations/*/LOC1", samples.location())
    assert suggested(cpo) == {"without_locations": (False, 1)}


def test_what_comes_for_an_allowed_party_counts(cpo: Peer) -> None:
    cpo.emsp.partner(PartyId(*WHO)).set_profile(allowed_parties=["DE-ABC"])
    for number in range(3):
        assert cpo.push("PUT", f"sessions/DE/ABC/SES{number}", session(number)).code == 1000
    assert suggested(cpo) == {"without_locations": (True, 3)}
    cpo.emsp.partner(PartyId(*WHO)).set_profile(allowed_parties=None)
    assert suggested(cpo) == {}


def test_what_is_long_ago_does_not(cpo: Peer) -> None:
    put_sessions(cpo, 3)
    cpo.clock.advance(days=31)
    assert suggested(cpo) == {}


def test_only_so_much_is_looked_at(cpo: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKED_AT", 4)
    put_sessions(cpo, 9)
    assert suggested(cpo) == {"without_locations": (True, 4)}


# --- what a sync learns ---------------------------------------------------------------------------------------------


def honest(_: Synced) -> None:
    pass


def without_x_limit(pair: Synced) -> None:
    def lie(request: Any) -> Any:
        answer = pair.cpo.honest(request)
        answer.headers.pop("x-limit", None)
        return answer

    pair.cpo.answer = lie


@pytest.mark.parametrize("partner", [honest, without_x_limit])
def test_pages_that_are_smaller_than_asked_for(partner: Callable[[Synced], None]) -> None:
    with synced() as pair:
        partner(pair)
        pair.cpo.lists["tariffs"] = [tariff(n) for n in range(25)]
        pair.pull("tariffs")
        assert pair.checkpoint("tariffs").given == 10
        assert suggested(pair) == {"page_limit": (10, 1)}
        pair.emsp.partner(PartyId(*OWNER)).set_profile(page_limit=10)
        assert suggested(pair) == {}
        pair.pull("tariffs", full=True)
        assert pair.checkpoint("tariffs").given == 10, "what was learned stays known"


def test_a_partner_that_gives_what_it_is_asked_for_teaches_nothing() -> None:
    with synced(limits=Limits(sync=SyncLimits(page_size=5))) as pair:
        pair.cpo.lists["tariffs"] = [tariff(n) for n in range(12)]
        pair.pull("tariffs")
        assert len(pair.cpo.asked) == 3
        assert pair.checkpoint("tariffs").given is None


def test_the_smallest_of_all_modules_is_suggested() -> None:
    with synced() as pair:
        for number in range(6):
            pair.cpo.lists["tariffs"].append(tariff(number))
            pair.cpo.lists["locations"].append(samples.location(f"LOC{number}"))
        pair.pull("locations")
        pair.cpo.page_size = 4
        pair.pull("tariffs")
        assert suggested(pair) == {"page_limit": (4, 2)}


def test_a_last_page_that_is_not_full_says_nothing() -> None:
    with synced() as pair:
        pair.cpo.answer = lambda _: page([tariff(1), tariff(2)], total=2)
        pair.pull("tariffs")
        assert suggested(pair) == {}


def test_a_suggestion_as_json(cpo: Peer) -> None:
    put_sessions(cpo, 3)
    (found,) = cpo.emsp.partner(PartyId(*WHO)).suggestions()
    assert found.as_json() == {
        "name": "without_locations",
        "value": True,
        "why": "it sends sessions, and no location of it is known",
        "evidence": 3,
    }
    assert cpo.emsp.partner(PartyId(*WHO)).profile() == Profile()
    assert cpo.emsp.matrix == SupportMatrix.full()
