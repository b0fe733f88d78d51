"""Identity, serving and data location: from flags, then the environment, then ./ocpi-emsp.toml.

Rules of this module:
- an unknown setting is an error, since it is most likely misspelt;
- a message about a setting names its source; a database URL is never repeated: it may hold a password.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from ocpi_emsp.cli.errors import Usage, reason
from ocpi_emsp.cli.read_secrets import warn

FILE = Path("ocpi-emsp.toml")
MEMORY: Final = "memory"
DEFAULT_STORE: Final = "sqlite:///ocpi-emsp.db"
_IDENTITY = ("country_code", "party_id", "name")
_NUMBERS = ("logo_width", "logo_height")
_EXTENSIONS = "credentials_extensions"
_DETAILS = ("website", "logo", "logo_thumbnail", "logo_category", "logo_type", *_NUMBERS, _EXTENSIONS)
LISTS = ("allow_http", "allow_network", "allow_port", "allow_host")
SWITCHES = ("audit",)
NAMES = ("url", *_IDENTITY, "url_policy", *LISTS, "store", "retention", *SWITCHES, *_DETAILS)
"""All settings, in the order of the file that ``ocpi-emsp config init`` writes."""
_PASSWORD = re.compile(r"[^/]+://[^/@]*:[^/@]+@")
_LINE = re.compile(r"at line (\d+)")
_DATABASE_URL = re.compile(r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://.*", re.ASCII | re.DOTALL)


def require_identity(arguments: Any) -> None:
    """Raise Usage unless the arguments have our identity."""
    missing = [name for name in _IDENTITY if not getattr(arguments, name)]
    if missing:
        flags = [f"--{name.replace('_', '-')}" for name in missing]
        names = " and ".join(filter(None, (", ".join(flags[:-1]), flags[-1])))
        raise Usage(
            f"Missing eMSP identity: set {names} "
            f"(or OCPI_EMSP_{missing[0].upper()}, ..., or {missing[0]}, ... in {FILE})"
        )


def store_url(arguments: Any, *, memory_allowed: bool = False) -> str:
    """Return the database's URL, or ``memory`` if that is allowed. Raises Usage."""
    store: str = arguments.store
    if store == MEMORY:
        if not memory_allowed:
            raise Usage(f"invalid {source('store')} memory: only the server that holds it sees it; set a database URL")
    elif _DATABASE_URL.fullmatch(store) is None:
        known = f"{DEFAULT_STORE} or postgresql+psycopg://user@host/database"
        raise Usage(f"invalid {source('store')}: expected a database URL, for example {known}")
    elif source("store") == "--store" and _PASSWORD.match(store):
        warn("--store", "OCPI_EMSP_STORE, PGPASSWORD or a .pgpass file")
    return store


def source(name: str) -> str:
    """Return the source of this setting of the running command, as its user wrote it."""
    context = click.get_current_context(silent=True)
    match context.get_parameter_source(name) if context else None:
        case ParameterSource.ENVIRONMENT:
            return f"OCPI_EMSP_{name.upper()}"
        case ParameterSource.DEFAULT_MAP:
            return f"{name} in {FILE}"
        case _:
            return f"--{name.replace('_', '-')}"


def file_settings(file: Path = FILE) -> dict[str, str]:
    """Return the settings in the file; none if there is no file. Raises Usage."""
    import tomllib

    text = ""
    try:
        text = file.read_text("utf-8")
        settings: dict[str, Any] = tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Usage(f"{file}: cannot be read: {reason(error)}") from None
    except UnicodeDecodeError:
        raise Usage(f"{file}: invalid TOML: its encoding is not UTF-8: save it as UTF-8") from None
    except ValueError as error:
        raise Usage(f"{file}: invalid TOML: {error}{_unquoted(str(error), text)}") from None
    for name, value in settings.items():
        if name not in NAMES:
            raise Usage(f"{file}: unknown setting '{name}': expected one of {', '.join(NAMES)}{meant(name, NAMES)}")
        settings[name] = value = _as_text(name, value)
        if not isinstance(value, str):
            raise Usage(f"{file}: invalid {name}: expected {_EXPECTED.get(name, 'a text in quotes')}")
    return settings


def _unquoted(message: str, text: str) -> str:
    """Return what the setting on the line of an error must be, which most likely lacks its quotes; never its value."""
    line = _LINE.search(message)
    name = text.splitlines()[int(line[1]) - 1].partition("=")[0].strip() if line else ""
    return f": {name} must be {_EXPECTED.get(name, 'a text in quotes')}" if name in NAMES else ""


def meant(name: str, names: Iterable[str]) -> str:
    """The name that is most like it, in brackets; empty if none is."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(names), 1)
    return f" (did you mean {close[0]}?)" if close else ""


_EXPECTED = {
    **dict.fromkeys(_NUMBERS, "a whole number, for example 512"),
    **dict.fromkeys(SWITCHES, "true or false"),
    **dict.fromkeys(LISTS, 'a list, for example ["10.20.0.0/16"]'),
    _EXTENSIONS: "a table",
}


def _as_text(name: str, value: object) -> object:
    """Return a value in the form of a flag, if the file may have another form."""
    if name in _NUMBERS and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if name in SWITCHES and isinstance(value, bool):
        return str(value).lower()
    if name in LISTS and isinstance(value, list) and all(isinstance(each, str | int) for each in value):
        return ",".join(map(str, value))
    return json.dumps(value, default=str) if name == _EXTENSIONS and isinstance(value, dict) else value
