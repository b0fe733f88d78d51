"""A support matrix of a party's own: what is served to it, and what is called at it."""

import anyio
import pytest

from flows.support import Peer, at, peer
from ocpi_emsp import SupportMatrix
from ocpi_emsp.errors import NotRegistered, NotSupported
from ocpi_emsp.support import FROM_CPO, TO_CPO
from ocpi_emsp.testing.cpo import samples

TARIFF = {**samples.tariff(), "last_updated": at(1)}
PATH = f"tariffs/*/{TARIFF['id']}"


def without_tariffs() -> SupportMatrix:
    """Everything but pushing tariffs and pulling locations."""
    rows = [
        row
        for row in SupportMatrix.full().rows
        if (row.module, row.direction) not in (("tariffs", FROM_CPO), ("locations", TO_CPO))
    ]
    return SupportMatrix(tuple(rows))


@pytest.fixture
def cpo() -> Peer:
    return peer()


def test_a_row_is_off_for_one_party_only(cpo: Peer) -> None:
    other = cpo.other()
    cpo.emsp.partner("nl-tnm").set_matrix(without_tariffs())
    assert cpo.push("PUT", PATH, TARIFF).both == (405, 2000)
    assert other.push("PUT", PATH, TARIFF).both == (201, 1000)


def test_the_version_details_follow(cpo: Peer) -> None:
    before = {each["identifier"] for each in cpo.push("GET", "").data["endpoints"]}
    cpo.emsp.partner("NL-TNM").set_matrix(without_tariffs())
    after = {each["identifier"] for each in cpo.push("GET", "").data["endpoints"]}
    assert before - after == {"tariffs"}


def test_what_is_off_is_not_called(cpo: Peer) -> None:
    cpo.emsp.partner("NL-TNM").set_matrix(without_tariffs())
    with cpo.emsp.partner("NL-TNM").client() as client, pytest.raises(NotSupported):
        client.location("LOC1")


def test_none_takes_the_matrix_of_the_emsp(cpo: Peer) -> None:
    cpo.emsp.partner("NL-TNM").set_matrix(without_tariffs())
    cpo.emsp.partner("NL-TNM").set_matrix(None)
    assert cpo.push("PUT", PATH, TARIFF).both == (201, 1000)


def test_an_async_host_sets_it_as_well(cpo: Peer) -> None:
    anyio.run(cpo.emsp.aio.partner("NL-TNM").set_matrix, without_tariffs())
    assert cpo.push("PUT", PATH, TARIFF).both == (405, 2000)


def test_a_party_that_is_not_there(cpo: Peer) -> None:
    with pytest.raises(NotRegistered):
        cpo.emsp.partner("DE-XYZ").set_matrix(None)
