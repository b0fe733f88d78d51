"""Objects are found by their id alone: so it is looked for whose a hub's object is. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.operations import Operations

from ocpi_emsp.storage.migrations.parts import create_index

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0006"
down_revision = "0005"

KINDS = ("locations", "sessions", "tariffs", "cdrs")
IDENTITY = ("country_code", "party_id", "id")


def upgrade(*, op: Operations, names: Names) -> None:
    """An index of each table whose objects a hub may bring; on PostgreSQL that of the identity becomes the newest again
    (0003 says why)."""
    for kind in KINDS:
        create_index(op, names, f"{names.prefix}{kind}", "id", "id")
    if op.get_context().dialect.name == "postgresql":
        renew_identities(op, names)


def renew_identities(op: Operations, names: Names) -> None:
    """Drop what identifies a record, and create it again; the EVSEs refer to that of the locations."""
    foreign_key, evses = f"fk_{names.prefix}evses_location", f"{names.prefix}evses"
    op.drop_constraint(foreign_key, evses, schema=names.schema, type_="foreignkey")
    for kind in KINDS:
        name = f"{names.prefix}{kind}"
        op.drop_constraint(f"uq_{name}", name, schema=names.schema, type_="unique")
        op.create_unique_constraint(f"uq_{name}", name, IDENTITY, schema=names.schema)
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
