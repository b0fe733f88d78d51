"""The law that holds the two lanes together, over random documents of every model and their mutations."""

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from ocpi_emsp.check.examples import base
from ocpi_emsp.codec import Diagnosis, decode, decode_strict, diagnose, dump, encode, parse
from ocpi_emsp.codec.strict import decode_struct
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.findings import Severity, pointer
from ocpi_emsp.models import Location
from ocpi_emsp.testing.payloads import mutations
from ocpi_emsp.testing.strategies import JSON, KINDS, documents

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
RECEIVED = datetime(2024, 5, 1, tzinfo=UTC)
few = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def both_lanes(kind: type[Any], data: bytes) -> tuple[Any, Diagnosis[Any]]:
    """What the two lanes make of the bytes, after the law has been asserted."""
    strict, diagnosis = decode_strict(kind, data), diagnose(kind, parse(data), RECEIVED)
    above_note = [finding for finding in diagnosis.findings if finding.severity is not Severity.NOTE]
    assert has_members_of(decode_struct(kind, data), strict)
    if strict is not None:
        assert above_note == []
        assert strict == diagnosis.value
        assert encode(strict) == encode(diagnosis.value)  # == takes 1.0 for 1.00
    else:
        assert diagnosis.findings != []
    errors = [finding for finding in above_note if finding.severity is Severity.ERROR]
    assert (diagnosis.value is None) == bool(errors)
    return strict, diagnosis


def has_members_of(struct: Any, value: Any) -> bool:
    """Whether a struct holds what the model holds in whose place it is."""
    if isinstance(value, tuple):
        return len(struct) == len(value) and all(map(has_members_of, struct, value))
    if attrs.has(type(value)):
        names = [field.name for field in attrs.fields(type(value))]
        return all(has_members_of(getattr(struct, name), getattr(value, name)) for name in names)
    return bool(struct == value)


@each_kind
@few
@given(data=st.data())
def test_valid_documents_are_accepted_alike(kind: type[Any], data: st.DataObject) -> None:
    strict, diagnosis = both_lanes(kind, dump(data.draw(documents(kind))))
    assert strict is not None
    assert {finding.rule for finding in diagnosis.findings} <= {"string.not_ascii"}
    assert decode_strict(kind, encode(strict)) == without_fractions(strict)


def without_fractions(value: Any) -> Any:
    """The value as it is after a round trip: timestamps are written in whole seconds."""
    if isinstance(value, tuple):
        return tuple(map(without_fractions, value))
    if attrs.has(type(value)):
        members = {field.name: without_fractions(getattr(value, field.name)) for field in attrs.fields(type(value))}
        return type(value)(**members)
    return value.replace(microsecond=0) if hasattr(value, "microsecond") else value


@each_kind
@few
@given(data=st.data())
def test_a_mutation_is_reported_where_it_is(kind: type[Any], data: st.DataObject) -> None:
    document = data.draw(documents(kind))
    mutation = data.draw(st.sampled_from(mutations(kind, document)))
    strict, diagnosis = both_lanes(kind, dump(mutation.apply(document)))
    assert (strict is None) == mutation.strict_refuses
    place = pointer(mutation.path)
    rules = {finding.rule for finding in diagnosis.findings if finding.pointer == place}
    assert rules - {"string.not_ascii"} == mutation.rules, diagnosis.findings
    elsewhere = {finding.rule for finding in diagnosis.findings if finding.pointer != place}
    assert elsewhere <= {"string.not_ascii"}


def test_a_mutation_beside_empty_texts_is_reported_where_it_is() -> None:
    """An empty object in the place of the website would say, with the name, that there is no owner."""
    document = base(Location) | {"owner": {"name": "", "website": ""}}
    found = [each for each in mutations(Location, document) if each.name == "object for a scalar"]
    for mutation in found:
        _, diagnosis = both_lanes(Location, dump(mutation.apply(document)))
        assert {(each.pointer, each.rule) for each in diagnosis.findings} == mutation.places
    assert {("owner", name) for name in ("name", "website")} <= {each.path for each in found}


@each_kind
@few
@given(data=st.data())
def test_several_mutations_keep_the_law(kind: type[Any], data: st.DataObject) -> None:
    document = data.draw(documents(kind))
    for _ in range(data.draw(st.integers(2, 4))):
        possible = mutations(kind, document)
        if possible:
            document = data.draw(st.sampled_from(possible)).apply(document)
    _, diagnosis = both_lanes(kind, dump(document))
    if diagnosis.value is None:
        with pytest.raises(InvalidObject) as caught:
            decode(kind, dump(document), updated=RECEIVED)
        assert len(caught.value.findings) == len(diagnosis.findings)
    else:
        assert decode(kind, dump(document), updated=RECEIVED) == diagnosis.value


@each_kind
@few
@given(document=JSON)
def test_any_json_keeps_the_law(kind: type[Any], document: Any) -> None:
    both_lanes(kind, dump(document))


ESCAPES = {
    "an offset": (rb"2015-06-29T22:39:09\u002b02:00", "datetime.offset"),
    "a colon in an offset": (rb"2015-06-29T22:39:09+02\u003a00", "datetime.offset"),
    "a negative offset": (rb"9999-12-31T23:59:59\u002d02:00", "datetime.unreadable"),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_escapes_hide_no_offset(name: str) -> None:
    text, rule = ESCAPES[name]
    kind = next(kind for kind in KINDS if kind.__name__ == "ExceptionalPeriod")
    data = b'{"period_begin":"%s","period_end":"2015-06-30T00:00:00Z"}' % text
    strict, diagnosis = both_lanes(kind, data)
    assert strict is None
    assert [(finding.pointer, finding.rule) for finding in diagnosis.findings] == [("/period_begin", rule)]


HIDDEN = ['"NaN"', '"nan"', '"-INF"', '"Infinity"', '"+iNfInItY"', '"sNaN"', '"NaN123"', '" NaN "', '"\\u004eaN"']
HIDDEN += ['"N_aN"', '"\u00a0NaN"', '"\\u00a0inf"', '"In_f"']


@pytest.mark.parametrize("text", HIDDEN)
def test_no_spelling_of_a_non_finite_number_passes(text: str) -> None:
    kind = next(kind for kind in KINDS if kind.__name__ == "CdrDimension")
    strict, diagnosis = both_lanes(kind, f'{{"type":"ENERGY","volume":{text}}}'.encode())
    assert strict is None
    assert diagnosis.value is None
    assert [(finding.pointer, finding.rule) for finding in diagnosis.findings] == [("/volume", "value.type")]


@pytest.mark.parametrize("number", ["9" * 5000, "1e400", "-1.5E-4000", "0." + "1" * 5000, "1E+999999999999999"])
def test_huge_numbers_keep_the_law(number: str) -> None:
    kind = next(kind for kind in KINDS if kind.__name__ == "CdrDimension")
    strict, diagnosis = both_lanes(
        kind, f'{{"type":"ENERGY","volume":{number},"v":[{number},"\\ud83d\\ude00"]}}'.encode()
    )
    assert strict is not None
    assert [finding.rule for finding in diagnosis.findings] == ["field.unknown"]
