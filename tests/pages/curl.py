"""curl, as far as the pages use it: they run on machines that lack it, and a process less is started for each call.

Rules of this module:
- an option that is not here fails the page, with its name;
- an answer is printed whatever its status is, as curl does.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

SECONDS: Final = 20
_OPENER: Final = build_opener(ProxyHandler({}))  # what the pages call is on this machine


def answer(argv: Sequence[str], folder: Path) -> str:
    """What curl prints for these arguments in this folder."""
    given = _arguments().parse_args(argv)
    text = given.json if given.json is not None else given.data
    if text is not None and text.startswith("@"):
        text = (folder / text[1:]).read_text("utf-8")
    kind = "application/json" if given.json is not None else "application/x-www-form-urlencoded"
    headers = {"Content-Type": kind} if text is not None else {}
    headers |= {name: value.strip() for name, _, value in (each.partition(":") for each in given.header)}
    method = given.request or ("GET" if text is None else "POST")
    body = None if text is None else text.encode()
    try:
        with _OPENER.open(Request(given.url, body, headers, method=method), timeout=SECONDS) as response:
            return str(response.read(), "utf-8")
    except HTTPError as refused:
        with refused:
            return str(refused.read(), "utf-8")


def _arguments() -> ArgumentParser:
    parser = ArgumentParser("curl", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("url")
    parser.add_argument("-s", "--silent", action="store_true")
    parser.add_argument("-X", "--request")
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-d", "--data")
    parser.add_argument("--json")
    return parser
