"""Single calls: what is sent, and how an answer is judged on both layers (PARTNER-QUIRKS.md rows 1, 13, 17)."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import anyio
import httpx
import pytest

from client.support import BASE, MODES, Mode, call, drain, facing, in_turn, registered
from ocpi_emsp import OcpiError, SupportMatrix
from ocpi_emsp.errors import (
    AnswerUnusable,
    CannotUseApi,
    InvalidObject,
    MissingEndpoints,
    NotRegistered,
    NotSupported,
    PartnerRefused,
)
from ocpi_emsp.resources import Party
from ocpi_emsp.testing.cpo import samples
from our_emsp import CPO_TOKEN, token
from scripted_cpo import MODULES, Handler, ScriptedCpo, envelope

pytestmark = pytest.mark.parametrize("mode", MODES)

LOCATION = samples.location()


def refused(mode: Mode, response: httpx.Response | Exception, **settings: Any) -> Exception:
    """What GET of a location raises that is answered so; nothing is asked twice."""
    server = ScriptedCpo(in_turn(response))
    with pytest.raises(OcpiError) as caught:
        call(registered(server, **settings), mode, "location", "LOC1")
    assert server.urls == [f"{BASE}/locations/LOC1"]
    assert CPO_TOKEN not in str(caught.value)
    return caught.value


# --- both layers are judged -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "status_code"),
    [(200, 2001), (200, 2003), (200, 2004), (200, 3000), (200, 0), (200, 999), (200, -1000), (404, 1000), (404, 2003),
     (500, 3000), (302, 1000), (101, 1000)],
)  # fmt: skip
def test_an_error_of_either_layer_is_an_error(mode: Mode, status: int, status_code: int) -> None:
    body = envelope([{"rule": "x"}], status_code) | {"status_message": "No such thing"}
    error = refused(mode, httpx.Response(status, json=body))
    assert isinstance(error, PartnerRefused)
    assert (error.answered_http, error.answered_code) == (status, status_code)
    assert error.data == b'[{"rule":"x"}]'
    assert (error.method, error.url) == ("GET", f"{BASE}/locations/LOC1")
    assert str(error) == f"GET {BASE}/locations/LOC1 answered HTTP {status}, {status_code}: No such thing"


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("status_code", [1000, "1000", 1001, 1999, 1000.0])
def test_success_needs_both_layers(mode: Mode, status: int, status_code: Any) -> None:
    response = httpx.Response(status, json=envelope(LOCATION | {"energy_mix": None}, status_code))
    location = call(registered(ScriptedCpo(in_turn(response))), mode, "location", "LOC1")
    assert location.id == "LOC1"


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[]", b"{}", b'{"status_code":"no"}', b"\xff"])
@pytest.mark.parametrize("status", [200, 204, 401, 502])
def test_an_answer_without_an_envelope(mode: Mode, status: int, body: bytes) -> None:
    error = refused(mode, httpx.Response(status, content=body))
    if status < 300:
        assert isinstance(error, AnswerUnusable)
        assert str(error).startswith(f"GET {BASE}/locations/LOC1: ")
    else:
        assert isinstance(error, PartnerRefused)
        assert (error.answered_http, error.answered_code) == (status, None)
        said = {
            b"<html>Bad Gateway</html>": ": Bad Gateway",
            b'{"status_code":"no"}': ": status_code: no",
            b"\xff": ": \ufffd",
        }
        words = said.get(body, " without an OCPI envelope")
        assert str(error) == f"GET {BASE}/locations/LOC1 answered HTTP {status}{words}"


@pytest.mark.parametrize("data", [None, [], "LOC1", {}, {"id": "LOC1"}])
def test_data_that_is_no_object_of_the_kind_is_named(mode: Mode, data: Any) -> None:
    error = refused(mode, httpx.Response(200, json=envelope(data)))
    assert isinstance(error, AnswerUnusable)
    assert "Location" in str(error)


def test_what_an_answer_lacks_is_in_the_findings(mode: Mode) -> None:
    error = refused(mode, httpx.Response(200, json=envelope({"id": "LOC1", "coordinates": {}})))
    assert isinstance(error, AnswerUnusable)
    assert "/coordinates/latitude" in [each.pointer for each in error.findings]


def test_an_answer_without_data_has_no_object(mode: Mode) -> None:
    error = refused(mode, httpx.Response(200, json={"status_code": 1000}))
    assert isinstance(error, AnswerUnusable)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(mode: Mode, status: int) -> None:
    error = refused(mode, httpx.Response(status, headers={"location": "https://thief.example.com/"}))
    assert isinstance(error, PartnerRefused)
    assert error.answered_http == status


# --- what is sent ---------------------------------------------------------------------------------------------------


def ok(data: Any = None) -> httpx.Response:
    return httpx.Response(200, json=envelope(data))


def sent(mode: Mode, name: str, *args: Any, answer: Any = None, **kwargs: Any) -> httpx.Request:
    """The one request that a call makes."""
    server = ScriptedCpo(in_turn(ok(answer)))
    call(registered(server), mode, name, *args, **kwargs)
    return server.asked[0]


def test_every_request_carries_the_token_and_ids_to_trace_it(mode: Mode) -> None:
    request = sent(mode, "put_token", token())
    assert request.headers["authorization"] == f"Token {CPO_TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-request-id"] != request.headers["x-correlation-id"]
    assert "content-type" not in sent(mode, "location", "LOC1", answer=LOCATION | {"energy_mix": None}).headers


def test_a_token_is_put_under_our_own_name(mode: Mode) -> None:
    request = sent(mode, "put_token", token("A/B"))
    assert (request.method, str(request.url)) == ("PUT", f"{BASE}/tokens/IT/BEC/A%2FB")
    body = json.loads(request.content)
    assert body == {
        "uid": "A/B",
        "type": "RFID",
        "auth_id": "IT-BEC-1",
        "issuer": "Be Charge",
        "valid": True,
        "whitelist": "NEVER",
        "last_updated": "2020-01-01T00:00:00Z",
    }


def test_a_token_is_patched_by_its_changes_alone(mode: Mode) -> None:
    later = token().last_updated + timedelta(hours=1)
    request = sent(mode, "patch_token", "T0", valid=False, last_updated=later)
    assert (request.method, str(request.url)) == ("PATCH", f"{BASE}/tokens/IT/BEC/T0")
    assert json.loads(request.content) == {"valid": False, "last_updated": "2020-01-01T01:00:00Z"}


@pytest.mark.parametrize("ids", [("LOC1",), ("LOC/1", "E 1"), ("LOC1", "E*1", "ü")])
def test_ids_are_encoded_in_the_url(mode: Mode, ids: tuple[str, ...]) -> None:
    server = ScriptedCpo(in_turn(httpx.Response(404)))
    with pytest.raises(PartnerRefused):
        call(registered(server), mode, ("location", "evse", "connector")[len(ids) - 1], *ids)
    path = server.asked[0].url.raw_path.decode().removeprefix("/cpo/2.1.1/locations/")
    assert path == "/".join({"LOC/1": "LOC%2F1", "E 1": "E%201", "E*1": "E%2A1", "ü": "%C3%BC"}.get(i, i) for i in ids)


# --- what is not sent -----------------------------------------------------------------------------------------------


def nothing(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.method} {request.url} was sent")


@pytest.mark.parametrize(
    ("args", "changes", "pointer"),
    [((token("x" * 37),), {}, "/uid"), ((token(language="english"),), {}, "/language")],
)
def test_an_invalid_token_is_not_sent(mode: Mode, args: Any, changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidObject) as caught:
        call(registered(ScriptedCpo(nothing)), mode, "put_token", *args, **changes)
    assert [each.pointer for each in caught.value.findings] == [pointer]


@pytest.mark.parametrize(
    "value", [Decimal("NaN"), float("inf"), "\ud800", 10**5000, object()], ids=lambda it: type(it).__name__
)
def test_a_patch_that_json_cannot_hold_is_not_sent(mode: Mode, value: Any) -> None:
    with pytest.raises(InvalidObject) as caught:
        call(registered(ScriptedCpo(nothing)), mode, "patch_token", "T0", issuer=value)
    assert [each.pointer for each in caught.value.findings] == ["/issuer"]


@pytest.mark.parametrize("changes", [{}, {"type": "OTHER"}, {"valid": False, "vendor": 1}])
def test_a_patch_of_what_identifies_a_token_is_not_sent(mode: Mode, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidObject, match="cannot be patched"):
        call(registered(ScriptedCpo(nothing)), mode, "patch_token", "T0", **changes)


CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("credentials", (), {}, "credentials"),
    ("put_credentials", (), {}, "credentials"),
    ("patch_credentials", (), {}, "credentials"),
    ("delete_credentials", (), {}, "credentials"),
    ("location", ("L",), {}, "locations"),
    ("evse", ("L", "E"), {}, "locations"),
    ("connector", ("L", "E", "C"), {}, "locations"),
    ("token", ("T0",), {}, "tokens"),
    ("put_token", (token(),), {}, "tokens"),
    ("patch_token", ("T0",), {"valid": False}, "tokens"),
    (
        "reserve_now",
        (),
        {"token": token(), "location_id": "L", "expiry_date": token().last_updated, "reservation_id": 1},
        "commands",
    ),
    ("start_session", (), {"token": token(), "location_id": "L"}, "commands"),
    ("stop_session", (), {"session_id": "S"}, "commands"),
    ("unlock_connector", (), {"location_id": "L", "evse_uid": "E", "connector_id": "C"}, "commands"),
]
each_call = pytest.mark.parametrize(("name", "args", "kwargs", "module"), CALLS, ids=[name for name, *_ in CALLS])


@each_call
def test_a_switched_off_call_is_not_sent(
    mode: Mode, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], module: str
) -> None:
    rows = [row for row in SupportMatrix.full().rows if row.direction == "CPO -> MSP" or row.module != module]
    emsp = registered(ScriptedCpo(nothing), matrix=SupportMatrix(tuple(rows)))
    with pytest.raises(NotSupported, match="the support matrix switches"):
        call(emsp, mode, name, *args, **kwargs)


@pytest.mark.parametrize(("name", "args", "kwargs", "module"), [each for each in CALLS if each[3] != "credentials"])
def test_a_call_to_a_module_that_the_partner_lacks_is_not_sent(
    mode: Mode, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], module: str
) -> None:
    server = ScriptedCpo(nothing, modules=[each for each in MODULES if each != module])
    with pytest.raises(MissingEndpoints, match=f"NL-TNM offers no {module} endpoint"):
        call(registered(server), mode, name, *args, **kwargs)


@pytest.mark.parametrize(("name", "args", "kwargs"), [each[:3] for each in CALLS], ids=[name for name, *_ in CALLS])
def test_a_call_to_a_party_that_is_not_registered_is_not_sent(
    mode: Mode, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    emsp = facing(nothing)
    for _ in ("unknown", "only invited"):
        with pytest.raises(NotRegistered, match="there is no registration with NL-TNM"):
            call(emsp, mode, name, *args, **kwargs)
        emsp.parties.invite("NL-TNM")


@pytest.mark.parametrize("name", ["locations", "sessions", "cdrs", "tariffs"])
def test_a_list_that_is_switched_off_or_missing_is_not_sent(mode: Mode, name: str) -> None:
    window = {"date_from": token().last_updated}
    off = SupportMatrix.full().switch(False, module=name, direction="MSP -> CPO", method="GET", path=f"/{name}")
    assert isinstance(drain(registered(ScriptedCpo(nothing), matrix=off), mode, name, **window).error, NotSupported)
    lacking = ScriptedCpo(nothing, modules=[each for each in MODULES if each != name])
    assert isinstance(drain(registered(lacking), mode, name, **window).error, MissingEndpoints)


def start_registration(mode: Mode, server: Handler, url: str, **settings: Any) -> Party:
    emsp = facing(server, **settings)
    if mode == "sync":
        return emsp.parties.register(url, token_a="a")
    return anyio.run(lambda: emsp.aio.parties.register(url, token_a="a"))


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example.com/versions",
        "http://localhost.evil.example.com/",
        "http://127.0.0.1@evil.example.com/",
        "http://evil.example.com?@localhost/",
        "http://evil.example.com#@localhost/",
        "http://evil.example.com\\@localhost/",
        "http://127.0.0.1.evil.example.com/",
        "ftp://localhost/",
        "localhost/versions",
        "https://",
        "https://cpo.test:99999/",
        "https://cpo.test:0/",
        "https://[::1/",
        "",
    ],
)
def test_a_url_that_the_policy_forbids_is_not_called(mode: Mode, url: str) -> None:
    with pytest.raises(CannotUseApi, match=r"forbids|port"):
        start_registration(mode, nothing, url, url_policy="loopback")


def test_a_registration_that_is_switched_off_is_not_started(mode: Mode) -> None:
    off = SupportMatrix.full().switch(
        False, module="credentials", direction="MSP -> CPO", method="POST", path="/credentials"
    )
    with pytest.raises(NotSupported, match="POST /credentials"):
        start_registration(mode, nothing, "https://cpo.test/versions", matrix=off)


@pytest.mark.parametrize(
    ("policy", "url", "allowed"),
    [
        ("https", "https://cpo.test/v", True),
        ("https", "HTTPS://cpo.test/v", True),
        ("https", "http://localhost/v", False),
        ("loopback", "http://localhost:8000/v", True),
        ("loopback", "http://127.0.0.2/v", True),
        ("loopback", "http://[::1]:80/v", True),
        ("loopback", "http://[::2]/v", False),
        ("loopback", "https://cpo.test/v", True),
    ],
)
def test_the_policy_says_which_urls_are_called(mode: Mode, policy: Any, url: str, allowed: bool) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(503)

    with pytest.raises(CannotUseApi, match="503" if allowed else "forbids"):
        start_registration(mode, answer, url, url_policy=policy)
    assert len(asked) == allowed
