"""Statements that SQLAlchemy compiles once and the driver's own cursor executes.

Rules of this module:
- SQLAlchemy's work for every execution (cache keys, contexts, result objects) costs more than the statement; its work
  for the text and the types is done once, here;
- many rows are converted column by column, in C: each row of a sync's page has a dozen values, most of them unchanged;
- psycopg's cursor is used again, since creating one costs half of an execution; one that holds many rows is closed;
- a driver's error is raised as it is; a lost connection is invalidated together with the idle ones, so that the next
  transaction opens a new one.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

PSYCOPG: Final = ("psycopg", "psycopg_async")
"""SQLAlchemy's names of the driver: blocking, and async in SQLAlchemy's bridge."""


_COMPILED: Final = ("text", "arranged", "_compiled", "_row", "_gives_rows", "_converted")
Rows: TypeAlias = Sequence[Sequence[Any]]


class Prepared:
    """A statement in one dialect, with values and rows by name.

    It is compiled on first use: a store has hundreds of them, and a process often needs ten.
    """

    __slots__ = ("_dialect", "_statement", *_COMPILED)

    text: str
    arranged: Callable[[Mapping[str, Any]], Any]
    """Turns values by name into the arguments of the driver's cursor."""
    _compiled: SQLCompiler
    _row: Callable[[Iterable[Any]], Any]
    _gives_rows: bool
    _converted: list[tuple[int, Callable[[Any], Any]]]

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        self._statement = statement
        self._dialect = dialect

    def __getattr__(self, name: str) -> Any:
        """Compile on the first access to an attribute that is not set. Two threads at once compute the same."""
        if name not in _COMPILED:
            raise AttributeError(f"Prepared has no attribute '{name}'")
        self._compile()
        return getattr(self, name)

    def _compile(self) -> None:
        statement, dialect = self._statement, self._dialect
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined] # every statement has it
        assert isinstance(compiled, SQLCompiler)
        columns = list(getattr(statement, "selected_columns", ()))
        processes = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self._converted = [(place, process) for place, process in enumerate(processes) if process is not None]
        row: Any = namedtuple("Row", [column.key for column in columns])  # type: ignore[misc]
        self._row = partial(tuple.__new__, row)  # its own _make is not in C
        self._gives_rows = bool(columns)
        self._compiled = compiled
        self.arranged = _arrange(compiled, dialect)
        self.text = str(compiled)

    def arranger(self, names: Sequence[str]) -> Callable[[Rows], Iterable[Any]]:
        """Return a function that turns many rows with these names into the arguments of the driver's cursor."""
        return _arrange_many(self._compiled, self._dialect, names)

    def execute(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Execute it, and return the number of changed rows."""
        cursor = _execute(connection, self.text, self.arranged(values))
        count: int = cursor.rowcount
        _release(connection, cursor)
        return count

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[Any]:
        """Execute it, and return its rows."""
        return self.executed(connection, self.arranged(values))

    def executed(self, connection: Connection, values: Any, *, many: bool = False) -> list[Any]:
        """Execute it with arranged values, or for ``many`` of them, and return its rows."""
        cursor = _execute(connection, self.text, values, many=many)
        found: Rows = cursor.fetchall() if self._gives_rows else ()
        _release(connection, cursor, len(found))
        return self.converted(found)

    def converted(self, found: Rows) -> list[Any]:
        """Turn the rows of the driver's cursor into rows by name."""
        rows: Iterable[Sequence[Any]] = found
        if self._converted and found:
            columns: list[Iterable[Any]] = list(zip(*found, strict=True))
            for place, process in self._converted:
                columns[place] = map(process, columns[place])
            rows = zip(*columns, strict=True)
        return list(map(self._row, rows))

    def named(self, cells: Sequence[Any]) -> Any:
        """Return a row by name from cells that another statement found."""
        return self._row(cells)


_CURSOR = "ocpi_emsp_cursor"
_FEW = 100
"""Most rows that a cursor may hold until the connection's next statement."""


def _cursor(connection: Connection) -> Any:
    raw = connection.connection
    return raw.info.pop(_CURSOR, None) or raw.cursor()


def _release(connection: Connection, cursor: Any, rows: int = 0) -> None:
    """Keep the cursor for the next statement of the connection, or close it."""
    if connection.dialect.driver == "psycopg" and rows <= _FEW:
        connection.connection.info[_CURSOR] = cursor
    else:
        cursor.close()


def _execute(connection: Connection, text: str, values: Any, *, many: bool = False) -> Any:
    cursor = _cursor(connection)
    try:
        (cursor.executemany if many else cursor.execute)(text, values)
    except Exception as error:
        forget_if_lost(connection, error, cursor)
        raise
    return cursor


def say(connection: Connection, text: str) -> None:
    """Send a statement without values; with psycopg, several in one message."""
    cursor = _cursor(connection)
    try:
        if connection.dialect.driver == "psycopg":
            cursor.execute(text, prepare=False)  # several cannot be prepared
        else:
            cursor.execute(text)
    except Exception as error:
        forget_if_lost(connection, error, cursor)
        raise
    _release(connection, cursor)


def forget_if_lost(connection: Connection, error: BaseException, cursor: Any = None) -> None:
    """Discard this connection and the idle ones if the error says that the server is gone."""
    dialect, raw = connection.dialect, connection.connection.dbapi_connection
    if isinstance(error, dialect.loaded_dbapi.Error) and dialect.is_disconnect(error, raw, cursor):
        connection.invalidate(error)
        connection.engine.dispose()


def _arrange(compiled: SQLCompiler, dialect: Dialect) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that turns values by name into the arguments of the driver's cursor. A missing value is the
    statement's constant, or NULL. It runs for every row, so nothing is called for a value that stays as it is."""
    absent, processes = _binds(compiled, dialect)
    converted = [(name, process) for name, process in processes.items() if process is not None]

    def by_name(given: Mapping[str, Any]) -> dict[str, Any]:
        values = {**absent, **given}
        for name, process in converted:
            values[name] = process(values[name])
        return values

    if not compiled.positional:
        return by_name
    names = list(compiled.positiontup or ())

    def in_order(given: Mapping[str, Any]) -> list[Any]:
        values = by_name(given)
        return [values[name] for name in names]

    return in_order


def _arrange_many(compiled: SQLCompiler, dialect: Dialect, names: Sequence[str]) -> Callable[[Rows], Iterable[Any]]:
    """Do as :func:`_arrange`, for many rows with the values of these names: it reorders whole columns."""
    absent, processes = _binds(compiled, dialect)
    places = {name: place for place, name in enumerate(names)}
    order = list(compiled.positiontup or ()) if compiled.positional else list(absent)
    constants = {name: process(absent[name]) if (process := processes[name]) else absent[name] for name in order}
    wanted = [(places.get(name), processes[name], constants[name]) for name in order]

    def in_order(rows: Rows) -> Iterable[Any]:
        columns, arranged = list(zip(*rows, strict=True)), list[Iterable[Any]]()
        for place, process, constant in wanted:
            if place is None:
                arranged.append(repeat(constant, len(rows)))
            else:
                arranged.append(columns[place] if process is None else map(process, columns[place]))
        return zip(*arranged, strict=True)  # one tuple after the other, none of them held

    if compiled.positional:
        return in_order
    return lambda rows: [dict(zip(order, row, strict=True)) for row in in_order(rows)]


def _binds(compiled: SQLCompiler, dialect: Dialect) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return, by name, the value of each parameter that is not given, and its converter or None."""
    binds = {name: bind for name, bind in compiled.binds.items() if name in compiled.params}
    absent = {name: compiled.params[name] if not bind.required else None for name, bind in binds.items()}
    return absent, {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in binds.items()}
