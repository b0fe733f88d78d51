"""What is fuzzed: one function per entrance of the library, which asserts what has to hold for any input.

Rules of this module:
- a case is a mapping of texts, so that it can be stored; text that stands for bytes is their latin-1;
- a target raises only where an invariant is broken: an exception that is not declared, a 5xx, no envelope, a pointer
  that leads nowhere;
- a target is replayed by tests/generating/test_crashes.py, so it depends on nothing that a run leaves behind.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import httpx

from ocpi_emsp import Emsp, SupportMatrix, check, decode, models
from ocpi_emsp.codec import dump, encode, parse
from ocpi_emsp.errors import InvalidObject, NotAuthenticated, NotJson
from ocpi_emsp.events import Event
from ocpi_emsp.findings import Finding
from ocpi_emsp.redact import Redactor
from ocpi_emsp.routes import match
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.wire import Request, from_base64, next_link, presented_token, read_envelope, read_page_request

Case: TypeAlias = Mapping[str, str]
Target: TypeAlias = Callable[[Case], None]

TOKEN = "$TOKEN"
"""Stands in a case for the token that works."""
_CPO = "https://cpo.test/versions"
_REQUESTS = 500
"""After so many requests the eMSP is a new one, so that its store stays small."""


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def decode_(case: Case) -> None:
    """A document is decoded, or refused by one of two exceptions; what was decoded can be written and read."""
    kind = getattr(models, case["kind"])
    try:
        value = decode(kind, _bytes(case["body"]))
    except (NotJson, InvalidObject):
        return
    assert decode(kind, encode(value)) is not None


def check_(case: Case) -> None:
    """check never raises, and every pointer leads to a value or to a member that its object lacks."""
    body = _bytes(case["body"])
    report = check(body, getattr(models, case["kind"]))
    assert list(report) == sorted(report, key=lambda each: (each.pointer, each.rule))
    try:
        document = parse(body)
    except NotJson:
        assert [each.rule for each in report] == ["json.syntax"]
        return
    for finding in report:
        value = document
        *parents, last = finding.pointer.split("/")
        for step in parents[1:]:
            value = value[int(step)] if isinstance(value, list) else value[_unescaped(step)]
        assert not parents or isinstance(value, dict) or int(last) < len(value)


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def redact(case: Case) -> None:
    """What is redacted has the same findings, apart from the names of unknown members."""
    body, kind = _bytes(case["body"]), getattr(models, case["kind"])
    redacted = Redactor(b"a key of the fuzzer", parties=True).document(body)
    before, after = list(check(body, kind)), list(check(redacted, kind))
    assert sorted(each.rule for each in before) == sorted(each.rule for each in after)
    assert _places(before) == _places(after)


def _places(findings: list[Finding]) -> set[tuple[str, str]]:
    named = ("field.unknown", "restrictions.unknown", "json.repeated")
    return {(each.rule, each.pointer) for each in findings if each.rule not in named}


def headers(case: Case) -> None:
    """Headers and query are read, or refused by the declared exceptions."""
    with suppress(NotAuthenticated):
        from_base64(presented_token(case["token"]))
    link = next_link(case["link"])
    assert link is None or link
    try:
        page = read_page_request(case["query"], default=10, cap=100)
    except InvalidObject:
        return
    assert 1 <= (page.limit or 1) <= 100
    assert page.offset >= 0
    assert all(each is None or isinstance(each, datetime) for each in (page.date_from, page.date_to))


def envelope(case: Case) -> None:
    """An answer is an envelope, or refused by the declared exceptions."""
    with suppress(NotJson, InvalidObject):
        assert isinstance(read_envelope(_bytes(case["body"])).status_code, int)


def path(case: Case) -> None:
    """Any path is matched or not."""
    found = match(case["path"])
    assert found is None or all(isinstance(value, str) for value in found.params.values())


def dispatch(case: Case) -> None:
    """Any request is answered with an envelope, and never with a 5xx."""
    emsp, token = _served()
    authorization = case["authorization"].replace(TOKEN, token)
    sent = {"authorization": authorization, "x-request-id": case["id"]}
    request = Request(case["method"], case["path"], case["query"], sent, _bytes(case["body"]))
    response = emsp.handle(request)
    assert 200 <= response.status < 500, response.body
    answer = json.loads(response.body)
    assert isinstance(answer["status_code"], int)
    assert isinstance(answer["timestamp"], str)
    assert response.status < 400 or answer["status_code"] >= 2000
    assert token not in response.body.decode() or case["path"].lower().rstrip("/").endswith("/credentials")


def openapi(case: Case) -> None:
    """What is answered is what the OpenAPI description says, whoever asks (tests/openapi)."""
    conformance().conforms(case)


def conformance() -> ModuleType:
    """tests/openapi/conformance.py, which needs schemathesis: half a second to import."""
    tests = str(Path(__file__).parent.parent / "tests")
    if tests not in sys.path:
        sys.path.insert(0, tests)
    return import_module("openapi.conformance")


TARGETS: Mapping[str, Target] = {
    "decode": decode_,
    "check": check_,
    "redact": redact,
    "headers": headers,
    "envelope": envelope,
    "path": path,
    "dispatch": dispatch,
    "openapi": openapi,
}


# --- the eMSP behind dispatch ---------------------------------------------------------------------------------------

_served_now: list[Any] = []


def _served() -> tuple[Emsp, str]:
    """An eMSP with a registered CPO that it does not reach any more."""
    if not _served_now or _served_now[2] >= _REQUESTS:
        _served_now[:] = [*_registered(), 0]
    _served_now[2] += 1
    return _served_now[0], _served_now[1]


def fresh() -> None:
    """Forget what earlier cases left in the eMSP."""
    _served_now.clear()


def _registered() -> tuple[Emsp, str]:
    logging.getLogger("ocpi_emsp").setLevel(logging.CRITICAL)
    emsp = Emsp(
        country_code="IT",
        party_id="BEC",
        name="Be Charge",
        url="https://emsp.test/ocpi/emsp",
        store=MemoryStore(),
        matrix=SupportMatrix.full(),
        http_client=lambda: httpx.Client(transport=httpx.MockTransport(_cpo)),
    )
    emsp.on(Event)(lambda _event: None)
    credentials = {
        "token": "token-of-the-cpo",
        "url": _CPO,
        "business_details": {"name": "The New Motion"},
        "party_id": "TNM",
        "country_code": "NL",
    }
    headers = {"authorization": f"Token {emsp.parties.invite('NL-TNM').token_a.reveal()}"}
    answer = emsp.handle(Request("POST", "/2.1.1/credentials", headers=headers, body=dump(credentials)))
    return emsp, str(parse(answer.body)["data"]["token"])


def _cpo(request: httpx.Request) -> httpx.Response:
    data: Any = {"version": "2.1.1", "endpoints": [{"identifier": "credentials", "url": f"{_CPO}/credentials"}]}
    if str(request.url) == _CPO:
        data = [{"version": "2.1.1", "url": f"{_CPO}/2.1.1"}]
    return httpx.Response(200, json={"data": data, "status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"})
