"""CDRs from a CPO (mod_cdrs.md 2.2; PARTNER-QUIRKS.md row 9)."""

from decimal import Decimal
from typing import Any

import pytest

from flows.support import Peer, at, peer
from ocpi_emsp._bridge import run
from ocpi_emsp.events import CdrConflict, CdrReceived
from ocpi_emsp.ports import Kind, Page, Query
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document, encode
from our_emsp import URL


def cdr(minute: int = 0, **changes: Any) -> Document:
    return {**samples.cdr(), "last_updated": at(minute), **changes}


@pytest.fixture
def cpo() -> Peer:
    """A CPO whose CDR1 is known; nothing has happened since."""
    known = peer()
    assert known.push("POST", "cdrs", cdr()).both == (201, 1000)
    known.taken()
    return known


def conflicts(cpo: Peer) -> Page:
    """What is kept beside the first CDRs."""

    async def read() -> Page:
        async with cpo.store.transaction() as tx:
            return await tx.page(Query(kind=Kind.CDR_CONFLICT))

    return run(read())


def test_a_cdr_is_created_under_the_url_in_location() -> None:
    cpo = peer()
    answer = cpo.push("POST", "cdrs", cdr())
    assert answer.both == (201, 1000)
    assert answer.headers["location"] == f"{URL}/2.1.1/cdrs/CDR1"
    assert cpo.data("cdrs/CDR1") == cdr()
    (event,) = cpo.events
    assert isinstance(event, CdrReceived)
    assert (event.cdr.id, event.cdr.total_cost) == ("CDR1", Decimal("4.25"))


def test_a_cdr_comes_before_its_session_and_names_none() -> None:
    """Nothing in 2.1.1 ties a CDR to a session id: it is taken whether or not a session is known."""
    cpo = peer()
    assert "session_id" not in cdr()
    assert cpo.push("POST", "cdrs", cdr()).both == (201, 1000)
    assert cpo.push("PUT", "sessions/*/SES1", samples.session()).both == (201, 1000)
    assert cpo.taken() == ["CdrReceived", "SessionReceived"]


@pytest.mark.parametrize(
    "again",
    [
        cdr(),
        cdr(30),
        dict(reversed(cdr().items())),
        cdr(total_cost=Decimal("4.2500")),
        encode(cdr()).replace(b",", b" ,\n"),
        cdr(id="cdr1"),
    ],
    ids=["identical", "bumped", "reordered", "same number", "spaced", "id in lower case"],
)
def test_the_same_cdr_again_gets_the_same_answer(cpo: Peer, again: Any) -> None:
    answer = cpo.push("POST", "cdrs", again)
    assert answer.both == (201, 1000)
    assert answer.headers["location"] == f"{URL}/2.1.1/cdrs/CDR1"
    assert cpo.data("cdrs/CDR1") == cdr()
    assert cpo.taken() == []
    assert conflicts(cpo).total == 0


def test_another_content_under_the_same_id_is_kept_beside_and_reported_once(cpo: Peer) -> None:
    other = cdr(total_cost=Decimal("99.00"))
    for _ in range(2):
        answer = cpo.push("POST", "cdrs", other)
        assert answer.both == (200, 2001)
        assert answer.findings == [("/id", "cdr.conflict")]
        assert "location" not in answer.headers
    assert cpo.data("cdrs/CDR1") == cdr()
    (event,) = cpo.events
    assert isinstance(event, CdrConflict)
    assert event.cdr.total_cost == Decimal("99.00")
    kept = conflicts(cpo)
    assert [(record.key.id, record.document) for record in kept.records] == [("CDR1", encode(other))]


def test_every_other_content_is_kept(cpo: Peer) -> None:
    for cost in ("1.00", "2.00", "1.0"):
        cpo.push("POST", "cdrs", cdr(total_cost=Decimal(cost)))
    assert cpo.taken() == ["CdrConflict", "CdrConflict"]
    assert conflicts(cpo).total == 2
    assert cpo.push("POST", "cdrs", cdr()).both == (201, 1000)


def test_ids_compare_without_case(cpo: Peer) -> None:
    """CiString (types.md 1.1)."""
    assert cpo.data("cdrs/cdr1") == cdr()
    answer = cpo.push("POST", "cdrs", cdr(id="Cdr1", total_cost=Decimal(1)))
    assert (answer.both, answer.findings) == ((200, 2001), [("/id", "cdr.conflict")])


def test_a_cdr_is_returned_byte_for_byte() -> None:
    cpo = peer()
    received = encode(cdr()).replace(b'"id":', b'\n "vendor": {"a" : 1.10},  "id" :')
    cpo.push("POST", "cdrs", received)
    assert cpo.push("GET", "cdrs/CDR1").raw == received


@pytest.mark.parametrize(("cdr_id", "segment"), [("A/B", "A%2FB"), ("C*D", "C%2AD"), ("a b", "a%20b")])
def test_an_id_is_encoded_in_location(cdr_id: str, segment: str) -> None:
    cpo = peer()
    location = cpo.push("POST", "cdrs", cdr(id=cdr_id)).headers["location"]
    assert location == f"{URL}/2.1.1/cdrs/{segment}"
    assert cpo.data(location.removeprefix(f"{URL}/2.1.1/"))["id"] == cdr_id


def test_two_parties_may_use_one_id(cpo: Peer) -> None:
    other = cpo.other()
    theirs = cdr(total_cost=Decimal(1))
    assert other.push("POST", "cdrs", theirs).both == (201, 1000)
    assert other.data("cdrs/CDR1") == theirs
    assert cpo.data("cdrs/CDR1") == cdr()


def test_an_unknown_or_broken_cdr_is_refused() -> None:
    cpo = peer()
    assert cpo.push("GET", "cdrs/CDR9").both == (404, 2000)
    body = cdr()
    del body["total_cost"]
    answer = cpo.push("POST", "cdrs", body)
    assert (answer.both, answer.findings) == ((200, 2001), [("/total_cost", "field.required")])
    assert cpo.push("GET", "cdrs/CDR1").both == (404, 2000)
    assert cpo.taken() == []
