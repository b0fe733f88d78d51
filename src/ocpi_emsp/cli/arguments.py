"""The arguments of every command. Nothing heavy is imported here: values are judged where they are used."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

from ocpi_emsp.cli import output

_PARTY = re.compile(r"([A-Za-z]{2})-([A-Za-z0-9]{3})", re.ASCII)
_HIGHEST_PORT = 65_535


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command; ``module`` of its result is the module that runs the command."""
    top = argparse.ArgumentParser(
        prog="ocpi-emsp",
        description="The eMSP side of OCPI 2.1.1: receive, call, check.",
        allow_abbrev=False,
        epilog="Exit status: 0 done, 1 done with refusals or failures, 2 usage, 3 the outside failed.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (summary, add_arguments) in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        command.set_defaults(module=f"ocpi_emsp.cli.{name.replace('-', '_')}")
        add_arguments(command)
    return top


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        output.write(f"ocpi-emsp {version('ocpi-emsp')}\n")
        parser.exit()


def party(text: str) -> tuple[str, str]:
    """Country code and party id of a text such as ``NL-TNM``."""
    match = _PARTY.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no party such as NL-TNM")
    return match[1].upper(), match[2].upper()


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


def token(text: str) -> str:
    """A token that an Authorization header can carry (credentials.md 2.1: at most 64 printable ASCII characters)."""
    if not (0 < len(text) <= 64 and text.isascii() and text.isprintable() and " " not in text):
        raise argparse.ArgumentTypeError("a token has 1 to 64 printable ASCII characters, no space")
    return text


def _demo(command: argparse.ArgumentParser) -> None:
    _json(command)


def _serve(command: argparse.ArgumentParser) -> None:
    _listening(command, 8000)
    command.add_argument("--url", help="public base of our paths, such as https://ocpi.example.com/ocpi/emsp")
    command.add_argument("--country-code", metavar="CC", help="our country code, such as IT")
    command.add_argument("--party-id", metavar="ID", help="our party id, such as BEC")
    command.add_argument("--name", help="our name, as partners see it")
    command.add_argument(
        "--url-policy",
        choices=("https", "loopback"),
        help="which URLs of partners are called; loopback also allows http to this machine (default: https)",
    )
    command.add_argument("--store", metavar="STORE", help="memory, the only one for now (default: memory)")
    command.add_argument(
        "--invite",
        metavar="PARTY",
        type=party,
        action="append",
        default=[],
        help="print the versions URL and a token A for this CPO, such as NL-TNM; may be repeated",
    )
    _json(command)
    command.epilog = (
        "What no flag says is taken from OCPI_EMSP_URL, OCPI_EMSP_COUNTRY_CODE, OCPI_EMSP_PARTY_ID, OCPI_EMSP_NAME, "
        "OCPI_EMSP_URL_POLICY and OCPI_EMSP_STORE, then from url, country_code, party_id, name, url_policy and store "
        "of ./ocpi-emsp.toml."
    )


def _simulate_cpo(command: argparse.ArgumentParser) -> None:
    _listening(command, 0)
    command.add_argument("--party", type=party, metavar="PARTY", help="who the CPO is (default: NL-TNM)")
    command.add_argument("--token-a", type=token, metavar="TOKEN", help="token of its invitation (default: random)")
    for name, what in (
        ("locations", "locations"),
        ("evses", "EVSEs of each location"),
        ("sessions", "sessions"),
        ("cdrs", "CDRs"),
    ):
        command.add_argument(f"--{name}", type=count, metavar="N", help=f"how many {what}")
    command.add_argument("--preset", metavar="NAME", help="a way in which real partners deviate, by name")


def _matrix(command: argparse.ArgumentParser) -> None:
    command.add_argument("--full", action="store_true", help="everything that the specification has, switched on")
    _format(command, "markdown", "csv", "json")


def _check(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a file with an object, a list, an envelope or JSON lines, a HAR file (*.har), or a folder with such "
        "files; - is standard input",
    )
    command.add_argument("--as", dest="kind", metavar="KIND", help="what it is, such as location (default: guessed)")
    command.add_argument(
        "--policy",
        choices=("tolerant", "strict"),
        default="tolerant",
        help="tolerant refuses errors, strict refuses warnings too (default: tolerant)",
    )
    command.add_argument(
        "--report",
        action=argparse.BooleanOptionalAction,
        help="add the findings up by rule, or list them one by one (default: add up for a folder, a HAR file, several "
        "files, markdown and html)",
    )
    command.add_argument(
        "--limit", type=_at_least_one, default=1000, metavar="N", help="findings of one document (default: 1000)"
    )
    command.add_argument("--output", metavar="FILE", help="write to this file instead of standard output")
    _format(command, "text", "json", "markdown", "html")
    command.epilog = (
        "In a folder, *.json, *.jsonl, *.ndjson and *.har are read at any depth; other files are named at the end. "
        "JSON lines (*.jsonl, *.ndjson) are read line by line, so a file of any size takes little memory; a line of "
        "more than 16 MiB, or an object of more than 4 MiB on one, is not checked. Any other file is read as a whole. "
        "Exit status: 0 everything is accepted; 1 something is refused, or could not be checked within a folder or "
        "on a line; 2 a file that was named cannot be checked, or there was nothing to check."
    )


def _rules(command: argparse.ArgumentParser) -> None:
    _format(command, "text", "json", "markdown")


def _at_least_one(text: str) -> int:
    number = count(text)
    if number == 0:
        raise argparse.ArgumentTypeError("it has to be at least 1")
    return number


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON document on stdout and nothing else")


def _format(command: argparse.ArgumentParser, default: str, *others: str) -> None:
    command.add_argument("--format", choices=(default, *others), default=default, help=f"default: {default}")


def _listening(command: argparse.ArgumentParser, default_port: int) -> None:
    command.add_argument("--host", type=host, default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    command.add_argument("--port", type=port, default=default_port, help=f"0 is a free one (default: {default_port})")


_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "demo": ("Run the whole support matrix between us and two simulated CPOs, over real HTTP.", _demo),
    "serve": ("Serve an eMSP on a store in memory.", _serve),
    "simulate-cpo": ("Run a simulated CPO; it prints one JSON line when it listens.", _simulate_cpo),
    "matrix": ("Print the support matrix.", _matrix),
    "check": ("Check payloads against OCPI 2.1.1.", _check),
    "rules": ("Print every rule that payloads are checked against.", _rules),
}
