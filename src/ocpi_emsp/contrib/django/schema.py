"""The schema in a project of Django: ``manage.py migrate`` creates and upgrades it.

Rules of this module:
- an error about another schema names that command, not the one of this library;
- the first transaction on a connection of Django checks the schema, as one of our own does; it bypasses Django, so that
  it does not count as a query of the project.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS

from ocpi_emsp.errors import SchemaMismatch
from ocpi_emsp.storage import migrations

_VERSION: Final = "ocpi_version"
_EXISTS: Final = {
    "sqlite": f"SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '{_VERSION}'",
    "postgresql": f"SELECT count(*) FROM pg_class WHERE oid = to_regclass('{_VERSION}')",
}


@contextmanager
def named_for_django(using: str) -> Iterator[None]:
    """Make a SchemaMismatch within the block name ``manage.py migrate``."""
    try:
        yield
    except SchemaMismatch as error:
        message = error.message.replace("`ocpi-emsp db upgrade`", _command(using))
        if message == error.message:
            raise
        raise SchemaMismatch(message) from error


def require_current(connection: Any, using: str, store: object) -> None:
    """Check the schema on a connection of Django. Raises SchemaMismatch unless it is the current one."""
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(_EXISTS[connection.vendor])
        found = None
        if cursor.fetchone()[0]:
            cursor.execute(f"SELECT version_num FROM {_VERSION}")
            found = cursor.fetchone()
    latest = migrations.latest()
    if found == (latest,):
        return
    there = f"the schema has revision {found[0]}" if found else "the schema does not exist"
    raise SchemaMismatch(f"{store}: {there}; expected revision {latest}: run {_command(using)}")


def _command(using: str) -> str:
    return "`python manage.py migrate" + ("`" if using == DEFAULT_DB_ALIAS else f" --database {using}`")
