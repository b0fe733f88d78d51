"""An object whose last_updated is in the year 9999, and a price with a huge exponent (docs/how-to/query.md)."""

import json
from typing import Any

from flows.support import peer
from ocpi_emsp import Policy, check
from ocpi_emsp.models import Tariff


def tariff(last_updated: str, currency: str = "EUR") -> dict[str, Any]:
    prices = [{"price_components": [{"type": "ENERGY", "price": 1, "step_size": 1}]}]
    return {"id": "T1", "currency": currency, "elements": prices, "last_updated": last_updated}


def test_a_date_in_the_year_9999_holds_off_later_updates_unless_the_policy_refuses_it() -> None:
    """Without the rule as an error: the object is stored, and what follows is not."""
    cpo, path = peer(), "/tariffs/NL/TNM/T1"
    far, now = "9999-01-01T00:00:00Z", "2024-05-02T00:00:00Z"
    assert [each.rule for each in check(json.dumps(tariff(far)), Tariff)] == ["last_updated.future"]
    assert cpo.put(path, tariff(far)).message == "Success"
    assert cpo.put(path, tariff(now)).message.startswith("Not stored")
    assert cpo.put(path, tariff(far, "CHF")).message == "Success"
    cpo.emsp.partner("NL-TNM").set_policy(Policy.tolerant().with_rule("last_updated.future", "error"))
    assert cpo.push("PUT", "/tariffs/NL/TNM/T2", {**tariff(far), "id": "T2"}).code == 2001
    assert cpo.put("/tariffs/NL/TNM/T2", {**tariff(now), "id": "T2"}).code == 1000


def test_a_price_with_a_huge_exponent_is_stored_as_it_is_and_printed_short() -> None:
    cpo = peer()
    document = tariff("2024-05-02T00:00:00Z")
    body = str(document).replace("'", '"').replace('"price": 1', '"price": 1E+99999999').encode()
    assert cpo.put("/tariffs/NL/TNM/T1", body).code == 1000
    [stored] = cpo.emsp.tariffs.list()
    price = stored.elements[0].price_components[0].price
    assert (str(price), price.adjusted()) == ("1E+99999999", 99999999)
