"""``ocpi-emsp party profile``: shown, changed and suggested, on a database with something of everything in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from ocpi_emsp import SupportMatrix
from ocpi_emsp.flows.parties.profile import DEFAULTS

pytestmark = pytest.mark.usefixtures("database")


def profile(command: Command, *argv: str) -> Any:
    """What the command says in JSON."""
    ended = command("party", "profile", "NL-TNM", "--json", *argv)
    assert ended.status == 0
    shows_a_secret = any(each.removeprefix("--set=").startswith("headers=") for each in argv)
    assert ended.err == "" or (shows_a_secret and ended.err.startswith("ocpi-emsp: --set headers shows a secret"))
    return json.loads(ended.out)


def changed(document: Any) -> dict[str, Any]:
    """What is not as it would be where nothing was set."""
    plain = {name: [] if default == () else default for name, default in DEFAULTS.items()}
    return {name: value for name, value in document["profile"].items() if value != plain[name]}


def test_a_profile_is_shown(command: Command) -> None:
    document = profile(command)
    assert document["party"] == "NL-TNM"
    assert list(document["profile"]) == list(DEFAULTS)
    assert changed(document) == {}
    ended = command("party", "profile", "nl-tnm")
    assert ended.status == 0
    assert ended.out.startswith("NL-TNM\n")
    rows = [line.split() for line in ended.out.splitlines()[2:]]
    shown = {True: "true", False: "false", None: "none", (): "none"}
    assert rows == [[name, shown[default]] for name, default in DEFAULTS.items()]


def test_fields_are_set_and_taken_back(command: Command, tmp_path: Path) -> None:
    (tmp_path / "matrix.csv").write_text(SupportMatrix.full().to_csv(), "utf-8")
    values = {
        "trailing_slash": ("true", True),
        "patches_sessions": ("false", False),
        "page_limit": ("50", 50),
        "concurrent_requests": ("2", 2),
        "inbound_requests_per_second": ("500", 500),
        "requests_per_second": ("0.50", "0.50"),
        "allowed_parties": ("de-abc, FR-XYZ, ES-*", ["DE-ABC", "FR-XYZ", "ES-*"]),
        "owner_from": ("evse_id", "evse_id"),
        "headers": (
            "X-Api-Key=the-key-of-the-hub,ocpi-to-party-id=AAA",
            {"x-api-key": "***", "ocpi-to-party-id": "AAA"},
        ),
        "required_modules": ("locations,cdrs", ["locations", "cdrs"]),
        "endpoints": (
            "commands=https://cpo.test/c?a=b,tokens=https://cpo.test/t",
            {"commands": "https://cpo.test/c?a=b", "tokens": "https://cpo.test/t"},
        ),
        "absent_as_null": ("true", True),
        "credentials_extensions": ('{"vendor": [1, 2]}', '{"vendor":[1,2]}'),
        "time_zone": ("Europe/Amsterdam", "Europe/Amsterdam"),
        "refuses": ("warning", "warning"),
        "actions": ("datetime.zone:error", {"datetime.zone": "error"}),
        "matrix": ("matrix.csv", SupportMatrix.full().to_csv()),
        "readings": ("step=per_period, vat=21.0", '{"step": "per_period", "vat": "21.0"}'),
        "plausibility": ("session.long=48, duplicate=off", '{"duplicate": "off", "session.long": "48"}'),
    }
    argv = [f"--set={name}={text}" for name, (text, _) in values.items()]
    assert changed(profile(command, *argv)) == {name: value for name, (_, value) in values.items()}
    shown = command("party", "profile", "NL-TNM").out
    for text in (
        "DE-ABC, FR-XYZ",
        "datetime.zone:error",
        "its own, 3",
        "set",
        "commands=https://",
        "Europe/Amsterdam",
        "step=per_period, vat=21.0",
    ):
        assert text in shown
    left = profile(command, "--unset", "page_limit", "--unset", "matrix", "--set", "time_zone=UTC")
    assert {"page_limit", "matrix"}.isdisjoint(changed(left))
    assert left["profile"]["time_zone"] == "UTC"
    assert profile(command) == left
    assert changed(profile(command, *(f"--unset={name}" for name in values))) == {}


def test_an_endpoint_on_this_machine_is_for_the_policy_that_allows_it(command: Command) -> None:
    argv = ("--set", "endpoints=commands=http://127.0.0.1:8000/commands/")
    ended = command("party", "profile", "NL-TNM", *argv)
    assert ended.status == 2
    assert "url_policy forbids plain http" in ended.err
    assert changed(profile(command, *argv, "--url-policy", "loopback")) == {
        "endpoints": {"commands": "http://127.0.0.1:8000/commands/"}
    }


BAD = [
    (["--set", "page_limit"], "invalid setting 'page_limit': expected NAME=VALUE"),
    (["--set", "page_limit=0"], "invalid page_limit '0': expected a whole number"),
    (["--set", "page_limit=many"], "page_limit: invalid value 'many': expected a whole number"),
    (["--set", "page_limit=5", "--set", "page_limit=6"], "page_limit is set or unset more than once"),
    (["--set", "page_limit=5", "--unset", "page_limit"], "page_limit is set or unset more than once"),
    (["--set", "pages=5"], "invalid profile field 'pages': expected one of page_limit"),
    (["--unset", "pages"], "invalid profile field 'pages': expected one of page_limit"),
    (["--set", "trailing_slash=yes"], "trailing_slash: invalid value 'yes': expected true or false"),
    (["--set", "time_zone=Mars/Olympus"], "invalid time_zone: invalid time zone"),
    (["--set", "allowed_parties=DEABC"], "invalid allowed_parties 'DEABC': expected CC-XXX"),
    (["--set", "allowed_parties=NL-TNM"], "invalid allowed_parties 'NL-TNM': expected another party"),
    (["--set", "required_modules=vendor"], "invalid required_modules 'vendor': expected modules"),
    (["--set", "actions=datetime.zone"], "actions: "),
    (["--set", "absent_as_null=yes"], "absent_as_null: invalid value 'yes': expected true or false"),
    (["--set", "credentials_extensions=vendor"], "invalid credentials_extensions 'vendor': expected a mapping"),
    (["--set", 'credentials_extensions={"token": 1}'], "token is a member of Credentials"),
    (["--set", "readings=steps=none"], "invalid reading 'steps': expected one of step, "),
    (["--set", "readings=step=never"], "invalid reading step 'never': expected one of session_last, "),
    (["--set", "readings=step"], "invalid reading step '': expected one of session_last, "),
    (["--set", "plausibility=session.lang=1"], "invalid plausibility 'session.lang': expected one of session.long, "),
    (["--set", "readings={"], "invalid readings '{': expected a mapping of readings to values, or a JSON object"),
    (["--set", "matrix=nowhere.csv"], "matrix: nowhere.csv: cannot be read"),
]


@pytest.mark.parametrize(("argv", "why"), BAD, ids=[" ".join(argv) for argv, _ in BAD])
def test_what_a_profile_cannot_hold_is_a_usage_error(command: Command, argv: list[str], why: str) -> None:
    ended = command("party", "profile", "NL-TNM", *argv)
    assert (ended.status, ended.out) == (2, "")
    assert why in ended.err
    assert ended.err.count("\n") == 1
    assert changed(profile(command)) == {}


def test_a_party_that_is_not_there(command: Command) -> None:
    ended = command("party", "profile", "DE-XYZ", "--set", "page_limit=5")
    assert (ended.status, ended.out) == (1, "")
    assert "DE-XYZ" in ended.err


def test_suggestions_are_said_and_not_applied(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from ocpi_emsp.flows.partner_health import profile_suggestions as module

    ended = command("party", "profile", "NL-TNM", "--suggest")
    assert ended.status == 0
    assert "nothing to suggest for NL-TNM" in ended.err
    assert profile(command, "--suggest")["suggestions"] == []
    assert "suggestions" not in profile(command)

    def always(*_: object) -> Any:
        yield module.Suggestion(name="page_limit", value=7, why="it gives 7 tariffs", evidence=2)
        yield module.Suggestion(name="time_zone", value=None, why="a question", evidence=1)

    monkeypatch.setattr(module, "_base64", always)
    lines = command("party", "profile", "NL-TNM", "--suggest").out.splitlines()[-2:]
    assert lines == [
        "suggested: page_limit=7  (it gives 7 tariffs; seen 2 times)",
        "suggested: time_zone=?  (a question; seen 1 time)",
    ]
    document = profile(command, "--suggest")
    assert [each["name"] for each in document["suggestions"]] == ["page_limit", "time_zone"]
    assert changed(document) == {}


def test_as_a_process_of_its_own(process: Command) -> None:
    ended = process("party", "profile", "NL-TNM", "--set", "page_limit=9", "--json")
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(ended.out)["profile"]["page_limit"] == 9


def test_a_header_with_a_comma_is_given_as_json_and_no_value_is_shown(command: Command) -> None:
    given = '{"x-api-key": "one, two"}'
    assert profile(command, "--set", f"headers={given}")["profile"]["headers"] == {"x-api-key": "***"}
    for text, why in (
        ("x key=secret-value", "the name 'x key' cannot be that of a header"),
        ("authorization=secret-value", "the header 'authorization' is set with each call already"),
        ("x-key=secret-valu\u00e9", "the value of 'x-key' cannot be that of a header"),
        ('{"x-key": ', "expected NAME=VALUE with commas, or a JSON object"),
        ('["secret-value"]', "the name '[\"secret-value\"]' cannot be"),
    ):
        ended = command("party", "profile", "NL-TNM", "--set", f"headers={text}")
        assert ended.status == 2
        assert why in ended.err
        assert "secret-valu\u00e9" not in ended.err
    assert "one, two" not in command("party", "profile", "NL-TNM").out


def test_headers_are_read_from_a_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("x-api-key=one, two=three\nocpi-to-party-id=AAA\n")
    ended = command("party", "profile", "NL-TNM", "--set", f"headers=@{tmp_path / 'headers'}", "--json")
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(ended.out)["profile"]["headers"] == {"x-api-key": "***", "ocpi-to-party-id": "AAA"}
    shown = command("party", "profile", "NL-TNM", "--set", "headers=x-api-key=secret")
    assert "--set headers shows a secret to every user of this machine" in shown.err


IDENTITY = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url", "https://emsp.test/ocpi")


def test_headers_of_a_handshake_are_in_the_profile(command: Command) -> None:
    ended = command("invite", "FR-HUB", "--header", "x-key=secret-value", "--header", "ocpi-to-party-id=AAA", *IDENTITY)
    assert ended.status == 0
    shown = json.loads(command("party", "profile", "FR-HUB", "--json").out)
    assert shown["profile"]["headers"] == {"x-key": "***", "ocpi-to-party-id": "AAA"}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (["x key=secret-value"], "the name 'x key' cannot be that of a header"),
        (["Host=secret-value"], "the header 'Host' is set with each call already"),
        (["secret-value"], "invalid --header: expected NAME=VALUE"),
        (["x-key=secret-value", "X-Key=b"], "invalid --header: x-key is given twice"),
    ],
)
@pytest.mark.parametrize(
    "argv",
    [
        ("invite", "FR-HUB", *IDENTITY),
        ("register", "https://cpo.test/versions", "--token-a", "A", *IDENTITY),
        ("party", "diagnose", "https://cpo.test/versions", "--token", "A"),
    ],
    ids=["invite", "register", "diagnose"],
)
def test_headers_that_no_call_can_have_are_usage(
    command: Command, argv: tuple[str, ...], headers: list[str], why: str
) -> None:
    ended = command(*argv, *(f"--header={each}" for each in headers))
    assert ended.status == 2
    assert why in ended.err
    assert "secret-value" not in ended.err
