"""Send statements to PostgreSQL together, by libpq without a cursor, while the event loop serves others.

Rules of this module:
- all statements of one call take one round trip; they are executed in order, each on what was committed before;
- it runs in a greenlet of SQLAlchemy, and the event loop waits for the answer. Nothing here blocks a thread;
- statements are prepared, and belong to the connection. So this is for connections of our own: nobody else deallocates
  what is prepared there;
- the first statement that fails is raised as psycopg raises it, and those behind it are not executed;
- a connection whose call was interrupted is closed, since its next answer would belong to that call;
- unusual values, and many rows at once, are left to psycopg's cursor.

A cursor of psycopg takes as long for one statement as this module for two, and a thread must acquire the interpreter
after each step of an answer. A PATCH of an EVSE took 470 us of processor time that way, and takes 350 us now.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeAlias

from attrs import frozen
from psycopg import Binary, errors
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.types.json import Jsonb
from sqlalchemy.util import await_only

from ocpi_emsp.storage.sql.piped import Asked

_PLACEHOLDER: Final = re.compile(r"%%|%\(([^)]+)\)s")
_MOST: Final = 100
"""Statements that a connection keeps prepared: as many as psycopg keeps."""
_numbers: Final = itertools.count()
"""A connection that an event loop gave back may still have what was prepared there."""
Parameters: TypeAlias = list[bytes | None]
Rows: TypeAlias = Sequence[Sequence[Any]]


class Direct:
    """A connection of psycopg, used without its cursors."""

    def __init__(self, driver: Any) -> None:
        self._libpq = driver.pgconn
        self._encoding: str = driver.info.encoding
        self._transformer = Transformer(driver)
        self._prepared: dict[str, bytes] = {}

    def ask(self, asked: Sequence[Asked]) -> list[list[Any]] | None:
        """Execute statements in one round trip. Return the rows of each, or None if psycopg has to execute them.

        Raises psycopg.Error.
        """
        sent = self._encoded(asked)
        if sent is None:
            return None
        new = dict.fromkeys(each.text for each in asked if each.text not in self._prepared)
        if len(self._prepared) + len(new) > _MOST:
            return None
        results = self._results(list(new), sent)
        return [self._rows(each, result) for each, result in zip(asked, results[len(new) :], strict=True)]

    def _encoded(self, asked: Sequence[Asked]) -> list[tuple[str, Parameters]] | None:
        sent = []
        for each in asked:
            if each.many:
                return None
            values = each.values or {}
            try:
                sent.append((each.text, [self._value(values[name]) for name in _numbered(each.text).names]))
            except _Unusual:
                return None
        return sent

    def _value(self, value: Any) -> bytes | None:
        """A value as PostgreSQL reads it from a text. Raises _Unusual."""
        if value is None:
            return None
        if type(value) is str:
            if "\0" in value:  # libpq would end the text there; psycopg refuses it
                raise _Unusual
            return value.encode(self._encoding)
        write = _WRITERS.get(type(value))
        if write is None:
            raise _Unusual
        return write(value).encode(self._encoding)

    def _results(self, new: Sequence[str], sent: Sequence[tuple[str, Parameters]]) -> list[Any]:
        """What comes of statements, those that have to be prepared first before the others."""
        libpq, names = self._libpq, {text: b"ocpi_emsp_%d" % next(_numbers) for text in new}
        try:
            libpq.enter_pipeline_mode()
            for text in new:
                libpq.send_prepare(names[text], _numbered(text).text.encode(self._encoding))
            for text, parameters in sent:
                libpq.send_query_prepared(self._prepared.get(text) or names[text], parameters)
            libpq.pipeline_sync()
            results = await_only(_received(libpq))
            if libpq.status == ConnStatus.OK:
                libpq.exit_pipeline_mode()
        except BaseException:
            libpq.finish()
            raise
        self._prepared.update(
            (text, names[text]) for text, result in zip(new, results, strict=False) if _succeeded(result)
        )
        for result in results:
            if not _succeeded(result):
                raise errors.error_from_result(result, encoding=self._encoding)
        return results

    def _rows(self, asked: Asked, result: Any) -> list[Any]:
        if asked.statement is None or not result.ntuples:
            return []
        self._transformer.set_pgresult(result)
        rows: Rows = self._transformer.load_rows(0, result.ntuples, tuple)
        self._transformer.set_pgresult(None)
        return asked.statement.converted(rows)


def _succeeded(result: Any) -> bool:
    return result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


async def _received(libpq: Any) -> list[Any]:
    """The results of all that was sent, in order."""
    loop, socket, results = asyncio.get_running_loop(), libpq.socket, list[Any]()
    while libpq.flush():
        await _ready(loop, socket, libpq)
    while True:
        ready = loop.create_future()
        loop.add_reader(socket, _set, ready)
        try:
            await ready
        finally:
            loop.remove_reader(socket)
        try:
            libpq.consume_input()
        except errors.OperationalError:
            if results and not _succeeded(results[-1]):  # why it ends the connection
                return results
            raise
        while not libpq.is_busy():
            result = libpq.get_result()
            if result is None:  # the end of one statement
                if libpq.status != ConnStatus.OK:  # libpq gave up: its last result says why, and None follows for ever
                    return results
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                return results
            results.append(result)


async def _ready(loop: asyncio.AbstractEventLoop, socket: int, libpq: Any) -> None:
    """Wait until more can be sent; the server may wait for us to read what it answered to the first of it."""
    ready = loop.create_future()
    loop.add_writer(socket, _set, ready)
    loop.add_reader(socket, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(socket)
        loop.remove_reader(socket)
    libpq.consume_input()


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


# --- statements and values --------------------------------------------------------------------------------------------


@frozen
class _Numbered:
    """A statement as PostgreSQL has it, $1 for the first of the names."""

    text: str
    names: Sequence[str]


@cache
def _numbered(text: str) -> _Numbered:
    """A statement that is written for psycopg's cursor."""
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return "%" if found[1] is None else f"${names.setdefault(found[1], len(names) + 1)}"

    return _Numbered(_PLACEHOLDER.sub(number, text), tuple(names))


class _Unusual(Exception):  # no error: psycopg knows it
    """A value that psycopg has to write, or to refuse."""


def _digits(value: Decimal) -> str:
    if not value.is_finite():
        raise _Unusual
    return str(value)


def _array(values: Sequence[Any]) -> str:
    return "{%s}" % ",".join([_item(each) for each in values])  # noqa: UP031


def _item(value: Any) -> str:
    if type(value) is int:
        return str(value)
    if type(value) is not str or "\0" in value:
        raise _Unusual
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_WRITERS: Final[Mapping[type, Callable[[Any], str]]] = {
    int: str,
    float: repr,
    bool: lambda value: "t" if value else "f",
    datetime: datetime.isoformat,
    Decimal: _digits,
    list: _array,
    Jsonb: lambda value: json.dumps(value.obj),
    bytes: lambda value: f"\\x{value.hex()}",
    Binary: lambda value: f"\\x{value.obj.hex()}",
}
