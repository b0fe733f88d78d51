"""Doubled slashes are read as one, but for those that stand for an empty id (issue 11, number 14)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.support import facing, register_tnm
from foreign.test_being_called import by_asgi, by_handle, by_wsgi
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from scripted_cpo import ScriptedCpo

CASE: dict[str, Any] = json.loads((Path(__file__).parent / "empty-ids.json").read_text("utf-8"))
BODIES = {"locations": samples.location(), "sessions": samples.session(), "tariffs": samples.tariff()}
PUBLIC = "https://emsp.example.com/ocpi/emsp"
each_door = pytest.mark.parametrize("send", [by_handle, by_asgi, by_wsgi])


@each_door
@pytest.mark.parametrize("method", ["PUT", "PATCH", "GET"])
@pytest.mark.parametrize("path", CASE["refused"])
def test_an_empty_id_is_refused(path: str, method: str, send: Callable[..., int]) -> None:
    emsp = facing(ScriptedCpo())
    headers = {"authorization": f"Token {register_tnm(emsp)}"}
    body = encode(BODIES[path.partition("/")[0]] | {"id": path.rpartition("/")[2]})
    assert send(emsp, method, f"{PUBLIC}/2.1.1/{path}", headers, body) == 404
    answer = emsp.handle(Request(method, f"/2.1.1/{path}", "", headers, body))
    assert b"an id in the path is empty" in answer.body
    assert [*emsp.locations.list("NL-TNM")] == []


@each_door
@pytest.mark.parametrize("path", CASE["served"])
def test_any_other_doubled_slash_is_one(path: str, send: Callable[..., int]) -> None:
    emsp = facing(ScriptedCpo())
    headers = {"authorization": f"Token {register_tnm(emsp)}"}
    assert send(emsp, "PUT", f"{PUBLIC}/2.1.1{path}", headers, encode(samples.location())) == 201
