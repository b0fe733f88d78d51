"""Every store."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def store(any_store: Any) -> Any:
    """An empty store of each kind."""
    return any_store
