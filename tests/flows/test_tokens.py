"""Our tokens, as a CPO lists them (mod_tokens.md 2.2, transport_and_format.md pagination)."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, strategies as st

from flows import authorize_desk
from flows.authorize_desk import START
from flows.support import Answer, Peer, peer, stamp
from ocpi_emsp import Limits, Token
from ocpi_emsp.settings import HttpLimits
from our_emsp import NOW, URL


def token(uid: str = "T0", minute: int = 0, **changes: Any) -> Token:
    return authorize_desk.token(uid, **({"last_updated": START + timedelta(minutes=minute)} | changes))


def fill(cpo: Peer, count: int) -> None:
    for number in range(count):
        cpo.emsp.tokens.put(token(f"T{number}", number))


def listed(answer: Answer) -> list[str]:
    assert answer.both == (200, 1000)
    return [each["uid"] for each in answer.data]


def next_query(answer: Answer, *names: str) -> str | None:
    """The query of the next link, whose URL must be the list's own; of these parameters alone, where there are any."""
    if "link" not in answer.headers:
        return None
    url, _, rel = answer.headers["link"].partition(">; ")
    assert rel == 'rel="next"'
    parts = urlsplit(url.removeprefix("<"))
    assert url.startswith(f"<{URL}/2.1.1/tokens?")
    return "&".join(each for each in parts.query.split("&") if not names or each.partition("=")[0] in names)


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
    cpo = peer(limits=Limits(http=HttpLimits(page_size=3)))
    fill(cpo, 4)
    answer = cpo.push("GET", "tokens")
    assert listed(answer) == ["T0", "T1", "T2"]
    assert answer.headers["x-limit"] == "3"
    assert parse_qs(next_query(answer) or "").keys() == {"offset", "limit", "after", "total"}
    assert next_query(answer, "offset", "limit") == "offset=3&limit=3"


def test_a_limit_over_the_cap_is_clamped_and_says_so() -> None:
    cpo = peer(limits=Limits(http=HttpLimits(max_page_size=2)))
    fill(cpo, 3)
    answer = cpo.push("GET", "tokens", query="limit=5000")
    assert (len(answer.data), answer.headers["x-limit"]) == (2, "2")
    assert next_query(answer, "offset", "limit") == "offset=2&limit=2"


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
    assert parse_qs(next_query(answer, "date_from", "date_to", "offset", "limit") or "") == {
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


def test_a_link_skips_nothing_where_a_token_leaves_the_window_and_an_offset_counts_as_ever() -> None:
    cpo = peer()
    fill(cpo, 4)
    window = "date_to=2024-05-02T00:00:00Z&limit=2"
    first = cpo.push("GET", "tokens", query=window)
    cpo.emsp.tokens.invalidate("T0")
    second = cpo.push("GET", "tokens", query=next_query(first) or "")
    assert (listed(first), listed(second)) == (["T0", "T1"], ["T2", "T3"])
    assert (second.headers["x-total-count"], next_query(second)) == ("3", None)
    assert listed(cpo.push("GET", "tokens", query=f"{window}&offset=2")) == ["T3"]


def test_what_matches_is_counted_for_the_first_and_the_last_page_of_a_list() -> None:
    cpo = peer()
    fill(cpo, 5)
    first = cpo.push("GET", "tokens", query="date_from=2024-05-01T00:01:00Z&limit=2")
    assert next_query(first, "total") == "total=4"
    cpo.emsp.tokens.put(token("NEW", minute=9))
    second = cpo.push("GET", "tokens", query=next_query(first) or "")
    third = cpo.push("GET", "tokens", query=next_query(second) or "")
    assert [listed(each) for each in (first, second, third)] == [["T1", "T2"], ["T3", "T4"], ["NEW"]]
    assert [each.headers["x-total-count"] for each in (first, second, third)] == ["4", "4", "5"]


WINDOW_ENDS = NOW + timedelta(minutes=30)
uids = st.sampled_from([f"T{number}" for number in range(8)])
changes = st.lists(
    st.tuples(st.sampled_from(["put", "patch", "invalidate", "wait"]), uids, st.integers(0, 60)), max_size=6
)


@given(st.lists(uids, unique=True), st.lists(changes, max_size=8), st.integers(1, 3), st.booleans())
def test_whoever_follows_the_links_gets_every_token_that_stays_in_the_window_once(
    there: list[str], between: list[list[tuple[str, str, int]]], limit: int, has_end: bool
) -> None:
    cpo = peer()
    for place, uid in enumerate(there):
        cpo.emsp.tokens.put(token(uid, last_updated=NOW + timedelta(minutes=place)))
    stayed, given_uids, left = set(there), list[str](), iter(between)
    ends = f"&date_to={stamp(WINDOW_ENDS)}" if has_end else ""
    query: str | None = f"limit={limit}&date_from={stamp(NOW)}{ends}"
    while query is not None:
        answer = cpo.push("GET", "tokens", query=query)
        given_uids += listed(answer)
        for change, uid, minute in next(left, ()):
            if (after := change_token(cpo, change, uid, minute)) is None:
                continue
            if has_end and not NOW <= after.last_updated < WINDOW_ENDS:
                stayed.discard(uid)
        query = next_query(answer)
    assert len(given_uids) == len(set(given_uids))
    assert stayed <= set(given_uids)


def change_token(cpo: Peer, change: str, uid: str, minute: int) -> Token | None:
    tokens, moment = cpo.emsp.tokens, NOW + timedelta(minutes=minute)
    if change == "wait":
        cpo.clock.advance(minutes=minute)
    elif change == "put":
        return tokens.put(token(uid, issuer=f"Issuer {minute}", last_updated=moment))
    elif tokens.get(uid) is not None:
        return tokens.patch(uid, issuer=f"Other {minute}") if change == "patch" else tokens.invalidate(uid)
    return None


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["/limit"]),
        ("limit=-1", ["/limit"]),
        ("limit=ten", ["/limit"]),
        ("limit=1.5&offset=-1", ["/offset", "/limit"]),
        ("date_from=yesterday", ["/date_from"]),
        ("date_to=", ["/date_to"]),
        ("after=", ["/after"]),
        ("after=-1", ["/after"]),
        ("after=1;DROP", ["/after"]),
        ("after=1&total=many", ["/total"]),
        ("limit=x&after=x", ["/limit", "/after"]),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(query: str, pointers: list[str]) -> None:
    answer = peer().push("GET", "tokens", query=query)
    assert answer.both == (200, 2001)
    assert answer.findings == [(each, "parameter") for each in pointers]


@pytest.mark.parametrize("after", ["0", "000", "999999999999999999", "9999999999999999999"])
def test_a_place_that_no_link_named_is_before_or_behind_all(after: str) -> None:
    cpo = peer()
    fill(cpo, 2)
    answer = cpo.push("GET", "tokens", query=f"after={after}&offset=1")
    assert listed(answer) == ([] if after.startswith("9") else ["T0", "T1"])
    assert answer.headers["x-total-count"] == "2"


def test_the_clock_of_the_answer_is_ours() -> None:
    cpo = peer()
    assert cpo.push("GET", "tokens").envelope["timestamp"] == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
