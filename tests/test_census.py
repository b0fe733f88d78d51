"""The models against the specification's own tables, as tests/vectors/spec/census.json holds them."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest
from msgspec import inspect

from ocpi_emsp import models
from ocpi_emsp.scalars import OpenEnum

CENSUS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors/spec/census.json").read_text(encoding="utf-8"))

Facts = dict[str, Any]
"""What is compared of a field: type, max_length, min_length, pattern, range, cardinality."""

INT_RANGES = {None: (None, None), 1: (1, 7), 5: (0, 99999)}
"""``int(5)`` counts pixels; the only ``int(1)`` is a weekday, Monday 1 to Sunday 7 (mod_locations.md 4.19)."""


class Exemption(NamedTuple):
    aspect: str
    ours: Any
    reason: str


EXEMPTIONS: dict[tuple[str, str], Exemption] = {
    ("Hours", "twentyfourseven"): Exemption(
        "cardinality", "?", "The table offers a choice of one with regular_hours; so neither of the two is required."
    ),
    ("Envelope", "data"): Exemption(
        "cardinality", "raw", "Array, object or string by the request: kept undecoded, empty bytes where it is absent."
    ),
    ("Location", "country"): Exemption(
        "min_length", 3, "The description says ISO 3166-1 alpha-3, the type says no more than string(3)."
    ),
}


def expected(row: dict[str, Any]) -> Facts:
    """The facts of a row of the census, in the terms of the models."""
    kind, length = row["type"], row["length"]
    facts: Facts = {
        "type": "string" if kind == "URL" else kind,
        "max_length": 255 if kind == "URL" else None if kind == "int" else length,  # types.md 1.6: string(255)
        "min_length": None,
        "pattern": rf"^{row['pattern']}\Z" if "pattern" in row else None,
        "range": INT_RANGES[length] if kind == "int" else (None, None),
        "cardinality": row["cardinality"],
    }
    return facts


def found(attribute: "attrs.Attribute[Any]", field: inspect.Field) -> Facts:
    """The facts of a field of a model, from its annotation and its default."""
    node, case_insensitive = unwrapped(field.type)
    cardinality = f"default {attribute.default!r}"
    if isinstance(node, inspect.RawType):
        cardinality = "raw" if attribute.default == msgspec.Raw() else cardinality
    elif isinstance(node, inspect.VarTupleType):
        cardinality = {(attrs.NOTHING, 1): "+", ((), None): "*"}.get((attribute.default, node.min_length), cardinality)
        node, case_insensitive = unwrapped(node.item_type)
    elif isinstance(node, inspect.UnionType):
        cardinality = "?" if attribute.default is None else cardinality
        node, case_insensitive = unwrapped(optional(node))
    elif attribute.default is attrs.NOTHING:
        cardinality = "1"
    return {
        "type": "CiString" if case_insensitive else type_name(node),
        "max_length": getattr(node, "max_length", None),
        "min_length": getattr(node, "min_length", None),
        "pattern": getattr(node, "pattern", None),
        "range": (getattr(node, "ge", None), getattr(node, "le", None)),
        "cardinality": cardinality,
    }


def unwrapped(node: inspect.Type) -> tuple[inspect.Type, bool]:
    if isinstance(node, inspect.Metadata):
        return node.type, bool((node.extra or {}).get("case_insensitive"))
    return node, False


def optional(node: inspect.UnionType) -> inspect.Type:
    """The one member of ``X | None``; another union is no type of the specification."""
    first, second = node.types
    assert isinstance(second, inspect.NoneType)
    return first


def type_name(node: inspect.Type) -> str:
    match node:
        case inspect.StrType():
            return "string"
        case inspect.DateTimeType(tz=True):
            return "DateTime"
        case inspect.DecimalType():
            return "number"
        case inspect.IntType():
            return "int"
        case inspect.BoolType():
            return "boolean"
        case inspect.RawType():
            return "any"
        case inspect.EnumType(cls=cls) | inspect.DataclassType(cls=cls):
            return cls.__name__
    return repr(node)


def differences(census: dict[str, Any]) -> Iterator[str]:
    """Every difference between the models and a census, naming object and field."""
    classes = models.OBJECTS_AND_ENUMS.items()
    objects = {name: kind for name, kind in classes if attrs.has(kind)}
    enums = {name: kind for name, kind in classes if issubclass(kind, OpenEnum)}
    yield from missing("object", census["objects"], objects)
    yield from missing("enum", census["enums"], enums)
    for name in objects.keys() & census["objects"].keys():
        yield from object_differences(name, objects[name], census["objects"][name])
    for name in enums.keys() & census["enums"].keys():
        table = census["enums"][name]
        yield from missing(f"{name} value", table["values"], [member.value for member in enums[name]])
        if table["source"] not in (enums[name].__doc__ or ""):
            yield f"{name}: the docstring does not cite {table['source']}"


def missing(what: str, specified: Any, ours: Any) -> Iterator[str]:
    for name in sorted(set(specified) - set(ours)):
        yield f"{what} {name} is in the specification only"
    for name in sorted(set(ours) - set(specified)):
        yield f"{what} {name} is in the models only"


def object_differences(name: str, kind: Any, table: dict[str, Any]) -> Iterator[str]:
    if kind.clause != table["source"]:
        yield f"{name}: clause is {kind.clause}, the table is at {table['source']}"
    attributes = {attribute.name: attribute for attribute in attrs.fields(kind)}
    rows = {row["name"]: row for row in table["fields"]}
    yield from missing(f"{name} field", rows, attributes)
    if set(rows) == set(attributes) and list(rows) != list(attributes):
        first = next(field for field, ours in zip(rows, attributes, strict=True) if field != ours)
        yield f"{name}.{first}: stands at another place in the table"
    node = inspect.type_info(kind)
    assert isinstance(node, inspect.DataclassType)
    for field in node.fields:
        if field.name in rows:
            ours, theirs = found(attributes[field.name], field), expected(rows[field.name])
            exemption = EXEMPTIONS.get((name, field.name))
            if exemption:
                theirs[exemption.aspect] = exemption.ours
            for aspect in theirs:
                if ours[aspect] != theirs[aspect]:
                    yield f"{name}.{field.name}: {aspect} is {ours[aspect]}, the specification has {theirs[aspect]}"


def test_models_are_the_tables_of_the_specification() -> None:
    assert list(differences(CENSUS)) == []


def test_everything_in_the_models_package_is_an_object_or_an_enum() -> None:
    assert len(models.OBJECTS_AND_ENUMS) == len(CENSUS["objects"]) + len(CENSUS["enums"])


@pytest.mark.parametrize("place", EXEMPTIONS, ids=".".join)
def test_every_exemption_is_needed(place: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    exemption = EXEMPTIONS[place]
    monkeypatch.delitem(EXEMPTIONS, place)
    [difference] = differences(CENSUS)
    assert difference.startswith(f"{'.'.join(place)}: {exemption.aspect} is {exemption.ours}")


def field_of(census: dict[str, Any], name: str, field: str) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in census["objects"][name]["fields"] if row["name"] == field)
    return row


def change(name: str, field: str, **facts: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda census: field_of(census, name, field).update(facts)


DOCTORED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "Token.uid: max_length is 36, the specification has 37": change("Token", "uid", length=37),
    "LocationReferences.evse_uids: max_length is 39, the specification has 36": change(
        "LocationReferences", "evse_uids", length=36
    ),
    "Image.url: max_length is 255, the specification has 100": change("Image", "url", type="string", length=100),
    "Image.width: range is (0, 99999), the specification has (1, 7)": change("Image", "width", length=1),
    "Connector.voltage: range is (None, None), the specification has (0, 99999)": change(
        "Connector", "voltage", length=5
    ),
    "Cdr.total_cost: type is number, the specification has int": change("Cdr", "total_cost", type="int"),
    "Cdr.id: type is CiString, the specification has string": change("Cdr", "id", type="string"),
    "Token.valid: type is boolean, the specification has string": change("Token", "valid", type="string"),
    "Evse.status: type is Status, the specification has SessionStatus": change("Evse", "status", type="SessionStatus"),
    "Session.location: type is Location, the specification has Evse": change("Session", "location", type="Evse"),
    "Tariff.last_updated: type is DateTime, the specification has string": change(
        "Tariff", "last_updated", type="string"
    ),
    "Evse.connectors: cardinality is +, the specification has *": change("Evse", "connectors", cardinality="*"),
    "Location.evses: cardinality is *, the specification has +": change("Location", "evses", cardinality="+"),
    "Token.language: cardinality is ?, the specification has 1": change("Token", "language", cardinality="1"),
    "Token.issuer: cardinality is 1, the specification has ?": change("Token", "issuer", cardinality="?"),
    r"GeoLocation.latitude: pattern is ^-?[0-9]{1,2}\.[0-9]{6}\Z, the specification has ^[0-9]\Z": change(
        "GeoLocation", "latitude", pattern="[0-9]"
    ),
    "Token: clause is mod_tokens.md#32-token-object, the table is at x.md": (
        lambda census: census["objects"]["Token"].update(source="x.md")
    ),
    "Token.type: stands at another place in the table": (
        lambda census: census["objects"]["Token"]["fields"].append(census["objects"]["Token"]["fields"].pop(0))
    ),
    "Cdr field total_cost is in the models only": (
        lambda census: census["objects"]["Cdr"]["fields"].remove(field_of(census, "Cdr", "total_cost"))
    ),
    "Cdr field home_charging is in the specification only": (
        lambda census: census["objects"]["Cdr"]["fields"].append(
            {**field_of(census, "Cdr", "id"), "name": "home_charging"}
        )
    ),
    "object Tariff is in the models only": lambda census: census["objects"].pop("Tariff"),
    "object ChargingProfile is in the specification only": (
        lambda census: census["objects"].update(ChargingProfile=census["objects"]["Token"])
    ),
    "enum Status is in the models only": lambda census: census["enums"].pop("Status"),
    "enum ProfileType is in the specification only": (
        lambda census: census["enums"].update(ProfileType=census["enums"]["Status"])
    ),
    "Status value RESERVED is in the models only": (
        lambda census: census["enums"]["Status"]["values"].remove("RESERVED")
    ),
    "Status value BROKEN is in the specification only": (
        lambda census: census["enums"]["Status"]["values"].append("BROKEN")
    ),
    "Status: the docstring does not cite x.md": lambda census: census["enums"]["Status"].update(source="x.md"),
}


@pytest.mark.parametrize("difference", DOCTORED)
def test_a_doctored_census_is_reported(difference: str) -> None:
    census = copy.deepcopy(CENSUS)
    DOCTORED[difference](census)
    assert list(differences(census)) == [difference]
