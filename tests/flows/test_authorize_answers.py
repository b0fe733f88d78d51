"""What of a hook's answer a CPO gets (mod_tokens.md 3.1)."""

from collections.abc import Callable
from typing import Any

import pytest

from flows.authorize_desk import EVSE_1, PLACE, ask, desk, last, listening, location, token
from flows.support import Peer
from ocpi_emsp import Allowed, AuthorizationInfo, AuthorizationRequest
from ocpi_emsp.errors import NotEnoughInformation
from ocpi_emsp.flows.core.authorize_hook import by_token, sendable, sendable_by_token
from ocpi_emsp.models import DisplayText, LocationReferences

NO_CREDIT = DisplayText(language="en", text="No credit")


def named(location_id: str = "LOC1", *evse_uids: str, connectors: tuple[str, ...] = ()) -> AuthorizationInfo:
    references = LocationReferences(location_id=location_id, evse_uids=evse_uids, connector_ids=connectors)
    return AuthorizationInfo(allowed=Allowed.ALLOWED, location=references)


def returns(cpo: Peer, answer: Callable[[AuthorizationRequest], Any]) -> None:
    cpo.emsp.authorize(answer, replace=True)


@pytest.mark.parametrize(
    ("place", "answer", "given"),
    [
        (PLACE, named("LOC1", "E1"), EVSE_1),
        (PLACE, named("LOC1", "X1", "E1", "E3"), EVSE_1),
        (PLACE, named(), PLACE),
        (PLACE, named("LOC1", "E2", "E1"), PLACE),
        (PLACE, named("LOC1", "E1", connectors=("2", "9")), EVSE_1 | {"connector_ids": ["2"]}),
        (PLACE, AuthorizationInfo(allowed=Allowed.ALLOWED), PLACE),
        (PLACE | {"evse_uids": ["E1", "E3", "nowhere"]}, AuthorizationInfo(allowed=Allowed.ALLOWED), EVSE_1),
        ({"location_id": "LOC1"}, AuthorizationInfo(allowed=Allowed.ALLOWED), {"location_id": "LOC1"}),
        (None, AuthorizationInfo(allowed=Allowed.ALLOWED), None),
        ({"location_id": "LOC1"}, named(), {"location_id": "LOC1"}),
        ({"location_id": "LOC1"}, named("LOC1", "E1"), EVSE_1),
        (PLACE | {"connector_ids": ["1"]}, named("LOC1", "E1"), EVSE_1 | {"connector_ids": ["1"]}),
        (None, named("LOC1", "E1"), None),
    ],
)
def test_an_answer_is_cut_to_what_was_asked_for(place: Any, answer: AuthorizationInfo, given: Any) -> None:
    cpo = desk()
    returns(cpo, lambda _request: answer)
    assert ask(cpo, place).data == {"allowed": "ALLOWED"} | ({"location": given} if given else {})
    assert last(cpo.emsp).decided_by == "hook"


@pytest.mark.parametrize("allowed", [each for each in Allowed if each is not Allowed.ALLOWED])
def test_whoever_may_not_charge_is_told_no_location(allowed: Allowed) -> None:
    cpo = desk()
    returns(cpo, lambda request: AuthorizationInfo(allowed=allowed, location=request.references, info=NO_CREDIT))
    answer = ask(cpo, PLACE)
    assert answer.data == {"allowed": allowed.value, "info": {"language": "en", "text": "No credit"}}
    decision = last(cpo.emsp)
    assert (decision.allowed, decision.outcome, decision.reason) == (allowed, allowed.value, "")


@pytest.mark.parametrize(
    ("decide", "given"),
    [
        (lambda request: request.allow(), {"allowed": "ALLOWED", "location": PLACE}),
        (lambda request: request.allow(["E1"]), {"allowed": "ALLOWED", "location": EVSE_1}),
        (lambda request: request.allow("E1"), {"allowed": "ALLOWED", "location": EVSE_1}),
        (
            lambda request: request.allow(connector_ids=["2"]),
            {"allowed": "ALLOWED", "location": PLACE | {"connector_ids": ["2"]}},
        ),
        (lambda request: request.allow(iter(())), {"allowed": "NOT_ALLOWED"}),
        (lambda request: request.allow(["E1"], connector_ids=()), {"allowed": "NOT_ALLOWED"}),
        (lambda request: request.refuse(), {"allowed": "NOT_ALLOWED"}),
        (lambda request: request.refuse(Allowed.NO_CREDIT), {"allowed": "NO_CREDIT"}),
    ],
)
def test_a_request_makes_the_answers(decide: Callable[[AuthorizationRequest], Any], given: Any) -> None:
    cpo = desk()
    returns(cpo, decide)
    assert ask(cpo, PLACE).data == given
    assert last(cpo.emsp).decided_by == "hook"


def test_a_request_makes_no_refusal_that_allows() -> None:
    cpo = desk()
    asked = listening(cpo)
    ask(cpo)
    [request] = asked
    with pytest.raises(ValueError, match="allow"):
        request.refuse(Allowed.ALLOWED)


def test_a_cpo_gets_its_own_ids_back_although_they_are_too_long() -> None:
    """docs/spec-choices.md 20: ids over their length are kept."""
    cpo = desk()
    uid, location_id = "E" * 50, "L" * 45
    cpo.put(f"locations/*/{location_id}", location(location_id, **{uid: "1"}))
    place = {"location_id": location_id, "evse_uids": [uid]}
    assert ask(cpo, place).data == {"allowed": "ALLOWED", "location": place}


def test_a_hook_cannot_name_what_cannot_be_sent_where_we_know_no_location() -> None:
    cpo = desk(authorize_fallback=Allowed.EXPIRED)
    cpo.set_profile(without_locations=True)
    returns(cpo, lambda request: request.allow(["E" * 50]))
    assert ask(cpo, {"location_id": "LOC9"}).data == {"allowed": "EXPIRED"}
    returns(cpo, lambda request: request.allow(["E7"]))
    assert ask(cpo, {"location_id": "LOC9"}).data["location"] == {"location_id": "LOC9", "evse_uids": ["E7"]}


def test_a_hook_that_knows_too_little_is_2002() -> None:
    cpo = desk()

    @cpo.emsp.authorize
    async def decide(request: AuthorizationRequest) -> AuthorizationInfo:
        if request.references is None:
            raise NotEnoughInformation("the location is needed")
        return request.allow()

    answer = ask(cpo)
    assert (answer.both, answer.message) == ((200, 2002), "the location is needed")
    decision = last(cpo.emsp)
    assert (decision.outcome, decision.decided_by, decision.reason) == ("200/2002", "hook", "the location is needed")
    assert ask(cpo, PLACE).data["location"] == PLACE
    assert list(cpo.emsp.rejections.list()) == []


# --- without a hook -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization_id", [None, "A-1"])
@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize("evses", [(), ("E1",), ("E" * 60,)], ids=["location", "evse", "long"])
@pytest.mark.parametrize("location_id", ["LOC1", ".", "L" * 60, "\u00dc", None])
def test_the_short_way_without_a_hook_answers_the_same(
    location_id: str | None, evses: tuple[str, ...], valid: bool, authorization_id: str | None
) -> None:
    references = None if location_id is None else LocationReferences(location_id=location_id, evse_uids=evses)
    request = AuthorizationRequest(
        token=token(valid=valid), references=references, location=None, country_code="NL", party_id="TNM",
        correlation_id="c-1",
    )  # fmt: skip
    answered = sendable(request, by_token(request), authorization_id)
    assert sendable_by_token(request.token, references, authorization_id) == answered
