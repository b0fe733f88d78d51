"""Every version of a tariff is stored: a table of them, and since when a tariff says what it says. Frozen."""

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
from ocpi_emsp.storage.sql.types import UtcDateTime

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0008"
down_revision = "0007"

IDENTITY = ("country_code", "party_id", "version", "id")
VALIDITY = ("valid_from", "first_received_at")


def upgrade(*, op: Operations, names: Names) -> None:
    """Two columns of tariffs, and a new table. An existing tariff is its own first version: the columns are empty."""
    for name in VALIDITY:
        op.add_column(f"{names.prefix}tariffs", sa.Column(name, UtcDateTime), schema=names.schema)
    create_tariff_versions(op, names)


def create_tariff_versions(op: Operations, names: Names) -> None:
    """The table, as all of objects are from this revision on.

    On PostgreSQL what identifies a record is the newest index (0003 says why); SQLite adds no constraint later.
    """
    name = f"{names.prefix}tariff_versions"
    adds_later = op.get_context().dialect.name == "postgresql"
    unique = [] if adds_later else [sa.UniqueConstraint(*IDENTITY, name=f"uq_{name}")]
    validity = [sa.Column(each, UtcDateTime) for each in (*VALIDITY, "valid_until")]
    create_objects(op, names, name, IDENTITY, *missing(), correlation_id(), *validity, *unique)
    create_owner_indexes(op, names, name)
    create_received_index(op, names, name)
    for columns in (("country_code", "party_id", "valid_until"), ("country_code", "party_id", "id", "valid_until")):
        create_index(op, names, name, "_".join(columns), *columns)
    if adds_later:
        op.create_unique_constraint(f"uq_{name}", name, IDENTITY, schema=names.schema)


def correlation_id() -> sa.Column[Any]:
    """The correlation id of the last change."""
    return sa.Column("correlation_id", sa.Text, nullable=False, server_default=sa.text("''"))
