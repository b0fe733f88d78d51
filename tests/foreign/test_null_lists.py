"""null for a list: valid where the list may be empty, a warning where it may not (terminology.md, Cardinality)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from foreign.script import Desk
from foreign.spellings import SAMPLES
from foreign.ways import HOW, How
from ocpi_emsp import Policy, check, models
from ocpi_emsp.check import accept
from ocpi_emsp.check.examples import base
from ocpi_emsp.codec import dump
from ocpi_emsp.errors import InvalidObject
from sync.support import synced

CENSUS = json.loads((Path(__file__).parent.parent / "vectors/spec/census.json").read_text(encoding="utf-8"))
OURS = {"CDR": "Cdr", "EVSE": "Evse"}
LISTS = [
    pytest.param(OURS.get(name, name), row["name"], row["cardinality"], id=f"{name}.{row['name']}")
    for name, each in CENSUS["objects"].items()
    for row in each["fields"]
    if row["cardinality"] in ("*", "+") and name != "Envelope"
]
NULLS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "null-lists.json").read_text("utf-8"))["nulls"]


@pytest.mark.parametrize(("model", "name", "cardinality"), LISTS)
def test_null_is_judged_by_the_cardinality(model: str, name: str, cardinality: str) -> None:
    kind: type[Any] = models.OBJECTS_AND_ENUMS[model]
    document = dump(base(kind) | {name: None})
    found = [each.rule for each in check(document, kind)]
    absent = [each.rule for each in check(dump({key: value for key, value in base(kind).items() if key != name}), kind)]
    if cardinality == "*":
        assert found == absent
        assert absent or getattr(accept(document, kind, Policy.strict()), name) == ()
    else:
        assert found[0] == "array.null"
        assert "array.empty" not in found
        with pytest.raises(InvalidObject):
            accept(document, kind, Policy.strict())


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", SAMPLES)
def test_an_object_with_null_for_lists_passes_a_strict_policy(kind: str, how: How, store: Any) -> None:
    with synced(store=store) as pair:
        pair.emsp.partner("NL-TNM").set_policy(Policy.strict())
        desk, document = Desk(pair, how), SAMPLES[kind]() | NULLS[kind]
        if how == "pull":
            assert desk.pull(f"{kind}s", document).created == 1
        elif kind == "cdr":
            assert desk.push("POST", "cdrs", document)["status_message"] == "Success"
        else:
            assert desk.push("PUT", f"{kind}s/*/{document['id']}", document)["status_message"] == "Success"
