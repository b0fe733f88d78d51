"""What an owner does not list any more, when an object was received, and what parties have of our tokens. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic.operations import Operations

from ocpi_emsp.storage.migrations.parts import create_objects, create_owner_indexes, create_received_index, missing

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0003"
down_revision = "0002"

OBJECTS = (
    *("parties", "credentials", "locations", "evses", "sessions", "tariffs", "cdrs", "cdr_conflicts", "tokens"),
    *("commands", "checkpoints"),
)
PARENTS = {"evses": "location_id", "tokens": "type", "cdr_conflicts": "conflict", "pushed_tokens": "type"}
IDENTITY = ("country_code", "party_id", "type", "id")


def upgrade(*, op: Operations, names: Names) -> None:
    """New columns and an index for each table of objects, and a new table."""
    for kind in OBJECTS:
        name = names.prefix + kind
        for column in missing():
            op.add_column(name, column, schema=names.schema)
        create_received_index(op, names, name)
    create_pushed_tokens(op, names)
    if op.get_context().dialect.name == "postgresql":
        renew_identities(op, names)


def renew_identities(op: Operations, names: Names) -> None:
    """Make what identifies a record the newest index of each table.

    Until a new table is analyzed, every index looks as cheap as another to PostgreSQL, and the newest is taken: by any
    other one, finding a record of a first sync reads all that its owner has.
    """
    foreign_key, evses = f"fk_{names.prefix}evses_location", f"{names.prefix}evses"
    op.drop_constraint(foreign_key, evses, schema=names.schema, type_="foreignkey")
    for kind in (*OBJECTS, "pushed_tokens"):
        name = names.prefix + kind
        parent = (PARENTS[kind],) if kind in PARENTS else ()
        op.drop_constraint(f"uq_{name}", name, schema=names.schema, type_="unique")
        op.create_unique_constraint(
            f"uq_{name}", name, ["country_code", "party_id", *parent, "id"], schema=names.schema
        )
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


def create_pushed_tokens(op: Operations, names: Names) -> None:
    """The table, as all of objects are from this revision on."""
    name = f"{names.prefix}pushed_tokens"
    unique = sa.UniqueConstraint(*IDENTITY, name=f"uq_{name}")
    create_objects(op, names, name, IDENTITY, *missing(), unique)
    create_owner_indexes(op, names, name)
    create_received_index(op, names, name)
