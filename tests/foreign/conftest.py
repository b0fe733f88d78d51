"""Every store: for each input, or in turn."""

from __future__ import annotations

from typing import Any

import pytest

from in_turn import take_in_turn

STORES = ("memory", "sqlite", "postgresql")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker."""
    config.addinivalue_line("markers", "stores_in_turn: each input meets one store, the next input the next one")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the two other stores of each input of a test that takes stores in turn.

    Such a test has dozens of inputs, and its subject is how they are read: what a store makes of a record is that of
    tests/store. Each store still meets every way on which an input arrives.
    """
    take_in_turn(config, items, "stores_in_turn", "any_store", STORES)


@pytest.fixture
def store(any_store: Any) -> Any:
    """An empty store of each kind."""
    return any_store
