"""An unknown member of restrictions is a restriction: no rule takes its element for one that always applies."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ocpi_emsp.check import check
from ocpi_emsp.check.examples import base
from ocpi_emsp.codec import dump
from ocpi_emsp.models import Cdr, Tariff

UNKNOWN: tuple[dict[str, Any], ...] = (
    {"max_current": 16},
    {"reservation": "RESERVATION"},
    {"max_current": 0},
    {"vendor": {}},
    {"min_current": [], "start_time": None},
)
FORMS = pytest.mark.parametrize("form", [lambda document: document, dump], ids=["parsed", "bytes"])


def element(restrictions: Mapping[str, Any] | None = None) -> dict[str, Any]:
    components = [{"type": "ENERGY", "price": 1, "step_size": 1}]
    return {"price_components": components, **({} if restrictions is None else {"restrictions": restrictions})}


def rules(elements: list[Any], kind: type[Any], form: Callable[[Any], Any]) -> list[str]:
    document = base(kind)
    (document["tariffs"][0] if kind is Cdr else document)["elements"] = elements
    return [each.rule for each in check(form(document), kind)]


@FORMS
@pytest.mark.parametrize("kind", [Tariff, Cdr])
@pytest.mark.parametrize("unknown", UNKNOWN, ids=["max", "reservation", "zero", "vendor", "min"])
def test_it_hides_no_element_and_is_no_default(unknown: Any, kind: type[Any], form: Callable[[Any], Any]) -> None:
    assert rules([element(unknown), element()], kind, form) == ["restrictions.unknown"]
    assert rules([element({"max_kwh": 9}), element(unknown)], kind, form) == [
        "tariff.elements.default",
        "restrictions.unknown",
    ]


@FORMS
def test_null_is_no_restriction(form: Callable[[Any], Any]) -> None:
    assert rules([element({"max_current": None}), element()], Tariff, form) == [
        "field.unknown",
        "tariff.elements.hidden",
    ]


@FORMS
def test_elements_that_differ_in_it_are_not_the_same(form: Callable[[Any], Any]) -> None:
    two = [element({"min_current": 16}), element({"min_current": 32}), element()]
    assert rules(two, Tariff, form) == ["restrictions.unknown"] * 2


@FORMS
def test_the_others_beside_it_are_checked(form: Callable[[Any], Any]) -> None:
    unknown = {"max_current": 16, "min_duration": -1, "start_time": "09:00", "end_time": "09:00"}
    found = rules([element(unknown), element()], Tariff, form)
    assert found == ["restrictions.times.equal", "restrictions.unknown", "restrictions.negative"]
