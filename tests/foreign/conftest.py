"""Every store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocpi_emsp.storage import MemoryStore, SqlStore


@pytest.fixture(params=["memory", "postgresql", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param == "sqlite":
        path: Path = request.getfixturevalue("sqlite_with_schema")
        url = f"sqlite:///{path}"
    else:
        url = request.getfixturevalue("postgres_with_schema")
    opened = SqlStore(url)
    yield opened
    opened.close()
