"""What a charge would cost, before a driver starts: models in, a Quote out.

Rules of this module:
- a plan is priced like the CDR that would result from it: a period of charging, then one of parking;
- the power is that of the plan, otherwise the mean of energy and time; it is converted to a current of the location's
  connector;
- of a location with several connectors, the one that names the tariff is used, if there is only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta
from fractions import Fraction

from ocpi_emsp.models import Location, Tariff
from ocpi_emsp.pricing.exact import Rational, epoch, rational, watt_hours
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.result import Plan, Quote
from ocpi_emsp.pricing.session.measure import UsedConnector, planned_connector
from ocpi_emsp.pricing.session.metered import Metered, MeteredPeriod
from ocpi_emsp.pricing.session.tariff_choice import Candidate
from ocpi_emsp.pricing.session.zones import zones_of
from ocpi_emsp.pricing.verdict.appraisal import Case, appraise
from ocpi_emsp.pricing.verdict.judge import shown
from ocpi_emsp.pricing.verdict.ruling import final_lines, vat_factor


def estimate(
    tariff: Tariff,
    plan: Plan,
    *,
    location: Location | None = None,
    readings: Readings,
    time_zone: str | None = None,
    notes: Sequence[str] = (),
) -> Quote:
    """Return what a plan costs under a tariff.

    ``location`` determines the zone and the connector; ``time_zone`` is the IANA name of the party's zone; ``notes``
    are earlier assumptions.
    """
    start = plan.start.astimezone(UTC)
    zones = zones_of(location, None, time_zone, start, start + plan.charging + plan.parking)
    case = Case(
        candidates=(Candidate(tariff=tariff, pointer=""),),
        currency=tariff.currency,
        zones=zones,
        metered=_planned(plan, planned_connector(location, tariff.id), readings),
    )
    found = appraise(case, readings)
    factor = vat_factor(readings)
    low, high = (None if each is None else each * factor for each in (found.low, found.high))
    total = low if low == high else None
    if zones.assumption is not None and case.has_clock:
        notes = (*notes, zones.assumption)
    return Quote(
        total=shown(total),
        low=shown(low),
        high=shown(high),
        currency=tariff.currency,
        tariff_id=tariff.id,
        lines=final_lines(found, 1, total, readings),
        reasons=found.reasons,
        assumptions=tuple(dict.fromkeys((*notes, *zones.notes))),
        readings=readings,
    )


def _planned(plan: Plan, connector: UsedConnector, readings: Readings) -> Metered:
    """Return the plan as it would be measured."""
    start, charging, parking = epoch(plan.start), _seconds(plan.charging), _seconds(plan.parking)
    periods = list[MeteredPeriod]()
    if charging or plan.energy_kwh or not parking:
        wh = watt_hours(plan.energy_kwh)
        current = _current(plan, connector, readings)
        periods.append(
            MeteredPeriod(0, start, start + charging, wh, charging, min_current=current, max_current=current)
        )
    if parking:
        periods.append(MeteredPeriod(len(periods), start + charging, start + charging + parking, parking=parking))
    is_known = connector.voltage is not None
    return Metered(
        start=start,
        stop=start + charging + parking,
        periods=tuple(periods),
        voltage=connector.voltage if is_known else 1000,  # then a current stands for a power in kW
        phases=connector.phases if is_known else 1,
        amperage=connector.amperage,
    )


def _current(plan: Plan, connector: UsedConnector, readings: Readings) -> Rational | None:
    """Return the current at the power of the plan, in A per phase; None if unknown."""
    if plan.power_kw is not None:
        watts: Rational = rational(plan.power_kw, 1000)
    elif plan.charging:
        watts = watt_hours(plan.energy_kwh) * 3600 / Fraction(max(_seconds(plan.charging), 1))
    else:
        return None
    if connector.voltage is not None:
        return watts / Fraction(connector.voltage * connector.phases)
    return None if readings.power == "ampere" else watts / Fraction(1000)


def _seconds(time: timedelta) -> int:
    return time // timedelta(seconds=1)
