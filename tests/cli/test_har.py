"""``ocpi-emsp check`` of HAR files: which payloads are found, what they are taken for, what is passed over."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from cli.test_check import ENVELOPE, LOCATION, NO_CITY, file
from cli.test_check_report import CDR, reported
from ocpi_emsp import models
from ocpi_emsp.cli.har import Har
from ocpi_emsp.cli.urls import called

EMSP, CPO = "https://ocpi.example.com/ocpi/emsp/2.1.1", "https://cpo.example.com/ocpi/cpo/2.1.1"


def entry(
    method: str, url: str, request: Any = None, response: Any = None, at: str = "2024-05-01T12:00:00.123Z"
) -> dict[str, Any]:
    """An entry as a browser or a proxy writes it."""
    made: dict[str, Any] = {
        "startedDateTime": at,
        "time": 1.5,
        "request": {"method": method, "url": url, "headers": [{"name": "Authorization", "value": "Token secret"}]},
        "response": {"status": 200, "content": {"size": 0, "mimeType": ""}},
    }
    if request is not None:
        made["request"]["postData"] = {"mimeType": "application/json", "text": text(request)}
    if response is not None:
        made["response"]["content"] = {"mimeType": "application/json", "text": text(response)}
    return made


def text(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body)


def har(*entries: Any) -> bytes:
    return json.dumps({"log": {"version": "1.2", "creator": {}, "entries": list(entries)}}).encode()


def kinds(*entries: Any) -> list[str]:
    return [
        "Envelope" if part.envelope else part.kind.__name__ if part.kind else "?" for part in Har(har(*entries)).parts()
    ]


@pytest.mark.parametrize(
    ("method", "path", "request_kind", "response_kind"),
    [
        ("PUT", "/locations/NL/TNM/LOC1", "Location", None),
        ("PATCH", "/locations/NL/TNM/LOC1/3256", "Evse", None),
        ("PUT", "/locations/NL/TNM/LOC1/3256/1/", "Connector", None),
        ("GET", "/locations/NL/TNM/LOC1", None, "Location"),
        ("GET", "/locations/NL/TNM/LOC1/3256", None, "Evse"),
        ("GET", "/Locations?offset=50&limit=10", None, "Location"),
        ("GET", "/locations/LOC1", None, "Location"),
        ("GET", "/locations/LOC1/3256", None, "Evse"),
        ("GET", "/locations/LOC1/3256/1", None, "Connector"),
        ("GET", "/locations/a/b/c/d/e/f/g", None, None),
        ("PUT", "/sessions/NL/TNM/101", "Session", None),
        ("GET", "/sessions", None, "Session"),
        ("POST", "/cdrs", "Cdr", None),
        ("GET", "/cdrs/1234", None, "Cdr"),
        ("DELETE", "/tariffs/NL/TNM/1", None, None),
        ("PATCH", "/tariffs/NL/TNM/1", "Tariff", None),
        ("PUT", "/tokens/IT/BEC/012345678", "Token", None),
        ("GET", "/tokens", None, "Token"),
        ("POST", "/tokens/012345678/authorize", "LocationReferences", "AuthorizationInfo"),
        ("POST", "/tokens", None, None),
        ("POST", "/commands/START_SESSION", "StartSession", "CommandResponse"),
        ("POST", "/commands/UNLOCK_CONNECTOR", "UnlockConnector", "CommandResponse"),
        ("POST", "/commands/START_SESSION/0815", "CommandResponse", None),
        ("POST", "/commands/nonsense", None, "CommandResponse"),
        ("GET", "/credentials", None, "Credentials"),
        ("POST", "/credentials", "Credentials", "Credentials"),
        ("GET", "", None, "VersionDetail"),
        ("GET", "/details", None, "VersionDetail"),
        ("GET", "/nonsense", None, None),
    ],
)
def test_what_a_url_carries(method: str, path: str, request_kind: str | None, response_kind: str | None) -> None:
    call = called(method, EMSP + path)
    assert call is not None
    assert (call.request, call.response) == tuple(
        None if name is None else getattr(models, name) for name in (request_kind, response_kind)
    )
    assert call.sure == (request_kind is not None or response_kind is not None)
    assert call.partial == (method == "PATCH")


@pytest.mark.parametrize(
    ("url", "kind", "sure"),
    [
        ("https://cpo.example.com/ocpi/versions", "Version", True),
        ("https://cpo.example.com/ocpi/versions/2.1.1", "VersionDetail", True),
        ("https://cpo.example.com/ocpi/versions/2.1.1/locations", "Location", True),
        ("https://cpo.example.com/tokens/ocpi/locations", "Location", True),
        ("https://cpo.example.com/api/locations", "Location", False),
        ("https://[broken/ocpi/locations", None, False),
        ("", None, False),
    ],
)
def test_what_other_urls_carry(url: str, kind: str | None, sure: bool) -> None:
    call = called("GET", url)
    assert call is not None
    assert (call.response and call.response.__name__, call.sure) == (kind, sure)


def test_another_version_is_none_of_ours() -> None:
    assert called("GET", "https://cpo.example.com/ocpi/cpo/2.2.1/locations") is None
    assert called("GET", "https://cpo.example.com/cpo/2.0/locations") is None


def test_payloads_of_both_directions_are_found(tmp_path: Path, command: Command) -> None:
    content = har(
        entry("PUT", EMSP + "/locations/NL/TNM/LOC1?token=secret", NO_CITY, ENVELOPE),
        entry("GET", CPO + "/cdrs", None, {**ENVELOPE, "data": [CDR, CDR]}, at="2024-05-03T00:00:00+02:00"),
        entry("GET", "https://example.com/index.html", None, "<html></html>"),
    )
    path = file(tmp_path, content, "capture.HAR")
    ended = command("check", path, "--format", "json")
    report = json.loads(ended.out)
    assert ended.status == 1
    assert report["documents"]["by_kind"] == {"Cdr": 2, "Envelope": 2, "Location": 1}
    assert (report["first_seen"], report["last_seen"]) == ("2024-05-01T12:00:00Z", "2024-05-02T22:00:00Z")
    where = f"{path}: entry 1: PUT /ocpi/emsp/2.1.1/locations/NL/TNM/LOC1, request"
    assert reported(ended.out)["field.required"] == (1, "/city", where)
    assert reported(ended.out)["location.country.alpha2"][1] == "/data/0/location/country"
    assert ended.err == f"ocpi-emsp: {path}: 1 of 3 entries hold no OCPI payload\n"
    assert "secret" not in ended.out
    listed = json.loads(command("check", path, "--format", "json", "--no-report").out)["files"][0]
    assert listed["findings"][0]["entry"] == where.removeprefix(f"{path}: ")


def test_a_patch_needs_no_more_than_it_changes(tmp_path: Path, command: Command) -> None:
    content = har(entry("PATCH", EMSP + "/locations/NL/TNM/LOC1/3256", {"status": "FAULTED", "uid": None}))
    rules = reported(command("check", file(tmp_path, content, "a.har"), "--format", "json").out)
    assert {name: rule[1] for name, rule in rules.items()} == {"enum.unknown": "/status", "field.required": "/uid"}


def test_base64_is_decoded(tmp_path: Path, command: Command) -> None:
    good, bad = entry("GET", CPO + "/locations/LOC1"), entry("GET", CPO + "/locations/LOC1")
    body = json.dumps({**ENVELOPE, "data": NO_CITY}).encode()
    good["response"]["content"] = {"text": base64.b64encode(body).decode(), "encoding": "base64"}
    bad["response"]["content"] = {"text": "\u00e9", "encoding": "base64", "mimeType": "application/json"}
    ended = command("check", file(tmp_path, har(good, bad), "a.har"), "--format", "json")
    assert reported(ended.out)["field.required"][1] == "/data/city"
    assert "1 of 2 entries" in ended.err


def test_the_data_of_an_error_or_a_push_is_nobodys_object() -> None:
    refused = {**ENVELOPE, "status_code": 2001, "data": [{"pointer": "/city"}]}
    assert kinds(entry("GET", CPO + "/locations", None, refused)) == ["Envelope"]
    assert kinds(entry("PUT", EMSP + "/locations/NL/TNM/1", LOCATION, {**ENVELOPE, "data": {"a": 1}})) == [
        "Location",
        "Envelope",
    ]


def test_a_response_without_an_envelope_is_told_so(tmp_path: Path, command: Command) -> None:
    content = har(entry("GET", CPO + "/locations", None, [LOCATION, NO_CITY]))
    rules = reported(command("check", file(tmp_path, content, "a.har"), "--format", "json").out)
    assert rules["field.required"][0] == 3
    assert kinds(entry("GET", CPO + "/locations", None, [LOCATION])) == ["Envelope", "Location"]


def test_where_the_url_is_no_proof_the_members_are_asked() -> None:
    assert kinds(entry("POST", "https://x.example/callback", {"result": "ACCEPTED"})) == ["CommandResponse"]
    assert kinds(entry("GET", "https://x.example/api/locations", None, {**ENVELOPE, "data": [LOCATION]})) == [
        "Envelope",
        "Location",
    ]
    assert kinds(entry("GET", "https://x.example/api/sessions", None, [{"user": 1}])) == []
    assert kinds(entry("POST", "https://x.example/api/sessions", {"user": 1}, "{broken")) == []


def test_broken_json_on_a_clear_url_is_a_finding(tmp_path: Path, command: Command) -> None:
    content = har(entry("PUT", EMSP + "/sessions/NL/TNM/1", "{broken", '{"status_code": '))
    rules = reported(command("check", file(tmp_path, content, "a.har"), "--format", "json").out)
    assert rules["json.syntax"][0] == 2


@pytest.mark.parametrize(
    "odd",
    [
        None, 1, "entry", [], {}, {"request": None}, {"request": {"method": 1, "url": 2, "postData": 3}},
        {"request": {"method": "PUT", "url": EMSP + "/cdrs", "postData": {"text": None}}, "startedDateTime": 5},
        {"request": {}, "response": {"content": {"text": "{}"}}},
    ],
)  # fmt: skip
def test_odd_entries_are_passed_over(odd: Any) -> None:
    archive = Har(har(odd, entry("POST", EMSP + "/cdrs", CDR, at="no time")))
    (part,) = archive.parts()
    assert (part.kind, part.at) == (models.Cdr, None)
    assert (archive.entries, archive.without) == (2, 1)


def test_odd_bytes_within_entries_are_survived(tmp_path: Path, command: Command) -> None:
    surrogate = entry("PUT", EMSP + "/sessions/NL/TNM/1", '{"id": "\ud800"}')
    deep = b'{"request": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    content = har(surrogate).replace(b'"entries": [', b'"entries": [' + deep + b", ")
    assert command("check", file(tmp_path, content, "deep.har")).status in (1, 2)
    for marked in (har(surrogate), b"\xef\xbb\xbf" + har(surrogate), har(surrogate).decode().encode("utf-16")):
        ended = command("check", file(tmp_path, marked, "a.har"), "--format", "json")
        assert reported(ended.out)["json.syntax"][0] == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"log": []}', b'{"log": {}}', b'{"log": {"entries": {}}}', b"\xff\xfe{\0}\0", b"\0"],
)
def test_what_is_no_har_is_said(content: bytes, tmp_path: Path, command: Command) -> None:
    path = file(tmp_path, content, "a.har")
    ended = command("check", path)
    assert ended.status == 2
    assert ended.err == f"ocpi-emsp: {path}: not a HAR file: expected an object with log.entries\n"


def test_a_har_without_ocpi_is_said(tmp_path: Path, command: Command) -> None:
    path = file(tmp_path, har(entry("GET", "https://example.com/")), "a.har")
    ended = command("check", path)
    assert (ended.status, ended.err) == (2, f"ocpi-emsp: {path}: no OCPI payload in its entry\n")


def test_a_told_kind_is_that_of_every_payload(tmp_path: Path, command: Command) -> None:
    path = file(tmp_path, har(entry("POST", EMSP + "/cdrs", LOCATION)), "a.har")
    report = json.loads(command("check", path, "--as", "location", "--format", "json").out)
    assert report["documents"]["by_kind"] == {"Location": 1}
