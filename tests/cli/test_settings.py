"""Where commands have their settings from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from ocpi_emsp import UrlPolicy
from ocpi_emsp.cli.commands import arguments_of
from ocpi_emsp.cli.settings import FILE, store_url
from ocpi_emsp.cli.url_policies import url_policy_of

WHO = {"country_code": "IT", "party_id": "BEC", "name": "Be Charge"}
NAMES = ("url", "country_code", "party_id", "name", "url_policy", "store")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(f"OCPI_EMSP_{name.upper()}", raising=False)


def given(environment: Mapping[str, str], toml: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if toml is not None:
        FILE.write_text(toml)


def flags(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", value)]


def read(*argv: str) -> dict[str, Any]:
    arguments = vars(arguments_of("serve", argv))
    return {name: arguments[name] for name in NAMES}


def test_flags_come_before_the_environment_and_that_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    given(
        {"OCPI_EMSP_NAME": "from the environment", "OCPI_EMSP_PARTY_ID": "ENV", "OCPI_EMSP_URL": ""},
        'name = "from the file"\nparty_id = "TOM"\ncountry_code = "IT"\nurl = "https://e.example.com/ocpi/emsp"\n',
        monkeypatch,
    )
    assert read("--name", "from a flag") == {
        "country_code": "IT",
        "party_id": "ENV",
        "name": "from a flag",
        "url": "https://e.example.com/ocpi/emsp",
        "url_policy": "https",
        "store": "sqlite:///ocpi-emsp.db",
    }
    assert read("--name", "")["name"] == "from the environment"


def test_all_of_them_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {f"OCPI_EMSP_{name.upper()}": value for name, value in WHO.items()}
    given({**environment, "OCPI_EMSP_URL_POLICY": "loopback"}, None, monkeypatch)
    assert read() == {**WHO, "url": None, "url_policy": "loopback", "store": "sqlite:///ocpi-emsp.db"}


LISTS = ("allow_http", "allow_network", "allow_port", "allow_host")


@pytest.mark.parametrize(
    ("argv", "environment", "toml"),
    [
        (("--allow-network", "10.20.0.0/16", "--allow-network", "10.30.0.0/16", "--allow-port", "80"), {}, None),
        ((), {"OCPI_EMSP_ALLOW_NETWORK": "10.20.0.0/16, 10.30.0.0/16", "OCPI_EMSP_ALLOW_PORT": "80"}, None),
        ((), {}, 'allow_network = ["10.20.0.0/16", "10.30.0.0/16"]\nallow_port = [80]\n'),
        ((), {}, 'allow_network = "10.20.0.0/16,10.30.0.0/16"\nallow_port = "80"\n'),
        (("--allow-network", "10.20.0.0/16,10.30.0.0/16"), {"OCPI_EMSP_ALLOW_PORT": "80"}, 'allow_network = ["::/0"]'),
    ],
)
def test_a_setting_of_several_values_comes_from_anywhere(
    argv: tuple[str, ...], environment: Mapping[str, str], toml: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(environment, toml, monkeypatch)
    arguments = arguments_of("serve", argv)
    assert [getattr(arguments, name) for name in LISTS] == [(), ("10.20.0.0/16", "10.30.0.0/16"), ("80",), ()]
    policy = url_policy_of(arguments)
    assert policy == UrlPolicy.default().allowing_network("10.20.0.0/16").allowing_network(
        "10.30.0.0/16"
    ).allowing_port(80)


@pytest.mark.parametrize("name", ["serve", "worker"])
@pytest.mark.parametrize(
    ("argv", "environment", "toml", "is_on"),
    [
        ((), {}, None, False),
        (("--audit",), {"OCPI_EMSP_AUDIT": "false"}, "audit = false", True),
        (("--no-audit",), {"OCPI_EMSP_AUDIT": "true"}, "audit = true", False),
        ((), {"OCPI_EMSP_AUDIT": "1"}, "audit = false", True),
        ((), {"OCPI_EMSP_AUDIT": "off"}, "audit = true", False),
        ((), {"OCPI_EMSP_AUDIT": ""}, "audit = true", True),
        ((), {}, 'audit = "yes"', True),
        ((), {}, "audit = false", False),
    ],
)
def test_a_switch_is_a_flag_or_true_or_false_elsewhere(
    name: str,
    argv: tuple[str, ...],
    environment: Mapping[str, str],
    toml: str | None,
    is_on: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given(environment, toml, monkeypatch)
    assert arguments_of(name, argv).audit is is_on


def test_every_relaxation_has_a_flag_and_none_allows_anything_by_itself() -> None:
    argv = ("--allow-http", "a.example.com", "--allow-host", "cpo.internal", "--url-policy", "loopback")
    policy = url_policy_of(arguments_of("serve", argv))
    assert policy == UrlPolicy.loopback().allowing_http("a.example.com").allowing_host("cpo.internal")
    assert url_policy_of(arguments_of("serve")) == UrlPolicy.default()


@pytest.mark.parametrize(
    ("settings", "environment", "toml", "said"),
    [
        (
            {},
            {},
            None,
            "Missing eMSP identity: set --country-code, --party-id and --name (or OCPI_EMSP_COUNTRY_CODE, ..., or ",
        ),
        (
            {"country_code": "IT", "party_id": "BEC"},
            {},
            None,
            "Missing eMSP identity: set --name (or OCPI_EMSP_NAME, ..., or name, ... in ocpi-emsp.toml)",
        ),
        (
            WHO,
            {"OCPI_EMSP_URL_POLICY": "any"},
            None,
            "OCPI_EMSP_URL_POLICY: invalid value 'any': expected https or loopback",
        ),
        (WHO, {}, 'url_policy = "http"', "url_policy in ocpi-emsp.toml: invalid value 'http': expected https or loop"),
        (WHO, {}, "allow_network = 5", 'invalid allow_network: expected a list, for example ["10.20.0.0/16"]'),
        (WHO, {}, 'allow_port = ["x"]', "allow_port in ocpi-emsp.toml: invalid port 'x': expected a port"),
        (WHO, {"OCPI_EMSP_ALLOW_HTTP": "http://a"}, None, "OCPI_EMSP_ALLOW_HTTP: invalid host 'http://a': expected a"),
        ({**WHO, "allow_network": "10.0.0.1/8"}, {}, None, "--allow-network: invalid network '10.0.0.1/8': expected"),
        ({**WHO, "allow_host": "127.1"}, {}, None, "--allow-host: invalid host '127.1': expected a host name"),
        (WHO, {}, 'nmae = "x"', "unknown setting 'nmae': expected one of url, country_code"),
        (WHO, {}, 'county_code = "IT"', "(did you mean country_code?)"),
        (WHO, {"OCPI_EMSP_AUDIT": "maybe"}, None, "OCPI_EMSP_AUDIT: invalid value 'maybe': expected true or false"),
        (WHO, {}, 'audit = "maybe"', "audit in ocpi-emsp.toml: invalid value 'maybe': expected true or false"),
        (WHO, {}, "audit = 5", "invalid audit: expected true or false"),
        (WHO, {}, "party_id = 5", "invalid party_id: expected a text in quotes"),
        (WHO, {}, "party_id =", "invalid TOML: "),
        (WHO, {}, "# us\nname = Be Charge\n", "(at line 2, column 8): name must be a text in quotes"),
        (WHO, {}, "audit = yes", "(at line 1, column 9): audit must be true or false"),
        (WHO, {}, "store = postgresql://me:secret@host/x", "column 9): store must be a text in quotes"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    settings: Mapping[str, str],
    environment: Mapping[str, str],
    toml: str | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> None:
    given(environment, toml, monkeypatch)
    ended = command("serve", *flags(settings))
    assert ended.status == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_the_store_is_found_as_any_other_setting_and_is_a_sqlite_file_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert store_url(arguments_of("serve")) == "sqlite:///ocpi-emsp.db"
    given({}, 'store = "sqlite:///toml.db"', monkeypatch)
    assert store_url(arguments_of("serve")) == "sqlite:///toml.db"
    environment = {"OCPI_EMSP_STORE": "postgresql+psycopg://user:pass@host/db"}
    given(environment, None, monkeypatch)
    assert store_url(arguments_of("serve", ("--store", ""))) == environment["OCPI_EMSP_STORE"]
    assert store_url(arguments_of("serve", ("--store", "memory")), memory_allowed=True) == "memory"


@pytest.mark.parametrize(
    ("flag", "environment", "toml", "said"),
    [
        ("memory", {}, None, "invalid --store memory: only the server that holds it sees it"),
        (None, {"OCPI_EMSP_STORE": "memory"}, None, "invalid OCPI_EMSP_STORE memory"),
        ("Memory", {}, None, "invalid --store: expected a database URL, for example sqlite:///ocpi-emsp.db"),
        ("user:secret@host/db", {}, None, "invalid --store: expected a database URL"),
        (None, {}, 'store = "secret.db"', "invalid store in ocpi-emsp.toml: expected a database URL"),
        (None, {}, 'stor = "secret"', "unknown setting 'stor'"),
    ],
)
def test_a_store_that_is_none_is_said_and_not_repeated(
    flag: str | None,
    environment: Mapping[str, str],
    toml: str | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> None:
    given(environment, toml, monkeypatch)
    ended = command("report", "NL-TNM", *([] if flag is None else ["--store", flag]))
    assert ended.status == 2
    assert said in ended.err
    assert "secret" not in ended.err


def test_a_file_that_cannot_be_read_is_said(command: Command) -> None:
    FILE.mkdir()
    assert "ocpi-emsp.toml: cannot be read: Is a directory" in command("serve").err
    FILE.rmdir()
    FILE.write_bytes(b'name = "\xe9"')
    said = "ocpi-emsp: ocpi-emsp.toml: invalid TOML: its encoding is not UTF-8: save it as UTF-8\n"
    assert command("serve") == (2, "", said)
    FILE.write_bytes('name = "Be"'.encode("utf-16"))  # as PowerShell's > writes it
    assert command("serve") == (2, "", said)


def test_the_file_is_the_one_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ocpi-emsp.toml").write_text('store = "mysql://me:secret@host/x"')
    ended = command("serve", "--country-code", "IT", "--party-id", "BEC", "--name", "B")
    assert ended.status == 2
    assert "invalid store 'mysql://…': expected a URL of SQLite or PostgreSQL" in ended.err
    assert "secret" not in ended.err


def test_an_identity_that_no_partner_could_accept_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = command("serve", "--port", "0", "--country-code", "ITA", "--party-id", "BEC", "--name", "B")
    assert ended.status == 2
    assert "invalid country_code 'ITA': expected 2 characters" in ended.err
