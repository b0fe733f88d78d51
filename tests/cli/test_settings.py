"""Where commands have their settings from."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.conftest import Command
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.settings import Settings, read_settings, store_url

WHO = {"country_code": "IT", "party_id": "BEC", "name": "Be Charge"}
NAMES = ("url", "country_code", "party_id", "name", "url_policy", "store")


def read(
    tmp_path: Path, *, flags: Mapping[str, str] = {}, environment: Mapping[str, str] = {}, toml: str | None = None
) -> Settings:
    path = tmp_path / "ocpi-emsp.toml"
    if toml is not None:
        path.write_text(toml)
    return read_settings(Namespace(**dict.fromkeys(NAMES)) if not flags else given(flags), environment, path)


def given(flags: Mapping[str, str]) -> Namespace:
    return Namespace(**{**dict.fromkeys(NAMES), **flags})


def test_flags_come_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        flags={"name": "from a flag"},
        environment={"OCPI_EMSP_NAME": "from the environment", "OCPI_EMSP_PARTY_ID": "ENV", "OCPI_EMSP_URL": ""},
        toml='name = "from the file"\nparty_id = "TOM"\ncountry_code = "IT"\nurl = "https://e.example.com/ocpi/emsp"\n',
    )
    assert settings == Settings(
        country_code="IT",
        party_id="ENV",
        name="from a flag",
        url="https://e.example.com/ocpi/emsp",
        url_policy="https",
    )


def test_all_of_them_can_come_from_the_environment(tmp_path: Path) -> None:
    environment = {f"OCPI_EMSP_{name.upper()}": value for name, value in WHO.items()}
    settings = read(tmp_path, environment={**environment, "OCPI_EMSP_URL_POLICY": "loopback"})
    assert settings == Settings(**WHO, url=None, url_policy="loopback")


@pytest.mark.parametrize(
    ("flags", "environment", "toml", "said"),
    [
        ({}, {}, None, "give --country-code, --party-id, --name (or OCPI_EMSP_COUNTRY_CODE, or "),
        ({"country_code": "IT", "party_id": "BEC"}, {}, None, "give --name (or OCPI_EMSP_NAME, or "),
        (WHO, {"OCPI_EMSP_URL_POLICY": "any"}, None, "OCPI_EMSP_URL_POLICY is 'any', it can be https or loopback"),
        (WHO, {}, 'url_policy = "http"', "url_policy in "),
        (WHO, {}, 'nmae = "x"', "there is no setting 'nmae'; the settings are url, country_code"),
        (WHO, {}, "party_id = 5", "party_id must be a text in quotes"),
        (WHO, {}, "party_id =", "no TOML: "),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    flags: Mapping[str, str], environment: Mapping[str, str], toml: str | None, said: str, tmp_path: Path
) -> None:
    with pytest.raises(Usage) as raised:
        read(tmp_path, flags=flags, environment=environment, toml=toml)
    assert said in str(raised.value)


def test_the_store_is_found_as_any_other_setting_and_is_a_sqlite_file_where_nobody_says(tmp_path: Path) -> None:
    file = tmp_path / "ocpi-emsp.toml"
    assert store_url(Namespace(), {}, file) == "sqlite:///ocpi-emsp.db"
    file.write_text('store = "sqlite:///toml.db"')
    assert store_url(Namespace(store=None), {}, file) == "sqlite:///toml.db"
    environment = {"OCPI_EMSP_STORE": "postgresql+psycopg://user:pass@host/db"}
    assert store_url(Namespace(store=""), environment, file) == environment["OCPI_EMSP_STORE"]
    assert store_url(Namespace(store="memory"), environment, file, memory_allowed=True) == "memory"


@pytest.mark.parametrize(
    ("flag", "environment", "toml", "said"),
    [
        ("memory", {}, "", "--store is memory, which only the server that has it can see"),
        (None, {"OCPI_EMSP_STORE": "memory"}, "", "OCPI_EMSP_STORE is memory"),
        ("Memory", {}, "", "--store is no database URL, such as sqlite:///ocpi-emsp.db"),
        ("user:secret@host/db", {}, "", "--store is no database URL"),
        (None, {}, 'store = "secret.db"', "store in "),
        (None, {}, 'stor = "secret"', "there is no setting 'stor'"),
    ],
)
def test_a_store_that_is_none_is_said_and_not_repeated(
    flag: str | None, environment: Mapping[str, str], toml: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "ocpi-emsp.toml"
    file.write_text(toml)
    with pytest.raises(Usage) as raised:
        store_url(Namespace(store=flag), environment, file)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "ocpi-emsp.toml").mkdir()
    with pytest.raises(Usage, match="cannot be read: Is a directory"):
        read(tmp_path, flags=WHO)
    (tmp_path / "latin").write_bytes(b'name = "\xe9"')
    with pytest.raises(Usage, match="no TOML"):
        read_settings(given(WHO), {}, tmp_path / "latin")


def test_the_file_is_the_one_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ocpi-emsp.toml").write_text('store = "mysql://me:secret@host/x"')
    ended = command("serve", "--country-code", "IT", "--party-id", "BEC", "--name", "B")
    assert ended.status == 2
    assert "this mysql URL names no database that is known" in ended.err
    assert "secret" not in ended.err


def test_an_identity_that_no_partner_could_accept_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = command("serve", "--port", "0", "--country-code", "ITA", "--party-id", "BEC", "--name", "B")
    assert ended.status == 2
    assert "country_code has two characters" in ended.err
