"""The statements of a transaction, built and compiled once per store, on first use.

Rules of this module:
- a statement takes named parameters, and no value is ever written into its text;
- a query that has its own index must not be sorted in the order of another one: SQLite, which has no statistics, takes
  the index that saves the sorting, and reads all rows of an owner. So does PostgreSQL as long as it has none; hence
  the EVSEs of a location are read in the order of the index that finds them;
- a put is an INSERT that becomes an UPDATE if another transaction was first. A record that was read before is updated
  by its sequence; if its document is unchanged, only the columns beside it are, such as ``last_updated``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from attrs import field, frozen
from sqlalchemy import (
    Dialect,
    Executable,
    LargeBinary,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    cast,
    delete,
    false,
    func,
    literal_column,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from ocpi_emsp.ports import Kind, Query, Record
from ocpi_emsp.storage.sql.bulk import Copy, copy_into
from ocpi_emsp.storage.sql.locking import lock_absent
from ocpi_emsp.storage.sql.prepared import Prepared
from ocpi_emsp.storage.sql.projections import projected
from ocpi_emsp.storage.sql.rowed import Rowed
from ocpi_emsp.storage.sql.several import Several
from ocpi_emsp.storage.sql.tables import PARENTS, Tables, key_columns

_GENERATED = frozenset({"sequence", "document"})


@frozen
class ObjectStatements:
    """The statements of one kind of record."""

    kind: str
    table: Table
    dialect: Dialect
    get: Prepared
    get_locked: Prepared
    several: Several
    several_locked: Several
    """By owner, parent and many ids."""
    lock_absent: Prepared | None
    """PostgreSQL: locks the numbers of the absent ids among ``values``, in order, and returns these ids."""
    put: Rowed
    copy: Copy | None
    """For many new rows, with the same values as ``put``."""
    rewrite: Rowed
    touch: Rowed
    beside: Callable[[Record], tuple[Any, ...]]
    """The values of a record that a put writes even if the document is unchanged."""
    delete: Prepared
    children: Prepared
    children_locked: Prepared
    place: Prepared | None
    close_gap: Prepared | None
    usage: Prepared
    usage_of_owner: Prepared
    parent: str | None
    """The column of ``Key.parent``."""
    key_end: int
    """End of the parts of a key that have columns."""
    validity: tuple[str, ...]
    """Of tariffs and their versions: the columns, and attributes of a record, with the time of validity."""
    _pages: dict[tuple[object, ...], tuple[Prepared, Prepared]] = field(factory=dict)

    def by_place(self, query: Query) -> bool:
        """Return True if an offset is a place: for all tokens of one owner."""
        whole = all(getattr(query, name) is None for name in _FILTERS[2:]) and query.after == 0
        return self.place is not None and whole and None not in (query.country_code, query.party_id)

    def page(self, query: Query, *, documents: bool = False) -> tuple[Prepared, Prepared]:
        """Return the statements for a page of records, or their documents alone, and for the total."""
        shape = (
            documents,
            *(getattr(query, name) is not None for name in _FILTERS),
            bool(query.offset),
            self.by_place(query),
            query.by_start,
        )
        if shape not in self._pages:
            records, total = _page(self, query)
            if documents:
                records = records.with_only_columns(self.table.c.received, self.table.c.sequence)
            self._pages[shape] = Prepared(records, self.dialect), Prepared(total, self.dialect)
        return self._pages[shape]


_RANGES = {
    "date_from": ("last_updated", operator.ge),
    "date_to": ("last_updated", operator.lt),
    "received_from": ("received_at", operator.ge),
    "received_to": ("received_at", operator.lt),
}
"""The column of each end of a range, and their comparison."""
_CHARGES = {
    "auth_id": ({Kind.CDR: "auth_id", Kind.SESSION: "auth_id", Kind.TOKEN: "auth_id"}, operator.eq),
    "location_id": ({Kind.CDR: "location_id"}, operator.eq),
    "start_from": ({Kind.CDR: "start_date_time", Kind.SESSION: "start_datetime"}, operator.ge),
    "start_to": ({Kind.CDR: "start_date_time", Kind.SESSION: "start_datetime"}, operator.lt),
}
"""The columns of a charge, by kind, and their comparison."""
_FILTERS = ("country_code", "party_id", *_CHARGES, "id", "id_in_any_case", "at", *_RANGES)


class KindStatements(dict[str, ObjectStatements]):
    """The statements of each kind, built on the first use of the kind."""

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        super().__init__()
        self._tables, self._dialect = tables.objects, dialect

    def __missing__(self, kind: str) -> ObjectStatements:
        found = self[kind] = _of(kind, self._tables[kind], self._dialect)
        return found


def _of(kind: str, table: Table, dialect: Dialect) -> ObjectStatements:
    identity = key_columns(kind)
    found = [table.c[name] == bindparam(f"k_{name}") for name in identity]
    get = select(*record_columns(table)).where(*found)
    below = [table.c[name] == bindparam(f"k_{name}") for name in identity[:-1]]
    children = select(*record_columns(table), table.c.id).where(*below).order_by(table.c.id)
    validity = validity_columns(table)
    has_places = "place" in table.c
    changing = _changing(table, identity)
    key_names, beside = identity_names(kind), (*BESIDE_THE_DOCUMENT, *validity)
    put_names = (*key_names, *beside, *written_columns(kind))

    def prepared(statement: Executable) -> Prepared:
        return Prepared(statement, dialect)

    return ObjectStatements(
        kind=kind,
        table=table,
        dialect=dialect,
        get=prepared(get),
        get_locked=prepared(get.with_for_update()),
        several=Several(children, table.c.id, dialect),
        several_locked=Several(children, table.c.id, dialect, locked=True),
        lock_absent=prepared(lock_absent(table, below)) if dialect.name == "postgresql" else None,
        put=Rowed(_put(table, dialect, identity, changing), dialect, put_names),
        copy=copy_into(table, dialect, put_names),
        rewrite=Rowed(rewrite_of(table, changing), dialect, ("k_sequence", *beside, *written_columns(kind))),
        touch=Rowed(rewrite_of(table, beside), dialect, ("k_sequence", *beside)),
        beside=operator.attrgetter(*beside),
        delete=prepared(delete(table).where(*found)),
        children=prepared(children),
        children_locked=prepared(children.with_for_update()),
        place=prepared(select(table.c.place).where(*found)) if has_places else None,
        close_gap=prepared(_close_gap(table)) if has_places else None,
        usage=prepared(_usage(table, dialect, "received")),
        usage_of_owner=prepared(_of_owner(_usage(table, dialect, "received"), table)),
        parent=PARENTS.get(kind),
        key_end=1 + len(key_names),
        validity=validity,
    )


def identity_names(kind: str) -> tuple[str, ...]:
    """Return the columns that identify a record, in the order of a key."""
    return ("country_code", "party_id", "id", *([PARENTS[kind]] if kind in PARENTS else []))


def written_columns(kind: str) -> tuple[str, ...]:
    """Return the columns that follow from the document, in the order of their values (rows.py)."""
    more = {Kind.PARTY: ("sealed",), Kind.TOKEN: ("uid_in_lower_case",)}
    return ("received", "content_hash", *projected(kind), *more.get(kind, ()))


def _changing(table: Table, identity: Sequence[str]) -> list[str]:
    """Return the columns that a put writes to an existing record."""
    return [name for name in column_names(table) if name not in {*_GENERATED, *identity, "revision", "place"}]


def rewrite_of(table: Table, columns: Sequence[str], prefix: str = "") -> Update:
    """Build the update of a row's columns and revision; ``prefix`` begins the names of its parameters."""
    values: dict[str, Any] = {name: bindparam(prefix + name) for name in columns}
    at = table.c.sequence == bindparam(f"{prefix}k_sequence")
    return update(table).where(at).values({**values, "revision": table.c.revision + 1})


@frozen
class EvseStatements:
    """The statements on EVSEs together with their locations."""

    families: Several
    families_locked: Several
    """The EVSEs of many locations of one owner."""
    with_location: Prepared
    """PostgreSQL: an EVSE behind its location; both are locked, and read after that."""
    rewrite: Prepared
    """PostgreSQL: rewrites an EVSE, and touches its location (``location_...``)."""
    rewrite_both: Prepared
    """PostgreSQL: rewrites an EVSE and its location (``location_...``)."""


def evse_statements(tables: Tables, dialect: Dialect) -> EvseStatements:
    """Build the statements on EVSEs and their locations."""
    locations, evses = tables.objects[Kind.LOCATION], tables.objects[Kind.EVSE]
    owner = [evses.c[name] == bindparam(f"k_{name}") for name in ("country_code", "party_id")]
    families = (
        select(*record_columns(evses), evses.c.location_id, evses.c.id)
        .where(*owner)
        .order_by(evses.c.location_id, evses.c.id)
    )
    # Not an outer join: PostgreSQL would lock the location, and return the EVSE as it was before that wait.
    with_location = (
        select(*(each.label(f"location_{each.key}") for each in record_columns(locations)), *record_columns(evses))
        .where(*(locations.c[name] == bindparam(f"k_{name}") for name in ("country_code", "party_id")))
        .where(locations.c.id == bindparam("k_location_id"))
        .where(*owner, evses.c.location_id == bindparam("k_location_id"), evses.c.id == bindparam("k_id"))
        .with_for_update()
    )
    touch = rewrite_of(locations, BESIDE_THE_DOCUMENT, "location_").cte("touched")
    rewrite = rewrite_of(locations, _changing(locations, key_columns(Kind.LOCATION)), "location_").cte("rewritten")
    evse = rewrite_of(evses, _changing(evses, key_columns(Kind.EVSE)))
    return EvseStatements(
        families=Several(families, evses.c.location_id, dialect),
        families_locked=Several(families, evses.c.location_id, dialect, locked=True),
        with_location=Prepared(with_location, dialect),
        rewrite=Prepared(evse.add_cte(touch), dialect),
        rewrite_both=Prepared(evse.add_cte(rewrite), dialect),
    )


def _usage(table: Table, dialect: Dialect, *columns: str) -> Select[Any]:
    """Count the rows of each owner, and the bytes of these columns, if possible without reading their values."""
    size: Any = literal_column("0")
    for name in columns:
        size += _bytes_of(table.c[name], dialect)
    owner = (table.c.country_code, table.c.party_id)
    found = select(*owner, func.count().label("number"), func.sum(size).label("size"))
    return found.where(table.c.country_code.is_not(None), table.c.party_id.is_not(None)).group_by(*owner)


def _of_owner(usage: Select[Any], table: Table) -> Select[Any]:
    return usage.where(table.c.country_code == bindparam("country_code"), table.c.party_id == bindparam("party_id"))


def _bytes_of(column: Any, dialect: Dialect) -> Any:
    if dialect.name == "postgresql":
        return func.octet_length(column)
    return func.length(column if isinstance(column.type, LargeBinary) else cast(column, LargeBinary))


BESIDE_THE_DOCUMENT = ("last_updated", "received_at", "missing_since", "missed", "correlation_id")
"""Columns, and attributes of a record, that a put writes even if the document is unchanged."""


def record_columns(table: Table) -> tuple[Any, ...]:
    """Return the columns of a record."""
    names = ("received", *BESIDE_THE_DOCUMENT, *validity_columns(table), "revision", "sequence")
    sealed = (table.c.sealed,) if "sealed" in table.c else ()
    return tuple(table.c[name] for name in names) + sealed


def validity_columns(table: Table) -> tuple[str, ...]:
    """Return the columns with the time of validity of a tariff or its version."""
    return tuple(name for name in ("valid_from", "first_received_at", "valid_until") if name in table.c)


def column_names(table: Table) -> list[str]:
    """Return the names of all columns."""
    return [column.name for column in table.c]


def _upsert(table: Table, dialect: Dialect) -> Any:
    return (postgresql.insert if dialect.name == "postgresql" else sqlite.insert)(table).inline()


def _put(table: Table, dialect: Dialect, identity: tuple[str, ...], changing: list[str]) -> Executable:
    values: dict[str, Any] = {name: bindparam(name) for name in (*identity, *changing)}
    values["revision"] = 1
    if "place" in table.c:
        values["place"] = _next_place(table)
    put = _upsert(table, dialect).values(values)
    changed = {**{name: put.excluded[name] for name in changing}, "revision": table.c.revision + 1}
    statement: Executable = put.on_conflict_do_update(index_elements=[table.c[name] for name in identity], set_=changed)
    return statement


def _next_place(table: Table) -> Any:
    """Return the place of an owner's next token: behind all others."""
    return (
        select(_behind_all(table))
        .where(table.c.country_code == bindparam("country_code"), table.c.party_id == bindparam("party_id"))
        .where(table.c.place >= 0)
        .scalar_subquery()
    )


def _behind_all(table: Table) -> Any:
    """Return the place behind those of an owner. The query needs a condition on the place: otherwise PostgreSQL does
    not use the index, and reads all rows of the owner."""
    return func.coalesce(func.max(table.c.place) + 1, 0)


def _close_gap(table: Table) -> Executable:
    """Move the places behind a deleted token up by one."""
    return (
        update(table)
        .where(
            table.c.country_code == bindparam("k_country_code"),
            table.c.party_id == bindparam("k_party_id"),
            table.c.place > bindparam("k_place"),
        )
        .values(place=table.c.place - 1)
    )


def _page(statements: ObjectStatements, query: Query) -> tuple[Select[Any], Select[Any]]:
    table, wanted = statements.table, _wanted(statements, query)
    identity = [table.c[name] for name in key_columns(statements.kind)]
    records = select(*record_columns(table), *identity).limit(bindparam("limit"))
    if statements.by_place(query):
        records = records.where(*wanted, table.c.place >= bindparam("offset")).order_by(table.c.place)
        return records, select(_behind_all(table).label("total")).where(*wanted, table.c.place >= 0)
    if query.by_start is not None:
        return _by_start(statements, query, records.where(*wanted)), _number(table, wanted)
    wanted.append(table.c.sequence > bindparam("after"))
    total = _number(table, wanted)
    ended = query.at if "valid_until" in table.c else None
    charges = (getattr(query, name) for name in _CHARGES)
    narrows = (query.received_from, query.received_to, query.id, query.id_in_any_case, ended, *charges)
    if all(value is None for value in narrows):
        records = records.where(*wanted).order_by(table.c.sequence)
        return (records.offset(bindparam("offset")) if query.offset else records), total
    # The query selects few of an owner's many rows: the index finds them, and only those of the page are read.
    unindexed = table.c.sequence + literal_column("0")
    found = select(table.c.sequence).where(*wanted).order_by(unindexed).limit(bindparam("limit"))
    if query.offset:
        found = found.offset(bindparam("offset"))
    return select(*records.selected_columns).where(table.c.sequence.in_(found)).order_by(table.c.sequence), total


def _number(table: Table, wanted: list[Any]) -> Select[Any]:
    return select(func.count().label("total")).select_from(table).where(*wanted)


def _by_start(statements: ObjectStatements, query: Query, records: Select[Any]) -> Select[Any]:
    """Sort by start, as the index that finds the rows does: those behind the page are not read."""
    columns, _ = _CHARGES["start_from"]
    name = columns.get(statements.kind)
    if name is None:
        return records.where(false())
    start = statements.table.c[name]
    return records.where(start.is_not(None)).order_by(start if query.by_start == "first" else start.desc())


def _wanted(statements: ObjectStatements, query: Query) -> list[Any]:
    """Return the conditions of a query."""
    table = statements.table
    wanted: list[Any] = []
    for name in ("country_code", "party_id"):
        if getattr(query, name) is not None:
            wanted.append(table.c[name] == bindparam(name))
    for name, (column, compares) in _RANGES.items():
        if getattr(query, name) is not None:
            wanted.append(compares(table.c[column], bindparam(name, type_=table.c[column].type)))
    wanted += [_charged(statements, name) for name in _CHARGES if getattr(query, name) is not None]
    if query.id is not None:
        wanted.append(table.c.id == bindparam("id"))
    if query.id_in_any_case is not None:
        lower = table.c.uid_in_lower_case if "uid_in_lower_case" in table.c else func.lower(table.c.id)
        wanted.append(lower == bindparam("id_in_any_case"))
    if query.at is not None:
        wanted += _held(table)
    return wanted


def _held(table: Table) -> list[Any]:
    """Return the conditions for a record that was valid at a moment."""
    at = bindparam("at", type_=table.c.last_updated.type)
    since = func.coalesce(table.c.valid_from, table.c.last_updated) if "valid_from" in table.c else table.c.last_updated
    return [since <= at, *([table.c.valid_until > at] if "valid_until" in table.c else [])]


def _charged(statements: ObjectStatements, name: str) -> Any:
    """Return a condition on a charge; false for a kind without that value."""
    columns, compares = _CHARGES[name]
    if statements.kind not in columns:
        return false()
    column = statements.table.c[columns[statements.kind]]
    return compares(column, bindparam(name, type_=column.type))


@frozen
class JournalStatements:
    """The statements of the journal, the rejections, or the authorizations."""

    table: Table
    dialect: Dialect
    append: Prepared
    entry: Prepared
    entry_locked: Prepared
    settle: Prepared
    usage: Prepared
    usage_of_owner: Prepared
    due: Prepared
    _lists: dict[tuple[bool, bool, bool], Prepared] = field(factory=dict)

    def entries(self, *, by_key: bool, by_owner: bool, locked: bool) -> Prepared:
        """Return the statement for the entries of a topic after a sequence."""
        shape = (by_key, by_owner, locked)
        if shape not in self._lists:
            self._lists[shape] = Prepared(_entries(self.table, by_key, by_owner, locked), self.dialect)
        return self._lists[shape]


def _entries(table: Table, by_key: bool, by_owner: bool, locked: bool) -> Executable:
    found = select(table).where(table.c.topic == bindparam("topic"), table.c.sequence > bindparam("after"))
    if by_key:
        found = found.where(table.c.key == bindparam("key"))
    if by_owner:
        owner = (table.c.country_code == bindparam("country_code"), table.c.party_id == bindparam("party_id"))
        found = found.where(*owner)
    found = found.order_by(table.c.sequence).limit(bindparam("limit"))
    return found.with_for_update() if locked else found


def _due(table: Table, dialect: Dialect) -> Executable:
    """Select the entries that may be handled now: three parts of one index, of which only the returned rows are read.

    The last two parts must not use another index for their order by sequence: all waiting entries would be read.
    """
    entries = table.alias("waiting")
    names: Any = func.json_each(bindparam("not_named")).table_valued("value").c.value
    if dialect.name == "postgresql":
        names = func.jsonb_array_elements_text(cast(bindparam("not_named"), postgresql.JSONB)).column_valued()
    due, unindexed = entries.c.due, entries.c.sequence + literal_column("0")
    moments = {name: bindparam(name, type_=due.type) for name in ("at", "beyond", "parked")}
    parts = [
        (entries.c.sequence, due.is_(None)),
        (unindexed, due <= moments["at"]),
        (unindexed, and_(due > moments["beyond"], due < moments["parked"])),
    ]
    found = [
        select(entries.c.sequence)
        .where(entries.c.topic == bindparam("topic"), is_part, entries.c.sequence > bindparam("after"))
        .where(entries.c.name.not_in(select(names)))
        .order_by(order)
        .limit(bindparam("limit"))
        .subquery(f"part_{number}")
        for number, (order, is_part) in enumerate(parts)
    ]
    sequences = union_all(*(select(part.c.sequence) for part in found))
    wanted = table.c.sequence.in_(sequences)
    return select(table).where(wanted).order_by(table.c.sequence).limit(bindparam("limit"))


def journal_statements(table: Table, dialect: Dialect) -> JournalStatements:
    """Build the statements of one of the three tables."""
    names = [name for name in column_names(table) if name != "sequence"]
    put = _upsert(table, dialect).values({name: bindparam(name) for name in names})
    append = put.on_conflict_do_update(
        index_elements=[table.c.id], set_={name: put.excluded[name] for name in names if name != "id"}
    )
    entry = select(table).where(table.c.id == bindparam("entry_id"))
    usage = _usage(table, dialect, "body", "details").where(table.c.topic == bindparam("topic"))
    return JournalStatements(
        table=table,
        dialect=dialect,
        append=Prepared(append, dialect),
        entry=Prepared(entry, dialect),
        entry_locked=Prepared(entry.with_for_update(), dialect),
        settle=Prepared(delete(table).where(table.c.id == bindparam("entry_id")), dialect),
        usage=Prepared(usage, dialect),
        usage_of_owner=Prepared(_of_owner(usage, table), dialect),
        due=Prepared(_due(table, dialect), dialect),
    )
