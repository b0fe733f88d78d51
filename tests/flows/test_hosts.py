"""Where the URLs that a partner names may lie: `hosts` of its profile (docs/reference/profiles.md)."""

from collections.abc import Callable
from typing import Any, Literal

import anyio
import httpx
import pytest
from attrs import evolve

from flows.lifecycle_desk import Scene, scene
from flows.support import Peer
from ocpi_emsp.errors import CannotUseApi
from ocpi_emsp.events import HandshakeFailed, PartyUpdated
from ocpi_emsp.flows.parties.party import Profile, put_party
from ocpi_emsp.wire import Request
from scripted_cpo import reply

Mode = Literal["sync", "async"]
MODES: tuple[Mode, ...] = ("sync", "async")
BASE = "https://tnm.test/cpo/2.1.1"
CREDENTIALS = ("credentials", f"{BASE}/credentials")
ELSEWHERE = [
    "https://api.test/locations",
    "https://tnm.test:8443/locations",
    "https://tnm.test.evil.test/locations",
    "https://tnm.test./locations",
    "https://[2606:4700::1111]/locations",
]


def offer(here: Scene, *pairs: tuple[str, str], details: str = BASE) -> None:
    """What the CPO offers from now on, wherever its details lie."""
    listed = [{"identifier": name, "url": url} for name, url in pairs]
    here.cpo.script["GET /versions"] = lambda _: reply([{"version": "2.1.1", "url": details}])
    here.cpo.script["GET /2.1.1"] = lambda _: reply({"version": "2.1.1", "endpoints": listed})


def hosts(here: Scene) -> set[str]:
    """Those that were called."""
    return {request.url.host for request in here.cpo.requests}


def push(here: Scene, mode: Mode, method: str, token: str) -> tuple[int, str]:
    """Credentials of the CPO; the status_code and the message of our answer."""
    peer = Peer(here.emsp, here.clock, here.store.kept, token)
    body = here.cpo.credentials()
    if mode == "sync":
        answer = peer.push(method, "credentials", body)
        return answer.code, answer.message
    request = Request(
        method,
        "/2.1.1/credentials",
        "",
        {"authorization": f"Token {token}"},
        httpx.Request("POST", "https://x", json=body).content,
    )
    response = anyio.run(here.emsp.aio.handle, request)
    document = httpx.Response(200, content=response.body).json()
    return document["status_code"], document.get("status_message", "")


@pytest.mark.parametrize("url", ELSEWHERE)
def test_we_do_not_register_where_an_endpoint_lies_elsewhere(url: str) -> None:
    """Without the check, the token of the CPO went to each of these."""
    here = scene(registered=False)
    offer(here, CREDENTIALS, ("locations", url))
    with pytest.raises(CannotUseApi, match=r"lies on another origin than the versions URL.*--host"):
        here.register()
    assert hosts(here) == {"tnm.test"}
    assert here.events == []


def test_nor_where_the_version_details_do() -> None:
    here = scene(registered=False)
    offer(here, CREDENTIALS, details="https://api.test/2.1.1")
    with pytest.raises(CannotUseApi, match=r"--host api\.test"):
        here.register()
    assert hosts(here) == {"tnm.test"}


def test_with_the_host_we_do_and_it_is_in_the_profile() -> None:
    here = scene(registered=False)
    offer(here, CREDENTIALS, ("locations", "https://api.test:8443/l"), ("tokens", "https://cdn.test/t"))
    party = here.register(hosts=["API.test", "cdn.test"])
    assert party.profile.hosts == ("api.test", "cdn.test")
    assert party.endpoint("locations") == "https://api.test:8443/l"


def test_what_is_not_called_is_skipped_and_what_is_set_by_hand_is_ours() -> None:
    here = scene()
    here.emsp.partner("NL-TNM").set_profile(endpoints={"locations": "https://hand.test/l"})
    offer(here, CREDENTIALS, ("locations", "https://api.test/l"), ("acme", "https://api.test/a"))
    assert here.cpo.renew() == 1000
    assert [each.identifier for each in here.party().endpoints] == ["credentials"]
    assert here.party().endpoint("locations") == "https://hand.test/l"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_cpo_that_names_another_host_gets_the_neutral_sentence_until_it_is_allowed(mode: Mode, method: str) -> None:
    here = scene(registered=method != "POST")
    token = here.cpo.ours[-1] if method != "POST" else here.emsp.parties.invite("NL-TNM").token_a.reveal()
    offer(here, CREDENTIALS, ("locations", "https://api.test/l"))
    code, message = push(here, mode, method, token)
    assert code == 3001
    assert message.startswith("cannot use your API; correlation id ")
    (event,) = here.events
    assert isinstance(event, HandshakeFailed)
    assert "--host api.test" in event.reason
    assert hosts(here) == {"tnm.test"}
    here.emsp.partner("NL-TNM").set_profile(hosts=["api.test"])
    assert push(here, mode, method, token)[0] == 1000, here.events
    assert here.party().endpoint("locations") == "https://api.test/l"


def moved(here: Scene, host: str) -> None:
    """The CPO has its versions, and everything else, on another host."""
    here.cpo.base = f"https://{host}/cpo"
    here.cpo.script.clear()


def test_a_cpo_may_move_unless_its_hosts_are_set() -> None:
    here = scene()
    moved(here, "new.test")
    assert here.cpo.renew() == 1000
    (event,) = here.events
    assert isinstance(event, PartyUpdated)
    assert event.notes == ("the versions URL moved to another origin, it was https://tnm.test/cpo/versions",)
    here.emsp.partner("NL-TNM").set_profile(hosts=["third.test"])
    moved(here, "stolen.test")
    here.cpo.requests.clear()
    assert here.cpo.renew() == 3001
    assert hosts(here) == set()
    moved(here, "new.test")
    assert here.cpo.renew() == 1000
    moved(here, "third.test")
    assert here.cpo.renew() == 1000
    assert here.party().versions_url == "https://third.test/cpo/versions"


def test_our_own_renewal_goes_where_the_backend_says() -> None:
    here = scene()
    here.emsp.partner("NL-TNM").set_profile(hosts=["third.test"])
    moved(here, "new.test")
    party = here.emsp.partner("NL-TNM").update(versions_url="https://new.test/cpo/versions")
    assert party.endpoint("locations") == "https://new.test/cpo/2.1.1/locations"


def renewals(here: Scene) -> dict[str, Callable[[], Any]]:
    partner = here.emsp.partner("NL-TNM")
    return {"theirs": here.cpo.renew, "rotate": partner.rotate, "update": partner.update}


@pytest.mark.parametrize("renewal", ["theirs", "rotate", "update"])
def test_a_party_that_was_registered_before_there_were_hosts_needs_none(renewal: str) -> None:
    here = scene(registered=False)
    offer(here, CREDENTIALS, ("locations", "https://api.test/l"))
    here.register(hosts=["api.test"])

    registered = evolve(here.party(), profile=Profile())

    async def forget() -> None:
        async with here.store.kept.transaction() as tx:
            await put_party(tx, registered, here.clock.now())

    anyio.run(forget)
    renewals(here)[renewal]()
    assert here.party().endpoint("locations") == "https://api.test/l"
    (suggestion,) = here.emsp.partner("NL-TNM").suggestions()
    assert (suggestion.name, suggestion.value, suggestion.evidence) == ("hosts", ["api.test"], 1)
    here.emsp.partner("NL-TNM").set_profile(hosts=suggestion.value)
    assert here.emsp.partner("NL-TNM").suggestions() == []
    offer(here, CREDENTIALS, ("locations", "https://other.test/l"))
    assert here.cpo.renew() == 3001
