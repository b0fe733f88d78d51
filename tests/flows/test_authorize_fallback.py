"""What answers where an authorize hook does not (docs/how-to/authorization.md): the fallback, or nobody."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from flows.authorize_desk import PLACE, ask, desk, last, token
from flows.support import Peer, offline_emsp
from ocpi_emsp import Allowed, AuthorizationInfo, AuthorizationRequest
from ocpi_emsp.errors import InvalidObject, NotEnoughInformation, Refusal, UnknownObject
from ocpi_emsp.models import DisplayText, LocationReferences, WhitelistType

SECRET = "the database at 10.0.0.7 is down"


def returning(value: Any) -> Callable[[AuthorizationRequest], Any]:
    """A hook that answers, or raises, the value."""

    def decide(_: AuthorizationRequest) -> Any:
        if isinstance(value, BaseException):
            raise value
        return value

    return decide


def named(location_id: str = "LOC1", *evse_uids: str, connectors: Any = ()) -> AuthorizationInfo:
    references = LocationReferences(location_id=location_id, evse_uids=evse_uids, connector_ids=connectors)
    return AuthorizationInfo(allowed=Allowed.ALLOWED, location=references)


NONSENSE: dict[str, Any] = {
    "none": None,
    "true": True,
    "text": "ALLOWED",
    "enum": Allowed.ALLOWED,
    "dict": {"allowed": "ALLOWED"},
    "unknown-value": AuthorizationInfo(allowed=Allowed.of("MAYBE")),
    "no-value": AuthorizationInfo(allowed=None),  # type: ignore[arg-type] # that is the nonsense
    "location-is-text": AuthorizationInfo(allowed=Allowed.ALLOWED, location="LOC1"),  # type: ignore[arg-type] # as above
    "location-is-odd": named("LOC1", connectors=7),
    "info-is-text": AuthorizationInfo(allowed=Allowed.ALLOWED, info="fine"),  # type: ignore[arg-type] # as above
    "info-is-too-long": AuthorizationInfo(allowed=Allowed.ALLOWED, info=DisplayText(language="en", text="x" * 600)),
    "another-location": named("LOC2"),
    "evses-of-another-location": named("LOC1", "X1"),
    "an-evse-that-was-removed": named("LOC1", "E3"),
    "an-evse-that-nobody-asked-for": named("LOC1", "E2"),
    "connectors-that-nobody-asked-for": named("LOC1", "E1", connectors=("3",)),
    "raises": RuntimeError(SECRET),
    "raises-a-timeout-of-its-own": TimeoutError(SECRET),
    "raises-what-a-bad-request-would": InvalidObject(SECRET),
    "raises-what-an-unknown-token-would": UnknownObject(SECRET),
    "raises-another-refusal": Refusal(SECRET),
}


@pytest.mark.parametrize("answer", NONSENSE)
def test_the_fallback_answers_in_the_place_of_nonsense(answer: str, caplog: pytest.LogCaptureFixture) -> None:
    cpo = desk(authorize_fallback=Allowed.NO_CREDIT)
    cpo.emsp.authorize(returning(NONSENSE[answer]))
    place = {"location_id": "LOC1", "evse_uids": ["E1"]}
    with caplog.at_level(logging.ERROR):
        given = ask(cpo, place, headers={"x-correlation-id": "c-1"})
    assert (given.both, given.data) == ((200, 1000), {"allowed": "NO_CREDIT"})
    decision = last(cpo.emsp)
    assert (decision.allowed, decision.decided_by) == (Allowed.NO_CREDIT, "fallback")
    assert decision.reason.startswith("the hook gave no answer: ")
    [record] = caplog.records
    assert record.message.startswith("authorization.failed party=NL-TNM correlation_id=c-1 by=hook error=")
    assert 'then="the fallback decides"' in record.message
    assert record.exc_info is not None
    assert cpo.token not in caplog.text
    assert list(cpo.emsp.rejections.list()) == []
    # Nothing of what went wrong is the partner's business.
    assert SECRET not in given.text


@pytest.mark.parametrize("whitelist", list(WhitelistType))
@pytest.mark.parametrize("valid", [True, False])
def test_by_default_the_whitelist_decides_as_it_would_offline(valid: bool, whitelist: WhitelistType) -> None:
    cpo = desk()
    cpo.emsp.tokens.put(token(valid=valid, whitelist=whitelist))
    cpo.emsp.authorize(returning(None))
    allowed = "BLOCKED" if not valid else "NOT_ALLOWED" if whitelist is WhitelistType.NEVER else "ALLOWED"
    assert ask(cpo, PLACE).data == {"allowed": allowed} | ({"location": PLACE} if allowed == "ALLOWED" else {})


@pytest.mark.parametrize("fallback", list(Allowed))
def test_a_fallback_that_is_always_the_same(fallback: Allowed) -> None:
    cpo = desk(authorize_fallback=fallback)
    cpo.emsp.authorize(returning(None))
    assert ask(cpo, PLACE).data["allowed"] == fallback.value
    assert ("location" in ask(cpo, PLACE).data) == (fallback is Allowed.ALLOWED)


def test_a_fallback_that_is_a_function() -> None:
    def decide(request: AuthorizationRequest) -> AuthorizationInfo:
        if request.references is None:
            raise NotEnoughInformation("say where")
        return request.allow(evse_uids=["E2"]) if request.party == "NL-TNM" else request.refuse()

    cpo = desk(authorize_fallback=decide)
    cpo.emsp.authorize(returning(None))
    assert ask(cpo, PLACE).data["location"] == {"location_id": "LOC1", "evse_uids": ["E2"]}
    assert ask(cpo).both == (200, 2002)
    assert last(cpo.emsp).decided_by == "fallback"


def is_our_fault(cpo: Peer, decided_by: str) -> str:
    """500 / 3000 with the correlation id; the decision's reason."""
    answer = ask(cpo, PLACE, headers={"x-correlation-id": "c-1"})
    assert answer.both == (500, 3000)
    assert "c-1" in answer.message
    assert SECRET not in answer.text
    decision = last(cpo.emsp)
    assert (decision.outcome, decision.allowed, decision.decided_by) == ("500/3000", None, decided_by)
    assert list(cpo.emsp.rejections.list()) == []
    return decision.reason


def test_without_a_fallback_it_is_our_fault(caplog: pytest.LogCaptureFixture) -> None:
    cpo = desk(authorize_fallback=None)
    cpo.emsp.authorize(returning(RuntimeError(SECRET)))
    assert is_our_fault(cpo, "hook") == f"the hook gave no answer: RuntimeError: {SECRET}"
    assert 'then="the CPO gets an error"' in caplog.text


@pytest.mark.parametrize("fallback", [None, named("LOC2"), KeyError(SECRET)], ids=["none", "nonsense", "raises"])
def test_a_fallback_that_has_no_answer_is_our_fault(fallback: Any) -> None:
    cpo = desk(authorize_fallback=returning(fallback))
    cpo.emsp.authorize(returning(None))
    reason = is_our_fault(cpo, "fallback")
    said = "it returned NoneType, not AuthorizationInfo"
    assert reason.startswith(f"the hook gave no answer: {said}; the fallback gave no answer: ")


def test_a_reason_is_bounded() -> None:
    cpo = desk()
    cpo.emsp.authorize(returning(RuntimeError("x\n" * 100_000)))
    assert ask(cpo).both == (200, 1000)
    assert len(last(cpo.emsp).reason) <= 500


async def later(_: AuthorizationRequest) -> AuthorizationInfo:
    return AuthorizationInfo(allowed=Allowed.ALLOWED)


@pytest.mark.parametrize(
    ("fallback", "error"),
    [(Allowed.of("MAYBE"), ValueError), ("ALLOWED", TypeError), (later, TypeError), (True, TypeError)],
    ids=["unknown", "text", "async", "true"],
)
def test_a_fallback_that_cannot_answer_at_once_is_refused_at_once(fallback: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        offline_emsp(authorize_fallback=fallback)
