"""The databases on which two workers live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from life.support import Scene, scene


@pytest.fixture(params=["postgresql", "sqlite"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """Two workers and a CPO that is registered with them."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/emsp.db"
    with scene(url, tmp_path) as made:
        yield made
