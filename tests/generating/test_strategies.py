"""Models: valid, realistic, registered with Hypothesis, and small when they are shrunk."""

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings, strategies as st

from ocpi_emsp import Cdr, Connector, Evse, Location, Session, Tariff, check, encode
from ocpi_emsp.codec import decode_strict, dump
from ocpi_emsp.findings import Severity
from ocpi_emsp.models import (
    ConnectorFormat,
    ConnectorType,
    Envelope,
    GeoLocation,
    Hours,
    PowerType,
    RegularHours,
    SessionStatus,
    TariffRestrictions,
)
from ocpi_emsp.testing import strategies
from ocpi_emsp.testing.strategies import KINDS, documents, from_model, full
from ocpi_emsp.testing.strategies.scalars import FIRST

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
few = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
once = settings(max_examples=100, database=None)
LARGE = {Location: 1500, Session: 2000, Cdr: 2500}
"""Bytes that the smallest example may have; 400 for any other kind."""
SMALL_RESTRICTIONS = TariffRestrictions(
    start_time="00:00",
    end_time="00:01",
    start_date="2015-06-29",
    end_date="2015-06-30",
    min_kwh=Decimal(0),
    max_kwh=Decimal(1),
)


@each_kind
@few
@given(data=st.data())
def test_a_model_is_valid(kind: type[Any], data: st.DataObject) -> None:
    model = data.draw(from_model(kind) | full(kind))
    assert isinstance(model, kind)
    document = encode(model)
    assert check(document, kind).at_least(Severity.WARNING) == ()
    assert decode_strict(kind, document) == model


@each_kind
def test_the_first_example_is_small(kind: type[Any]) -> None:
    seen: list[Any] = []

    @settings(max_examples=1, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(from_model(kind))
    def remember(model: Any) -> None:
        seen.append(model)

    remember()
    assert len(encode(seen[0])) < LARGE.get(kind, 400)


def test_examples_shrink() -> None:
    direct = find(strategies.connectors(), lambda each: each.power_type == PowerType.DC, settings=once)
    assert direct == Connector(
        id="1",
        standard=ConnectorType.IEC_62196_T2_COMBO,
        format=ConnectorFormat.CABLE,
        power_type=PowerType.DC,
        voltage=400,
        amperage=50,
        last_updated=FIRST,
    )
    closed = find(strategies.hours(), lambda hours: not hours.twentyfourseven, settings=once)
    assert closed == Hours(regular_hours=(RegularHours(weekday=1, period_begin="00:00", period_end="00:01"),))
    dated = find(strategies.tariff_restrictions(), lambda each: each.end_date is not None, settings=once)
    assert (dated.start_date, dated.end_date) == ("2015-06-29", "2015-06-30")
    # How far the shrinker gets beyond that depends on where it started and on its version.
    assert len(encode(dated)) <= len(encode(SMALL_RESTRICTIONS))


def test_every_model_has_a_named_strategy() -> None:
    named = {strategy.args[0] for name in strategies.__all__ if hasattr(strategy := getattr(strategies, name), "args")}
    assert named == set(KINDS)
    assert Envelope in named


@given(st.from_type(Cdr))
@few
def test_hypothesis_knows_the_models(cdr: Cdr) -> None:
    assert check(encode(cdr), Cdr).at_least(Severity.WARNING) == ()
    assert [len(evse.connectors) for evse in cdr.location.evses] == [1]
    assert cdr.total_energy == sum(
        (each.volume for period in cdr.charging_periods for each in period.dimensions if each.type == "ENERGY"),
        Decimal(0),
    )


def test_the_core_never_loads_hypothesis() -> None:
    script = "import sys, ocpi_emsp, ocpi_emsp.cli; print('hypothesis' in sys.modules, 'pytest' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert printed.split() == ["False", "False"]


@pytest.mark.parametrize("first", ["hypothesis", "ocpi_emsp.testing.strategies", "ocpi_emsp.testing.strategies_hook"])
def test_the_order_of_imports_does_not_matter(first: str) -> None:
    script = (
        f"import {first}; from hypothesis import strategies as st; from ocpi_emsp import Location;"
        "from ocpi_emsp.testing.strategies import locations;"
        "print(st.from_type(Location).validate() or locations().validate())"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    assert subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout == "None\n"


# --- overrides ------------------------------------------------------------------------------------------------------


@given(strategies.sessions(id="S1", status=SessionStatus.COMPLETED, kwh=st.just(Decimal(7))))
@few
def test_an_override_stands(session: Session) -> None:
    assert (session.id, session.status, session.kwh) == ("S1", SessionStatus.COMPLETED, Decimal(7))
    assert session.end_datetime is not None


@given(strategies.locations(country="CHE", evses=st.tuples(strategies.evses(uid="E1"))))
@few
def test_the_rest_agrees_with_an_override(location: Location) -> None:
    assert location.country == "CHE"
    assert location.time_zone in (None, "Europe/Zurich")
    assert 45 < Decimal(location.coordinates.latitude) < 48
    assert [evse.uid for evse in location.evses] == ["E1"]
    assert location.last_updated >= location.evses[0].last_updated


@given(strategies.geo_locations(latitude="0.000000"), strategies.evses(connectors=()), strategies.tariffs(currency="X"))
@few
def test_an_override_may_break_a_rule(point: GeoLocation, evse: Evse, tariff: Tariff) -> None:
    assert (point.latitude, evse.connectors, tariff.currency) == ("0.000000", (), "X")


def test_what_is_no_field_or_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match="unknown fields of Location: paint, size"):
        from_model(Location, size=1, paint="red")
    with pytest.raises(TypeError, match="expected a model class"):
        from_model(str)


# --- documents that only fit the schema -----------------------------------------------------------------------------


@each_kind
@few
@given(data=st.data())
def test_schema_documents_pass_the_strict_lane(kind: type[Any], data: st.DataObject) -> None:
    assert decode_strict(kind, dump(data.draw(documents(kind)))) is not None
