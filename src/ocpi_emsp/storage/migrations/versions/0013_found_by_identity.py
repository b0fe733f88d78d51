"""On PostgreSQL a record is found by its identity alone; EVSEs have no index by receipt and status any more. Frozen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic.operations import Operations

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0013"
down_revision = "0012"

KINDS = (
    *("parties", "locations", "evses", "sessions", "tariffs", "tariff_versions", "cdrs", "cdr_conflicts", "audits"),
    *("tokens", "pushed_tokens", "commands", "reservations", "credentials", "checkpoints"),
)
OWNER = ("country_code", "party_id")


def upgrade(*, op: Operations, names: Names) -> None:
    """Make the indexes by an owner and something else partial: of all rows, but for queries that ask for that.

    Until a table is analyzed, and for an owner that is newer than its statistics, PostgreSQL took one of them for a
    record's identity as well, and read all that the owner has. No query reads EVSEs by their receipt or status, and
    without both a new status moves no entry of an index on PostgreSQL (HOT).
    """
    evses = f"{names.prefix}evses"
    for name in ("owner_received", "status"):
        op.drop_index(f"ix_{evses}_{name}", evses, schema=names.schema)
    if op.get_context().dialect.name != "postgresql":
        return
    for kind, name, columns in _rivals():
        table = names.prefix + kind
        op.drop_index(f"ix_{table}_{name}", table, schema=names.schema)
        op.create_index(
            f"ix_{table}_{name}",
            table,
            [*OWNER, *columns],
            schema=names.schema,
            postgresql_where=sa.column(columns[0]).is_not(None),
        )


def _rivals() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Table, name, and the columns behind the owner."""
    for kind in KINDS:
        yield kind, "owner_sequence", ("sequence",)
        if kind != "evses":
            yield kind, "owner_updated", ("last_updated", "id")
            yield kind, "owner_received", ("received_at",)
    for kind, column in (("tokens", "place"), ("tokens", "uid_in_lower_case"), ("tariff_versions", "valid_until")):
        yield kind, f"country_code_party_id_{column}", (column,)
