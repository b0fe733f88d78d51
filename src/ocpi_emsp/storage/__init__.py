"""Stores that ship with the library."""

from __future__ import annotations

from ocpi_emsp.storage.memory import MemoryStore

__all__ = ["MemoryStore"]
