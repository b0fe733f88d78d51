"""The Authorization header (transport_and_format.md security; PARTNER-QUIRKS.md row 1)."""

import base64

import pytest
from hypothesis import given, strategies as st

from ocpi_emsp.errors import NotAuthenticated
from ocpi_emsp.wire import authorization, from_base64, presented_token

printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)


@given(printable)
def test_a_token_goes_round_raw_and_in_base64(token: str) -> None:
    assert presented_token(authorization(token)) == token
    assert from_base64(presented_token(authorization(token, as_base64=True))) == token


def test_we_send_the_token_raw_unless_told_otherwise() -> None:
    assert authorization("abc") == "Token abc"
    assert authorization("abc", as_base64=True) == "Token YWJj"


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Token abc", "abc"),
        ("token abc", "abc"),
        ("TOKEN  abc ", "abc"),
        (" Token abc", "abc"),
        ("Token a=/+=", "a=/+="),
        ("Token YWJj", "YWJj"),
        ("Token a b", "a b"),
        ("Token Token", "Token"),
    ],
)
def test_the_token_is_taken_as_it_stands(header: str, token: str) -> None:
    assert presented_token(header) == token


@pytest.mark.parametrize("header", [None, "", " ", "Token", "Token ", "Bearer abc", "abc", "Tokenabc", "Token\tabc"])
def test_a_header_of_another_kind_is_refused(header: str | None) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        presented_token(header)
    assert caught.value.http_status == 401
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        "Token abc, Token def",
        "Token abc,Token def",
        "Token abc, Token abc",
        "Token abc, Basic dXNlcjpwYXNz",
        "Basic dXNlcjpwYXNz, Token abc",
        ", Token abc",
    ],
)
def test_two_headers_are_refused(header: str) -> None:
    """Without the check of a second one, the sentence is that the token is not known: true, and of no use."""
    with pytest.raises(NotAuthenticated, match=r"more than one|must be") as caught:
        presented_token(header)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["abc", "YW=Jj", "YW Jj", "YWJj\n", "é", "////", "YWJ", base64.b64encode("é".encode()).decode(), "-_-_"]
)
def test_what_is_no_base64_of_ascii_is_none(text: str) -> None:
    assert from_base64(text) is None
