"""The rules of the schema; semantic rules are in :mod:`ocpi_emsp.check`.

Rules of this module: an empty clause stands for the clause of the object with the finding.
"""

from __future__ import annotations

from ocpi_emsp.findings import Rule, Severity

NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR
_STRING, _DATETIME, _NUMBER = "types.md#15-string-type", "types.md#12-datetime-type", "types.md#14-number-type"
FORMAT = "transport_and_format.md#json--http-implementation-guide"


def _rule(id_: str, severity: Severity, clause: str, sentence: str) -> Rule:
    return Rule(id=id_, severity=severity, clause=clause, sentence=sentence)


BOUNDS = _rule(
    "document.bounds", ERROR, FORMAT, "The document holds more than any object of OCPI, and is not read any further."
)
REQUIRED = _rule("field.required", ERROR, "", "A required field is missing or null.")
TYPE = _rule("value.type", ERROR, "", "The value has the wrong JSON type and no obvious interpretation.")
UNKNOWN_FIELD = _rule("field.unknown", NOTE, "", "The specification has no such field; it is stored as received.")
REPEATED = _rule("json.repeated", NOTE, FORMAT, "A member is repeated in one object; the last one counts.")
VALUE_EMPTY = _rule(
    "value.empty", WARNING, "", "An optional member is an empty text, or an object of nulls; read as absent."
)
NOT_DATED = _rule(
    "last_updated.missing",
    WARNING,
    "",
    "last_updated is missing; read as that of the object around it, or as the time of receipt.",
)
NEWER = _rule("version.newer", WARNING, "", "Members have the names of OCPI 2.2; read as those of 2.1.1.")
COPY = _rule(
    "location.copy",
    WARNING,
    "",
    "A fault in the copy of a location in a CDR or session; the copy is read as far as it is readable.",
)
UNKNOWN_RESTRICTION = _rule(
    "restrictions.unknown",
    WARNING,
    "mod_tariffs.md#45-tariffrestrictions-class",
    "A restriction is unknown, so nothing says when its tariff element applies: it must not be used for a price.",
)
LENGTH = _rule("string.length", WARNING, "", "The text is longer than its field allows; it is stored in full.")
NOT_ASCII = _rule("string.not_ascii", NOTE, _STRING, "The text contains characters outside printable ASCII.")
STRING_NUMBER = _rule("string.number", WARNING, _STRING, "A number is sent where a string is required.")
INTEGER_STRING = _rule("integer.string", WARNING, "", "An integer is written as a string.")
INTEGER_FRACTION = _rule("integer.fraction", NOTE, "", "An integer is written with a fraction of zero.")
INTEGER_RANGE = _rule("integer.range", WARNING, "", "The integer is outside its range; it is stored as received.")
NUMBER_STRING = _rule("number.string", NOTE, _NUMBER, "A number is written as a string.")
BOOLEAN_STRING = _rule("boolean.string", WARNING, "", "A boolean is written as a string.")
ARRAY_NULL = _rule("array.null", WARNING, "", "A list that requires at least one item is null; read as empty.")
ARRAY_SINGLE = _rule("array.single", WARNING, "", "One item stands where a list belongs; read as a list of one.")
WRAPPED = _rule("value.wrapped", WARNING, "", "A list of one stands where an object belongs; read as that object.")
ARRAY_EMPTY = _rule("array.empty", WARNING, "", "A list that requires at least one item is empty.")
ENUM_UNKNOWN = _rule("enum.unknown", WARNING, "", "The specification does not list this value; its text is stored.")
ENUM_CASE = _rule("enum.case", WARNING, _STRING, "The value differs from a listed one only in case.")
DATETIME_UNREADABLE = _rule("datetime.unreadable", ERROR, _DATETIME, "The timestamp cannot be read.")
DATETIME_ZONE = _rule("datetime.zone", NOTE, _DATETIME, "The timestamp has no zone designator; read as UTC.")
DATETIME_OFFSET = _rule("datetime.offset", NOTE, _DATETIME, "The timestamp has an offset; converted to UTC.")
DATETIME_FORM = _rule("datetime.form", NOTE, _DATETIME, "The timestamp is not written as YYYY-MM-DDTHH:MM:SSZ.")
COORDINATE_FORM = _rule(
    "coordinate.form", WARNING, "mod_locations.md#412-geolocation-class", "A coordinate is not text with six decimals."
)
TIME_OF_DAY_FORM = _rule(
    "time_of_day.form", WARNING, "mod_locations.md#419-regularhours-class", "A time of day is not written as HH:MM."
)
COUNTRY_ALPHA2 = _rule(
    "location.country.alpha2",
    WARNING,
    "mod_locations.md#31-location-object",
    "The country is not an ISO 3166-1 alpha-3 code.",
)

SCHEMA_RULES: tuple[Rule, ...] = tuple(rule for rule in list(globals().values()) if isinstance(rule, Rule))

NOT_JSON = _rule("json.syntax", ERROR, "status_codes.md#status-codes", "The bytes are not a JSON document.")
"""For bytes to which no schema can be applied."""
