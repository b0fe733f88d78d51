"""``ocpi-emsp config init``: the file is read, and says what holds without it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from ocpi_emsp.cli import laptop
from ocpi_emsp.cli.commands import arguments_of
from ocpi_emsp.cli.config import EXAMPLES, default, settings
from ocpi_emsp.cli.settings import NAMES, file_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(f"OCPI_EMSP_{name.upper()}", raising=False)


def served() -> dict[str, Any]:
    return vars(arguments_of("serve"))


def test_the_file_changes_nothing(command: Command) -> None:
    before = served()
    ended = command("config", "init")
    assert (ended.status, ended.err) == (0, "ocpi-emsp: wrote ocpi-emsp.toml\n")
    assert served() == before


def test_every_setting_stands_in_it_once(command: Command) -> None:
    command("config", "init", "--output", "other.toml")
    written = Path("other.toml").read_text("utf-8")
    found = tomllib.loads(written)
    assert found == {name: value for name, option in settings().items() if (value := default(option)) is not None}
    assert re.findall(r"^(?:# )?\[?(\w+)(?: = .+|\])$", written, re.MULTILINE) == [*NAMES, "vendor_id"]


def test_its_examples_can_be_taken(command: Command) -> None:
    command("config", "init")
    file = Path("ocpi-emsp.toml")
    lines = file.read_text("utf-8").splitlines()
    settable = (*(f"# {name} =" for name in EXAMPLES), "# [credentials_extensions]", "# vendor_id")
    file.write_text("\n".join(line.removeprefix("# ") if line.startswith(settable) else line for line in lines))
    assert {name: file_settings()[name] for name in EXAMPLES} == {name: str(EXAMPLES[name]) for name in EXAMPLES}
    assert (served()["logo_width"], served()["credentials_extensions"]) == (512, '{"vendor_id": 7}')


def test_the_file_of_a_try_on_this_machine(command: Command) -> None:
    assert command("config", "init", "--laptop").status == 0
    found = served()
    assert (found["country_code"], found["party_id"], found["name"]) == ("IT", "BEC", "Be Charge")
    assert (found["url"], found["url_policy"]) == ("http://127.0.0.1:8000/ocpi/emsp", "loopback")
    assert found["store"] == "sqlite:///ocpi-emsp.db"
    assert found["port"] == laptop.PORT


def test_a_server_on_this_machine_writes_the_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCPI_EMSP_NAME", "Another")
    used = laptop.served(arguments_of("serve", ["--laptop", "--port", "8001", "--party-id", "xyz"]))
    file = file_settings()
    assert file == {name: getattr(used, name) for name in file}
    assert (file["party_id"], file["name"], file["url"]) == ("xyz", "Another", "http://127.0.0.1:8001/ocpi/emsp")
    again = arguments_of("serve", ["--laptop", "--port", "8002"])
    assert laptop.served(again) is again
    assert (again.url, again.url_policy) == (file["url"], "loopback")


def test_a_name_beyond_the_basic_plane_can_be_read_again() -> None:
    """JSON would write it as two halves, which TOML refuses."""
    laptop.served(arguments_of("serve", ["--laptop", "--name", "Charge \N{AUTOMOBILE}"]))
    assert file_settings()["name"] == "Charge \N{AUTOMOBILE}"


@pytest.mark.parametrize(("argv", "said"), [(["--port", "0"], "--port other"), (["--store", "memory"], "a database")])
def test_a_try_that_other_commands_could_not_find(argv: list[str], said: str, command: Command) -> None:
    ended = command("serve", "--laptop", *argv)
    assert (ended.status, said in ended.err) == (2, True)
    assert not Path("ocpi-emsp.toml").exists()


def test_a_file_that_exists_is_left_alone(command: Command) -> None:
    Path("ocpi-emsp.toml").write_text('name = "Be Charge"\n')
    ended = command("config", "init")
    assert ended.status == 2
    assert "exists already" in ended.err
    assert Path("ocpi-emsp.toml").read_text() == 'name = "Be Charge"\n'
    assert command("config", "init", "--output", "no/such/folder.toml").status == 2
