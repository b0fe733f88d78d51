"""Hypothesis strategies for every object of OCPI 2.1.1.

>>> from hypothesis import given
>>> from ocpi_emsp import Location
>>> from ocpi_emsp.testing.strategies import from_model, locations
>>> @given(locations(country="BEL"))
... def test_my_map(location: Location) -> None: ...

Rules of this package:
- values are drawn from the models' annotations; the agreement that semantic rules require (a CDR's totals, the order of
  periods, codes of one country) is added per model, in the modules named plans;
- every drawn model encodes to a document in which :func:`ocpi_emsp.check` finds nothing above a note, unless the caller
  gave a value that breaks a rule;
- the simplest value is short, and is the specification's own example if there is one;
- there is one named strategy per model: ``locations()`` is ``from_model(Location)``; with Hypothesis'
  ``st.from_type(Location)`` is the same, registered through its entry point.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from ocpi_emsp import models
from ocpi_emsp._extras import extra

with extra("testing"):
    from hypothesis import strategies as st

    from ocpi_emsp.testing.strategies import plans_charging, plans_exchange, plans_locations  # noqa: F401 # they register
    from ocpi_emsp.testing.strategies.build import Builder
    from ocpi_emsp.testing.strategies.documents import JSON, documents
    from ocpi_emsp.testing.strategies.schema import KINDS

T = TypeVar("T")

_BUILDER, _FULL = Builder(), Builder(full=True)


def from_model(kind: type[T], /, **overrides: Any) -> st.SearchStrategy[T]:
    """Draw valid, realistic models of ``kind``.

    An override fixes a field: a strategy, or a value that is used unchanged; the other fields agree with it as far as
    they can. Raises TypeError if ``kind`` is not a model or a field is unknown.
    """
    return _BUILDER.model(kind, overrides)


def full(kind: type[T], /, **overrides: Any) -> st.SearchStrategy[T]:
    """Draw like :func:`from_model`, with every optional field and no empty list, where the semantic rules allow it."""
    return _FULL.model(kind, overrides)


additional_geo_locations = partial(from_model, models.AdditionalGeoLocation)
authorization_infos = partial(from_model, models.AuthorizationInfo)
business_details = partial(from_model, models.BusinessDetails)
cdrs = partial(from_model, models.Cdr)
cdr_dimensions = partial(from_model, models.CdrDimension)
charging_periods = partial(from_model, models.ChargingPeriod)
command_responses = partial(from_model, models.CommandResponse)
connectors = partial(from_model, models.Connector)
credentials = partial(from_model, models.Credentials)
display_texts = partial(from_model, models.DisplayText)
endpoints = partial(from_model, models.Endpoint)
energy_mixes = partial(from_model, models.EnergyMix)
energy_sources = partial(from_model, models.EnergySource)
envelopes = partial(from_model, models.Envelope)
environmental_impacts = partial(from_model, models.EnvironmentalImpact)
evses = partial(from_model, models.Evse)
exceptional_periods = partial(from_model, models.ExceptionalPeriod)
geo_locations = partial(from_model, models.GeoLocation)
hours = partial(from_model, models.Hours)
images = partial(from_model, models.Image)
locations = partial(from_model, models.Location)
location_references = partial(from_model, models.LocationReferences)
price_components = partial(from_model, models.PriceComponent)
regular_hours = partial(from_model, models.RegularHours)
reserve_nows = partial(from_model, models.ReserveNow)
sessions = partial(from_model, models.Session)
start_sessions = partial(from_model, models.StartSession)
status_schedules = partial(from_model, models.StatusSchedule)
stop_sessions = partial(from_model, models.StopSession)
tariffs = partial(from_model, models.Tariff)
tariff_elements = partial(from_model, models.TariffElement)
tariff_restrictions = partial(from_model, models.TariffRestrictions)
tokens = partial(from_model, models.Token)
unlock_connectors = partial(from_model, models.UnlockConnector)
versions = partial(from_model, models.Version)
version_details = partial(from_model, models.VersionDetail)

__all__ = [
    "JSON",
    "KINDS",
    "additional_geo_locations",
    "authorization_infos",
    "business_details",
    "cdr_dimensions",
    "cdrs",
    "charging_periods",
    "command_responses",
    "connectors",
    "credentials",
    "display_texts",
    "documents",
    "endpoints",
    "energy_mixes",
    "energy_sources",
    "envelopes",
    "environmental_impacts",
    "evses",
    "exceptional_periods",
    "from_model",
    "full",
    "geo_locations",
    "hours",
    "images",
    "location_references",
    "locations",
    "price_components",
    "regular_hours",
    "reserve_nows",
    "sessions",
    "start_sessions",
    "status_schedules",
    "stop_sessions",
    "tariff_elements",
    "tariff_restrictions",
    "tariffs",
    "tokens",
    "unlock_connectors",
    "version_details",
    "versions",
]
