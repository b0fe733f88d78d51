"""The statements of a transaction, built once for each store.

Rules of this module:
- a statement takes named parameters and is never put together from values;
- a put is an INSERT that becomes an UPDATE where another transaction was first; a record that was read before is
  updated by its sequence; one whose document stays as it is gets a new ``last_updated`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from sqlalchemy import (
    Delete,
    Executable,
    Insert,
    Select,
    Table,
    Update,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from ocpi_emsp.ports import Kind, Query
from ocpi_emsp.storage.sql.tables import PARENTS, Tables, key_columns

_GENERATED = frozenset({"sequence", "document"})


@frozen
class ObjectStatements:
    """The statements of one kind of record."""

    table: Table
    parent: str | None
    get: Select[Any]
    get_locked: Select[Any]
    put: Insert
    rewrite: Update
    touch: Update
    delete: Delete
    children: Select[Any]
    children_locked: Select[Any]

    @property
    def columns(self) -> tuple[Any, ...]:
        """What a record is made of."""
        return _record_columns(self.table)


def object_statements(tables: Tables, dialect: str) -> Mapping[str, ObjectStatements]:
    """The statements of every kind."""
    return {kind: _of(kind, table, dialect) for kind, table in tables.objects.items()}


def _record_columns(table: Table) -> tuple[Any, ...]:
    names = ("received", "last_updated", "received_at", "revision", "sequence", "content_hash")
    sealed = (table.c.sealed,) if "sealed" in table.c else ()
    return tuple(table.c[name] for name in names) + sealed


def _of(kind: str, table: Table, dialect: str) -> ObjectStatements:
    identity = key_columns(kind)
    found = [table.c[name] == bindparam(f"k_{name}") for name in identity]
    get = select(*_record_columns(table)).where(*found)
    children = (
        select(*_record_columns(table), table.c.id)
        .where(*(table.c[name] == bindparam(f"k_{name}") for name in identity[:-1]))
        .order_by(table.c.sequence)
    )
    changing = [name for name in column_names(table) if name not in {*_GENERATED, *identity, "revision", "place"}]
    at = table.c.sequence == bindparam("k_sequence")
    next_revision = {"revision": table.c.revision + 1}
    return ObjectStatements(
        table=table,
        parent=PARENTS.get(kind),
        get=get,
        get_locked=get.with_for_update(),
        put=_put(kind, table, dialect, identity, changing),
        rewrite=update(table).where(at).values({**{name: bindparam(name) for name in changing}, **next_revision}),
        touch=update(table)
        .where(at)
        .values(
            last_updated=bindparam("last_updated"),
            received_at=bindparam("received_at"),
            **next_revision,
        ),
        delete=delete(table).where(*found),
        children=children,
        children_locked=children.with_for_update(),
    )


def _put(kind: str, table: Table, dialect: str, identity: tuple[str, ...], changing: list[str]) -> Insert:
    values: dict[str, Any] = {name: bindparam(name) for name in (*identity, *changing)}
    values["revision"] = 1
    if kind == Kind.TOKEN:
        values["place"] = next_place(table)
    insert_ = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table).values(values)
    return insert_.on_conflict_do_update(
        index_elements=[table.c[name] for name in identity],
        set_={**{name: insert_.excluded[name] for name in changing}, "revision": table.c.revision + 1},
    )


def column_names(table: Table) -> list[str]:
    """The names of all columns."""
    return [column.name for column in table.c]


def next_place(table: Table) -> Any:
    """Where the next token of an owner goes: behind all of its tokens."""
    return (
        select(func.coalesce(func.max(table.c.place) + 1, 0))
        .where(table.c.country_code == bindparam("country_code"), table.c.party_id == bindparam("party_id"))
        .scalar_subquery()
    )


def page_statements(statements: ObjectStatements, query: Query) -> tuple[Select[Any], Select[Any]]:
    """The records of a page, and how many there are in all; the values are in :func:`page_values`."""
    table = statements.table
    wanted = []
    for name in ("country_code", "party_id"):
        if getattr(query, name) is not None:
            wanted.append(table.c[name] == bindparam(name))
    if query.date_from is not None:
        wanted.append(table.c.last_updated >= bindparam("date_from", type_=table.c.last_updated.type))
    if query.date_to is not None:
        wanted.append(table.c.last_updated < bindparam("date_to", type_=table.c.last_updated.type))
    identity = [table.c[name] for name in key_columns_of(statements)]
    records = select(*statements.columns, *identity).order_by(table.c.sequence).limit(bindparam("limit"))
    if by_place(statements, query):
        records = records.order_by(None).order_by(table.c.place).where(table.c.place >= bindparam("offset"))
        return records.where(*wanted), select(func.coalesce(func.max(table.c.place) + 1, 0)).where(*wanted)
    records = records.where(*wanted, table.c.sequence > bindparam("after"))
    if query.offset:
        records = records.offset(bindparam("offset"))
    total = select(func.count()).select_from(table).where(*wanted, table.c.sequence > bindparam("after"))
    return records, total


def by_place(statements: ObjectStatements, query: Query) -> bool:
    """True where an offset is a place: all tokens of one owner."""
    whole = query.date_from is None and query.date_to is None and query.after == 0
    return "place" in statements.table.c and whole and None not in (query.country_code, query.party_id)


def key_columns_of(statements: ObjectStatements) -> tuple[str, ...]:
    """The columns that identify a record of this kind."""
    parent = (statements.parent,) if statements.parent else ()
    return ("country_code", "party_id", *parent, "id")


@frozen
class JournalStatements:
    """The statements of the journal or the rejections."""

    table: Table
    append: Insert
    entry: Select[Any]
    entry_locked: Select[Any]
    settle: Delete
    prune: Executable

    def entries(self, *, by_key: bool, by_owner: bool, locked: bool) -> Select[Any]:
        """Entries of a topic after a sequence."""
        table = self.table
        found = select(table).where(table.c.topic == bindparam("topic"), table.c.sequence > bindparam("after"))
        if by_key:
            found = found.where(table.c.key == bindparam("key"))
        if by_owner:
            found = found.where(
                table.c.country_code == bindparam("country_code"), table.c.party_id == bindparam("party_id")
            )
        found = found.order_by(table.c.sequence).limit(bindparam("limit"))
        return found.with_for_update() if locked else found


def journal_statements(table: Table, dialect: str) -> JournalStatements:
    """The statements of one of the two tables."""
    names = [name for name in column_names(table) if name != "sequence"]
    insert_ = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    append = insert_.values({name: bindparam(name) for name in names}).on_conflict_do_update(
        index_elements=[table.c.id], set_={name: insert_.excluded[name] for name in names if name != "id"}
    )
    entry = select(table).where(table.c.id == bindparam("entry_id"))
    newest = select(func.max(table.c.sequence)).scalar_subquery()
    return JournalStatements(
        table=table,
        append=append,
        entry=entry,
        entry_locked=entry.with_for_update(),
        settle=delete(table).where(table.c.id == bindparam("entry_id")),
        prune=delete(table).where(table.c.sequence <= newest - bindparam("keep")),
    )


__all__ = ["JournalStatements", "ObjectStatements", "insert", "journal_statements", "object_statements"]
