"""Records as rows, and rows as records.

Rules of this module:
- a row is a tuple, in the order that its statement's names have; nothing is looked up by name for each of many: with a
  dict for each row our part of a write took as long as SQLite itself, and it takes 0.4 of that now;
- a put takes the columns from its typed view and drops it, and SQLite gets one row after the other: what lives until
  the flush is gone through by the garbage collector, which took a quarter of the time;
- owner codes are in upper case in the keys that come in;
- the document of a party that has secrets is in its sealed copy.
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
"""Columns of a record before those of its validity."""


def written(shared: Shared, record: Record) -> tuple[Any, ...]:
    """The columns that follow from the document, as ``written_columns`` names them. Raises CannotStore."""
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
    """The same, to be held until it is sent: a typed view has many objects, which the garbage collector looks at."""
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
    """The records that rows hold, which have the columns of a record first."""
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
