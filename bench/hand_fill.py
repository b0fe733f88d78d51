"""What the hand-written side of bench/load.py has in its tables before the clock starts: the same as ours."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import psycopg

from load_requests import TOKEN, TOKENS, compact, driver_token, stored_locations

_TABLES = (
    "CREATE TABLE party (token_sha256 text PRIMARY KEY, country_code text NOT NULL, party_id text NOT NULL)",
    "CREATE TABLE location (country_code text, party_id text, id text, document {json} NOT NULL, "
    "last_updated text NOT NULL, PRIMARY KEY (country_code, party_id, id))",
    "CREATE TABLE cdr (country_code text, party_id text, id text, document {json} NOT NULL, "
    "last_updated text NOT NULL, PRIMARY KEY (country_code, party_id, id))",
    "CREATE TABLE token (number {number} PRIMARY KEY, uid text NOT NULL UNIQUE, document {json} NOT NULL)",
    "CREATE TABLE decision (number {number} PRIMARY KEY, country_code text, party_id text, uid text, allowed text, "
    "decided_at text)",
)


def hand_rows() -> dict[str, list[Sequence[Any]]]:
    """The statements that fill the tables, and their rows."""
    return {
        "INSERT INTO party VALUES (?, ?, ?)": [(hashlib.sha256(TOKEN.encode()).hexdigest(), "NL", "TNM")],
        "INSERT INTO location VALUES (?, ?, ?, ?, ?)": [
            ("NL", "TNM", each["id"], compact(each).decode(), each["last_updated"]) for each in stored_locations()
        ],
        "INSERT INTO token (uid, document) VALUES (?, ?)": [
            (f"T{number}", json.dumps(driver_token(number))) for number in range(TOKENS)
        ],
    }


def fill_sqlite(path: str) -> None:
    """Make the file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    for table in _TABLES:
        connection.execute(table.format(json="text", number="integer"))
    connection.execute("BEGIN")
    for statement, rows in hand_rows().items():
        connection.executemany(statement, rows)
    connection.execute("COMMIT")
    connection.execute("ANALYZE")
    connection.close()


def fill_postgres(url: str) -> None:
    """Make the tables."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in _TABLES:
            text = table.format(json="jsonb", number="bigint GENERATED ALWAYS AS IDENTITY")
            connection.execute(text.encode())
        with connection.transaction(), connection.cursor() as cursor:
            for statement, rows in hand_rows().items():
                cursor.executemany(statement.replace("?", "%s").encode(), rows)
        connection.execute("VACUUM ANALYZE")
