"""The databases on which two workers live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from life.support import Scene, scene


@pytest.fixture(params=["postgresql", "sqlite"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """Two workers and a CPO that is registered with them."""
    is_file = request.param == "sqlite"
    schema = request.getfixturevalue("sqlite_with_schema" if is_file else "postgres_with_schema")
    url = f"sqlite:///{schema}" if is_file else schema
    with scene(url, tmp_path) as made:
        yield made
