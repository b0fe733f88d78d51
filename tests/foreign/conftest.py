"""Every store: for each input, or in turn."""

from __future__ import annotations

from typing import Any

import pytest

STORES = ("memory", "sqlite", "postgresql")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker."""
    config.addinivalue_line("markers", "stores_in_turn: each input meets one store, the next input the next one")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the two other stores of each input of a test that takes stores in turn.

    Such a test has dozens of inputs, and its subject is how they are read: what a store makes of a record is that of
    tests/store. Each store still meets every way on which an input arrives.
    """
    inputs: dict[str, dict[str, int]] = {}
    left_out = []
    for item in items:
        if item.get_closest_marker("stores_in_turn") is None:
            continue
        assert isinstance(item, pytest.Function)
        store = str(item.callspec.params["any_store"])
        numbers = inputs.setdefault(item.nodeid.partition("[")[0], {})
        number = numbers.setdefault(item.callspec.id.replace(store, "", 1), len(numbers))
        if STORES[number % len(STORES)] != store:
            left_out.append(item)
    config.hook.pytest_deselected(items=left_out)
    others = set(left_out)
    items[:] = [item for item in items if item not in others]


@pytest.fixture
def store(any_store: Any) -> Any:
    """An empty store of each kind."""
    return any_store
