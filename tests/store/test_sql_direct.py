"""What goes to PostgreSQL without a cursor of psycopg arrives as if psycopg had sent it, and so does the answer."""

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, TypeAlias

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    LargeBinary,
    Text,
    bindparam,
    cast,
    create_engine,
    literal,
    make_url,
    select,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB, TIMESTAMP
from sqlalchemy.types import TypeEngine
from sqlalchemy.util import greenlet_spawn

from ocpi_emsp.storage.sql.direct import Direct
from ocpi_emsp.storage.sql.piped import Asked
from ocpi_emsp.storage.sql.prepared import Prepared
from ocpi_emsp.storage.sql.types import ExactDecimal

DIALECT = create_engine("postgresql+psycopg://").dialect
LARGEST = 2**63 - 1
Given: TypeAlias = tuple[TypeEngine[Any], Any]
Connection: TypeAlias = psycopg.Connection[Any]
WELCOME: Final = b"R\0\0\0\x08\0\0\0\0" + b"S\0\0\0\x19client_encoding\0UTF8\0" + b"Z\0\0\0\x05I"
"""AuthenticationOk, ParameterStatus and ReadyForQuery of PostgreSQL's protocol."""
GARBLED: Final = b"1\x7f\xff\xff\xff"
"""A ParseComplete that says that it has 2 GiB, which none has."""

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
numbers = st.integers(-LARGEST, LARGEST)
zones = st.just(UTC) | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones)  # they get zones
objects = st.dictionaries(texts, texts | st.integers(-9, 9) | st.none() | st.booleans())


def of(kind: TypeEngine[Any], found: st.SearchStrategy[Any]) -> st.SearchStrategy[Given]:
    return st.tuples(st.just(kind), found | st.none())


values = st.one_of(
    of(Text(), texts),
    of(BigInteger(), numbers),
    of(DOUBLE_PRECISION(), st.floats(allow_nan=False)),
    of(Boolean(), st.booleans()),
    of(ExactDecimal(), st.decimals(allow_nan=False, allow_infinity=False, places=4)),
    of(TIMESTAMP(timezone=True), moments),
    of(ARRAY(Text), st.lists(texts)),
    of(ARRAY(BigInteger), st.lists(numbers)),
    of(LargeBinary(), st.binary()),
    of(JSONB(), objects),
)


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Connection]:
    url = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def answered(direct: Direct, *asked: Asked) -> list[list[Any]] | None:
    """What it gives, asked in an event loop."""
    return asyncio.run(greenlet_spawn(direct.ask, asked))


def echo(*given: Given) -> Asked:
    """A statement that gives back what it is given, and a text with what placeholders are made of."""
    columns = [_column(place, kind) for place, (kind, _) in enumerate(given)]
    statement = Prepared(select(*columns, literal("100 % of %(v0)s, $1").label("constant")), DIALECT)
    return Asked.of(statement, {f"v{place}": value for place, (_, value) in enumerate(given)})


def _column(place: int, kind: TypeEngine[Any]) -> Any:
    column: Any = cast(bindparam(f"v{place}", type_=kind), kind)
    if isinstance(kind, DOUBLE_PRECISION | ExactDecimal):  # SQLAlchemy reads them by what a cursor says of them
        column = cast(column, Text)
    return column.label(f"c{place}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(values, min_size=1, max_size=4), min_size=1, max_size=3))
def test_values_arrive_as_psycopg_sends_them(connection: Connection, several: list[list[Given]]) -> None:
    asked = [echo(*each) for each in several]
    expected = []
    for each in asked:
        assert each.statement is not None
        rows = connection.execute(each.text.encode(), each.values).fetchall()
        expected.append(each.statement.converted(rows))
    assert answered(Direct(connection), *asked) == expected


@pytest.mark.parametrize(
    "unusual",
    [(Text(), "a\0b"), (ARRAY(Text), ["a\0b"]), (ARRAY(Boolean), [True]), (Text(), type("Named", (str,), {})("a"))],
    ids=["NUL", "NUL in a list", "a list of others", "a kind of text"],
)
def test_what_it_cannot_write_is_left_to_psycopg(connection: Connection, unusual: Given) -> None:
    assert answered(Direct(connection), echo((Text(), "usual")), echo(unusual)) is None
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_no_more_is_prepared_than_psycopg_keeps(connection: Connection) -> None:
    direct = Direct(connection)
    found = [answered(direct, echo(*[(Text(), "a")] * number)) for number in range(1, 103)]
    assert [number for number, each in enumerate(found, 1) if each is None] == [101, 102]
    assert answered(direct, echo((Text(), "b"))) == [[("b", "100 % of %(v0)s, $1")]]


def test_the_first_that_fails_is_raised_and_the_next_call_works(connection: Connection) -> None:
    quotient = literal(1).op("/", return_type=BigInteger())(bindparam("by", type_=BigInteger))
    direct, division = Direct(connection), Prepared(select(quotient.label("it")), DIALECT)
    for _ in range(2):  # prepared, and once it is
        with pytest.raises(psycopg.errors.DivisionByZero):
            answered(direct, echo((Text(), "a")), Asked.of(division, {"by": 0}), echo((Text(), "never")))
        assert answered(direct, Asked.of(division, {"by": 1})) == [[(1,)]]


def test_what_is_large_goes_both_ways_at_once(connection: Connection) -> None:
    large = "x" * 5_000_000
    found = answered(Direct(connection), *[echo((Text(), large)) for _ in range(4)])
    assert found is not None
    assert [rows[0][0] == large for rows in found] == [True] * 4


def test_a_connection_that_is_lost_is_an_error_of_psycopg(connection: Connection) -> None:
    direct = Direct(connection)
    connection.pgconn.finish()
    with pytest.raises(psycopg.OperationalError):
        answered(direct, echo((Text(), "a")))
    assert connection.closed


@contextmanager
def garbling(folder: Path) -> Iterator[Connection]:
    """A connection to a server whose first answer cannot be read."""
    with socket.socket(socket.AF_UNIX) as listening, ThreadPoolExecutor(1) as threads:
        listening.bind(str(folder / ".s.PGSQL.5432"))
        listening.listen()

        def serve() -> None:
            accepted, _ = listening.accept()
            with accepted:
                accepted.recv(10_000)
                accepted.sendall(WELCOME)
                accepted.recv(10_000)
                accepted.sendall(GARBLED)
                while accepted.recv(10_000):
                    pass

        serving = threads.submit(serve)
        with psycopg.connect(f"host={folder} user=somebody dbname=some", autocommit=True) as connection:
            yield connection
        serving.result()


def test_an_answer_that_libpq_cannot_read_ends_the_connection(tmp_path: Path) -> None:
    with garbling(tmp_path) as connection:
        with pytest.raises(psycopg.Error, match="lost synchronization"):
            answered(Direct(connection), echo((Text(), "a")))
        assert connection.closed
