"""The code of docs/how-to/partner-profiles.md, run as it is copied from there: as Python, and as commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.conftest import Command
from ocpi_emsp import Emsp
from served.support import Host

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "partner-profiles.md").read_text("utf-8")
VERSIONS_URL = "https://cpo.example.com/ocpi/versions"
COMMANDS_URL = "https://cpo.example.com/ocpi/cpo/2.1.1/commands/"
TOKEN_A = "their-token-a"


def blocks(section: str, language: str) -> list[str]:
    """The code of a section of the page."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found, f"{section} has no {language}"
    return found


def by_python(section: str, replaced: Mapping[str, str], emsp: Emsp, _: Command) -> None:
    names: dict[str, Any] = {"emsp": emsp}
    for block in blocks(section, "python"):
        exec(compile(put(replaced, block), "docs/how-to/partner-profiles.md", "exec"), names)


def by_command(section: str, replaced: Mapping[str, str], _: Emsp, command: Command) -> None:
    for line in put(replaced, "".join(blocks(section, "sh"))).splitlines():
        program, *argv = shlex.split(line)
        assert program == "ocpi-emsp"
        argv, file = (argv[:-2], argv[-1]) if ">" in argv else (argv, None)
        ended = command(*argv)
        assert ended.status == 0, ended
        if file:
            Path(file).write_text(ended.out, "utf-8")


def put(replaced: Mapping[str, str], text: str) -> str:
    for example, value in replaced.items():
        text = text.replace(example, value)
    return text


def settings_of(host: Host, database: Path) -> dict[str, str]:
    """What the command takes from the environment."""
    identity = {"COUNTRY_CODE": "IT", "PARTY_ID": "BEC", "NAME": "Be Charge", "URL": host.url}
    settings = {**identity, "URL_POLICY": "loopback", "STORE": f"sqlite:///{database}"}
    return {f"OCPI_EMSP_{name}": value for name, value in settings.items()}
