"""The versions that `make demo` and `make test` install: each requirement of pyproject.toml has one that it allows."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LINES = (ROOT / ".ci/constraints.txt").read_text().splitlines()
PINS = [Requirement(line) for line in LINES if not line.startswith("#")]


def required() -> list[Requirement]:
    """What pyproject.toml asks for: to run, for each extra, and to build."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    core, extras = project["project"]["dependencies"], project["project"]["optional-dependencies"]
    texts = [*core, *(text for extra in extras.values() for text in extra), *project["build-system"]["requires"]]
    return [each for each in map(Requirement, texts) if each.name != "ocpi-emsp"]


def holds(requirement: Requirement, python: str) -> bool:
    """Whether it counts on this Python; Linux and CPython, as in CI."""
    where = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    return requirement.marker is None or requirement.marker.evaluate(where)


@pytest.mark.parametrize("python", PYTHONS)
def test_each_requirement_has_a_version_that_it_allows(python: str) -> None:
    pins = {pin.name.lower(): pin.specifier for pin in PINS if holds(pin, python)}
    assert required()
    for requirement in required():
        if not holds(requirement, python):
            continue
        pin = pins.get(requirement.name.lower())
        assert pin is not None, f".ci/constraints.txt lacks {requirement.name}: run `make lock`"
        version = str(pin).removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), (
            f".ci/constraints.txt has {requirement.name} {version}, pyproject.toml {requirement}: run `make lock`"
        )


def test_a_constraint_is_one_exact_version_from_any_index() -> None:
    for pin in PINS:
        assert [each.operator for each in pin.specifier] == ["=="], pin
        assert (pin.url, pin.extras) == (None, set()), f"pip takes no such constraint: {pin}"
    assert "://" not in "\n".join(LINES)
    assert len({(pin.name, str(pin.marker)) for pin in PINS}) == len(PINS)


def test_the_pythons_are_those_of_the_classifiers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each}
    assert named == set(PYTHONS)
    assert project["requires-python"] == f">={PYTHONS[0]}"
