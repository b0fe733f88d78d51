"""Cases for the targets, as Hypothesis draws them: documents of partners, damaged ones, and requests that carry them.

Rules of this module: every case is a mapping of texts; text that stands for bytes is their latin-1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st
from targets import TOKEN, conformance

from ocpi_emsp.codec import dump
from ocpi_emsp.testing.payloads import PUSHED, SORTS, payloads
from ocpi_emsp.testing.strategies import JSON, KINDS, documents

_NAMES = st.sampled_from([kind.__name__ for kind in KINDS])
_JUNK = st.text(st.characters(max_codepoint=255), max_size=12)


def _latin(body: bytes) -> str:
    return body.decode("latin-1")


@st.composite
def bodies(draw: st.DrawFn, kinds: Any = KINDS) -> str:
    """A document of a partner, any JSON, or bytes; damaged in a few places at times."""
    kind = draw(st.sampled_from(kinds))
    body = draw(
        st.one_of(
            *(payloads(kind, sort).map(lambda payload: payload.document) for sort in SORTS),
            documents(kind).map(dump),
            JSON.map(dump),
            st.binary(max_size=40),
        )
    )
    for _ in range(draw(st.sampled_from((0, 0, 1, 3)))):
        place = draw(st.integers(0, len(body)))
        part = draw(st.sampled_from(_PARTS) | st.binary(max_size=3))
        body = body[:place] + part + body[place + draw(st.integers(0, 3)) :]
    return _latin(body)


_PARTS = (
    b"null",
    b"1e999999",
    b"-0",
    b"\\ud800",
    b"\xff",
    b'"',
    b"{}",
    b"[]",
    b"[" * 2000,
    b"NaN",
    b"9" * 5000,
    b",",
    b"\x00",
)


def documents_of_kinds() -> st.SearchStrategy[Mapping[str, str]]:
    """A body and what it shall be."""
    known = st.sampled_from(KINDS).flatmap(
        lambda kind: st.fixed_dictionaries({"kind": st.just(kind.__name__), "body": bodies((kind,))})
    )
    return known | st.fixed_dictionaries({"kind": _NAMES, "body": bodies()})


def headers() -> st.SearchStrategy[Mapping[str, str]]:
    """An Authorization header, a Link header, and a query."""
    token = st.sampled_from(("Token ", "token ", "Bearer ", "Token", "")).flatmap(
        lambda start: _JUNK.map(start.__add__)
    )
    link = st.lists(
        st.sampled_from(("<", ">", ";", 'rel="next"', "rel=next", ",", " ", "https://a/b?offset=1", "\t", '"')),
        max_size=12,
    ).map("".join)
    return st.fixed_dictionaries({"token": token | _JUNK, "link": link | _JUNK, "query": queries()})


def queries() -> st.SearchStrategy[str]:
    """A query string with the parameters of a list."""
    name = st.sampled_from(("date_from", "date_to", "offset", "limit", "type")) | _JUNK
    value = (
        st.sampled_from(("2015-06-29T20:39:09Z", "2015-06-29T20:39:09+02:00", "0", "-1", "1e3", "9" * 30, "٣")) | _JUNK
    )
    pairs = st.lists(st.tuples(name, value).map("=".join), max_size=4).map("&".join)
    return pairs | pairs.map(lambda text: quote(text, safe="=&")) | _JUNK


def paths() -> st.SearchStrategy[str]:
    """A path of the table, with ids that are quoted, or anything."""
    ids = st.sampled_from(
        ("1", "LOC1", "%2F", "a%20b", "%", "%ZZ", "%00", "%FF", "..", "", "START_SESSION")
    ) | _JUNK.map(quote)
    module = st.sampled_from(("locations", "sessions", "tariffs", "Tariffs"))
    owned = st.tuples(module, st.lists(ids, min_size=1, max_size=4)).map(
        lambda parts: "/".join((f"/2.1.1/{parts[0]}/NL/TNM", *parts[1]))
    )
    other = st.sampled_from(("cdrs", "tokens", "commands", "credentials", "versions", "locations", "hub"))
    below = st.tuples(other, st.lists(ids, max_size=4)).map(lambda parts: "/".join((f"/2.1.1/{parts[0]}", *parts[1])))
    some = st.sampled_from(
        ("/versions", "/2.1.1", "/2.1.1/credentials", "/2.1.1/tokens/1/authorize", "/2.1.1/cdrs", "")
    )
    return owned | below | some | _JUNK


@st.composite
def requests(draw: st.DrawFn) -> Mapping[str, str]:
    """A request, mostly of a partner that is known."""
    good = f"Token {TOKEN}"
    return {
        "method": draw(st.sampled_from(("PUT", "PATCH", "POST", "GET", "DELETE", "HEAD", "", "put"))),
        "path": draw(paths()),
        "query": draw(queries() if draw(st.integers(0, 3)) == 3 else st.just("")),
        "authorization": good if draw(st.integers(0, 9)) < 9 else draw(_JUNK),
        "id": draw(_JUNK) if draw(st.booleans()) else "",
        "body": draw(bodies((*PUSHED, *KINDS))),
    }


CASES: Mapping[str, st.SearchStrategy[Mapping[str, str]]] = {
    "decode": documents_of_kinds(),
    "check": documents_of_kinds(),
    "redact": documents_of_kinds(),
    "headers": headers(),
    "envelope": st.fixed_dictionaries({"body": bodies()}),
    "path": st.fixed_dictionaries({"path": paths()}),
    "dispatch": requests(),
    "openapi": st.deferred(lambda: conformance().cases(conformance().operations())),
}
