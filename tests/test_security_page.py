"""docs/explanation/security.md names what exists, and the proxies of docs/examples are set to what we take.

A test that moved, and a limit that was changed on one side alone, were each seen to fail.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ocpi_emsp import Limits
from ocpi_emsp.cli.connections import ConnectionLimits

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "explanation" / "security.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`((?:tests|bench|fuzz)/[^` ]+)[^`]*`", PAGE)))
TABLES = re.findall(r"^\| attack .*\n\|---.*\n((?:\|.*\n)*)", PAGE, re.MULTILINE)
ROWS = [line.strip("| ").split(" | ") for table in TABLES for line in table.splitlines()]


@pytest.mark.parametrize("path", NAMED)
def test_what_it_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_each_defence_has_a_test(row: list[str]) -> None:
    assert len(row) == 4
    assert all(row)
    assert row[3].startswith(("`tests/", "the same", "`bench/"))


def test_each_attacker_has_a_table() -> None:
    assert len(TABLES) == 4
    assert all(TABLES)


@pytest.mark.parametrize(
    ("proxy", "lines"),
    [
        (
            "nginx.conf",
            (
                "client_max_body_size {megabytes}m;",
                "client_header_timeout {connection.head_seconds:g}s;",
                "keepalive_timeout {connection.idle_seconds:g}s;",
                "proxy_set_header X-Forwarded-For $remote_addr;",
            ),
        ),
        (
            "Caddyfile",
            (
                "read_header {connection.head_seconds:g}s",
                "read_body {http.body_timeout:g}s",
                "idle {connection.idle_seconds:g}s",
                "header_up X-Forwarded-For {{remote_host}}",
            ),
        ),
    ],
)
def test_a_proxy_is_set_to_what_we_take(proxy: str, lines: tuple[str, ...]) -> None:
    text = (ROOT / "docs" / "examples" / proxy).read_text("utf-8")
    http = Limits().http
    for line in lines:
        assert line.format(megabytes=http.request_body // 2**20, http=http, connection=ConnectionLimits()) in text
