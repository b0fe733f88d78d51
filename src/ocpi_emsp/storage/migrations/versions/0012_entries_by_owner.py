"""What is refused, and what is decided, has no index by topic and by key any more. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.operations import Operations

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0012"
down_revision = "0011"


def upgrade(*, op: Operations, names: Names) -> None:
    """Each of the two tables has one topic, and no entry in it has a key: each append had to write both."""
    for kind in ("authorizations", "rejections"):
        table = f"{names.prefix}{kind}"
        for name in ("topic", "key"):
            op.drop_index(f"ix_{table}_{name}", table, schema=names.schema)
