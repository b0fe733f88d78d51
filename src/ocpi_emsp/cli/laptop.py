"""The settings file for a trial on this machine, for ``config init --laptop`` and ``serve --laptop``.

Rules of this module:
- the eMSP is that of the documentation, at http on loopback, with a SQLite file in the same directory;
- an existing file is never overwritten; ``serve`` reads it instead, so the command can be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import Usage, reason
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.settings import DEFAULT_STORE, FILE, MEMORY

PORT: Final = 8000
_EMSP: Final = {"country_code": "IT", "party_id": "BEC", "name": "Be Charge"}
_HEAD: Final = f"""\
# {FILE}: the settings of a try on this machine, read from the directory in which a command runs.
# `ocpi-emsp config init --output FILE` writes every setting with its default.
"""


def sample() -> str:
    """Return the text of the file, for a server on the default port."""
    return _text({**_EMSP, **_here(PORT), "store": DEFAULT_STORE})


def served(arguments: Arguments) -> Arguments:
    """Return the arguments of ``serve``, with the settings that the file gets, unless there is one. Raises Usage."""
    if FILE.exists():
        return arguments
    if arguments.port == 0:
        raise Usage("--laptop stores the URL of the server: set a --port other than 0")
    if arguments.store == MEMORY:
        raise Usage("--laptop needs a database that other commands see: leave out --store memory")
    who = {name: getattr(arguments, name) or example for name, example in _EMSP.items()}
    settings = {**who, **_here(arguments.port), "store": arguments.store}
    write(FILE, _text(settings))
    return Arguments(**vars(arguments) | settings)


def write(path: Path, text: str) -> None:
    """Write a new settings file, and report it. Raises Usage."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Usage(f"{path} exists already: remove it, or name another file with --output") from None
    except (OSError, ValueError) as error:
        raise Usage(f"{path}: cannot be written: {reason(error)}") from None
    output.say(f"wrote {path}")


def _here(port: int) -> dict[str, str]:
    return {"url": f"http://127.0.0.1:{port}/ocpi/emsp", "url_policy": "loopback"}


def _text(settings: Mapping[str, Any]) -> str:
    return _HEAD + "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in settings.items())
