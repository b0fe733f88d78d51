"""States of commands, correlation ids, reservations, and decisions on authorizations. Frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from alembic.operations import Operations

from ocpi_emsp.codec.content import content_hash
from ocpi_emsp.storage.migrations.parts import (
    create_entries,
    create_index,
    create_objects,
    create_owner_indexes,
    create_received_index,
    missing,
)
from ocpi_emsp.storage.sql.types import UtcDateTime

if TYPE_CHECKING:
    from ocpi_emsp.storage.migrations import Names

revision = "0004"
down_revision = "0003"

OBJECTS = (
    *("parties", "credentials", "locations", "evses", "sessions", "tariffs", "cdrs", "cdr_conflicts", "tokens"),
    *("commands", "checkpoints", "pushed_tokens"),
)
IDENTITY = ("country_code", "party_id", "location_id", "id")
ROWS = 500
"""Commands that are changed together."""


def upgrade(*, op: Operations, names: Names) -> None:
    """A new column for each table of objects, three for commands, and two new tables."""
    for kind in OBJECTS:
        op.add_column(names.prefix + kind, correlation_id(), schema=names.schema)
    commands = f"{names.prefix}commands"
    for column in (sa.Column("state", sa.Text), sa.Column("deadline", UtcDateTime), sa.Column("session_id", sa.Text)):
        op.add_column(commands, column, schema=names.schema)
    fill_states(op, names)
    create_index(op, names, commands, "state_deadline", "state", "deadline")
    create_index(op, names, commands, "session_id", "session_id")
    create_entries(op, names, "authorizations", sa.Column("due", UtcDateTime))
    create_reservations(op, names)


def correlation_id() -> sa.Column[Any]:
    """The correlation id of the last change; unknown for existing rows."""
    return sa.Column("correlation_id", sa.Text, nullable=False, server_default=sa.text("''"))


def fill_states(op: Operations, names: Names) -> None:
    """Write the state of each command, in its column and in its document."""
    columns = ("sequence", "received", "content_hash", "acknowledgement", "result", "state")
    commands = sa.table(f"{names.prefix}commands", *map(sa.column, columns), schema=names.schema)
    update = (
        sa.update(commands)
        .where(commands.c.sequence == sa.bindparam("at"))
        .values({name: sa.bindparam(f"new_{name}") for name in ("received", "content_hash", "state")})
    )
    after = 0
    wanted = (commands.c.sequence, commands.c.received, commands.c.acknowledgement, commands.c.result)
    while True:
        page = sa.select(*wanted).where(commands.c.sequence > after).order_by(commands.c.sequence).limit(ROWS)
        rows = op.get_bind().execute(page).all()
        if not rows:
            return
        op.get_bind().execute(update, [changed(*row) for row in rows])
        after = rows[-1].sequence


def changed(sequence: int, received: str, acknowledgement: str | None, result: str | None) -> dict[str, Any]:
    """The command with its state; a document that is not an object stays as it is."""
    state = state_of(acknowledgement, result)
    document = received.encode()
    try:
        members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        pass  # nothing of ours, and nothing that a command is read from
    else:
        document = msgspec.json.encode({**members, "state": state})
    return {
        "at": sequence,
        "new_received": document.decode(),
        "new_content_hash": content_hash(document),
        "new_state": state,
    }


def state_of(acknowledgement: str | None, result: str | None) -> str:
    """The state of a command, by its results."""
    if result is not None:
        return "ANSWERED"
    if acknowledgement is None:
        return "UNANSWERED"
    return "ACKNOWLEDGED" if acknowledgement == "ACCEPTED" else "REFUSED"


def create_reservations(op: Operations, names: Names) -> None:
    """The table, as all of objects are from this revision on.

    On PostgreSQL what identifies a record is the newest index (0003 says why); SQLite adds no constraint later.
    """
    name = f"{names.prefix}reservations"
    adds_later = op.get_context().dialect.name == "postgresql"
    unique = [] if adds_later else [sa.UniqueConstraint(*IDENTITY, name=f"uq_{name}")]
    create_objects(op, names, name, IDENTITY, *missing(), correlation_id(), *unique)
    create_owner_indexes(op, names, name)
    create_received_index(op, names, name)
    if adds_later:
        op.create_unique_constraint(f"uq_{name}", name, IDENTITY, schema=names.schema)
