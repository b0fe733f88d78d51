"""What the arguments of several commands have in common: how values are read, and options that many commands take.

Nothing heavy is imported here: a value that needs more than its spelling is judged where it is used.
"""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from typing import Any, TypeAlias

Actions: TypeAlias = "argparse._SubParsersAction[Any]"

_PARTY = re.compile(r"([A-Za-z]{2})-([A-Za-z0-9]{3})", re.ASCII)
_HIGHEST_PORT = 65_535
MOST_CONNECTIONS = 32
"""Connections to the database that a store has at most."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")


# --- values ---------------------------------------------------------------------------------------------------------


def party(text: str) -> tuple[str, str]:
    """Country code and party id of a text such as ``NL-TNM``."""
    match = _PARTY.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no party such as NL-TNM")
    return match[1].upper(), match[2].upper()


def country_code(text: str) -> str:
    """A country code alone, such as ``NL``."""
    return _part_of_party(text, f"{text}-XXX", 0, "country code such as NL")


def party_id(text: str) -> str:
    """A party id alone, such as ``TNM``."""
    return _part_of_party(text, f"XX-{text}", 1, "party id such as TNM")


def _part_of_party(text: str, whole: str, index: int, what: str) -> str:
    match = _PARTY.fullmatch(whole)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}")
    return match[index + 1].upper()


def host(text: str) -> str:
    """A host name or an address, as far as its spelling goes."""
    try:
        text.encode("idna")
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no host name") from None
    return text


def port(text: str) -> int:
    """A TCP port; 0 is a free one."""
    number = count(text)
    if number > _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is no port: the highest is {_HIGHEST_PORT}")
    return number


def count(text: str) -> int:
    """A number from 0 upwards."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 upwards")
    return int(text)


def at_least_one(text: str) -> int:
    """A number from 1 upwards."""
    number = count(text)
    if number == 0:
        raise argparse.ArgumentTypeError("it has to be at least 1")
    return number


def connections(text: str) -> int:
    """How many at once, where each has a connection to the database."""
    number = at_least_one(text)
    if number > MOST_CONNECTIONS:
        raise argparse.ArgumentTypeError(
            f"{number} is too many: at most {MOST_CONNECTIONS}, each needs a connection to the database"
        )
    return number


def duration(text: str) -> timedelta:
    """The time of a text such as ``4h``."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90m, 4h or 1d: a number with s, m, h or d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def token(text: str) -> str:
    """A token that an Authorization header can carry (credentials.md 2.1: at most 64 printable ASCII characters)."""
    if not (0 < len(text) <= 64 and text.isascii() and text.isprintable() and " " not in text):
        raise argparse.ArgumentTypeError("a token has 1 to 64 printable ASCII characters, no space")
    return text


# --- options --------------------------------------------------------------------------------------------------------


def add_json(command: argparse.ArgumentParser) -> None:
    """``--json`` of a command with one result."""
    command.add_argument("--json", action="store_true", help="print one JSON document on stdout and nothing else")


def add_format(command: argparse.ArgumentParser, default: str, *others: str) -> None:
    """``--format``."""
    command.add_argument("--format", choices=(default, *others), default=default, help=f"default: {default}")


def add_listening(command: argparse.ArgumentParser, default_port: int) -> None:
    """Where a server listens."""
    command.add_argument("--host", type=host, default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    command.add_argument("--port", type=port, default=default_port, help=f"0 is a free one (default: {default_port})")


def add_store(command: argparse.ArgumentParser, *, memory_allowed: bool = False) -> None:
    """``--store``."""
    memory = ", or memory" if memory_allowed else ""
    command.add_argument(
        "--store",
        metavar="URL",
        help="the database, such as postgresql+psycopg://user@host/database"
        f"{memory} (default: OCPI_EMSP_STORE, then store of ./ocpi-emsp.toml, then sqlite:///ocpi-emsp.db)",
    )


def add_identity(command: argparse.ArgumentParser) -> None:
    """Who we are, and where we are reached."""
    command.add_argument("--url", help="public base of our paths, such as https://ocpi.example.com/ocpi/emsp")
    command.add_argument("--country-code", metavar="CC", help="our country code, such as IT")
    command.add_argument("--party-id", metavar="ID", help="our party id, such as BEC")
    command.add_argument("--name", help="our name, as partners see it")
    command.add_argument(
        "--url-policy",
        choices=("https", "loopback"),
        help="which URLs of partners are called; loopback also allows http to this machine (default: https)",
    )
    command.epilog = (
        "What no flag says is taken from OCPI_EMSP_URL, OCPI_EMSP_COUNTRY_CODE, OCPI_EMSP_PARTY_ID, OCPI_EMSP_NAME, "
        "OCPI_EMSP_URL_POLICY and OCPI_EMSP_STORE, then from url, country_code, party_id, name, url_policy and store "
        "of ./ocpi-emsp.toml."
    )


def add_action(actions: Actions, name: str, summary: str) -> argparse.ArgumentParser:
    """A subcommand such as ``list``."""
    action: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    return action
