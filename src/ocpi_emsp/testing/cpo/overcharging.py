"""CDRs that cost too much, or whose amount cannot be determined, one kind after the other.

Rules of this module:
- real CPOs send each kind, and it only changes what it is about; amounts exclude VAT and are rounded to cents, each
  from the volumes and the tariff of the CDR itself;
- nothing is changed in place; the position of a CDR in the list determines its kind.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document, parse_timestamp

DUPLICATE: Final = "duplicate"

_CENT: Final = Decimal("0.01")
_TOO_MUCH: Final = Decimal("3.00")
_RISE: Final = Decimal("0.20")
"""How much the price of a kWh rises, in a tariff that changes or is more expensive than the published one."""
_VAT: Final = Decimal("1.21")
_WHOLE: Final = Decimal(1)


def right(cdr: Document) -> Document:
    """Return the CDR with the cost of its tariff."""
    return cdr


def amount(cdr: Document) -> Document:
    """Return it with 3.00 more than its tariff gives."""
    return _costing(cdr, cdr["total_cost"] + _TOO_MUCH)


def price_change(cdr: Document) -> Document:
    """Return it with a price that rises half an hour into the only charging period; the total assumes an even
    division.
    """
    energy, parking = _costs(cdr)
    return _costing(_with_rise(cdr), energy + cdr["total_energy"] * _RISE / 2 + parking)


def beyond_price_change(cdr: Document) -> Document:
    """Return it with the same period, and 1.00 more than if all energy had the higher price."""
    energy, parking = _costs(cdr)
    return _costing(_with_rise(cdr), energy + cdr["total_energy"] * _RISE + parking + 1)


def vat(cdr: Document) -> Document:
    """Return it with 21 % VAT on top, although costs in OCPI 2.1.1 exclude VAT."""
    return _costing(cdr, cdr["total_cost"] * _VAT)


def cents(cdr: Document) -> Document:
    """Return it with a total in cents."""
    return _costing(cdr, cdr["total_cost"] * 100)


def watt_hours(cdr: Document) -> Document:
    """Return it with the price of a kWh charged for each Wh."""
    energy, parking = _costs(cdr)
    return _costing(cdr, energy * 1000 + parking)


def price_per_block(cdr: Document) -> Document:
    """Return it with the prices of a kWh and an hour charged for each block of step_size: 1 kWh, and 5 minutes of
    parking.
    """
    energy_price, parking_price = samples.prices(_tariff(cdr))
    kwh = cdr["total_energy"].to_integral_value(ROUND_CEILING)
    blocks = (cdr["total_parking_time"] * 12).to_integral_value(ROUND_CEILING)
    return _costing(_with_prices(cdr, step_size=1000), kwh * energy_price + blocks * parking_price)


def rounded_up(cdr: Document) -> Document:
    """Return it with each line rounded up to a whole unit of the currency."""
    return _costing(cdr, sum((cost.quantize(_WHOLE, ROUND_CEILING) for cost in _costs(cdr)), start=Decimal(0)))


def dearer_tariff(cdr: Document) -> Document:
    """Return it with the connector's tariff 0.20 a kWh more expensive than the published one, and a total that fits
    it.
    """
    return _costing(_with_prices(cdr, rise=_RISE), cdr["total_cost"] + cdr["total_energy"] * _RISE)


def not_significant(cdr: Document) -> Document:
    """Return it with a total of 0, and a remark that it is not significant."""
    return _costing(cdr, Decimal(0)) | {"remark": "[?] the total is not known yet"}


def unreported_time(cdr: Document) -> Document:
    """Return it with a price for TIME that no period reports, and half of what an hour of it would cost."""
    hourly: Document = {"type": "TIME", "price": Decimal("1.00"), "step_size": 1}
    periods = [
        {**period, "dimensions": [each for each in period["dimensions"] if each["type"] != "TIME"]}
        for period in cdr["charging_periods"]
    ]
    tariff = _tariff(cdr)
    elements = [{**each, "price_components": [*each["price_components"], hourly]} for each in tariff["elements"]]
    changed = {"charging_periods": periods, "tariffs": [{**tariff, "elements": elements}]}
    return _costing({**cdr, **changed}, cdr["total_cost"] + hourly["price"] / 2)


def credit(cdr: Document) -> Document:
    """Return it as a credit for a session that was never billed."""
    return _costing(cdr, -cdr["total_cost"])


def other_currency(cdr: Document) -> Document:
    """Return it with another currency than that of its tariff."""
    return {**cdr, "currency": "SEK" if cdr["currency"] != "SEK" else "EUR"}


def impossible_energy(cdr: Document) -> Document:
    """Return it with twenty times the energy, which its connector cannot deliver in the time."""
    energy, parking = _costs(cdr)
    periods = [{**period, "dimensions": [_times_20(each) for each in period["dimensions"]]} for period in _periods(cdr)]
    return _costing(
        {**cdr, "charging_periods": periods, "total_energy": cdr["total_energy"] * 20}, energy * 20 + parking
    )


def duplicate(cdr: Document) -> Document:
    """Return the first CDR of all under another id; the catalogue provides it."""
    return cdr


OVERCHARGES: Final[dict[str, Callable[[Document], Document]]] = {
    "right": right,
    "amount": amount,
    "price-change": price_change,
    "beyond-price-change": beyond_price_change,
    "vat": vat,
    "cents": cents,
    "watt-hours": watt_hours,
    "price-per-block": price_per_block,
    "rounded-up": rounded_up,
    "dearer-tariff": dearer_tariff,
    "not-significant": not_significant,
    "unreported-time": unreported_time,
    "credit": credit,
    "other-currency": other_currency,
    "impossible-energy": impossible_energy,
    DUPLICATE: duplicate,
}
"""Each kind of CDR by its name, in the order of a list; the first is right."""


def kind_of(index: int, kinds: Sequence[str]) -> str:
    """Return the kind of the CDR at this position."""
    return kinds[index % len(kinds)] if kinds else "right"


def _periods(cdr: Document) -> list[Document]:
    periods: list[Document] = cdr["charging_periods"]
    return periods


def _times_20(dimension: Document) -> Document:
    return {**dimension, "volume": dimension["volume"] * 20} if dimension["type"] == "ENERGY" else dimension


def _tariff(cdr: Document) -> Document:
    tariff: Document = (cdr.get("tariffs") or [samples.tariff()])[0]
    return tariff


def _costs(cdr: Document) -> tuple[Decimal, Decimal]:
    """Return the cost of its energy and its parking by the last element of its tariff, the one without restrictions."""
    energy_price, parking_price = samples.prices(_tariff(cdr))
    return cdr["total_energy"] * energy_price, cdr["total_parking_time"] * parking_price


def _costing(cdr: Document, total: Decimal) -> Document:
    return {**cdr, "total_cost": total.quantize(_CENT)}


def _with_prices(cdr: Document, *, rise: Decimal = Decimal(0), step_size: int = 1) -> Document:
    """Return its tariff with another price of energy, in blocks of `step_size` Wh, in all elements."""
    tariff = _tariff(cdr)
    elements = [
        {
            **element,
            "price_components": [
                {**each, "price": each["price"] + rise, "step_size": step_size} if each["type"] == "ENERGY" else each
                for each in element["price_components"]
            ],
        }
        for element in tariff["elements"]
    ]
    return {**cdr, "tariffs": [{**tariff, "elements": elements}]}


def _with_rise(cdr: Document) -> Document:
    """Return its tariff with a price of energy that rises half an hour after the session began, in local time."""
    tariff = _tariff(cdr)
    began = parse_timestamp(cdr["start_date_time"]).astimezone(ZoneInfo(cdr["location"]["time_zone"]))
    risen = _with_prices({**cdr, "tariffs": [tariff]}, rise=_RISE)["tariffs"][0]["elements"][-1]
    until = {"start_time": f"{began:%H:%M}", "end_time": f"{began + timedelta(minutes=30):%H:%M}"}
    elements = [{**tariff["elements"][-1], "restrictions": until}, risen]
    return {**cdr, "tariffs": [{**tariff, "elements": elements}]}
