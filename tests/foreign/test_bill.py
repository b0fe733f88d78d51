"""What has one obvious reading is a warning, and what is faulty in the copy of a location loses no bill."""

from typing import Any

import pytest

from foreign.cases import named
from foreign.ways import WAYS, Desk, Way, changed_by, desk
from ocpi_emsp import Policy
from ocpi_emsp.storage import MemoryStore, SqlStore

CASES = named("bill")
TRIED = [
    pytest.param(case, way, id=f"{name}-{way}")
    for name, case in CASES.items()
    for way in WAYS[case["kind"]]
    if not (name.startswith("undated-") and way.name == "patch" and "at" not in case)  # it would clear what is required
]


def seen(value: Any, path: str) -> str:
    """What stands at a path of the typed view, as text."""
    for step in path.split("."):
        value = value[int(step)] if step.isdigit() else getattr(value, step)
    return str(value)


def whole(sent: Desk, pointer: str) -> str:
    """A pointer into the object, as one into the location."""
    return "".join(f"/{step}" for step in sent.way.place) + pointer


def _is_settled(way: Way, finding: tuple[str, str, str]) -> bool:
    """Whether storing leaves nothing of it: an object is shown with the time of its receipt, an item is merged."""
    pointer, rule, _ = finding
    if rule == "array.single":
        return way.method == "PATCH" and pointer.endswith("/connectors")
    return rule == "last_updated.missing" and not pointer.startswith(("/location/", "/tariffs/"))


@pytest.mark.stores_in_turn
@pytest.mark.parametrize(("case", "way"), TRIED)
def test_it_is_stored_and_the_warning_names_it(
    case: dict[str, Any], way: Way, any_store: MemoryStore | SqlStore
) -> None:
    with desk(way, any_store) as sent:
        said = sent.send(changed_by(case))
        assert said.code == 1000, said
        expected = {(whole(sent, pointer) if pointer else "", rule, "warning") for pointer, rule in case["findings"]}
        found = sent.findings()
        shown = {each for each in expected if not _is_settled(way, each)}
        assert shown <= set(found), found
        assert {severity for *_, severity in found} <= {"note", "warning"}
        assert {each for each in found if each[2] == "warning"} <= expected, found
        if way.method and not (way.method == "PATCH" and not shown):
            assert any(f"[{rule}]" in said.message for _, rule in case["findings"]), said
        view = sent.stored()
        assert {path: seen(view, path) for path in case.get("view", {})} == case.get("view", {})


FIRST = [pytest.param(case, WAYS[case["kind"]][0], id=name) for name, case in CASES.items()]


@pytest.mark.parametrize(("case", "way"), FIRST)
def test_a_strict_policy_refuses_it_by_name(case: dict[str, Any], way: Way) -> None:
    with desk(way) as sent:
        sent.pair.emsp.partner("NL-TNM").set_policy(Policy.strict())
        said = sent.send(changed_by(case))
        assert said.code == 2001
        rules = {rule for _, rule, severity in said.findings if severity == "warning"}
        assert rules == {rule for _, rule in case["findings"]}
