"""What all transactions of a store have in common.

Rules of this module:
- made once for each store;
- a party's document stands in the database without the token that we present, the whole of it is sealed beside;
- the channel on which commands are announced belongs to these tables alone: two stores in one database do not hear
  each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from sqlalchemy import Dialect

from ocpi_emsp.codec.patch import join, members
from ocpi_emsp.ports import AUTHORIZATION, REJECTION
from ocpi_emsp.storage.secrets import SecretBox
from ocpi_emsp.storage.sql.prepared import Prepared
from ocpi_emsp.storage.sql.statements import LOCK, NOTIFY, journal_statements, object_statements
from ocpi_emsp.storage.sql.tables import make_tables

_NULL = msgspec.Raw(b"null")


class Shared:
    """What all transactions of a store have in common: statements, limits, the secret box."""

    def __init__(
        self, dialect: Dialect, schema: str | None, prefix: str, keep: Mapping[str, int], secrets: SecretBox
    ) -> None:
        tables = make_tables(schema=schema, prefix=prefix)
        self.tables = tables
        self.name = f"{schema or ''}.{prefix}"
        self.objects = object_statements(tables, dialect)
        self.journal = journal_statements(tables.journal, dialect)
        self.beside = {
            REJECTION: journal_statements(tables.rejections, dialect),
            AUTHORIZATION: journal_statements(tables.authorizations, dialect),
        }
        """The topics that have a table of their own; the journal has the others."""
        self.keep = keep
        """The number of newest entries that such a topic stores."""
        self.lock = Prepared(LOCK, dialect)
        self.notify = Prepared(NOTIFY, dialect)
        self.channel = f"ocpi_emsp_{hashlib.blake2b(self.name.encode(), digest_size=16).hexdigest()}"
        self.secrets = secrets

    def redact(self, document: bytes) -> tuple[bytes, str | None]:
        """A party's document without the token that we present, and the whole of it sealed."""
        parts = members(document)
        if bytes(parts.pop("token", _NULL)) == b"null":
            return document, None
        return join(parts), self.secrets.seal(document)
