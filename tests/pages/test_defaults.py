"""Defaults that pages state are those of the code.

Rules of this module: a row of a table counts where it names fields of one class of settings, and as many values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from attrs import fields

from ocpi_emsp import settings
from pages.blocks import ROOT

UNITS: Final = {
    "": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "s": 1,
    "h": 3600,
    "days": 86_400,
}
TABLES: Final = [
    ("reference/quotas.md", None, 16),
    ("reference/events.md", "DeliveryLimits", 4),
    ("how-to/serving.md", "InboundLimits", 12),
    ("how-to/credentials.md", "CredentialLimits", 5),
]
"""A page, the class that its table is about unless the rows name it, and how many settings are found there at least."""


def stated(page: str, owner: str | None) -> Iterator[tuple[str, str, float]]:
    """The class, the field and the value of each setting in the tables of a page."""
    for row in re.findall(r"^\|(.+)\|$", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE):
        cells = [cell.strip() for cell in row.split("|")]
        for names, values in ((cells[0], cells[1]), (cells[-1], cells[1])):
            yield from _pairs(names, values, owner)


def _pairs(names: str, values: str, owner: str | None) -> Iterator[tuple[str, str, float]]:
    named = re.findall(r"`(?:(\w+)\.)?(\w+)`", names)
    found = re.findall(r"([\d,]*\d)(?: (KiB|MiB|GiB|s|h|days))?(?=, |$)", values)
    if named and len(named) == len(found) and re.sub(r"`[\w.]+`|, ", "", names) == "":
        for (kind, name), (number, unit) in zip(named, found, strict=True):
            if kind or owner:
                yield kind or str(owner), name, int(number.replace(",", "")) * UNITS[unit]


def _default(kind: str, name: str) -> float:
    default: Any = getattr(fields(getattr(settings, kind)), name).default
    return default.total_seconds() if isinstance(default, timedelta) else default


@pytest.mark.parametrize(("page", "owner", "least"), TABLES, ids=[page for page, *_ in TABLES])
def test_the_defaults_of_a_page_are_those_of_the_code(page: str, owner: str | None, least: int) -> None:
    found = list(stated(page, owner))
    assert [(kind, name, value) for kind, name, value in found if _default(kind, name) != value] == []
    assert len(found) >= least, found
