"""EVSEs have no index by owner and last_updated any more. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.operations import Operations

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0011"
down_revision = "0010"


def upgrade(*, op: Operations, names: Names) -> None:
    """No query of this library reads by it, and each put of an EVSE had to write it. No row is touched."""
    table = f"{names.prefix}evses"
    op.drop_index(f"ix_{table}_owner_updated", table, schema=names.schema)
