"""What a page names exists: commands and their options, settings, extras, attributes, classes and files.

Rules of this module: a name counts where it stands in code, inline or in a block of the console; the names of others
are listed here, each with whose it is.
"""

from __future__ import annotations

import builtins
import inspect
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, Final

import click
import pytest

import reference_api
from ocpi_emsp import Emsp
from ocpi_emsp.cli.commands import Commands
from ocpi_emsp.resources import Client, Partner
from pages.blocks import ROOT, Page, pages
from pages.running import commands

FOREIGN_OPTIONS: Final = {
    **dict.fromkeys(
        ("--case", "--connections", "--database", "--latency", "--rounds", "--seconds", "--show", "--side", "--store"),
        "of bench/",
    ),
    **dict.fromkeys(("--limit-concurrency", "--workers", "--timeout-keep-alive"), "of uvicorn"),
    **dict.fromkeys(("--h11-max-incomplete-event-size", "--no-proxy-headers", "--no-access-log"), "of uvicorn"),
    **dict.fromkeys(("--ocpi-files", "--ocpi-kind", "--ocpi-policy"), "of the pytest plugin"),
    "--hypothesis-profile": "of Hypothesis",
    **dict.fromkeys(("--no-deps", "--target", "--wheel-dir"), "of pip"),
    "--deploy": "of manage.py check",
    "--pool": "of celery worker",
    "--build": "of docker compose up",
}
FOREIGN_NAMES: Final = {
    "AsReceived": "a schema of our OpenAPI document",
    **dict.fromkeys(("AsyncConnection", "AsyncEngine", "AsyncSession", "MetaData", "RootTransaction"), "SQLAlchemy"),
    **dict.fromkeys(("AppRegistryNotReady", "TestCase", "TransactionTestCase"), "Django"),
}
OPTIONAL: Final = {"Transaction.due"}
"""Methods that a store may have, and that its port does not name."""
LOGGED: Final = {"partner.noted"}
"""Events of the log that look like attributes."""
FOREIGN_VARIABLES: Final = {
    "OCPI_EMSP_SECRET_KEY": "the key of the database, in the environment only",
    "OCPI_EMSP_TEST_POSTGRES": "of the tests",
}
_CODE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FLAG: Final = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]")
_ATTRIBUTE: Final = re.compile(r"(?<![\w./:\"-])(emsp|partner|cpo)((?:\.[a-z_]+)+)\b(?![/\"])")
_MEMBER: Final = re.compile(r"^([A-Z]\w+)\.([a-z_]+)\b")
_CLASS: Final = re.compile(r"^[A-Z][a-z]+(?:[A-Z][a-z]+)+$")
_PATH: Final = re.compile(r"^(?:tests|docs|bench|fuzz|src|\.ci|\.github)/[\w./-]+$")
_DEFINED: Final = re.compile(r"^(?:class )?([A-Z]\w+)(?:\(|:| = )", re.MULTILINE)
_EXTRA: Final = re.compile(r"ocpi-emsp\[([\w,]+)\]")
each_page = pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)


def code(page: Page) -> list[str]:
    """The inline code of a page; blocks are left out."""
    return _CODE.findall(re.sub(r"(?ms)^ *```.*?^ *```|<!--.*?-->", "", page.text))


def our_commands(page: Page) -> Iterator[list[str]]:
    """The words of each ocpi-emsp command of a page."""
    shown = [each for each in code(page) if each.startswith("ocpi-emsp ")]
    for block in page.blocks():
        if block.language == "console":
            shown += [command for _, command, _ in commands(block) if command.startswith("ocpi-emsp ")]
        elif block.language == "sh":
            shown += [line for line in block.source.splitlines() if line.startswith("ocpi-emsp ")]
    for each in shown:
        yield re.split(r"\s[|>&#]", each)[0].split()[1:]


def resolved(words: list[str]) -> click.Command:
    """The command that the words name. Raises AssertionError if there is none."""
    found: click.Command = Commands()
    for word in words:
        if not isinstance(found, click.Group) or not re.fullmatch(r"[a-z][a-z-]+", word):
            break
        assert word in found.commands, f"no command {word} in {' '.join(words)}"
        found = found.commands[word]
    return found


@cache
def flags() -> frozenset[str]:
    """Every option of our command."""

    return frozenset(name for each in _options(Commands()) for name in (*each.opts, *each.secondary_opts)) | {"--help"}


@cache
def public() -> dict[str, Any]:
    """Every public name, and what it is."""
    modules = ["ocpi_emsp", *(module for _, modules in reference_api.MODULES.values() for module in modules)]
    return {
        name: getattr(module, name) for module in map(import_module, modules) for name in reference_api.names(module)
    }


@cache
def classes() -> frozenset[str]:
    """Every class of the library, of its tests and of the projects in docs/examples."""
    sources = (path for folder in ("src", "tests", "docs") for path in (ROOT / folder).rglob("*.py"))
    return frozenset(name for path in sources for name in _DEFINED.findall(path.read_text("utf-8")))


@each_page
def test_commands_and_their_options_exist(page: Page) -> None:
    for words in our_commands(page):
        command = resolved(words)
        known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
        given = {word.partition("=")[0] for word in words if word.startswith("--") and len(word) > 2}
        assert given <= known, f"{' '.join(words)}: {sorted(given - known)}"


@each_page
def test_options_exist(page: Page) -> None:
    named = {flag for each in code(page) for flag in _FLAG.findall(each)}
    assert named - flags() - FOREIGN_OPTIONS.keys() == set()


@each_page
def test_variables_exist(page: Page) -> None:
    named = set(re.findall(r"\bOCPI_EMSP_[A-Z_]*[A-Z]\b", page.text))
    assert named <= known_variables()


@cache
def known_variables() -> frozenset[str]:
    """Every variable of the environment that sets something."""
    settings = (str(each.envvar) for each in _options(Commands()) if each.envvar)
    return frozenset(settings) | FOREIGN_VARIABLES.keys()


def _options(command: click.Command) -> Iterator[click.Parameter]:
    yield from command.params
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from _options(each)


@each_page
def test_extras_exist(page: Page) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = {extra for each in _EXTRA.findall(page.text) for extra in each.split(",")}
    assert named <= set(extras)


@pytest.fixture(scope="module")
def emsp() -> Emsp:
    """An eMSP, to be looked at."""
    return Emsp(country_code="IT", party_id="BEC", name="B", url="https://e.example.com/ocpi", store="memory")


@each_page
def test_attributes_exist(page: Page, emsp: Emsp) -> None:
    roots: dict[str, Any] = {"emsp": emsp, "partner": Partner, "cpo": Client}
    for each in code(page):
        for root, path in _ATTRIBUTE.findall(each):
            found = roots[root]
            if f"{root}{path}" in LOGGED or path.startswith((".py", ".db", ".json")):
                continue
            for name in path[1:].split("."):
                assert hasattr(found, name), f"{each}: {root}{path}"
                found = getattr(found, name)
                if inspect.isfunction(found) or inspect.ismethod(found):
                    break


@each_page
def test_members_exist(page: Page) -> None:
    for each in code(page):
        if (named := _MEMBER.match(each)) and named[1] in public() and each not in OPTIONAL:
            owner = public()[named[1]]
            members = {*dir(owner), *getattr(owner, "__annotations__", ())}
            assert named[2] in members, each


@each_page
def test_classes_exist(page: Page) -> None:
    named = {each for each in code(page) if _CLASS.fullmatch(each)}
    assert named - public().keys() - classes() - set(dir(builtins)) - FOREIGN_NAMES.keys() == set()


@each_page
def test_files_exist(page: Page) -> None:
    for each in code(page):
        if _PATH.fullmatch(each):
            assert (ROOT / each).exists(), each
