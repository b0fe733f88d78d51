"""What is due in the journal is found by an index, however much waits there. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.operations import Operations

from ocpi_emsp.storage.migrations.parts import create_index

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0010"
down_revision = "0009"


def upgrade(*, op: Operations, names: Names) -> None:
    """An index of the journal, with all that is looked at before an entry itself is read."""
    create_index(op, names, f"{names.prefix}journal", "due", "topic", "due", "sequence", "name")
