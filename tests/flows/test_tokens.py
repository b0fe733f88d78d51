"""Our tokens, as a CPO lists and authorizes them (mod_tokens.md 2.2, transport_and_format.md pagination)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from flows.support import NOW, URL, Answer, Peer, peer
from ocpi_emsp import (
    Allowed,
    AuthorizationInfo,
    DisplayText,
    InvalidObject,
    Limits,
    LocationReferences,
    NotEnoughInformation,
    Token,
    TokenType,
    WhitelistType,
)
from ocpi_emsp.errors import UnknownObject

START = datetime(2024, 5, 1, tzinfo=UTC)


def token(uid: str = "T0", minute: int = 0, **changes: Any) -> Token:
    values: dict[str, Any] = {
        "uid": uid,
        "type": TokenType.RFID,
        "auth_id": f"IT-BEC-{uid}",
        "issuer": "Be Charge",
        "valid": True,
        "whitelist": WhitelistType.NEVER,
        "last_updated": START + timedelta(minutes=minute),
    }
    return Token(**(values | changes))


def fill(cpo: Peer, count: int) -> None:
    for number in range(count):
        cpo.emsp.tokens.put(token(f"T{number}", number))


def listed(answer: Answer) -> list[str]:
    assert answer.both == (200, 1000)
    return [each["uid"] for each in answer.data]


def next_query(answer: Answer) -> str | None:
    """The query of the next link, whose URL must be the list's own."""
    if "link" not in answer.headers:
        return None
    url, _, rel = answer.headers["link"].partition(">; ")
    assert rel == 'rel="next"'
    parts = urlsplit(url.removeprefix("<"))
    assert url.startswith(f"<{URL}/2.1.1/tokens?")
    return parts.query


# --- the list -------------------------------------------------------------------------------------------------------


def test_the_list_is_paged_oldest_first_with_totals_and_links() -> None:
    cpo = peer()
    fill(cpo, 5)
    pages, query = [], "limit=2"
    while True:
        answer = cpo.push("GET", "tokens", query=query)
        assert (answer.headers["x-total-count"], answer.headers["x-limit"]) == ("5", "2")
        pages.append(listed(answer))
        following = next_query(answer)
        if following is None:
            break
        query = following
    assert pages == [["T0", "T1"], ["T2", "T3"], ["T4"]]


def test_a_list_without_parameters_is_bounded_by_the_default_limit() -> None:
    cpo = peer(limits=Limits(page=3))
    fill(cpo, 4)
    answer = cpo.push("GET", "tokens")
    assert listed(answer) == ["T0", "T1", "T2"]
    assert answer.headers["x-limit"] == "3"
    assert next_query(answer) == "offset=3&limit=3"


def test_a_limit_over_the_cap_is_clamped_and_says_so() -> None:
    cpo = peer(limits=Limits(page_cap=2))
    fill(cpo, 3)
    answer = cpo.push("GET", "tokens", query="limit=5000")
    assert (len(answer.data), answer.headers["x-limit"], next_query(answer)) == (2, "2", "offset=2&limit=2")


def test_an_empty_list_and_an_offset_behind_the_end() -> None:
    cpo = peer()
    answer = cpo.push("GET", "tokens")
    assert (answer.data, answer.headers["x-total-count"], next_query(answer)) == ([], "0", None)
    fill(cpo, 2)
    answer = cpo.push("GET", "tokens", query="offset=7")
    assert (answer.data, answer.headers["x-total-count"], next_query(answer)) == ([], "2", None)


def test_date_from_is_inclusive_and_date_to_exclusive() -> None:
    cpo = peer()
    fill(cpo, 5)
    first = cpo.push("GET", "tokens", query="date_from=2024-05-01T00:01:00Z&date_to=2024-05-01T00:03:00Z")
    second = cpo.push("GET", "tokens", query="date_from=2024-05-01T00:03:00Z")
    assert (listed(first), listed(second)) == (["T1", "T2"], ["T3", "T4"])
    assert (first.headers["x-total-count"], second.headers["x-total-count"]) == ("2", "2")


def test_the_next_link_keeps_the_filters() -> None:
    cpo = peer()
    fill(cpo, 5)
    answer = cpo.push("GET", "tokens", query="date_from=2024-05-01T00:01:00&date_to=2024-05-01T00:05:00Z&limit=3")
    following = next_query(answer)
    assert following is not None
    assert parse_qs(following) == {
        "date_from": ["2024-05-01T00:01:00Z"],
        "date_to": ["2024-05-01T00:05:00Z"],
        "offset": ["3"],
        "limit": ["3"],
    }
    assert listed(cpo.push("GET", "tokens", query=following)) == ["T4"]


def test_the_list_is_stable_while_tokens_are_added_and_changed() -> None:
    cpo = peer()
    fill(cpo, 3)
    first = cpo.push("GET", "tokens", query="limit=2")
    cpo.emsp.tokens.put(token("NEW", minute=-100))
    cpo.emsp.tokens.put(token("T0", minute=99, valid=False))
    second = cpo.push("GET", "tokens", query=next_query(first) or "")
    assert (listed(first), listed(second)) == (["T0", "T1"], ["T2", "NEW"])
    assert second.headers["x-total-count"] == "4"


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["/limit"]),
        ("limit=-1", ["/limit"]),
        ("limit=ten", ["/limit"]),
        ("limit=1.5&offset=-1", ["/offset", "/limit"]),
        ("date_from=yesterday", ["/date_from"]),
        ("date_to=", ["/date_to"]),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(query: str, pointers: list[str]) -> None:
    answer = peer().push("GET", "tokens", query=query)
    assert answer.both == (200, 2001)
    assert answer.findings == [(each, "parameter") for each in pointers]


def test_a_token_that_breaks_the_specification_is_not_stored() -> None:
    cpo = peer()
    with pytest.raises(InvalidObject) as caught:
        cpo.emsp.tokens.put(token("x" * 37))
    assert [each.pointer for each in caught.value.findings] == ["/auth_id", "/uid"]
    assert cpo.emsp.tokens.list() == []


def test_the_backend_reads_its_tokens_back() -> None:
    cpo = peer()
    fill(cpo, 3)
    cpo.emsp.tokens.put(token("T0", type=TokenType.OTHER))
    assert cpo.emsp.tokens.get("T0") == token("T0")
    assert cpo.emsp.tokens.get("T0", TokenType.OTHER) == token("T0", type=TokenType.OTHER)
    assert cpo.emsp.tokens.get("T9") is None
    assert [each.uid for each in cpo.emsp.tokens.list(offset=1, limit=2)] == ["T1", "T2"]


# --- authorize ------------------------------------------------------------------------------------------------------

REFERENCES = {"location_id": "LOC1", "evse_uids": ["LOC1-E1"], "connector_ids": ["1"]}


@pytest.mark.parametrize(("valid", "allowed"), [(True, "ALLOWED"), (False, "BLOCKED")])
def test_without_a_hook_the_stored_token_decides(valid: bool, allowed: str) -> None:
    cpo = peer()
    cpo.emsp.tokens.put(token(valid=valid))
    answer = cpo.push("POST", "tokens/T0/authorize")
    assert answer.both == (200, 1000)
    assert answer.data == {"allowed": allowed}


@pytest.mark.parametrize("valid", [True, False])
def test_a_location_is_answered_only_where_the_driver_may_charge(valid: bool) -> None:
    """mod_tokens.md 3.1: location, if it was included in the request and the driver is allowed to charge there."""
    cpo = peer()
    cpo.emsp.tokens.put(token(valid=valid))
    answer = cpo.push("POST", "tokens/T0/authorize", REFERENCES)
    assert answer.data == ({"allowed": "ALLOWED", "location": REFERENCES} if valid else {"allowed": "BLOCKED"})


@pytest.mark.parametrize(
    ("path", "query", "both"),
    [
        ("tokens/T0/authorize", "", (200, 1000)),
        ("tokens/T0/authorize", "type=RFID", (200, 1000)),
        ("tokens/T0/authorize", "type=rfid", (200, 1000)),
        ("tokens/T0/authorize/", "", (200, 1000)),
        ("tokens/T0/AUTHORIZE", "", (200, 1000)),
        ("tokens/T0/authorize", "type=OTHER", (404, 2000)),
        ("tokens/T1/authorize", "type=OTHER", (200, 1000)),
        ("tokens/T1/authorize", "", (404, 2000)),
        ("tokens/T9/authorize", "", (404, 2000)),
    ],
)
def test_uid_and_type_name_the_token(path: str, query: str, both: tuple[int, int]) -> None:
    cpo = peer()
    cpo.emsp.tokens.put(token("T0"))
    cpo.emsp.tokens.put(token("T1", type=TokenType.OTHER))
    assert cpo.push("POST", path, query=query).both == both


def test_a_hook_decides_with_the_stored_token_and_the_location() -> None:
    cpo = peer()
    cpo.emsp.tokens.put(token("A/B"))
    asked: list[tuple[Token, LocationReferences | None]] = []

    @cpo.emsp.authorize
    def decide(known: Token, location: LocationReferences | None) -> AuthorizationInfo:
        asked.append((known, location))
        info = DisplayText(language="en", text="No credit")
        return AuthorizationInfo(allowed=Allowed.NO_CREDIT, info=info)

    answer = cpo.push("POST", "tokens/A%2FB/authorize", REFERENCES)
    assert answer.data == {"allowed": "NO_CREDIT", "info": {"language": "en", "text": "No credit"}}
    references = LocationReferences(location_id="LOC1", evse_uids=("LOC1-E1",), connector_ids=("1",))
    assert asked == [(token("A/B"), references)]
    cpo.push("POST", "tokens/A%2FB/authorize")
    assert asked[1:] == [(token("A/B"), None)]


def test_a_hook_that_knows_too_little_is_2002() -> None:
    cpo = peer()
    cpo.emsp.tokens.put(token())

    @cpo.emsp.authorize
    async def decide(_known: Token, location: LocationReferences | None) -> AuthorizationInfo:
        if location is None:
            raise NotEnoughInformation("the location is needed")
        return AuthorizationInfo(allowed=Allowed.ALLOWED, location=location)

    assert cpo.push("POST", "tokens/T0/authorize").both == (200, 2002)
    assert cpo.push("POST", "tokens/T0/authorize", REFERENCES).data["location"] == REFERENCES


@pytest.mark.parametrize("broken", [None, "ALLOWED", AuthorizationInfo(allowed=Allowed.of("MAYBE"))])
def test_a_hook_that_returns_something_else_is_our_fault(broken: Any) -> None:
    cpo = peer()
    cpo.emsp.tokens.put(token())
    cpo.emsp.authorize(lambda _token, _location: broken)
    answer = cpo.push("POST", "tokens/T0/authorize", headers={"x-correlation-id": "c-1"})
    assert answer.both == (500, 3000)
    assert "c-1" in answer.message


@pytest.mark.parametrize("error", [InvalidObject("no"), UnknownObject("no"), KeyError("no")])
def test_a_hook_that_fails_is_our_fault(error: Exception) -> None:
    cpo = peer()
    cpo.emsp.tokens.put(token())

    @cpo.emsp.authorize
    def decide(_known: Token, _location: LocationReferences | None) -> AuthorizationInfo:
        raise error

    assert cpo.push("POST", "tokens/T0/authorize").both == (500, 3000)
    assert cpo.emsp.rejections.list() == []


@pytest.mark.parametrize(
    ("body", "both"), [(b"{", (400, 2000)), ({}, (200, 2001)), ({"location_id": {}}, (200, 2001)), (b" ", (200, 1000))]
)
def test_location_references_that_cannot_be_read_are_refused(body: Any, both: tuple[int, int]) -> None:
    cpo = peer()
    cpo.emsp.tokens.put(token())
    assert cpo.push("POST", "tokens/T0/authorize", body).both == both


def test_the_clock_of_the_answer_is_ours() -> None:
    cpo = peer()
    assert cpo.push("GET", "tokens").envelope["timestamp"] == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
