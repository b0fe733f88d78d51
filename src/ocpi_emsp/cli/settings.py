"""Who we are and how we serve: from flags, then the environment, then ./ocpi-emsp.toml.

Rules of this module:
- a setting that is empty is not set; one that nobody knows is an error, since it is most likely misspelt;
- a message about a setting says where it came from.
"""

from __future__ import annotations

import tomllib
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from attrs import frozen

from ocpi_emsp.cli.errors import Usage, reason
from ocpi_emsp.flows.context import UrlPolicy

FILE = Path("ocpi-emsp.toml")
_NAMES = ("url", "country_code", "party_id", "name", "url_policy", "store")
_URL_POLICIES = ("https", "loopback")
_STORE = "memory"


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
    from_file = _read_file(file)
    found: dict[str, tuple[str, str]] = {}
    for name in _NAMES:
        variable = f"OCPI_EMSP_{name.upper()}"
        for value, source in (
            (getattr(flags, name), _flag(name)),
            (environment.get(variable), variable),
            (from_file.get(name), f"{name} in {file}"),
        ):
            if value:
                found[name] = value, source
                break
    missing = [name for name in ("country_code", "party_id", "name") if name not in found]
    if missing:
        flags_missing = ", ".join(map(_flag, missing))
        raise Usage(f"nobody says who we are: give {flags_missing} (or OCPI_EMSP_{missing[0].upper()}, or {file})")
    _require(found, "url_policy", _URL_POLICIES, "")
    _require(found, "store", (_STORE,), ": storage that lasts is not there yet")
    values = {name: value for name, (value, _) in found.items()}
    return Settings(
        country_code=values["country_code"],
        party_id=values["party_id"],
        name=values["name"],
        url=values.get("url"),
        url_policy=cast("UrlPolicy", values.get("url_policy", "https")),
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _require(found: Mapping[str, tuple[str, str]], name: str, allowed: tuple[str, ...], why: str) -> None:
    value, source = found.get(name, (allowed[0], ""))
    if value not in allowed:
        raise Usage(f"{source} is {value!r}, it can be {' or '.join(allowed)}{why}")


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
