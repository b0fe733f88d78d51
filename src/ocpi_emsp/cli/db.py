"""``ocpi-emsp db upgrade|current|check|rotate-key``: the schema of the database, and the key of its secrets.

Rules of this module:
- only ``upgrade`` creates a database: a missing SQLite file most likely means the wrong directory;
- ``rotate-key`` prints how many secrets it encrypted again, and none of them;
- a schema of another version is a result (exit status 1), a missing database is a failure (3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import asdict

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import CommandFailed
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.settings import store_url
from ocpi_emsp.cli.stores import unopened_store
from ocpi_emsp.errors import SchemaMismatch

if TYPE_CHECKING:
    from ocpi_emsp.storage.sql.store import SqlStore


def run(arguments: Arguments) -> int:
    """Run the action."""
    store = unopened_store(store_url(arguments), makes=arguments.action == "upgrade")
    try:
        return _ACTIONS[arguments.action](store, as_json=arguments.json)
    finally:
        store.close()


def _upgrade(store: SqlStore, *, as_json: bool) -> int:
    try:
        before = store.schema_revision()
        store.upgrade()
    except SchemaMismatch as mismatch:
        raise CommandFailed(mismatch.message) from None
    after = store.schema_revision()
    if as_json:
        output.write_json({"before": before, "revision": after})
    elif before == after:
        output.write(f"the schema is up to date: revision {after}\n")
    else:
        output.write(f"the schema is revision {after} now, it was {before or 'none'}\n")
    return 0


def _rotate_key(store: SqlStore, *, as_json: bool) -> int:
    try:
        rotated = store.rotate_key()
    except SchemaMismatch as mismatch:
        raise CommandFailed(mismatch.message) from None
    if as_json:
        output.write_json(asdict(rotated))
        return 0
    output.write(f"parties sealed with the first key: {rotated.sealed}, sealed with it before: {rotated.current}\n")
    return 0


def _current(store: SqlStore, *, as_json: bool) -> int:
    revision = store.schema_revision()
    if as_json:
        output.write_json({"revision": revision})
    else:
        output.write(f"{revision or 'none'}\n")
    return 0


def _check(store: SqlStore, *, as_json: bool) -> int:
    from ocpi_emsp.storage.migrations import latest

    revision, problem = store.schema_revision(), None
    try:
        store.check_schema()
    except SchemaMismatch as mismatch:
        problem = mismatch
    if as_json:
        output.write_json({"revision": revision, "needed": latest(), "up_to_date": problem is None})
    if problem is not None:
        raise CommandFailed(problem.message)
    if not as_json:
        output.write(f"the schema is up to date: revision {revision}\n")
    return 0


_ACTIONS: Mapping[str, Callable[..., int]] = {
    "upgrade": _upgrade,
    "current": _current,
    "check": _check,
    "rotate-key": _rotate_key,
}
