"""What all transactions of a store have in common.

Rules of this module: made once for each store; a party's document stands in the database without the token that we
present, the whole of it is sealed beside.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Dialect

from ocpi_emsp.codec.patch import join, members
from ocpi_emsp.storage.secrets import SecretBox
from ocpi_emsp.storage.sql.prepared import Prepared
from ocpi_emsp.storage.sql.statements import LOCK, journal_statements, object_statements
from ocpi_emsp.storage.sql.tables import make_tables

_NULL = msgspec.Raw(b"null")


class Shared:
    """What all transactions of a store have in common: statements, limits, the secret box."""

    def __init__(
        self, dialect: Dialect, schema: str | None, prefix: str, keep_rejections: int, secrets: SecretBox
    ) -> None:
        tables = make_tables(schema=schema, prefix=prefix)
        self.tables = tables
        self.name = f"{schema or ''}.{prefix}"
        self.objects = object_statements(tables, dialect)
        self.journal = journal_statements(tables.journal, dialect)
        self.rejections = journal_statements(tables.rejections, dialect)
        self.lock = Prepared(LOCK, dialect)
        self.keep_rejections = keep_rejections
        self.secrets = secrets

    def redact(self, document: bytes) -> tuple[bytes, str | None]:
        """A party's document without the token that we present, and the whole of it sealed."""
        parts = members(document)
        if bytes(parts.pop("token", _NULL)) == b"null":
            return document, None
        return join(parts), self.secrets.seal(document)
