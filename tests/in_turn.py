"""Tests with dozens of inputs, each of which meets one value of a parameter: the next input the next value."""

from __future__ import annotations

from collections.abc import Sequence

import pytest


def take_in_turn(
    config: pytest.Config, items: list[pytest.Item], marker: str, parameter: str, values: Sequence[str]
) -> None:
    """Leave out the other values of the parameter for each input of a test that has the marker."""
    inputs: dict[str, dict[str, int]] = {}
    left_out = set[pytest.Item]()
    for item in items:
        if item.get_closest_marker(marker) is None:
            continue
        assert isinstance(item, pytest.Function)
        value = str(item.callspec.params[parameter])
        numbers = inputs.setdefault(item.nodeid.partition("[")[0], {})
        number = numbers.setdefault(item.callspec.id.replace(value, "", 1), len(numbers))
        if values[number % len(values)] != value:
            left_out.add(item)
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]
