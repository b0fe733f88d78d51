"""Bad input over HTTP, on both servers: who sends it, and bytes that are no object.

After each refused request nothing is stored, no event is heard, and what was refused for its content is kept, raw.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from attrs import evolve

from ocpi_emsp import Limits, check
from ocpi_emsp.models import Tariff
from ocpi_emsp.ports import Kind
from ocpi_emsp.settings import CredentialLimits, HttpLimits
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from served.cases import TOKEN, post_cdr, put_location, put_session, put_tariff
from served.partner import Connect, Partner, invite
from served.support import Ocpi, encoded, parties
from served.writes import WRITES, refused, store_command


@pytest.fixture
def stocked(partner: Partner) -> Partner:
    """NL-TNM with an object of every kind."""
    for put in (put_location, put_session, put_tariff, post_cdr):
        assert put(partner).code == 1000
    partner.emsp.tokens.put(TOKEN)
    store_command(partner, "NL", "TNM", "COMMAND1")
    partner.events.clear()
    return partner


# --- who sends it ---------------------------------------------------------------------------------------------------


def is_unauthenticated(stocked: Partner, header: str) -> None:
    """401 wherever it is sent, and nothing is stored."""
    before, known = stocked.objects, parties(stocked.store)
    nobody = Ocpi(stocked.ocpi.http, stocked.ocpi.base, stocked.ocpi.logs)
    for request in ("GET /versions", "GET /2.1.1", "GET /nowhere", "POST /versions", *WRITES.values()):
        method, path = request.split()
        answer = nobody(method, path, samples.location(), headers={"authorization": header})
        assert answer.both == (401, 2000), request
        assert answer.headers["www-authenticate"] == "Token"
    assert stocked.objects == before
    assert parties(stocked.store) == known
    assert stocked.events == []
    assert list(stocked.emsp.rejections.list()) == []


def test_no_header(stocked: Partner) -> None:
    is_unauthenticated(stocked, "")


@pytest.mark.parametrize("header", ["Bearer {}", "Basic {}", "{}", "Token", "Token{}", "Token token={}", "Token,{}"])
def test_wrong_scheme(stocked: Partner, header: str) -> None:
    is_unauthenticated(stocked, header.format(stocked.ocpi.token))


@pytest.mark.parametrize("token", ["{}x", "unknown", "=", "/", "a b", "{} {}", "\xe9\xff", "bm90IGtub3du"])
def test_unknown_token(stocked: Partner, token: str) -> None:
    is_unauthenticated(stocked, "Token " + token.format(stocked.ocpi.token, stocked.ocpi.token))


def test_a_token_is_compared_with_its_case(stocked: Partner) -> None:
    is_unauthenticated(stocked, f"Token {stocked.ocpi.token.swapcase()}")


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN", "Token "])
def test_base64_token(partner: Partner, scheme: str) -> None:
    raw, in_base64 = partner.ocpi.token, encoded(partner.ocpi.token)
    for token in (raw, in_base64, raw):
        header = {"authorization": f"{scheme} {token}"}
        assert partner.ocpi("GET", "/2.1.1/credentials", headers=header).both == (200, 1000)
    header = {"authorization": f"{scheme} {in_base64}"}
    assert partner.ocpi("PUT", partner.path("tariffs", "TAR1"), samples.tariff(), headers=header).status == 201


def test_base64_is_not_decoded_twice(stocked: Partner) -> None:
    is_unauthenticated(stocked, f"Token {encoded(encoded(stocked.ocpi.token))}")


# --- bytes that are no JSON object ----------------------------------------------------------------------------------

NOT_JSON = {
    "cut-off": b'{"id": "LOC1", "name": "A',
    "text": b"hello",
    "xml": b'<?xml version="1.0"?><location/>',
    "form": b"id=LOC1&name=A",
    "two-documents": b"{} {}",
    "single-quotes": b"{'id': 'LOC1'}",
    "comma-at-the-end": b'{"id": "LOC1",}',
    "empty": b"",
    "blank": b" \r\n",
    "not-utf8": b'{"id": "LOC1", "name": "\xff\xfe"}',
    "latin-1": '{"id": "LOC1", "x-note": "Z\xfcrich"}'.encode("latin-1"),
    "utf-16": '{"id": "LOC1"}'.encode("utf-16"),
    "nan": b'{"amperage": NaN, "total_cost": NaN, "kwh": NaN}',
    "nan-in-an-unknown-member": b'{"x-vendor": {"values": [1, NaN]}}',
    "infinity": b'{"amperage": Infinity}',
    "minus-infinity": b'{"kwh": -Infinity}',
    "deep-and-cut-off": b"[" * 10_000,
}


@pytest.mark.servers_in_turn
@pytest.mark.parametrize("content", NOT_JSON)
def test_not_json(stocked: Partner, content: str) -> None:
    for write in WRITES:
        if write == "authorize" and content in ("empty", "blank"):
            continue  # its body is optional
        answer = refused(stocked, write, NOT_JSON[content])
        assert answer.both == (400, 2000), (write, answer.text)


@pytest.mark.servers_in_turn
@pytest.mark.parametrize("content", [b"[]", b"[{}]", b'"LOC1"', b"1", b"-0.5", b"null", b"true"])
def test_json_that_is_no_object(stocked: Partner, content: bytes) -> None:
    for write in WRITES:
        if write == "command-result" and content.startswith(b'"'):
            continue  # the bare text of a result is read
        if write == "authorize" and content in (b"[]", b"[{}]", b"null"):
            continue  # they say no location
        answer = refused(stocked, write, content)
        assert answer.both == (200, 2001), (write, answer.text)


def test_the_first_credentials_are_refused_alike(partner: Partner) -> None:
    other = evolve(partner.cpo, country_code="DE", party_id="ABC")
    invited = invite(partner.ocpi, partner.emsp, other)
    known = parties(partner.store)
    for content, both in ((b"{", (400, 2000)), (b"", (400, 2000)), (b"[]", (200, 2001)), (b"{}", (200, 2001))):
        assert invited("POST", "/2.1.1/credentials", content=content).both == both
    assert parties(partner.store) == known
    assert partner.cpo.paths == ["GET /versions", "GET /2.1.1"]  # of NL-TNM's own registration


# --- objects and lists inside each other ------------------------------------------------------------------------------

ITEM = b'[{"uid": "E1", "id": "E1", "connectors": '
DEEP = {
    "arrays": (b'{"id": "LOC1", "evses": ', b"[", b"]", b"}"),
    "objects": (b"", b'{"operator": ', b"}", b""),
    "objects-of-a-repeated-member": (b'{"location": 1, "location": ', b'{"x": ', b"}", b"}"),
    "evses-of-evses": (b'{"evses": ', ITEM, b"}]", b"}"),
    "connectors-of-connectors": (b'{"connectors": ', ITEM, b"}]", b"}"),
    "in-an-unknown-member": (b'{"x-vendor": ', b"[", b"]", b"}"),
}
DEPTHS = [257, 450, 980, 10_000]
"""Beyond our bound, what our code on 3.11 goes through, the parsers of 3.11, and those of 3.13."""


@pytest.mark.servers_in_turn
@pytest.mark.parametrize("name", DEEP)
def test_too_deep(stocked: Partner, name: str) -> None:
    """It is JSON on every Python, and no PATCH is 500, which is merged level by level, nor is a repeated member."""
    starts, opens, closes, ends = DEEP[name]
    for write in WRITES:
        for depth in DEPTHS:
            content = starts + opens * depth + b"1" + closes * depth + ends
            if "credentials" in write and len(content) > CredentialLimits().request_body:
                continue  # 413
            if name == "objects" and write == "patch-location":
                continue  # an operator may have unknown members
            answer = refused(stocked, write, content)
            assert answer.both == (200, 2001), (write, depth, answer.text)
            if not write.startswith("patch"):
                assert [finding["rule"] for finding in answer.data] == ["document.bounds"], (write, depth)


@pytest.mark.servers_in_turn
@pytest.mark.parametrize("depth", [*DEPTHS, 100_000])
def test_an_unknown_member_that_is_deep(partner: Partner, depth: int) -> None:
    """It is stored as it was sent, or refused where this Python cannot go through it; a PATCH works beside it."""
    deep = encode(samples.location())[:-1] + b',"x-vendor":' + b"[" * depth + b"]" * depth + b"}"
    answer = partner.ocpi("PUT", partner.path("locations", "LOC1"), content=deep)
    assert answer.both == (201, 1000) or (depth > 900 and answer.both == (200, 2001)), answer.text
    if answer.code == 1000:
        assert partner.ocpi("PUT", partner.path("locations", "LOC1"), content=deep).both == (200, 1000)
        patched = partner.ocpi("PATCH", partner.path("locations", "LOC1"), {"name": "Deep"})
        assert patched.both == (200, 1000), patched.text
        assert b"[" * depth in partner.objects[partner.key(Kind.LOCATION, "LOC1")]
        location = partner.emsp.locations.get("NL-TNM", "LOC1")
        assert location is not None
        assert location.name == "Deep"
    assert put_location(partner).code == 1000


# --- large bodies ---------------------------------------------------------------------------------------------------

FIVE_MB = b'{"id": "TAR1", "x-note": "' + b"a" * (5 * 1024 * 1024) + b'"}'


def test_five_megabytes(stocked: Partner) -> None:
    before = stocked.objects
    for write in ("put-tariff", "patch-location", "post-cdr", "put-credentials"):
        method, path = WRITES[write].split()
        answer = stocked.ocpi(method, path, content=FIVE_MB)
        assert answer.both == (413, 2000)
        assert stocked.ocpi("GET", "/versions").both == (200, 1000)
    assert stocked.objects == before
    assert stocked.events == []


def in_chunks(content: bytes) -> Iterator[bytes]:
    """What httpx sends with Transfer-Encoding: chunked."""
    for start in range(0, len(content), 65536):
        yield content[start : start + 65536]


def test_five_megabytes_in_chunks(stocked: Partner) -> None:
    before = stocked.objects
    answer = stocked.ocpi("PUT", stocked.path("tariffs", "TAR1"), content=in_chunks(FIVE_MB))
    assert answer.both == (413, 2000)
    assert stocked.objects == before
    assert put_tariff(stocked).both == (200, 1000)


def test_five_megabytes_without_a_token_are_no_reason_to_look_closer(stocked: Partner) -> None:
    nobody = Ocpi(stocked.ocpi.http, stocked.ocpi.base, stocked.ocpi.logs)
    assert nobody("PUT", stocked.path("tariffs", "TAR1"), content=FIVE_MB).both == (401, 2000)


@pytest.mark.parametrize(("spare", "both"), [(0, (201, 1000)), (-1, (413, 2000))])
def test_the_limit_is_what_is_set(connect: Connect, spare: int, both: tuple[int, int]) -> None:
    body = encode(samples.tariff())
    partner = connect(limits=Limits(http=HttpLimits(request_body=len(body) + spare)))
    assert partner.ocpi("PUT", partner.path("tariffs", "TAR1"), content=body).both == both


def test_far_over_the_limit(connect: Connect) -> None:
    """More than is worth reading: the answer may be 413 or a closed connection, and the next request works."""
    partner = connect(limits=Limits(http=HttpLimits(request_body=10_000)))
    for length in (70_000, 10_000_000):
        try:
            answer = partner.ocpi("PUT", partner.path("tariffs", "TAR1"), content=b" " * length)
        except httpx.TransportError:
            assert length > 70_000
        else:
            assert answer.both == (413, 2000)
        assert partner.objects == {}
    assert put_tariff(partner).both == (201, 1000)


# --- what is strange and still JSON ---------------------------------------------------------------------------------


def test_duplicate_keys_the_last_one_counts(connect: Connect) -> None:
    partner = connect(matrix=SupportMatrix.full())
    document = encode(samples.tariff())
    twice = document[:-1] + b',"currency":"CHF"}'
    assert partner.ocpi("PUT", partner.path("tariffs", "TAR1"), content=twice).both == (201, 1000)
    assert partner.objects[partner.key(Kind.TARIFF, "TAR1")] == twice
    [event] = partner.events
    assert getattr(event, "tariff").currency == "CHF"  # noqa: B009 # any event may have come
    assert "/currency" in {finding.pointer for finding in check(twice, Tariff)}
    # As the id does, wherever it is looked at.
    other = document[:-1] + b',"id":"TAR2"}'
    assert partner.ocpi("PUT", partner.path("tariffs", "TAR1"), content=other).both == (200, 2001)
    twice_patched = b'{"currency": "SEK", "currency": "NOK"}'
    assert partner.ocpi("PATCH", partner.path("tariffs", "TAR1"), content=twice_patched).both == (200, 1000)
    assert partner.ocpi("GET", partner.path("tariffs", "TAR1")).data["currency"] == "NOK"
