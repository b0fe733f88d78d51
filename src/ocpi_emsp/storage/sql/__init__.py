"""SqlStore, and the tables that it uses. Needs the extra ``sql``."""

from __future__ import annotations

from ocpi_emsp.storage.sql.store import SqlStore
from ocpi_emsp.storage.sql.tables import Tables, make_tables, metadata, tables

__all__ = ["SqlStore", "Tables", "make_tables", "metadata", "tables"]
