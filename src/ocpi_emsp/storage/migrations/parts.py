"""Parts of tables that several revisions share. Frozen with the revisions, whatever tables.py becomes later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.schema import SchemaItem

from ocpi_emsp.storage.sql.types import GeneratedDocument, JsonDocument, UtcDateTime

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names


def sequence() -> sa.Column[Any]:
    """The order of creation; a number is used once."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("sequence", number, sa.Identity(), primary_key=True)


def create_objects(op: Operations, names: Names, table: str, identity: tuple[str, ...], *more: SchemaItem) -> sa.Table:
    """A table of objects, without indexes; ``more`` follows what all of them have."""
    return op.create_table(
        table,
        sequence(),
        *(sa.Column(each, sa.Text, nullable=False) for each in identity),
        sa.Column("received", sa.Text, nullable=False),
        sa.Column("document", JsonDocument, GeneratedDocument()),
        sa.Column("last_updated", UtcDateTime, nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        *more,
        schema=names.schema,
        sqlite_autoincrement=True,
    )


def create_owner_indexes(op: Operations, names: Names, table: str) -> None:
    """The indexes that 0001 gives to all objects."""
    create_index(op, names, table, "owner_sequence", "country_code", "party_id", "sequence")
    create_index(op, names, table, "owner_updated", "country_code", "party_id", "last_updated", "id")


def create_received_index(op: Operations, names: Names, table: str) -> None:
    """The index that 0003 adds to them."""
    create_index(op, names, table, "owner_received", "country_code", "party_id", "received_at")


def missing() -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Since when an object is not listed, and by how many full syncs in a row (from 0003 on)."""
    return (
        sa.Column("missing_since", UtcDateTime),
        sa.Column("missed", sa.Integer, nullable=False, server_default=sa.text("0")),
    )


def create_entries(op: Operations, names: Names, kind: str, *more: SchemaItem) -> None:
    """A table of entries, such as the journal; ``more`` follows the columns of 0001."""
    table = names.prefix + kind
    op.create_table(
        table,
        sequence(),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("country_code", sa.Text),
        sa.Column("party_id", sa.Text),
        sa.Column("key", sa.Text),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        *more,
        schema=names.schema,
        sqlite_autoincrement=True,
    )
    create_index(op, names, table, "topic", "topic", "sequence")
    create_index(op, names, table, "key", "key", "topic", "sequence")
    create_index(op, names, table, "owner", "country_code", "party_id", "topic", "sequence")


def create_index(op: Operations, names: Names, table: str, name: str, *columns: str) -> None:
    """An index of a table."""
    op.create_index(f"ix_{table}_{name}", table, columns, schema=names.schema)


def renew_identities(op: Operations, names: Names, identities: Mapping[str, Sequence[str]]) -> None:
    """Make what identifies a record the newest index of each of these tables; on PostgreSQL alone.

    Until a new table is analyzed, every index looks as cheap as another to PostgreSQL, and the newest is taken: by any
    other one, finding a record of a first sync reads all that its owner has. EVSEs refer to what identifies a location.
    """
    if op.get_context().dialect.name != "postgresql":
        return
    foreign_key, evses = f"fk_{names.prefix}evses_location", f"{names.prefix}evses"
    op.drop_constraint(foreign_key, evses, schema=names.schema, type_="foreignkey")
    for kind, identity in identities.items():
        name = f"{names.prefix}{kind}"
        op.drop_constraint(f"uq_{name}", name, schema=names.schema, type_="unique")
        op.create_unique_constraint(f"uq_{name}", name, list(identity), schema=names.schema)
    op.create_foreign_key(
        foreign_key,
        evses,
        f"{names.prefix}locations",
        ["country_code", "party_id", "location_id"],
        ["country_code", "party_id", "id"],
        ondelete="CASCADE",
        deferrable=True,
        initially="DEFERRED",
        source_schema=names.schema,
        referent_schema=names.schema,
    )
