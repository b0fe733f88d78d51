"""Column types that give back exactly what they were given, on every database.

Rules of this module:
- a timestamp is aware and UTC, in and out, with microseconds; on SQLite it is a text that sorts as the time does;
- a decimal keeps its digits; SQLite would make a float of it, so it is a text there;
- a document is JSONB on PostgreSQL and JSON text on SQLite, made by the database from the text as received.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, ColumnElement, Computed, DateTime, Dialect, Numeric, String, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeEngine

JsonDocument = JSON().with_variant(JSONB(), "postgresql")
"""JSONB where the database has it."""


class UtcDateTime(TypeDecorator[datetime]):
    """``timestamp with time zone``; on SQLite ``2024-01-31T12:00:00.000000Z``."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return String(27) if dialect.name == "sqlite" else DateTime(timezone=True)

    def bind_processor(self, dialect: Dialect) -> Any:
        """For every value of every row: without a call of SQLAlchemy's own around it."""
        return _sortable if dialect.name == "sqlite" else None

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002 # SQLAlchemy names it
        return _read if dialect.name == "sqlite" else _in_utc


@lru_cache(maxsize=4096)
def _sortable(moment: datetime | None) -> str | None:
    """Cached, since records that are written together mostly share their moments."""
    if moment is None:
        return None
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return f"{in_utc.isoformat(timespec='microseconds')[:-6]}Z"  # 26 characters, and the offset


@lru_cache(maxsize=4096)
def _read(text: str | None) -> datetime | None:
    return None if text is None else _in_utc(datetime.fromisoformat(text))


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo is UTC else moment.astimezone(UTC)


class ExactDecimal(TypeDecorator[Decimal]):
    """NUMERIC; on SQLite the digits as text, so compare there with ``CAST(... AS REAL)``."""

    impl = Numeric()
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return String() if dialect.name == "sqlite" else Numeric()

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name != "sqlite" else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 # SQLAlchemy names it
        return None if value is None else Decimal(value)


class ReceivedAsJson(ColumnElement[Any]):
    """What ``document`` is made of, in the words of each database: a host's Alembic writes them into its revisions."""

    inherit_cache = True


@compiles(ReceivedAsJson)
def _as_jsonb(*_: Any, **__: Any) -> str:
    return "(received)::jsonb"


@compiles(ReceivedAsJson, "sqlite")
def _as_received(*_: Any, **__: Any) -> str:
    return "received"


class GeneratedDocument(Computed):
    """The generated column ``document``: on PostgreSQL stored, so that invalid JSONB is rejected at the put; on
    SQLite the text itself, which takes no room."""

    def __init__(self) -> None:
        super().__init__(ReceivedAsJson(), persisted=True)

    def _copy(self, **_: Any) -> GeneratedDocument:  # SQLAlchemy's own would forget the class
        return GeneratedDocument()


@compiles(GeneratedDocument, "sqlite")
def _as_text(*_: Any, **__: Any) -> str:
    return "GENERATED ALWAYS AS (received) VIRTUAL"
