"""Objects are found by their id alone: so it is looked for whose a hub's object is. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.operations import Operations

from ocpi_emsp.storage.migrations.parts import create_index, renew_identities

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0006"
down_revision = "0005"

KINDS = ("locations", "sessions", "tariffs", "cdrs")
IDENTITY = ("country_code", "party_id", "id")


def upgrade(*, op: Operations, names: Names) -> None:
    """An index of each table whose objects a hub may bring; that of the identity becomes the newest again."""
    for kind in KINDS:
        create_index(op, names, f"{names.prefix}{kind}", "id", "id")
    renew_identities(op, names, dict.fromkeys(KINDS, IDENTITY))
