"""Suspicions about a CDR from its document alone.

Rules of this module: nothing is rejected and no verdict changes. A credit (negative total) repeats the facts of its
CDR, so they are only named for the CDR. Facts that the price audit names (a session that stops before it starts, a
negative volume) are not repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from ocpi_emsp.models import Cdr, Connector, PowerType
from ocpi_emsp.pricing.plausibility.settings import Plausibility
from ocpi_emsp.pricing.plausibility.surroundings import Amounts
from ocpi_emsp.pricing.plausibility.wording import above, at, lasting, product, rounded, seconds, written
from ocpi_emsp.pricing.result import Reason

_WH_PER_KWH: Final = 1000
_HOUR: Final = 3600


def of_document(
    cdr: Cdr, amounts: Amounts | None, settings: Plausibility, stored: Connector | None = None
) -> Iterator[Reason]:
    """Yield the suspicions from the CDR itself; ``amounts`` is the cost under its tariff, None if it was not
    reckoned.
    """
    if cdr.total_cost < 0:
        return
    yield from _duration(cdr, settings)
    yield from _bounds(cdr, settings)
    yield from _one_without_the_other(cdr, amounts, settings)
    yield from _periods(cdr, settings)
    yield from _power(cdr, settings, stored)


def _duration(cdr: Cdr, settings: Plausibility) -> Iterator[Reason]:
    took = seconds(cdr.start_date_time, cdr.stop_date_time)
    longest, shortest = settings.limit("session.long"), settings.limit("session.short")
    if longest is not None and took > product(longest, _HOUR):
        message = f"the session took {lasting(took)}, more than {written(longest)} h"
        yield Reason(code="session.long", pointer="/stop_date_time", message=message)
    if shortest is not None and 0 <= took < shortest:
        message = f"the session took {lasting(took)}, less than {lasting(shortest)}"
        yield Reason(code="session.short", pointer="/stop_date_time", message=message)


def _bounds(cdr: Cdr, settings: Plausibility) -> Iterator[Reason]:
    """Yield energy and cost outside their minimum and maximum."""
    found = (
        ("energy", "total_energy", cdr.total_energy, "kWh"),
        ("cost", "total_cost", cdr.total_cost, cdr.currency),
    )
    for what, name, value, unit in found:
        least, most = settings.limit(f"{what}.low"), settings.limit(f"{what}.high")
        if least is not None and value < least:
            message = f"{name} is {written(value)} {unit}, less than {written(least)}"
            yield Reason(code=f"{what}.low", pointer=f"/{name}", message=message)
        if most is not None and value > most:
            message = f"{name} is {written(value)} {unit}, more than {written(most)}"
            yield Reason(code=f"{what}.high", pointer=f"/{name}", message=message)


# --- energy and cost ------------------------------------------------------------------------------------------------


def _one_without_the_other(cdr: Cdr, amounts: Amounts | None, settings: Plausibility) -> Iterator[Reason]:
    if cdr.total_cost == 0:
        yield from _without_cost(cdr, amounts, settings)
    elif cdr.total_energy == 0 and settings.has("cost.without_energy"):
        message = f"total_cost is {written(cdr.total_cost)} {cdr.currency}, and total_energy is 0"
        yield Reason(code="cost.without_energy", pointer="/total_energy", message=message)


def _without_cost(cdr: Cdr, amounts: Amounts | None, settings: Plausibility) -> Iterator[Reason]:
    if _may_cost_nothing(amounts):
        return
    prices = [
        component.price for tariff in cdr.tariffs for each in tariff.elements for component in each.price_components
    ]
    has_price = any(prices) or _costs(amounts)
    if cdr.total_energy > 0 and (has_price or not prices) and settings.has("energy.without_cost"):
        message = f"{written(cdr.total_energy)} kWh were delivered, and total_cost is 0"
        yield Reason(code="energy.without_cost", pointer="/total_cost", message=message)
    if has_price and settings.has("cost.zero"):
        yield Reason(code="cost.zero", pointer="/total_cost", message="total_cost is 0, and the tariff is not free")


def _may_cost_nothing(amounts: Amounts | None) -> bool:
    """Return True if the tariff gives 0 for this session, or may do so."""
    if amounts is None or amounts.low is None or amounts.high is None:
        return False
    return amounts.low <= 0 <= amounts.high


def _costs(amounts: Amounts | None) -> bool:
    return amounts is not None and amounts.low is not None and amounts.low > 0


# --- periods and power ----------------------------------------------------------------------------------------------


def _periods(cdr: Cdr, settings: Plausibility) -> Iterator[Reason]:
    starts = [period.start_date_time for period in cdr.charging_periods]
    if not starts:
        return
    first, last, most = min(starts), max(starts), settings.limit("periods.late")
    if most is not None and seconds(cdr.start_date_time, first) > most:
        gap = lasting(seconds(cdr.start_date_time, first))
        message = f"the first charging period begins at {at(first)}, {gap} after the session"
        yield Reason(
            code="periods.late",
            pointer=f"/charging_periods/{starts.index(first)}/start_date_time",
            message=message,
        )
    if settings.has("periods.after_stop") and last > cdr.stop_date_time >= cdr.start_date_time:
        message = f"a charging period begins at {at(last)}, after the session stopped at {at(cdr.stop_date_time)}"
        yield Reason(
            code="periods.after_stop",
            pointer=f"/charging_periods/{starts.index(last)}/start_date_time",
            message=message,
        )


def _power(cdr: Cdr, settings: Plausibility, stored: Connector | None) -> Iterator[Reason]:
    """Yield a suspicion if no known connector can deliver the energy; the CDR's copy or the stored one may be
    outdated.
    """
    factor = settings.limit("power.exceeded")
    copied = [connector for evse in cdr.location.evses for connector in evse.connectors]
    watts = max((_watts(each) for each in (*copied, *([stored] if stored else []))), default=0)
    took = _charging(cdr)
    if factor is None or watts <= 0 or took < 0:
        return
    most = product(watts, took, Decimal(1) / _HOUR / _WH_PER_KWH)
    if above(cdr.total_energy, product(most, factor)):
        message = (
            f"{written(cdr.total_energy)} kWh in {lasting(took)}: "
            f"a connector of {rounded(Decimal(watts) / _WH_PER_KWH)} kW delivers {rounded(most)} kWh"
        )
        yield Reason(code="power.exceeded", pointer="/total_energy", message=message)


def _charging(cdr: Cdr) -> Decimal:
    """Return the seconds of the session, without parking."""
    took = seconds(cdr.start_date_time, cdr.stop_date_time)
    parking = product(cdr.total_parking_time or Decimal(0), _HOUR)
    return took - parking if 0 < parking < took else took


def _watts(connector: Connector) -> int:
    """Return the maximum power of a connector in W; ``voltage`` is line to neutral for AC_3_PHASE (mod_locations.md
    3.3).
    """
    if connector.voltage <= 0 or connector.amperage <= 0:
        return 0
    phases = 3 if connector.power_type == PowerType.AC_3_PHASE else 1
    return connector.voltage * connector.amperage * phases
