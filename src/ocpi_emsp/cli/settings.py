"""Who we are, how we serve and where the data is: from flags, then the environment, then ./ocpi-emsp.toml.

Rules of this module:
- a setting that is empty is not set; one that nobody knows is an error, since it is most likely misspelt;
- a message about a setting says where it came from; a database URL is never repeated: it may hold a password.
"""

from __future__ import annotations

import re
import tomllib
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from attrs import frozen

from ocpi_emsp.cli.errors import Usage, reason
from ocpi_emsp.flows.core.context import UrlPolicy

FILE = Path("ocpi-emsp.toml")
MEMORY: Final = "memory"
DEFAULT_STORE: Final = "sqlite:///ocpi-emsp.db"
_NAMES = ("url", "country_code", "party_id", "name", "url_policy", "store")
_URL_POLICIES = ("https", "loopback")
_DATABASE_URL = re.compile(r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://.*", re.ASCII | re.DOTALL)

_Found = Mapping[str, tuple[str, str]]
"""The settings that are set: the value, and where it came from."""


@frozen(kw_only=True)
class Settings:
    """An eMSP's identity and policies; ``url`` None stands for the address that the server gets."""

    country_code: str
    party_id: str
    name: str
    url: str | None
    url_policy: UrlPolicy


def read_settings(flags: Namespace, environment: Mapping[str, str], file: Path = FILE) -> Settings:
    """The settings. Raises Usage where one is missing, unknown or wrong."""
    found = _find(flags, environment, file)
    missing = [name for name in ("country_code", "party_id", "name") if name not in found]
    if missing:
        flags_missing = ", ".join(map(_flag, missing))
        raise Usage(f"nobody says who we are: give {flags_missing} (or OCPI_EMSP_{missing[0].upper()}, or {file})")
    url_policy, source = found.get("url_policy", ("https", ""))
    if url_policy not in _URL_POLICIES:
        raise Usage(f"{source} is {url_policy!r}, it can be {' or '.join(_URL_POLICIES)}")
    return Settings(
        country_code=found["country_code"][0],
        party_id=found["party_id"][0],
        name=found["name"][0],
        url=found["url"][0] if "url" in found else None,
        url_policy=cast("UrlPolicy", url_policy),
    )


def store_url(
    flags: Namespace, environment: Mapping[str, str], file: Path = FILE, *, memory_allowed: bool = False
) -> str:
    """The database's URL, or ``memory`` where that is allowed. Raises Usage."""
    store, source = _find(flags, environment, file).get("store", (DEFAULT_STORE, ""))
    if store == MEMORY:
        if not memory_allowed:
            raise Usage(f"{source} is memory, which only the server that has it can see: this needs a database")
        return store
    if _DATABASE_URL.fullmatch(store) is None:
        raise Usage(f"{source} is no database URL, such as {DEFAULT_STORE} or postgresql+psycopg://user@host/database")
    return store


def _find(flags: Namespace, environment: Mapping[str, str], file: Path) -> _Found:
    from_file = _read_file(file)
    found: dict[str, tuple[str, str]] = {}
    for name in _NAMES:
        variable = f"OCPI_EMSP_{name.upper()}"
        for value, source in (
            (getattr(flags, name, None), _flag(name)),  # a command has the flags that mean something to it
            (environment.get(variable), variable),
            (from_file.get(name), f"{name} in {file}"),
        ):
            if value:
                found[name] = value, source
                break
    return found


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _read_file(file: Path) -> dict[str, str]:
    """The settings in the file; none where there is no file."""
    try:
        settings: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Usage(f"{file}: cannot be read: {reason(error)}") from None
    except ValueError as error:
        raise Usage(f"{file}: no TOML: {error}") from None
    for name, value in settings.items():
        if name not in _NAMES:
            raise Usage(f"{file}: there is no setting {name!r}; the settings are {', '.join(_NAMES)}")
        if not isinstance(value, str):
            raise Usage(f"{file}: {name} must be a text in quotes")
    return settings
