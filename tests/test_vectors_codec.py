"""Every JSON example of the specification goes in and comes out; its own errors are named and nothing else is."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest

from ocpi_emsp import codec, models
from ocpi_emsp.check import check
from ocpi_emsp.codec import decode, encode
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.findings import Severity

EXAMPLES = Path(__file__).parent / "vectors/examples"
MANIFEST: list[dict[str, Any]] = json.loads((EXAMPLES / "manifest.json").read_text(encoding="utf-8"))

RULES = {
    "required": {"field.required", "last_updated.missing"},
    "type": {"value.type", "string.number", "number.string"},
    "enum": {"enum.unknown"},
    "country": {"location.country.alpha2"},
    "coordinates": {"location.coordinates.swapped"},
    "choice": {"hours.flag", "hours.choice"},
    "unit": {"session.energy.unit"},
}
"""The rule of a deviation in the manifest, and the ids by which check() may name it."""

BASES = {
    "Location": ("locations/location-LOC1.json", ()),
    "Evse": ("locations/location-LOC1.json", ("evses", 0)),
    "Connector": ("locations/location-LOC1.json", ("evses", 0, "connectors", 1)),
    "Session": ("sessions/session-completed.json", ()),
    "Tariff": ("tariffs/tariff-simple.json", ()),
    "Token": ("tokens/put-token.json", ()),
}
"""The full example that a patch of this kind is merged onto."""

READ_AS = {
    ("cdrs/cdr.json", "/location/country"): "BEL",
    ("cdrs/cdr.json", "/tariffs/0/elements/0/price_components/0/price"): ("number", "2.00"),
    ("sessions/session-pending.json", "/location/country"): "BEL",
    ("sessions/session-completed.json", "/location/country"): "BEL",
    ("sessions/patch-total-cost.json", "/location/country"): "BEL",
}
"""Where the written view differs since the example deviates: ISO 3166-1 BE is BEL, "2.00" is a number."""


class Instance(NamedTuple):
    """One object of an example: where it lies, its bytes, and the pointers that deviate by rule, relative to it."""

    file: str
    kind: type[Any]
    place: str
    data: bytes
    deviations: dict[str, str]

    def __str__(self) -> str:
        return f"{self.file}{self.place}"


def instances() -> Iterator[Instance]:
    for row in MANIFEST:
        kind = getattr(models, row["kind"])
        for place, data in objects(row):
            own = {each["pointer"]: each["rule"] for each in row["deviations"] if each["pointer"].startswith(place)}
            if row["shape"] == "patch" and row["kind"] == "Session":  # the merged object keeps the errors of its base
                own |= {each["pointer"]: each["rule"] for each in row_of(BASES["Session"][0])["deviations"]}
            yield Instance(row["file"], kind, place, data, {at.removeprefix(place): rule for at, rule in own.items()})


def objects(row: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Place and bytes of every object of the example's kind."""
    data = (EXAMPLES / row["file"]).read_bytes()
    match row["shape"]:
        case "object":
            yield "", data
        case "patch":
            file, path = BASES[row["kind"]]
            yield "", codec.merge_patch(cut((EXAMPLES / file).read_bytes(), *path), data)
        case "fragment":
            [name] = json.loads(data)
            yield f"/{name}", cut(data, name)
        case "envelope":
            yield "/data", cut(data, "data")
        case "list" | "envelope-list" as shape:
            path = ("data",) if shape == "envelope-list" else ()
            for index in range(len(json.loads(cut(data, *path)))):
                yield "".join(f"/{step}" for step in (*path, index)), cut(data, *path, index)


def cut(data: bytes, *path: str | int) -> bytes:
    """The bytes of the value at this path, as they stand in the document."""
    for step in path:
        container: Any = list[msgspec.Raw] if isinstance(step, int) else dict[str, msgspec.Raw]
        data = bytes(msgspec.json.decode(data, type=container)[step])
    return data


def row_of(file: str) -> dict[str, Any]:
    return next(row for row in MANIFEST if row["file"] == file)


def comparable(data: bytes) -> Any:
    """A document for comparison: numbers by their exact text, timestamps as instants, without empty members."""
    document = json.loads(data, parse_float=lambda text: ("number", text), parse_int=lambda text: ("number", text))
    return simplified(document)


def simplified(value: Any) -> Any:
    if isinstance(value, dict):
        members = {name: simplified(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not None and member != []}
    if isinstance(value, list):
        return [simplified(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT.*", value):
        return datetime.fromisoformat(value)
    return value


def replace(document: Any, pointer: str, value: Any) -> None:
    *path, last = pointer.split("/")[1:]
    for step in path:
        document = document[int(step)] if isinstance(document, list) else document[step]
    document[last] = value


def unusable(instance: Instance) -> bool:
    return "required" in instance.deviations.values()


ALL = list(instances())
each = pytest.mark.parametrize("instance", ALL, ids=str)
each_usable = pytest.mark.parametrize("instance", [one for one in ALL if not unusable(one)], ids=str)
each_unusable = pytest.mark.parametrize("instance", [one for one in ALL if unusable(one)], ids=str)
each_valid = pytest.mark.parametrize("instance", [one for one in ALL if not one.deviations], ids=str)
ENVELOPES = [row for row in MANIFEST if row["shape"].startswith("envelope")]


def test_every_example_is_covered() -> None:
    assert {instance.file for instance in ALL} == {row["file"] for row in MANIFEST}
    assert sum(map(unusable, ALL)) == 2  # put-evse and put-tariff


@each_usable
def test_what_goes_in_comes_out(instance: Instance) -> None:
    original = comparable(instance.data)
    for (file, pointer), value in READ_AS.items():
        if file == instance.file:
            replace(original, pointer, value)
    value = decode(instance.kind, instance.data)
    assert comparable(encode(value)) == original


@each_usable
def test_the_view_is_the_same_from_bytes_text_and_parsed_json(instance: Instance) -> None:
    value = decode(instance.kind, instance.data)
    text = instance.data.decode()
    assert isinstance(value, instance.kind)
    for data in (text, codec.parse(text), bytearray(instance.data), memoryview(instance.data), msgspec.Raw(text)):
        other = decode(instance.kind, data)
        assert attrs.astuple(other) == attrs.astuple(value)
        assert encode(other) == encode(value)


@each_valid
def test_valid_examples_have_no_finding_above_note(instance: Instance) -> None:
    report = check(instance.data, instance.kind)
    assert report.at_least(Severity.WARNING) == ()
    value = codec.decode_strict(instance.kind, instance.data)
    assert value is not None
    assert codec.decode_strict(instance.kind, codec.encode_valid(value)) == value


@each
def test_deviations_are_reported_where_the_manifest_has_them_and_nowhere_else(instance: Instance) -> None:
    report = check(instance.data, instance.kind)
    for pointer, rule in instance.deviations.items():
        assert {finding.rule for finding in report if finding.pointer == pointer} & RULES[rule], pointer
    assert {finding.pointer for finding in report.at_least(Severity.WARNING)} <= instance.deviations.keys()


@each_unusable
def test_errors_raise_with_every_finding(instance: Instance) -> None:
    with pytest.raises(InvalidObject) as caught:
        decode(instance.kind, instance.data)
    assert {finding.pointer for finding in caught.value.findings} == instance.deviations.keys()
    errors = {finding.pointer for finding in caught.value.findings if finding.severity is Severity.ERROR}
    assert errors == {pointer for pointer, rule in instance.deviations.items() if rule == "required"}
    # What is checked was received, at a time that stands for a last_updated.
    undated = {each.pointer for each in caught.value.findings if each.pointer.endswith("/last_updated")}
    report = check(instance.data, instance.kind)
    assert {each for each in report if each.rule != "last_updated.missing"} == {
        each for each in caught.value.findings if each.pointer not in undated
    }


@pytest.mark.parametrize("row", ENVELOPES, ids=[row["file"] for row in ENVELOPES])
def test_envelopes_keep_their_data(row: dict[str, Any]) -> None:
    data = (EXAMPLES / row["file"]).read_bytes()
    envelope = decode(models.Envelope, data)
    assert bytes(envelope.data) == cut(data, "data")
    assert envelope.status_code == 1000
    assert comparable(encode(envelope)) == comparable(data)
    assert len(check(data, models.Envelope)) == 0
