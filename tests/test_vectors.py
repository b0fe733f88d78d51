"""The test vectors agree with themselves: census, URL table, examples and their manifest."""

import json
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pytest

VECTORS = Path(__file__).parent / "vectors"
EXAMPLES = VECTORS / "examples"
MANIFEST = EXAMPLES / "manifest.json"
PRIMITIVES = frozenset({"string", "CiString", "URL", "DateTime", "number", "int", "boolean", "any"})
SHAPES = frozenset({"object", "list", "envelope", "envelope-list", "patch", "fragment"})
RULES = frozenset({"required", "type", "enum", "country", "coordinates", "choice", "unit"})


class Deviation(TypedDict):
    pointer: str
    rule: str
    reason: str


class Row(TypedDict):
    file: str
    source: str
    kind: str
    shape: str
    method: NotRequired[str]
    url: NotRequired[str]
    deviations: list[Deviation]
    remarks: NotRequired[list[str]]


class Field(TypedDict):
    name: str
    type: str
    length: int | None
    cardinality: str


class ObjectTable(TypedDict):
    source: str
    fields: list[Field]


class EnumTable(TypedDict):
    source: str
    values: list[str]


class Census(TypedDict):
    objects: dict[str, ObjectTable]
    enums: dict[str, EnumTable]
    status_codes: list[int]


class UrlRow(TypedDict):
    interface: str
    module: str
    method: str
    path: str
    available: bool


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def rows() -> list[Row]:
    manifest: list[Row] = read(MANIFEST)
    return manifest


def census() -> Census:
    tables: Census = read(VECTORS / "spec" / "census.json")
    return tables


def tokens(pointer: str) -> list[str]:
    """The reference tokens of an RFC 6901 pointer."""
    assert pointer.startswith("/"), pointer
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def step(value: Any, token: str) -> Any:
    return value[int(token)] if isinstance(value, list) else value[token]


each_row = pytest.mark.parametrize("row", rows(), ids=[row["file"] for row in rows()])


def test_manifest_and_directory_list_the_same_files() -> None:
    listed = [row["file"] for row in rows()]
    stored = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.is_file()}
    assert len(listed) == len(set(listed))
    assert set(listed) == stored - {MANIFEST.name}


@each_row
def test_example_has_the_shape_the_manifest_tells(row: Row) -> None:
    document = read(EXAMPLES / row["file"])
    shape = row["shape"]
    assert shape in SHAPES
    assert isinstance(document, list if shape == "list" else dict)
    if shape.startswith("envelope"):
        assert isinstance(document, dict)
        assert isinstance(document["data"], list if shape == "envelope-list" else dict)
    if shape == "fragment":
        assert len(document) == 1


@each_row
def test_example_kind_is_in_the_census(row: Row) -> None:
    assert row["kind"] in census()["objects"]


@each_row
def test_deviation_pointers_resolve(row: Row) -> None:
    pointers = [deviation["pointer"] for deviation in row["deviations"]]
    assert len(pointers) == len(set(pointers))
    for deviation in row["deviations"]:
        assert deviation["rule"] in RULES
        assert deviation["reason"]
        parent = read(EXAMPLES / row["file"])
        *path, last = tokens(deviation["pointer"])
        for token in path:
            parent = step(parent, token)
        if deviation["rule"] == "required":
            assert isinstance(parent, dict)
            assert last not in parent
        else:
            step(parent, last)


def test_census_types_are_closed() -> None:
    tables = census()
    known = PRIMITIVES | tables["objects"].keys() | tables["enums"].keys()
    assert not tables["objects"].keys() & tables["enums"].keys()
    for name, table in tables["objects"].items():
        names = [field["name"] for field in table["fields"]]
        assert names, name
        assert len(names) == len(set(names)), name
        for field in table["fields"]:
            assert field["type"] in known, (name, field)
            assert field["cardinality"] in {"1", "?", "*", "+"}, (name, field)
            assert field["length"] is None or field["length"] > 0, (name, field)


def test_census_enum_values_are_distinct() -> None:
    for name, table in census()["enums"].items():
        assert table["values"], name
        assert len(table["values"]) == len(set(table["values"])), name


def test_urls_name_known_modules_and_no_row_twice() -> None:
    table: list[UrlRow] = read(VECTORS / "spec" / "urls.json")
    keys = [(row["interface"], row["module"], row["method"], row["path"]) for row in table]
    assert len(keys) == len(set(keys))
    modules = set(census()["enums"]["ModuleID"]["values"])
    assert {(row["interface"], row["module"]) for row in table} == {
        (interface, module) for interface in ("CPO", "eMSP") for module in modules
    }
    assert {row["method"] for row in table} == {"GET", "POST", "PUT", "PATCH", "DELETE"}
