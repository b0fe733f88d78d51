"""Tokens are found by their uid whatever the case of its letters. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic.operations import Operations

from ocpi_emsp.storage.migrations.parts import create_index

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0005"
down_revision = "0004"

IDENTITY = ("country_code", "party_id", "type", "id")


def upgrade(*, op: Operations, names: Names) -> None:
    """A column and its index; on PostgreSQL that of the identity becomes the newest index again (0003 says why)."""
    table = f"{names.prefix}tokens"
    op.add_column(table, sa.Column("uid_in_lower_case", sa.Text), schema=names.schema)
    tokens = sa.table(table, sa.column("id"), sa.column("uid_in_lower_case"), schema=names.schema)
    op.execute(sa.update(tokens).values(uid_in_lower_case=sa.func.lower(tokens.c.id)))
    owned = ("country_code", "party_id", "uid_in_lower_case")
    create_index(op, names, table, "country_code_party_id_uid_in_lower_case", *owned)
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint(f"uq_{table}", table, schema=names.schema, type_="unique")
        op.create_unique_constraint(f"uq_{table}", table, IDENTITY, schema=names.schema)
