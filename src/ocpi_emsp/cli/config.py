"""``ocpi-emsp config init``: a settings file with every setting, its default, and a description.

Rules of this module:
- the settings and their descriptions are taken from the options of the commands, so that the file, the help and the
  site agree;
- a setting without a default is commented out with ``#`` and has an example;
- an existing file is never overwritten;
- ``--laptop`` writes the few settings for a trial on this machine instead (laptop.py).
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from ocpi_emsp.cli import laptop
from ocpi_emsp.cli.commands import Commands
from ocpi_emsp.cli.options import Arguments, Setting, Settings
from ocpi_emsp.cli.settings import FILE, NAMES

SECTIONS: Final = {
    "url": "Who we are",
    "url_policy": "Which URLs of partners are called",
    "store": "What is stored, and where",
    "website": "What partners get in our credentials beside the name",
}
"""The headings, each above its first setting."""
EXAMPLES: Final[dict[str, Any]] = {
    "url": "https://ocpi.example.com/ocpi/emsp",
    "country_code": "IT",
    "party_id": "BEC",
    "name": "Be Charge",
    "retention": "rejections=30d,sessions=1000d",
    "website": "https://www.example.com",
    "logo": "https://www.example.com/logo.png",
    "logo_thumbnail": "https://www.example.com/logo-small.png",
    "logo_category": "OPERATOR",
    "logo_type": "png",
    "logo_width": 512,
    "logo_height": 512,
}
"""Values of settings without a default."""
_TABLE: Final = "credentials_extensions"
_HEAD: Final = f"""\
# {FILE}: the settings of ocpi-emsp, read from the directory in which a command runs.
# A flag comes first, then the environment (OCPI_EMSP_STORE is store), then this file.
"""


def run(arguments: Arguments) -> int:
    """Write the file."""
    laptop.write(Path(arguments.output), laptop.sample() if arguments.laptop else sample())
    return 0


def sample() -> str:
    """Return the text of the file."""
    return "\n".join((_HEAD.rstrip("\n"), *_lines())) + "\n"


def settings() -> dict[str, Setting]:
    """Return the option of each setting, in the order of the file."""
    found = {str(each.name): each for each in _options(Commands())}
    return {name: found[name] for name in NAMES}


def default(option: Setting) -> Any:
    """Return the default of a setting as written in the file; None if there is none."""
    if isinstance(option, Settings):
        return []
    return option.default if isinstance(option.default, str | bool) else None


def _options(command: click.Command) -> Iterator[Setting]:
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from _options(each)
    yield from (each for each in command.params if isinstance(each, Setting))


def _lines() -> Iterator[str]:
    for name, option in settings().items():
        if name in SECTIONS:
            yield from ("", f"# --- {SECTIONS[name]} ---")
        yield ""
        about = str(option.help)
        yield from textwrap.wrap(about[0].upper() + about[1:], 118, initial_indent="# ", subsequent_indent="# ")
        if name == _TABLE:
            yield from (f"# [{name}]", "# vendor_id = 7")
        elif (value := default(option)) is None:
            yield f"# {name} = {json.dumps(EXAMPLES[name])}"
        else:
            yield f"{name} = {json.dumps(value)}"
