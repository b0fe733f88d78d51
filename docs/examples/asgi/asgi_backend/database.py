"""What the project stores itself, by sqlite3; locations, sessions and CDRs are in the tables of the library."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

URL = os.environ["OCPI_EMSP_STORE"]
_FILE = URL.removeprefix("sqlite:///")


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """A connection to the file of the library: the end of the block commits, an error rolls back."""
    with closing(sqlite3.connect(_FILE, timeout=30)) as connection, connection:
        connection.row_factory = sqlite3.Row
        yield connection


with transaction() as _connection:
    _connection.execute("CREATE TABLE IF NOT EXISTS drivers (token_uid PRIMARY KEY, name, may_charge)")
    _connection.execute(
        "CREATE TABLE IF NOT EXISTS charges (cpo, cdr_id, driver, cost, currency, PRIMARY KEY (cpo, cdr_id))"
    )
