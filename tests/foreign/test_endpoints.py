"""The endpoints that partners list, on every handshake, and those that are set by hand (issue 11, number 15)."""

from collections.abc import Callable
from typing import Any, TypeAlias

import httpx
import pytest

from client.support import call, drain, facing, register_tnm
from foreign.cases import cases
from ocpi_emsp import Emsp
from ocpi_emsp.errors import MissingEndpoints, OcpiError
from our_emsp import CPO_TOKEN, credentials, token
from scripted_cpo import ScriptedCpo, page, reply

Case: TypeAlias = dict[str, Any]
BASE = "https://cpo.test/cpo/2.1.1"
ALWAYS = ("credentials",)


def by_theirs(emsp: Emsp) -> None:
    try:
        register_tnm(emsp)
    except AssertionError as error:  # what the partner was answered
        raise OcpiError(str(error)) from None


def by_ours(emsp: Emsp) -> None:
    emsp.parties.register("https://cpo.test/cpo/versions", token_a=CPO_TOKEN)


def by_update(emsp: Emsp) -> None:
    emsp.partner("NL-TNM").update()


HANDSHAKES = {"their POST": by_theirs, "our POST": by_ours, "our PUT": by_update}


def listing(entries: list[Any]) -> tuple[ScriptedCpo, Callable[[list[Any]], None]]:
    """A CPO with these endpoints beside that of its credentials, and how to change them."""
    listed = [{"identifier": "credentials", "url": f"{BASE}/credentials"}, *entries]

    def answer(request: httpx.Request) -> httpx.Response:
        return (
            reply(credentials(url="https://cpo.test/cpo/versions"))
            if request.url.path.endswith("/credentials")
            else page([], total=0)
        )

    cpo = ScriptedCpo(answer, script={"/2.1.1": lambda _: reply({"version": "2.1.1", "endpoints": listed})})

    def change(others: list[Any]) -> None:
        listed[1:] = others

    return cpo, change


@cases("endpoints")
@pytest.mark.parametrize("handshake", HANDSHAKES)
def test_only_what_we_would_call_has_to_be_usable(handshake: str, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    entries, outcome = case["input"]["endpoints"], case["outcome"]
    cpo, change = listing([] if handshake == "our PUT" else entries)
    emsp = facing(cpo)
    if handshake == "our PUT":
        register_tnm(emsp)
        change(entries)
        caplog.clear()
    if "refused" in outcome:
        with pytest.raises(OcpiError) as caught:
            HANDSHAKES[handshake](emsp)
        # The partner gets one sentence, whatever is wrong; the reason is in our log.
        reason = caplog.text if handshake == "their POST" else str(caught.value)
        assert outcome["refused"] in reason.replace("\\", "")
        return
    HANDSHAKES[handshake](emsp)
    party = emsp.parties.get("NL-TNM")
    assert party is not None
    used = {"credentials": f"{BASE}/credentials", **outcome.get("uses", {})}
    assert {each.identifier.value: each.url for each in party.endpoints} == used
    noted = [each.getMessage() for each in caplog.records if each.getMessage().startswith("partner.noted")]
    assert bool(noted) == ("note" in outcome), noted
    assert any(outcome.get("note", "") in line for line in noted) or "note" not in outcome


@cases("endpoints")
def test_the_diagnosis_says_the_same(case: Case) -> None:
    cpo, _ = listing(case["input"]["endpoints"])
    found = facing(cpo).parties.diagnose("https://cpo.test/cpo/versions", token=CPO_TOKEN)
    (check,) = [each for each in found.checks if each.name == "endpoints"]
    outcome = case["outcome"]
    assert outcome.get("refused", outcome.get("note", "")) in check.sentence
    assert (check.outcome.value == "failed") == ("refused" in outcome)


MADE: dict[str, Callable[[Emsp], object]] = {
    "commands": lambda emsp: call(emsp, "sync", "start_session", token=token(), location_id="LOC1"),
    "locations": lambda emsp: drain(emsp, "sync", "locations"),
    "tariffs": lambda emsp: emsp.partner("NL-TNM").sync(modules=["tariffs"]),
    "tokens": lambda emsp: call(emsp, "sync", "put_token", token()),
}


@pytest.mark.parametrize("module", MADE)
def test_an_endpoint_is_set_by_hand(module: str) -> None:
    cpo, change = listing([])
    emsp = facing(cpo)
    register_tnm(emsp)
    partner = emsp.partner("NL-TNM")
    partner.set_profile(without_locations=True)
    if module == "commands":
        with pytest.raises(MissingEndpoints):
            MADE[module](emsp)
    partner.set_profile(endpoints={module.upper(): "https://cpo.test/by/hand/"})
    change([{"identifier": "vendor", "url": ""}])
    partner.update()
    cpo.asked.clear()
    cpo.answer = lambda request: page([], total=0) if request.method == "GET" else reply({"result": "ACCEPTED"})
    MADE[module](emsp)
    assert cpo.urls
    assert all(url.startswith("https://cpo.test/by/hand/") for url in cpo.urls)
    assert "//" not in cpo.urls[0].removeprefix("https://")


@pytest.mark.parametrize("module", MADE)
def test_an_endpoint_that_is_set_by_hand_is_called_in_place_of_the_announced_one(module: str) -> None:
    cpo, _ = listing([{"identifier": module, "url": f"{BASE}/{module}"}])
    emsp = facing(cpo)
    register_tnm(emsp)
    partner = emsp.partner("NL-TNM")
    partner.set_profile(without_locations=True, endpoints={module: "https://cpo.test/by/hand"})
    partner.update()
    cpo.answer = lambda request: page([], total=0) if request.method == "GET" else reply({"result": "ACCEPTED"})
    for base, endpoints in (("https://cpo.test/by/hand", {}), (f"{BASE}/{module}", {"endpoints": None})):
        partner.set_profile(**endpoints)
        cpo.asked.clear()
        MADE[module](emsp)
        assert cpo.urls
        assert all(url.startswith(base) for url in cpo.urls)


def test_an_endpoint_that_is_set_by_hand_is_not_missing(caplog: pytest.LogCaptureFixture) -> None:
    cpo, _ = listing([{"identifier": "tokens", "url": ""}])
    emsp = facing(cpo)
    emsp.parties.invite("NL-TNM", required_modules=["commands"])
    with pytest.raises(AssertionError, match="cannot use your API"):
        register_tnm(emsp)
    assert "cannot be used: the URL of tokens" in caplog.text
    urls = {"commands": "https://cpo.test/commands", "tokens": "https://cpo.test/tokens"}
    emsp.partner("NL-TNM").set_profile(endpoints={"tokens": urls["tokens"]})
    with pytest.raises(AssertionError, match="endpoints are missing: commands"):
        register_tnm(emsp)
    emsp.partner("NL-TNM").set_profile(endpoints=urls)
    register_tnm(emsp)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"commands": "/commands"}, "expected absolute URLs"),
        ({"commands": ""}, "expected absolute URLs"),
        ({"commands": "http://cpo.test/commands"}, "invalid endpoints 'http://cpo.test/commands'"),
        ({"credentials": "https://cpo.test/credentials"}, "expected modules among"),
        ({"vendor": "https://cpo.test/vendor"}, "expected modules among"),
        ("https://cpo.test/commands", "expected a mapping of modules to URLs"),
    ],
)
def test_an_endpoint_that_cannot_be_called_is_refused(value: Any, why: str) -> None:
    emsp = facing(listing([])[0])
    register_tnm(emsp)
    with pytest.raises(ValueError, match="invalid endpoints") as caught:
        emsp.partner("NL-TNM").set_profile(endpoints=value)
    assert why in str(caught.value)
    assert emsp.partner("NL-TNM").profile().endpoints == ()
