"""Stores that ship with the library. SqlStore and the tables need the extra ``sql``, and are imported when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ocpi_emsp.storage.memory import MemoryStore

if TYPE_CHECKING:
    from ocpi_emsp.storage.secrets import FernetBox, SecretBox
    from ocpi_emsp.storage.sql import SqlStore, make_tables, metadata

__all__ = ["FernetBox", "MemoryStore", "SecretBox", "SqlStore", "make_tables", "metadata"]

_LATE = {
    "FernetBox": "ocpi_emsp.storage.secrets",
    "SecretBox": "ocpi_emsp.storage.secrets",
    "SqlStore": "ocpi_emsp.storage.sql",
    "make_tables": "ocpi_emsp.storage.sql",
    "metadata": "ocpi_emsp.storage.sql",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)
