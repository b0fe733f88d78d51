"""The first shape: a table for each kind of record, the journal, and the rejections. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa
from alembic.operations import Operations

from ocpi_emsp.storage.migrations import parts
from ocpi_emsp.storage.sql.types import ExactDecimal, JsonDocument, UtcDateTime

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0001"
down_revision = None

Columns: TypeAlias = list[sa.Column[Any]]
Indexes: TypeAlias = tuple[tuple[str, ...], ...]

PARENTS = {"evses": "location_id", "tokens": "type", "cdr_conflicts": "conflict"}


def upgrade(*, op: Operations, names: Names) -> None:
    """Every table."""
    create_parties(op, names)
    create_locations(op, names)
    create_charging(op, names)
    create_objects(op, names, "credentials", [])
    create_objects(op, names, "cdr_conflicts", [])
    create_objects(op, names, "checkpoints", [])
    parts.create_entries(op, names, "journal")
    parts.create_entries(op, names, "rejections")


def create_parties(op: Operations, names: Names) -> None:
    """Parties, and the commands sent to them."""
    columns: Columns = [
        sa.Column("state", sa.Text),
        sa.Column("versions_url", sa.Text),
        sa.Column("endpoints", JsonDocument),
        sa.Column("policy", JsonDocument),
        sa.Column("matrix", JsonDocument),
        sa.Column("token_hashes", JsonDocument),
        sa.Column("sealed", sa.Text),
    ]
    create_objects(op, names, "parties", columns)
    commands: Columns = [
        sa.Column("command", sa.Text),
        sa.Column("acknowledgement", sa.Text),
        sa.Column("result", sa.Text),
    ]
    create_objects(op, names, "commands", commands)


def create_locations(op: Operations, names: Names) -> None:
    """Locations and their EVSEs, which go with them."""
    columns: Columns = [
        sa.Column("country", sa.Text),
        sa.Column("city", sa.Text),
        sa.Column("latitude", sa.Double),
        sa.Column("longitude", sa.Double),
    ]
    locations = create_objects(op, names, "locations", columns, (("country", "city"), ("latitude", "longitude")))
    evses: Columns = [sa.Column("status", sa.Text), sa.Column("evse_id", sa.Text)]
    parent = sa.ForeignKeyConstraint(
        ["country_code", "party_id", "location_id"],
        [locations.c.country_code, locations.c.party_id, locations.c.id],
        name=f"fk_{names.prefix}evses_location",
        ondelete="CASCADE",
        deferrable=True,
        initially="DEFERRED",
    )
    create_objects(op, names, "evses", evses, (("status",), ("evse_id",)), parent)


def create_charging(op: Operations, names: Names) -> None:
    """Tokens, sessions, CDRs and tariffs."""
    tokens: Columns = [
        sa.Column("uid", sa.Text),
        sa.Column("auth_id", sa.Text),
        sa.Column("valid", sa.Boolean),
        sa.Column("whitelist", sa.Text),
    ]
    create_objects(op, names, "tokens", tokens, (("auth_id",),))
    sessions: Columns = [
        sa.Column("status", sa.Text),
        sa.Column("auth_id", sa.Text),
        sa.Column("start_datetime", UtcDateTime),
    ]
    create_objects(op, names, "sessions", sessions, (("status",), ("auth_id", "start_datetime")))
    cdrs: Columns = [
        sa.Column("auth_id", sa.Text),
        sa.Column("start_date_time", UtcDateTime),
        sa.Column("stop_date_time", UtcDateTime),
        sa.Column("currency", sa.Text),
        sa.Column("total_cost", ExactDecimal),
    ]
    create_objects(op, names, "cdrs", cdrs, (("auth_id", "start_date_time"), ("start_date_time",)))
    create_objects(op, names, "tariffs", [sa.Column("currency", sa.Text)], (("currency",),))


def create_objects(
    op: Operations, names: Names, kind: str, columns: Columns, indexes: Indexes = (), *constraints: sa.Constraint
) -> sa.Table:
    """A table of objects with its indexes."""
    name = names.prefix + kind
    identity = ("country_code", "party_id", *([PARENTS[kind]] if kind in PARENTS else []), "id")
    unique = sa.UniqueConstraint(*identity, name=f"uq_{name}")
    table = parts.create_objects(op, names, name, identity, *columns, unique, *constraints)
    parts.create_owner_indexes(op, names, name)
    for indexed in indexes:
        parts.create_index(op, names, name, "_".join(indexed), *indexed)
    return table
