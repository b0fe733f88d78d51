"""Audits of CDRs are stored: a table of them. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic.operations import Operations

from ocpi_emsp.storage.migrations.parts import (
    create_index,
    create_objects,
    create_owner_indexes,
    create_received_index,
    missing,
)
from ocpi_emsp.storage.sql.types import ExactDecimal

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0009"
down_revision = "0008"

IDENTITY = ("country_code", "party_id", "id")
AMOUNTS = ("claimed", "expected", "low", "high", "difference")


def upgrade(*, op: Operations, names: Names) -> None:
    """A new table. On PostgreSQL what identifies a record is its newest index (0003 says why)."""
    name = f"{names.prefix}audits"
    adds_later = op.get_context().dialect.name == "postgresql"
    unique = [] if adds_later else [sa.UniqueConstraint(*IDENTITY, name=f"uq_{name}")]
    create_objects(op, names, name, IDENTITY, *queried(), *missing(), correlation_id(), *unique)
    create_owner_indexes(op, names, name)
    create_received_index(op, names, name)
    create_index(op, names, name, "verdict", "verdict")
    if adds_later:
        op.create_unique_constraint(f"uq_{name}", name, IDENTITY, schema=names.schema)


def queried() -> list[sa.Column[Any]]:
    """The columns for queries."""
    texts = [sa.Column(each, sa.Text) for each in ("verdict", "currency")]
    amounts = [sa.Column(each, ExactDecimal) for each in AMOUNTS]
    return [*texts, *amounts, sa.Column("at_least", sa.Boolean)]


def correlation_id() -> sa.Column[Any]:
    """The correlation id of the last change."""
    return sa.Column("correlation_id", sa.Text, nullable=False, server_default=sa.text("''"))
