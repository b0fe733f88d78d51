"""What contributors are told exists: files, names in them, targets of the Makefile; templates ask for safe payloads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "CONTRIBUTING.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TEMPLATES = sorted([*(ROOT / ".github").rglob("*.yml"), ROOT / ".github" / "pull_request_template.md"])


def phony() -> list[str]:
    return [name for line in re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE) for name in line.split()]


def test_every_file_that_the_guide_names_exists() -> None:
    named = set(re.findall(r"`((?:src|tests|docs|bench|fuzz|\.ci|\.github)/[\w./-]*)`", GUIDE))
    assert len(named) > 40
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("HITS", "tests/check/rule_cases.py"),
        ("MISSES", "tests/check/rule_cases.py"),
        ("_QUERIED_LATER", "src/ocpi_emsp/storage/sql/tables.py"),
        ("_INDEXES", "src/ocpi_emsp/storage/sql/tables.py"),
        ("ALLOWED", "tests/test_imports.py"),
        ("any_store", "tests/conftest.py"),
        ("StoreContract", "src/ocpi_emsp/testing/contract/__init__.py"),
        ("ConcurrencyContract", "src/ocpi_emsp/testing/contract/__init__.py"),
        ("Query", "src/ocpi_emsp/ports.py"),
        ("locations.put_location", "src/ocpi_emsp/flows/serving/dispatch.py"),
    ],
)
def test_every_name_that_the_guide_names_is_there(name: str, path: str) -> None:
    assert f"`{name}`" in GUIDE
    assert re.search(rf"\b{re.escape(name)}\b", (ROOT / path).read_text("utf-8"))


def test_every_target_that_the_guide_names_exists() -> None:
    named = set(re.findall(r"`?make ([a-z-]+)", GUIDE))
    assert len(named) > 10
    assert named <= set(phony())


def test_make_help_lists_every_target_once() -> None:
    assert sorted(re.findall(r"^## ([a-z-]+): \S", MAKEFILE, re.MULTILINE)) == sorted(phony())


@pytest.mark.parametrize(
    "template", [path for path in TEMPLATES if path.name != "config.yml"], ids=lambda path: path.name
)
def test_every_template_asks_for_a_safe_payload(template: Path) -> None:
    text = template.read_text("utf-8")
    assert "`ocpi-emsp redact" in text
    for page in re.findall(r"docs/[\w./-]+\.md", text):
        assert (ROOT / page).exists(), page


def test_there_are_templates_for_issues_and_pull_requests() -> None:
    assert {path.name for path in TEMPLATES} >= {"bug.yml", "partner-deviation.yml", "question.yml", "config.yml"}
