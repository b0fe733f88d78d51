"""docs: reference/database.md, the tables of SqlStore from their metadata.

Rules of this module: it says what the metadata of the current schema has; what a table holds, and what a column means,
stands here once, by its name, and one without a meaning fails the test of the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Column, Dialect, Index, Table
from sqlalchemy.dialects import postgresql, sqlite

from ocpi_emsp.storage import metadata

_HEAD: Final = """\
# Tables of the database

`SqlStore` and `ocpi-emsp` create these tables, with the prefix `ocpi_` unless `SqlStore(prefix=...)` says otherwise.
Read them as you like ([how to query](../how-to/query.md)); write them through the library only. `ocpi-emsp db upgrade`
brings them up to date. A time is stored in UTC, a number of OCPI without loss. `country_code` and `party_id` name the
owner of a row, in upper case: the CPO for what a CPO sent, you for your tokens.

| table | what it holds |
|---|---|
"""
_DIALECTS: Final[tuple[Dialect, ...]] = (postgresql.dialect(), sqlite.dialect())  # type: ignore[no-untyped-call]
_COLUMNS: Final = "| column | PostgreSQL | SQLite | NULL | meaning |\n|---|---|---|---|---|\n"
TABLES: Final = {
    "ocpi_locations": "locations, with their EVSEs until one of these changes, then without",
    "ocpi_evses": "EVSEs with their connectors, but those in the row of their location; `id` is the uid",
    "ocpi_sessions": "sessions",
    "ocpi_tariffs": "tariffs, as they are now",
    "ocpi_tariff_versions": "what tariffs said before; `id` is the tariff's",
    "ocpi_cdrs": "CDRs",
    "ocpi_cdr_conflicts": "CDRs that were received under the id of another CDR with other content",
    "ocpi_audits": "the last audit of each CDR; `id` and `last_updated` are the CDR's, `received_at` is its own",
    "ocpi_tokens": "your drivers' tokens; `id` is the uid",
    "ocpi_pushed_tokens": "what each party has of your tokens; the owner is that party, `id` is the uid",
    "ocpi_commands": "commands that you sent, and their results; `id` is the uid of the command",
    "ocpi_reservations": "reservations of RESERVE_NOW; `id` is the reservation_id",
    "ocpi_parties": "partners: their state, endpoints, profile and encrypted token",
    "ocpi_credentials": "by the hash of a token, the party that presents it",
    "ocpi_checkpoints": "up to where each module of a party was synced",
    "ocpi_journal": "pending events, and pending work: resyncs, audits, deadlines, pushes of tokens, awaited sessions",
    "ocpi_rejections": "requests that were rejected, with the body as received",
    "ocpi_authorizations": "decisions on real-time authorizations",
}
"""What each table holds."""
MEANINGS: Final = {
    "sequence": "the order of the first put; lists go on behind it",
    "country_code": "of the owner",
    "party_id": "of the owner",
    "id": "the object's id",
    "received": "the document as received, byte for byte",
    "document": "the same document as JSON, for queries; the database generates it",
    "last_updated": "the object's own time",
    "received_at": "when its last change was received, or a full sync last listed it; in `ocpi_evses`, the former",
    "content_hash": "of the content without `last_updated`, in tariffs, their versions and CDR conflicts; else no text",
    "revision": "how often it was put",
    "missing_since": "since when its owner no longer lists it; empty if it does",
    "missed": "how many full syncs in a row did not list it",
    "correlation_id": "of the request that brought it",
    "location_id": "the location that it is part of",
    "topic": "which list of the journal",
    "name": "the kind of the entry",
    "key": "the object that the entry is about",
    "at": "when it was written",
    "body": "the bytes that were received",
    "details": "what else is known, as JSON",
    "due": "when it is tried again",
    "attempts": "how often it was tried",
    "error": "why the last try failed",
    **{
        name: f"the object's `{name}`"
        for name in (
            *("auth_id", "city", "country", "currency", "evse_id", "latitude", "longitude", "start_date_time"),
            *("start_datetime", "status", "stop_date_time", "total_cost", "type", "uid", "valid", "whitelist"),
        )
    },
    "verdict": "right, wrong or undecidable",
    "claimed": "the total of the CDR",
    "expected": "what it should be, if that is one amount",
    "low": "the least that it can be",
    "high": "the most that it can be",
    "difference": "claimed less expected",
    "at_least": "whether the difference is a bound",
    "conflict": "which of the CDRs that contradict the stored one",
    "version": "which of the contents that the tariff had",
    "first_received_at": "when this content first came in",
    "valid_from": "from when on it holds",
    "valid_until": "until when it held",
    "place": "its place in the list that partners get",
    "uid_in_lower_case": "the uid for a search that ignores case",
    "command": "which command, such as START_SESSION",
    "acknowledgement": "what the CPO answered",
    "result": "what the charge point reported",
    "state": "where it stands",
    "deadline": "until when a result is awaited",
    "session_id": "the session that it led to",
    "versions_url": "where the partner's API begins",
    "endpoints": "the partner's endpoints, by module",
    "policy": "the partner's own policy",
    "matrix": "the partner's own support matrix",
    "token_hashes": "hashes of the tokens that the partner may use",
    "sealed": "the token that we use at the partner, encrypted",
}


def pages() -> Iterator[tuple[str, str]]:
    """The page."""
    overview = "".join(f"| [`{name}`](#{name}) | {about} |\n" for name, about in TABLES.items())
    tables = sorted(metadata.sorted_tables, key=lambda table: list(TABLES).index(table.name))
    yield "reference/database.md", _HEAD + overview + "".join(f"\n{_table(table)}" for table in tables)


def _table(table: Table) -> str:
    rows = "".join(f"{_row(column)}\n" for column in table.columns)
    indexes = "".join(f"- {each}\n" for each in sorted(_index(table, index) for index in table.indexes))
    about = TABLES[table.name]
    head = f"## {table.name}\n\n{about[0].upper()}{about[1:]}.\n\n{_COLUMNS}"
    return head + rows + (f"\nIndexes:\n\n{indexes}" if indexes else "")


def _row(column: Column[object]) -> str:
    types = [column.type.compile(dialect) for dialect in _DIALECTS]
    key = "primary key; " if column.primary_key else ""
    cells = [f"`{column.name}`", *(f"`{each}`" for each in types), "yes" if column.nullable else "no"]
    return f"| {' | '.join(cells)} | {key}{MEANINGS.get(column.name, '')} |"


def _index(table: Table, index: Index) -> str:
    names = [str(each).removeprefix(f"{table.name}.") for each in index.expressions]
    where = index.dialect_options["postgresql"]["where"]
    condition = "" if where is None else f"; on PostgreSQL for queries with a condition on `{where.left.name}`"
    return f"{', '.join(f'`{name}`' for name in names)}{', unique' if index.unique else ''}{condition}"
