"""Rotation of the key: seals again, with the current key, what is sealed in the database.

Rules of this module (docs/how-to/secrets.md):
- a batch is a transaction, so a running server waits for a moment at most, and finished batches stay done;
- a party that changes meanwhile keeps its change: a row is written only if it still has the value that was read;
- nothing is printed, exported or written in plain text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from time import monotonic, sleep
from typing import Any, Final

from attrs import frozen
from sqlalchemy import Connection, Table, select, text, update

from ocpi_emsp.storage.secrets import SecretBox, is_current

BATCH: Final = 100
"""Parties per transaction."""
_CHECKPOINT_SECONDS: Final = 5.0
"""Longest time to try a checkpoint."""
Begin = Callable[[], AbstractContextManager[Connection]]


@frozen
class Rotated:
    """Numbers of sealed rows."""

    sealed: int
    """Rows that were sealed again."""
    current: int
    """Rows that the current key had already sealed."""


def rotate(begin: Begin, table: Table, box: SecretBox) -> Rotated:
    """Seal every row of ``table`` again that another key sealed. Raises StoreFailed if no key opens a row."""
    sealed = current = after = 0
    while True:
        with begin() as connection:
            rows = _batch(connection, table, after)
            old = [row for row in rows if not is_current(box, row.sealed)]
            sealed += sum(_reseal(connection, table, box, row) for row in old)
        if not rows:
            break
        current += len(rows) - len(old)
        after = rows[-1].sequence
    return Rotated(sealed, current)


def _batch(connection: Connection, table: Table, after: int) -> Sequence[Any]:
    columns = table.c.sequence, table.c.sealed
    found = select(*columns).where(table.c.sealed.is_not(None), table.c.sequence > after)
    return connection.execute(found.order_by(table.c.sequence).limit(BATCH)).all()


def _reseal(connection: Connection, table: Table, box: SecretBox, row: Any) -> int:
    same = (table.c.sequence == row.sequence) & (table.c.sealed == row.sealed)
    return connection.execute(update(table).where(same).values(sealed=box.seal(box.open(row.sealed)))).rowcount


def wipe(connection: Connection) -> None:
    """SQLite: zero what is overwritten from now on, so that the file has nothing that the old key opens."""
    connection.execute(text("PRAGMA secure_delete = ON"))


def checkpoint(connection: Connection) -> None:
    """SQLite: move the write-ahead log into the file and empty it, as far as readers allow.

    It tries again while another connection does the same, for which SQLite does not wait.
    """
    until = monotonic() + _CHECKPOINT_SECONDS
    while connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).scalar_one() and monotonic() < until:
        sleep(_CHECKPOINT_SECONDS / 100)
