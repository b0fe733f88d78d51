"""Statements and secrets that all transactions of a store share.

Rules of this module:
- SQLAlchemy needs a tenth of a second to compile the statements, so stores with the same kind of URL and prefix share
  them; a host's engine may be configured otherwise, and has its own;
- the database has a party's document without the token that we present, and beside it the whole document, sealed;
- the channels for notifications belong to these tables alone: two stores in one database do not notify each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec
from attrs import Factory, field, frozen
from sqlalchemy import Connection, Dialect, select

from ocpi_emsp.codec.patch import join, members
from ocpi_emsp.ports import AUTHORIZATION, REJECTION, Key, Kind
from ocpi_emsp.storage.secrets import KeyFileBox, SecretBox
from ocpi_emsp.storage.sql.announcements import Channels
from ocpi_emsp.storage.sql.engine import translated
from ocpi_emsp.storage.sql.locking import LOCK, LOCK_ALL, NOTIFY
from ocpi_emsp.storage.sql.prepared import Prepared
from ocpi_emsp.storage.sql.statements import (
    EvseStatements,
    JournalStatements,
    KindStatements,
    evse_statements,
    journal_statements,
)
from ocpi_emsp.storage.sql.tables import Tables, make_tables
from ocpi_emsp.storage.sql.together import Together, may_be_together

_NULL = msgspec.Raw(b"null")


@frozen
class Shape:
    """What tables and statements depend on."""

    dialect: Dialect = field(eq=False)
    schema: str | None
    prefix: str
    kind: type[Dialect] = field(init=False, default=Factory(lambda self: type(self.dialect), takes_self=True))


@frozen
class Statements:
    """The tables and the statements on them."""

    tables: Tables
    objects: KindStatements
    evses: EvseStatements
    journal: JournalStatements
    beside: Mapping[str, JournalStatements]
    """The topics with their own table; the journal has the others."""
    lock: Prepared
    lock_all: Prepared
    notify: Prepared


def compiled(shape: Shape) -> Statements:
    """Compile the statements for a dialect."""
    tables = make_tables(schema=shape.schema, prefix=shape.prefix)
    return Statements(
        tables,
        KindStatements(tables, shape.dialect),
        evse_statements(tables, shape.dialect),
        journal_statements(tables.journal, shape.dialect),
        {
            REJECTION: journal_statements(tables.rejections, shape.dialect),
            AUTHORIZATION: journal_statements(tables.authorizations, shape.dialect),
        },
        Prepared(LOCK, shape.dialect),
        Prepared(LOCK_ALL, shape.dialect),
        Prepared(NOTIFY, shape.dialect),
    )


compiled_once = lru_cache(maxsize=8)(compiled)


class Shared:
    """The statements and the secret box that all transactions of a store share."""

    def __init__(self, statements: Statements, shape: Shape, secrets: SecretBox) -> None:
        self.tables = statements.tables
        self.name = f"{shape.schema or ''}.{shape.prefix}"
        self.objects = statements.objects
        self.evses = statements.evses
        self.journal = statements.journal
        self.beside = statements.beside
        self.lock = statements.lock
        self.lock_all = statements.lock_all
        self.notify = statements.notify
        channel = f"ocpi_emsp_{hashlib.blake2b(self.name.encode(), digest_size=16).hexdigest()}"
        self.channels = Channels(channel, f"{channel}_parties")
        self.secrets = secrets
        self._fits = False
        """True once the key file has opened something that is sealed here."""
        self._dialect = shape.dialect
        self._together: dict[tuple[str, ...], Together] = {}

    def together(self, keys: Sequence[Key]) -> Together | None:
        """Return the statement that finds all of these records; None if each needs its own."""
        kinds = tuple(key.kind for key in keys)
        if not may_be_together(kinds):
            return None
        found = self._together.get(kinds)
        if found is None:
            found = self._together[kinds] = Together([self.objects[kind] for kind in kinds], self._dialect)
        return found

    def number(self, name: Sequence[str]) -> int:
        """Return the number that is locked for a name of this schema."""
        text = json.dumps([self.name, *name])
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    def redact(self, document: bytes) -> tuple[bytes, str | None]:
        """Return a party's document without the token that we present and its extra headers; and the whole, sealed."""
        redacted = _without_secrets(document)
        return (document, None) if redacted is None else (redacted, self.secrets.seal(document))

    def require_key(self, connection: Connection, parties: Iterable[bytes], lock: Callable[[], None]) -> None:
        """Raise StoreFailed if these would be sealed with a key that does not open what is already sealed.

        A key in OCPI_EMSP_SECRET_KEY is not compared. ``lock`` lets only one transaction at a time create a key.
        """
        box = self.secrets
        if not isinstance(box, KeyFileBox) or self._fits or box.is_given:
            return
        if all(_without_secrets(each) is None for each in parties):
            return
        sealed = self._sealed(connection)
        if sealed is None:
            lock()
            sealed = self._sealed(connection)  # by a process that had the lock before
        if sealed is not None:
            box.open(sealed)
            self._fits = True

    def _sealed(self, connection: Connection) -> str | None:
        """Return the sealed document of any party, or None."""
        table = self.tables.objects[Kind.PARTY]
        with translated(connection.engine):
            found: str | None = connection.execute(
                select(table.c.sealed).where(table.c.sealed.is_not(None)).limit(1)
            ).scalar()
        return found


def _without_secrets(party: bytes) -> bytes | None:
    """Return the document without the token that we present and its extra headers; None if it has neither."""
    parts = members(party)
    token = parts.pop("token", _NULL)
    profile = members(parts.get("profile", msgspec.Raw(b"{}")))
    headers = profile.pop("headers", _NULL)
    if bytes(token) == b"null" and bytes(headers) in (b"null", b"[]"):
        return None
    return join({**parts, "profile": msgspec.Raw(join(profile))})
