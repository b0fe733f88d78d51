"""Stores that ship with the library. Modules that need the extra ``sql`` are imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ocpi_emsp._extras import extra
from ocpi_emsp.storage.memory import MemoryStore

if TYPE_CHECKING:
    from ocpi_emsp.storage.secrets import FernetBox, RotatingBox, SecretBox
    from ocpi_emsp.storage.sql.rotation import Rotated
    from ocpi_emsp.storage.sql.store import SqlStore
    from ocpi_emsp.storage.sql.tables import Tables, make_tables, metadata

__all__ = [
    "FernetBox",
    "MemoryStore",
    "Rotated",
    "RotatingBox",
    "SecretBox",
    "SqlStore",
    "Tables",
    "make_tables",
    "metadata",
]

_LATE = {
    "FernetBox": "ocpi_emsp.storage.secrets",
    "Rotated": "ocpi_emsp.storage.sql.rotation",
    "RotatingBox": "ocpi_emsp.storage.secrets",
    "SecretBox": "ocpi_emsp.storage.secrets",
    "SqlStore": "ocpi_emsp.storage.sql.store",
    "Tables": "ocpi_emsp.storage.sql.tables",
    "make_tables": "ocpi_emsp.storage.sql.tables",
    "metadata": "ocpi_emsp.storage.sql.tables",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    with extra("sql"):
        return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
