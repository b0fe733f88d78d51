"""Where the hand-written side keeps its rows: PostgreSQL over a pool, SQLite in threads, or dicts."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from itertools import islice
from typing import Any, Protocol, TypeAlias, TypeVar

from anyio import to_thread
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from hand_fill import hand_rows

T = TypeVar("T")
Owner: TypeAlias = tuple[str, str]
"""Country code and party id."""
Place: TypeAlias = tuple[str, str]
"""A location's id and an EVSE's uid."""
Document: TypeAlias = dict[str, Any]


class Unauthorized(Exception):
    """The token is not known, or not that of the owner in the path."""


def _allowed(found: Owner | None, owner: Owner | None = None) -> Owner:
    if found is None or owner not in (None, found):
        raise Unauthorized
    return found


class Store(Protocol):
    """An operation each; ``caller`` is the hash of a token. All raise Unauthorized."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def patch_evse(self, caller: str, owner: Owner, place: Place, text: str, changes: Document) -> bool: ...

    async def put_location(self, caller: str, owner: Owner, name: str, text: str, location: Document) -> None: ...

    async def post_cdr(self, caller: str, name: str, text: str, cdr: Document) -> bool: ...

    async def authorize(self, caller: str, uid: str, location_id: str, now: str) -> set[str] | None: ...

    async def tokens(self, caller: str, offset: int, limit: int) -> tuple[list[str], int]: ...


def opened(url: str) -> Store:
    """The store of a URL."""
    if url == "memory":
        return Memory()
    return Sqlite(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else Postgres(url)


def _uids(evses: list[Document] | None) -> set[str]:
    return {each["uid"] for each in evses or ()}


# --- PostgreSQL -------------------------------------------------------------------------------------------------------

_PARTY = "SELECT country_code, party_id FROM party WHERE token_sha256 = {0}"
_PATCH_POSTGRES = """
UPDATE location SET last_updated = greatest(last_updated, %(at)s), document = jsonb_set(document, '{evses}', (
    SELECT jsonb_agg(CASE WHEN each->>'uid' = %(uid)s THEN each || %(changes)s::jsonb ELSE each END ORDER BY place)
    FROM jsonb_array_elements(document->'evses') WITH ORDINALITY AS evses (each, place)))
WHERE country_code = %(country_code)s AND party_id = %(party_id)s AND id = %(id)s
    AND document->'evses' @> %(has)s::jsonb
RETURNING 1"""
_PUT = """
INSERT INTO location VALUES ({0}, {0}, {0}, {0}, {0}) ON CONFLICT (country_code, party_id, id)
DO UPDATE SET document = excluded.document, last_updated = excluded.last_updated
WHERE location.last_updated <= excluded.last_updated"""
_POST = "INSERT INTO cdr VALUES ({0}, {0}, {0}, {0}, {0}) ON CONFLICT DO NOTHING RETURNING 1"
_VALID = "SELECT document->>'valid' FROM token WHERE uid = {0}"
_EVSES = "SELECT document->'evses' FROM location WHERE country_code = {0} AND party_id = {0} AND id = {0}"
_DECIDE = "INSERT INTO decision (country_code, party_id, uid, allowed, decided_at) VALUES ({0}, {0}, {0}, {0}, {0})"
_PAGE = "SELECT {1} FROM token ORDER BY number LIMIT {0} OFFSET {0}"
_TOTAL = "SELECT count(*) FROM token"


class Postgres:
    """A pool of connections in autocommit: each statement is its own transaction."""

    def __init__(self, url: str) -> None:
        self._pool = AsyncConnectionPool(url, min_size=8, max_size=16, open=False, kwargs={"autocommit": True})

    async def open(self) -> None:
        await self._pool.open(wait=True)

    async def close(self) -> None:
        await self._pool.close()

    async def patch_evse(self, caller: str, owner: Owner, place: Place, text: str, changes: Document) -> bool:
        async with self._called(caller, owner) as (connection, (country_code, party_id)):
            values = {
                "country_code": country_code,
                "party_id": party_id,
                "id": place[0],
                "uid": place[1],
                "has": json.dumps([{"uid": place[1]}]),
                "changes": text,
                "at": changes["last_updated"],
            }
            return await _one(connection, _PATCH_POSTGRES, values) is not None

    async def put_location(self, caller: str, owner: Owner, name: str, text: str, location: Document) -> None:
        async with self._called(caller, owner) as (connection, found):
            await connection.execute(_PUT.format("%s").encode(), (*found, name, text, location["last_updated"]))

    async def post_cdr(self, caller: str, name: str, text: str, cdr: Document) -> bool:
        async with self._called(caller) as (connection, found):
            values = (*found, name, text, cdr["last_updated"])
            return await _one(connection, _POST.format("%s"), values) is not None

    async def authorize(self, caller: str, uid: str, location_id: str, now: str) -> set[str] | None:
        async with self._called(caller) as (connection, found):
            token = await _one(connection, _VALID.format("%s"), (uid,))
            evses = await _one(connection, _EVSES.format("%s"), (*found, location_id))
            if token is None or evses is None:
                return None
            await connection.execute(_DECIDE.format("%s").encode(), (*found, uid, "ALLOWED", now))
        return _uids(evses[0])

    async def tokens(self, caller: str, offset: int, limit: int) -> tuple[list[str], int]:
        async with self._called(caller) as (connection, _):
            cursor = await connection.execute(_PAGE.format("%s", "document::text").encode(), (limit, offset))
            rows = [row[0] for row in await cursor.fetchall()]
            total = await _one(connection, _TOTAL, ())
        return rows, total[0] if total else 0

    @contextlib.asynccontextmanager
    async def _called(self, caller: str, owner: Owner | None = None) -> AsyncIterator[tuple[AsyncConnection, Owner]]:
        async with self._pool.connection() as connection:
            found = await _one(connection, _PARTY.format("%s"), (caller,))
            yield connection, _allowed(found, owner)


async def _one(connection: AsyncConnection, statement: str, values: Any) -> tuple[Any, ...] | None:
    cursor = await connection.execute(statement.encode(), values)
    return await cursor.fetchone()


# --- SQLite -----------------------------------------------------------------------------------------------------------

_PATCH_SQLITE = """
UPDATE location SET last_updated = max(last_updated, :at), document = json_set(document, '$.evses', (
    SELECT json_group_array(json(CASE WHEN value->>'uid' = :uid THEN json_patch(value, :changes) ELSE value END))
    FROM json_each(document, '$.evses')))
WHERE country_code = :country_code AND party_id = :party_id AND id = :id
    AND EXISTS (SELECT 1 FROM json_each(document, '$.evses') WHERE value->>'uid' = :uid)
RETURNING 1"""


class Sqlite:
    """One connection that writes, behind a lock, and one for each thread that reads; an operation is one thread's."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writing = threading.Lock()
        self._threads = threading.local()

    async def open(self) -> None:
        self._writer = self._connected()

    async def close(self) -> None:
        self._writer.close()

    async def patch_evse(self, caller: str, owner: Owner, place: Place, text: str, changes: Document) -> bool:
        def patch() -> bool:
            country_code, party_id = self._called(caller, owner)
            values = {
                "country_code": country_code,
                "party_id": party_id,
                "id": place[0],
                "uid": place[1],
                "changes": text,
                "at": changes["last_updated"],
            }
            return self._write(_PATCH_SQLITE, values) is not None

        return await _in_thread(patch)

    async def put_location(self, caller: str, owner: Owner, name: str, text: str, location: Document) -> None:
        def put() -> None:
            self._write(_PUT.format("?"), (*self._called(caller, owner), name, text, location["last_updated"]))

        await _in_thread(put)

    async def post_cdr(self, caller: str, name: str, text: str, cdr: Document) -> bool:
        def post() -> bool:
            values = (*self._called(caller), name, text, cdr["last_updated"])
            return self._write(_POST.format("?"), values) is not None

        return await _in_thread(post)

    async def authorize(self, caller: str, uid: str, location_id: str, now: str) -> set[str] | None:
        def decide() -> set[str] | None:
            owner, reader = self._called(caller), self._reader()
            token = reader.execute(_VALID.format("?"), (uid,)).fetchone()
            evses = reader.execute(_EVSES.format("?"), (*owner, location_id)).fetchone()
            if token is None or evses is None:
                return None
            self._write(_DECIDE.format("?"), (*owner, uid, "ALLOWED", now))
            return _uids(json.loads(evses[0]))

        return await _in_thread(decide)

    async def tokens(self, caller: str, offset: int, limit: int) -> tuple[list[str], int]:
        def read() -> tuple[list[str], int]:
            self._called(caller)
            rows = self._reader().execute(_PAGE.format("?", "document"), (limit, offset)).fetchall()
            return [row[0] for row in rows], self._reader().execute(_TOTAL).fetchone()[0]

        return await _in_thread(read)

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        for setting in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 30000"):
            connection.execute(f"PRAGMA {setting}")
        return connection

    def _reader(self) -> sqlite3.Connection:
        if not hasattr(self._threads, "connection"):
            self._threads.connection = self._connected()
        found: sqlite3.Connection = self._threads.connection
        return found

    def _called(self, caller: str, owner: Owner | None = None) -> Owner:
        return _allowed(self._reader().execute(_PARTY.format("?"), (caller,)).fetchone(), owner)

    def _write(self, statement: str, values: Any) -> tuple[Any, ...] | None:
        with self._writing:
            found: tuple[Any, ...] | None = self._writer.execute(statement, values).fetchone()
        return found


async def _in_thread(act: Callable[[], T]) -> T:
    return await to_thread.run_sync(act)


# --- memory -----------------------------------------------------------------------------------------------------------


class Memory:
    """Dicts."""

    def __init__(self) -> None:
        parties, locations, tokens = hand_rows().values()
        self._parties: dict[str, Owner] = {digest: (country, party) for digest, country, party in parties}
        self._locations = {(country, party, name): json.loads(text) for country, party, name, text, _ in locations}
        self._tokens = {uid: json.loads(text) for uid, text in tokens}
        self._cdrs: dict[tuple[str, str, str], Document] = {}
        self._decisions: list[tuple[str, str, str, str, str]] = []

    async def open(self) -> None:
        """Everything is there."""

    async def close(self) -> None:
        """Nothing is to be closed."""

    async def patch_evse(self, caller: str, owner: Owner, place: Place, text: str, changes: Document) -> bool:  # noqa: ARG002 # as the others
        location = self._locations.get((*_allowed(self._parties.get(caller), owner), place[0]))
        found = [each for each in (location or {}).get("evses", ()) if each["uid"] == place[1]]
        for evse in found:
            evse.update(changes)
        return bool(found)

    async def put_location(self, caller: str, owner: Owner, name: str, text: str, location: Document) -> None:  # noqa: ARG002 # as the others
        self._locations[(*_allowed(self._parties.get(caller), owner), name)] = location

    async def post_cdr(self, caller: str, name: str, text: str, cdr: Document) -> bool:  # noqa: ARG002 # as the others
        return self._cdrs.setdefault((*_allowed(self._parties.get(caller)), name), cdr) is cdr

    async def authorize(self, caller: str, uid: str, location_id: str, now: str) -> set[str] | None:
        owner = _allowed(self._parties.get(caller))
        location = self._locations.get((*owner, location_id))
        if uid not in self._tokens or location is None:
            return None
        self._decisions.append((*owner, uid, "ALLOWED", now))
        return _uids(location["evses"])

    async def tokens(self, caller: str, offset: int, limit: int) -> tuple[list[str], int]:
        _allowed(self._parties.get(caller))
        page = [json.dumps(each) for each in islice(self._tokens.values(), offset, offset + limit)]
        return page, len(self._tokens)
