"""Records as rows, and rows as records.

Rules of this module:
- a row is a tuple in the order of its statement's names, without a lookup by name per row: with a dict per row, our
  part of a write took as long as SQLite itself; it takes 0.4 of that now;
- a put takes the columns from the typed view and drops the view, and SQLite receives one row after the other: the
  garbage collector traverses what lives until the flush, which took a quarter of the time;
- keys have their owner codes in upper case already;
- the document of a party with secrets is in its sealed copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.storage.sql.engine import refused
from ocpi_emsp.storage.sql.projections import projection
from ocpi_emsp.storage.sql.shared import Shared
from ocpi_emsp.storage.sql.statements import BESIDE_THE_DOCUMENT, ObjectStatements
from ocpi_emsp.storage.sql.tables import HASHED

_FIRST = 1 + len(BESIDE_THE_DOCUMENT)
"""Number of a record's columns before those of its validity."""


def written(shared: Shared, record: Record) -> tuple[Any, ...]:
    """Return the values that follow from the document, in the order of ``written_columns``. Raises CannotStore."""
    document, kind = record.document, record.key.kind
    more: tuple[Any, ...] = ()
    if kind == Kind.PARTY:
        document, sealed = shared.redact(document)
        more = (sealed,)
    elif kind == Kind.TOKEN:
        more = (record.key.id.lower(),)
    try:
        text = document.decode()
    except UnicodeDecodeError as error:
        raise refused(str(error)) from error
    return (text, record.content_hash if kind in HASHED else "", *projection(record), *more)


def without_view(record: Record) -> Record:
    """Return the record without its view, until it is sent: a view has many objects for the garbage collector."""
    return Record(
        record.key,
        record.document,
        record.last_updated,
        record.received_at,
        None,
        record.revision,
        record.sequence,
        record.missing_since,
        record.missed,
        record.correlation_id,
        record.valid_from,
        record.first_received_at,
        record.valid_until,
    )


def records(shared: Shared, statements: ObjectStatements, keys: Iterable[Key], rows: Sequence[Any]) -> list[Record]:
    """Return the records of rows that begin with the columns of a record."""
    if not rows:
        return []
    columns, end = list(zip(*rows, strict=True)), _FIRST + len(statements.validity)
    received, *beside = columns[:_FIRST]
    revisions, sequences = columns[end : end + 2]
    documents: Iterable[bytes] = map(str.encode, received)
    if statements.kind == Kind.PARTY:
        pairs = zip(received, columns[end + 2], strict=True)
        documents = [text.encode() if sealed is None else shared.secrets.open(sealed) for text, sealed in pairs]
    views = repeat(None)
    last_updated, received_at, *missing = beside
    times = last_updated, received_at, views, revisions, sequences
    return list(map(Record, keys, documents, *times, *missing, *columns[_FIRST:end]))
