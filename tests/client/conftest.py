"""Both HTTP libraries, for the tests of what goes through them."""

import importlib
from typing import Any

import pytest

from ocpi_emsp.transports.library import LIBRARIES


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """httpx2 and httpx, each as if it were the only one that is installed."""
    monkeypatch.setattr("ocpi_emsp.transports.library.LIBRARIES", (request.param,))
    return importlib.import_module(request.param)
