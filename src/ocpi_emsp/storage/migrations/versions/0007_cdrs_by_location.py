"""CDRs are found by their location and start: so two drivers on one connector are. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic.operations import Operations

from ocpi_emsp.storage.migrations.parts import create_index, renew_identities

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0007"
down_revision = "0006"

IDENTITY = ("country_code", "party_id", "id")


def upgrade(*, op: Operations, names: Names) -> None:
    """A column and its index, filled from the documents; that of the identity becomes the newest again."""
    table = f"{names.prefix}cdrs"
    op.add_column(table, sa.Column("location_id", sa.Text), schema=names.schema)
    is_postgresql = op.get_context().dialect.name == "postgresql"
    path = "(received::jsonb) -> 'location' ->> 'id'" if is_postgresql else "json_extract(received, '$.location.id')"
    cdrs = sa.table(table, sa.column("location_id"), schema=names.schema)
    op.execute(sa.update(cdrs).values(location_id=sa.cast(sa.literal_column(path), sa.Text)))
    create_index(op, names, table, "location_id_start_date_time", "location_id", "start_date_time")
    renew_identities(op, names, {"cdrs": IDENTITY})
