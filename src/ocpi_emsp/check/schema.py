"""One example for each rule of the schema (:mod:`ocpi_emsp.codec.rules`) and of JSON itself.

Rules of this module: the codec defines the rules and creates their findings; this module only holds the examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ocpi_emsp.check.examples import Example, broken, broken_at
from ocpi_emsp.codec import rules
from ocpi_emsp.models import (
    Cdr,
    Connector,
    DisplayText,
    Evse,
    ExceptionalPeriod,
    GeoLocation,
    Location,
    PriceComponent,
    RegularHours,
    Session,
    Tariff,
    Token,
)

SCHEMA_EXAMPLES: Mapping[str, Example] = {
    rules.NOT_JSON.id: Example(DisplayText, text='{"language": "en"'),
    rules.BOUNDS.id: Example(DisplayText, text=f'{{"language": "en", "text": "Welcome", "vendor": {"1" * 70_000}}}'),
    rules.REQUIRED.id: broken(DisplayText, text=...),
    rules.TYPE.id: broken(DisplayText, text=True),
    rules.UNKNOWN_FIELD.id: broken(DisplayText, vendor=1),
    rules.REPEATED.id: Example(DisplayText, text='{"language": "nl", "language": "en", "text": "Welcome"}'),
    rules.LENGTH.id: broken(Evse, floor_level="ground floor"),
    rules.NOT_ASCII.id: broken(DisplayText, text="f\u00fcr alle"),
    rules.STRING_NUMBER.id: broken(Evse, floor_level=-1),
    rules.INTEGER_STRING.id: broken(Connector, voltage="230"),
    rules.INTEGER_FRACTION.id: broken(Connector, voltage=Decimal("230.0")),
    rules.INTEGER_RANGE.id: broken(RegularHours, weekday=8),
    rules.NUMBER_STRING.id: broken(PriceComponent, price="2.00"),
    rules.BOOLEAN_STRING.id: broken(Token, valid="true"),
    rules.ARRAY_NULL.id: broken(Evse, connectors=None),
    rules.ARRAY_SINGLE.id: broken(Location, facilities="HOTEL"),
    rules.WRAPPED.id: broken(Location, coordinates=[{"latitude": "51.047600", "longitude": "3.729900"}]),
    rules.VALUE_EMPTY.id: broken(Location, charging_when_closed=""),
    rules.NOT_DATED.id: broken(Connector, last_updated=...),
    rules.NEWER.id: Example(Session, {"/start_datetime": ..., "/start_date_time": "2015-06-29T21:00:00Z"}),
    rules.COPY.id: broken_at(Cdr, "/location/city", ...),
    rules.UNKNOWN_RESTRICTION.id: broken_at(Tariff, "/elements/0/restrictions/reservation", "RESERVATION"),
    rules.ARRAY_EMPTY.id: broken(Evse, connectors=[]),
    rules.ENUM_UNKNOWN.id: broken(Evse, status="FAULTED"),
    rules.ENUM_CASE.id: broken(Evse, status="available"),
    rules.DATETIME_UNREADABLE.id: broken(Connector, last_updated="yesterday"),
    rules.DATETIME_ZONE.id: broken(Connector, last_updated="2015-06-29T20:39:09"),
    rules.DATETIME_OFFSET.id: broken(ExceptionalPeriod, period_begin="2014-06-21T11:00:00+02:00"),
    rules.DATETIME_FORM.id: broken(Connector, last_updated="2015-06-29 20:39:09Z"),
    rules.COORDINATE_FORM.id: broken(GeoLocation, latitude=Decimal("51.0476")),
    rules.TIME_OF_DAY_FORM.id: broken(RegularHours, period_begin="8:00"),
    rules.COUNTRY_ALPHA2.id: broken(Location, country="BE"),
}
