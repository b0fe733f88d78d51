"""Tariffs from a CPO (mod_tariffs.md 2.2; PARTNER-QUIRKS.md rows 4 to 6, 15, 18)."""

from decimal import Decimal
from typing import Any

import pytest

from flows.support import Peer, at, peer, stamp
from ocpi_emsp.events import TariffDeleted
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document
from our_emsp import NOW

TARIFF = "tariffs/*/TAR1"


def tariff(minute: int = 0, **changes: Any) -> Document:
    return {**samples.tariff(), "last_updated": at(minute), **changes}


@pytest.fixture
def cpo() -> Peer:
    """A CPO whose tariff TAR1 is known; nothing has happened since."""
    known = peer()
    known.put(TARIFF, tariff())
    known.taken()
    return known


def test_a_deleted_tariff_is_gone_and_says_what_it_was(cpo: Peer) -> None:
    assert cpo.push("DELETE", TARIFF).both == (200, 1000)
    assert cpo.push("GET", TARIFF).both == (404, 2000)
    (event,) = cpo.events
    assert isinstance(event, TariffDeleted)
    assert event.tariff.id == "TAR1"
    assert cpo.push("DELETE", TARIFF).both == (404, 2000)
    assert len(cpo.events) == 1


def test_a_deleted_tariff_can_come_back_even_older(cpo: Peer) -> None:
    cpo.put(TARIFF, tariff(9))
    cpo.push("DELETE", TARIFF)
    assert cpo.push("PUT", TARIFF, tariff(1)).both == (201, 1000)


def test_a_patch_replaces_the_elements_and_keeps_the_rest(cpo: Peer) -> None:
    elements = [{"price_components": [{"type": "TIME", "price": Decimal("2.00"), "step_size": 300}]}]
    assert cpo.push("PATCH", TARIFF, {"elements": elements}).both == (200, 1000)
    assert cpo.data(TARIFF) == tariff(elements=elements, last_updated=stamp(NOW))
    assert b'"price":2.00' in cpo.push("GET", TARIFF).raw
    assert cpo.taken() == ["TariffReceived"]


def test_a_tariff_without_last_updated_has_the_time_of_receipt(cpo: Peer) -> None:
    """The specification's own PUT example omits it, as a PATCH may (row 4)."""
    body = tariff()
    del body["last_updated"]
    answer = cpo.push("PUT", TARIFF, body)
    assert (answer.both, "[last_updated.missing]" in answer.message) == ((200, 1000), True)


def test_numbers_of_the_same_value_are_no_change(cpo: Peer) -> None:
    parking = {"type": "PARKING_TIME", "price": Decimal("2.000"), "step_size": 300}
    energy = {"type": "ENERGY", "price": Decimal("0.3"), "step_size": 1}
    elements = [tariff()["elements"][0], {"price_components": [energy, parking]}]
    cpo.put(TARIFF, tariff(1, elements=elements))
    assert cpo.taken() == []
    assert b"2.000" in cpo.push("GET", TARIFF).raw
