"""Statements that SQLAlchemy compiles once and the driver's own cursor executes.

Rules of this module:
- what SQLAlchemy does for every execution (cache keys, contexts, result objects) costs more than the statement; what it
  does for the text and the types is done once, here;
- many rows are converted column by column, in C: of a page of a sync each has a dozen values, and mostly none changes;
- psycopg's cursor is used again, since making one costs half of what executing does; one that holds many rows is not;
- a driver's error is raised as it is; a connection that is lost is invalidated, and the idle ones with it, so that the
  next transaction opens a new one.
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
"""SQLAlchemy's names of the driver: its blocking side, and the async one in SQLAlchemy's bridge."""


_COMPILED: Final = ("text", "arranged", "_compiled", "_row", "_gives_rows", "_converted")
Rows: TypeAlias = Sequence[Sequence[Any]]


class Prepared:
    """A statement in the words of one dialect: values in by name, rows out by name.

    It is compiled when it is first needed: a store has hundreds of them, and a process often needs ten.
    """

    __slots__ = ("_dialect", "_statement", *_COMPILED)

    text: str
    arranged: Callable[[Mapping[str, Any]], Any]
    """Makes of values by name what the driver's cursor takes."""
    _compiled: SQLCompiler
    _row: Callable[[Iterable[Any]], Any]
    _gives_rows: bool
    _converted: list[tuple[int, Callable[[Any], Any]]]

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        self._statement = statement
        self._dialect = dialect

    def __getattr__(self, name: str) -> Any:
        """Compile; Python asks here for what is not set yet. Two threads that are first both find the same."""
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
        """What makes of many rows, each with the values of these names, what the driver's cursor takes, once."""
        return _arrange_many(self._compiled, self._dialect, names)

    def execute(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Execute it; the number of rows that it changed."""
        cursor = _execute(connection, self.text, self.arranged(values))
        count: int = cursor.rowcount
        _release(connection, cursor)
        return count

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[Any]:
        """The rows that it gives."""
        return self.executed(connection, self.arranged(values))

    def executed(self, connection: Connection, values: Any, *, many: bool = False) -> list[Any]:
        """Execute it with values that are arranged, or for ``many`` of them; the rows that it gives."""
        cursor = _execute(connection, self.text, values, many=many)
        found: Rows = cursor.fetchall() if self._gives_rows else ()
        _release(connection, cursor, len(found))
        return self.converted(found)

    def converted(self, found: Rows) -> list[Any]:
        """Rows by name, of those that the driver's cursor gives."""
        rows: Iterable[Sequence[Any]] = found
        if self._converted and found:
            columns: list[Iterable[Any]] = list(zip(*found, strict=True))
            for place, process in self._converted:
                columns[place] = map(process, columns[place])
            rows = zip(*columns, strict=True)
        return list(map(self._row, rows))

    def named(self, cells: Sequence[Any]) -> Any:
        """A row by name, of cells that another statement found."""
        return self._row(cells)


_CURSOR = "ocpi_emsp_cursor"
_FEW = 100
"""Rows that a connection may keep until its next statement."""


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
    """Where the server is gone, this connection and the idle ones are not used again."""
    dialect, raw = connection.dialect, connection.connection.dbapi_connection
    if isinstance(error, dialect.loaded_dbapi.Error) and dialect.is_disconnect(error, raw, cursor):
        connection.invalidate(error)
        connection.engine.dispose()


def _arrange(compiled: SQLCompiler, dialect: Dialect) -> Callable[[Mapping[str, Any]], Any]:
    """What makes of values by name what the driver's cursor takes; what is not given is the constant of the statement,
    or NULL. It runs for every row, so nothing is called for a value that stays as it is."""
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
    """Do as :func:`_arrange`, for many rows with the values of these names: whole columns are put in their order."""
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
        return zip(*arranged, strict=True)  # one tuple after the other, none of which stays

    if compiled.positional:
        return in_order
    return lambda rows: [dict(zip(order, row, strict=True)) for row in in_order(rows)]


def _binds(compiled: SQLCompiler, dialect: Dialect) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of each value by its name: what it is where it is not given, and what converts it, or None."""
    binds = {name: bind for name, bind in compiled.binds.items() if name in compiled.params}
    absent = {name: compiled.params[name] if not bind.required else None for name, bind in binds.items()}
    return absent, {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in binds.items()}
