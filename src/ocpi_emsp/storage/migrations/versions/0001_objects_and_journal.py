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
    parties = columns(
        state=sa.Text,
        versions_url=sa.Text,
        **dict.fromkeys(("endpoints", "policy", "matrix", "token_hashes"), JsonDocument),
        sealed=sa.Text,
    )
    create_objects(op, names, "parties", parties)
    create_objects(op, names, "commands", columns(command=sa.Text, acknowledgement=sa.Text, result=sa.Text))


def create_locations(op: Operations, names: Names) -> None:
    """Locations and their EVSEs, which go with them."""
    places = columns(country=sa.Text, city=sa.Text, latitude=sa.Double, longitude=sa.Double)
    locations = create_objects(op, names, "locations", places, (("country", "city"), ("latitude", "longitude")))
    parent = sa.ForeignKeyConstraint(
        ["country_code", "party_id", "location_id"],
        [locations.c.country_code, locations.c.party_id, locations.c.id],
        name=f"fk_{names.prefix}evses_location",
        ondelete="CASCADE",
        deferrable=True,
        initially="DEFERRED",
    )
    evses = columns(status=sa.Text, evse_id=sa.Text)
    create_objects(op, names, "evses", evses, (("status",), ("evse_id",)), parent)


def create_charging(op: Operations, names: Names) -> None:
    """Tokens, sessions, CDRs and tariffs."""
    tokens = columns(uid=sa.Text, auth_id=sa.Text, valid=sa.Boolean, whitelist=sa.Text)
    create_objects(op, names, "tokens", tokens, (("auth_id",),))
    sessions = columns(status=sa.Text, auth_id=sa.Text, start_datetime=UtcDateTime)
    create_objects(op, names, "sessions", sessions, (("status",), ("auth_id", "start_datetime")))
    cdrs = columns(
        auth_id=sa.Text,
        start_date_time=UtcDateTime,
        stop_date_time=UtcDateTime,
        currency=sa.Text,
        total_cost=ExactDecimal,
    )
    create_objects(op, names, "cdrs", cdrs, (("auth_id", "start_date_time"), ("start_date_time",)))
    create_objects(op, names, "tariffs", columns(currency=sa.Text), (("currency",),))


def columns(**types: Any) -> Columns:
    """Columns of these names and types."""
    return [sa.Column(name, type_) for name, type_ in types.items()]


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
