"""Our side of bench/load.py, for uvicorn: an eMSP on the store that the environment names."""

from __future__ import annotations

import os

from load_fill import fill_ours
from ocpi_emsp import Emsp
from ocpi_emsp.storage import MemoryStore, SqlStore


def _store(url: str) -> MemoryStore | SqlStore:
    """A store in memory is filled here: no other process can."""
    if url != "memory":
        return SqlStore(url)
    store = MemoryStore()
    fill_ours(store)
    return store


app = Emsp(
    country_code="IT",
    party_id="BEC",
    name="Be Charge",
    url="https://ocpi.example.com/ocpi/emsp",
    store=_store(os.environ["LOAD_STORE"]),
).asgi()
