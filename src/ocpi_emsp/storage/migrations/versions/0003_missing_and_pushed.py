"""What an owner does not list any more, when an object was received, and what parties have of our tokens. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic.operations import Operations

from ocpi_emsp.storage.migrations.parts import (
    create_objects,
    create_owner_indexes,
    create_received_index,
    missing,
    renew_identities,
)

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
    for_all = (*OBJECTS, "pushed_tokens")
    parents = {kind: (PARENTS[kind],) if kind in PARENTS else () for kind in for_all}
    renew_identities(op, names, {kind: ("country_code", "party_id", *parents[kind], "id") for kind in for_all})


def create_pushed_tokens(op: Operations, names: Names) -> None:
    """The table, as all of objects are from this revision on."""
    name = f"{names.prefix}pushed_tokens"
    unique = sa.UniqueConstraint(*IDENTITY, name=f"uq_{name}")
    create_objects(op, names, name, IDENTITY, *missing(), unique)
    create_owner_indexes(op, names, name)
    create_received_index(op, names, name)
