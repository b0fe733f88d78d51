"""The quick lane of the command finds exactly what ``check`` finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ocpi_emsp import Location, Session
from ocpi_emsp.check import EXAMPLES, check
from ocpi_emsp.check.examples import base
from ocpi_emsp.cli import quick
from ocpi_emsp.cli.kinds import KINDS
from ocpi_emsp.cli.quick import check_quickly
from ocpi_emsp.codec.documents import dump

EXAMPLE_FILES = Path(__file__).parents[1] / "vectors" / "examples"


def same(document: bytes, kind: type[Any]) -> None:
    for limit in (1, 1000):
        assert check_quickly(document, kind, limit) == check(document, kind, limit=limit)


@pytest.mark.parametrize("rule", EXAMPLES)
def test_for_what_breaks_a_rule(rule: str) -> None:
    example = EXAMPLES[rule]
    same(example.document, example.kind)
    same(json.dumps(json.loads(example.document), indent=1).encode() if example.text is None else b"", example.kind)


@pytest.mark.parametrize("row", json.loads((EXAMPLE_FILES / "manifest.json").read_text()), ids=lambda row: row["file"])
def test_for_the_examples_of_the_specification(row: dict[str, Any]) -> None:
    same((EXAMPLE_FILES / row["file"]).read_bytes(), KINDS[row["kind"]])


CHANGES: list[tuple[str, str]] = [
    ('"id":', '"id" :'),
    ('"id":', '"id"\n:'),
    ('"id":', '"id" : "LOC2", "id":'),
    ('"id":', '"id": "LOC2", "id":'),
    ('"id":', '"vendor": ":x", "id":'),
    ('"id":', '"vendor" : 1, "id":'),
    ('"id":', '"i\\u0064":'),
    ('"LOC1"', '":LOC1"'),
    ('"LOC1"', '"LOC : 1"'),
    ('"LOC1"', '"L\\u00f6C1"'),
    ('"LOC1"', '"L\u00f6C1"'),
    ('"LOC1"', '"LOC\x7f"'),
    ('"LOC1"', '"LOC\\n"'),
    ('"LOC1"', "null"),
    ("Gent", "Gent\\\\"),
    ("16", "16.0"),
    ("16", "1.6e1"),
    ("16", '"16"'),
    ("230", "1" + "0" * 30),
    ("T20:39:09Z", "T20:39:09"),
    ("T20:39:09Z", " 20:39:09Z"),
    ("T20:39:09Z", "t20:39:09z"),
    ("T20:39:09Z", "T20:39:09.123Z"),
    ("T20:39:09Z", "T20:39:09.1234567Z"),
    ("T20:39:09Z", "T20:39:09+00:00"),
    ("T20:39:09Z", "T20:39:60Z"),
    ('"evses": [', '"name": null, "evses": ['),
    ('"evses": [', '"images": [], "evses": ['),
    ('"evses": [', '"images": null, "evses": ['),
    ('"evses": [', '"images": [{}], "evses": ['),
    ('"51.047599"', "51.047599"),
    ("}", ""),
    ("{", "{{"),
]


@pytest.mark.parametrize("kind", [Location, Session])
@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_for_a_change_that_may_give_a_note(old: str, new: str, kind: type[Any]) -> None:
    same(json.dumps(json.loads(dump(base(kind)))).replace(old, new).encode(), kind)


def test_check_is_not_asked_about_a_valid_document(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(quick, "check", asked)
    for kind in (Location, Session):
        assert not check_quickly(dump(base(kind)), kind, 1000).findings
