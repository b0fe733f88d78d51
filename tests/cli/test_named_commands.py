"""A command that a message, a help text or a docstring names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from cli.conftest import Command
from ocpi_emsp.cli.commands import Commands
from test_language import SOURCE, Text, texts_of

_NAMED = re.compile(r"ocpi-emsp ([a-z][a-z-]*[a-z])(?: ([a-z][a-z-]*[a-z]))?(?![\w/.])")
_OTHERS = {"fetch", "hook", "checkpoint"}
"""Threads of the library, which are called so."""
_PROSE = {"that"}
"""What follows the name of the package in a sentence."""


def named() -> Iterator[tuple[Text, list[str]]]:
    for file in sorted(SOURCE.rglob("*.py")):
        for text in texts_of(file):
            for found in _NAMED.finditer(text.words):
                if found[1] not in _OTHERS | _PROSE:
                    yield text, [each for each in found.groups() if each]


NAMED = list(named())


def command_of(words: list[str]) -> click.Command | None:
    """The command that the first words name; None if there is none."""
    commands = Commands()
    with click.Context(commands) as top:
        found: click.Command | None = commands.get_command(top, words[0])
        if isinstance(found, click.Group) and len(words) > 1:
            return found.get_command(top, words[1])
        return found


def test_there_are_some() -> None:
    assert len(NAMED) > 15
    assert ["party", "update"] in [words for _, words in NAMED]


@pytest.mark.parametrize(("text", "words"), NAMED, ids=[" ".join(words) for _, words in NAMED])
def test_a_command_that_is_named_exists(text: Text, words: list[str]) -> None:
    assert command_of(words) is not None, f"{text}: {text.words}"


def test_a_registration_that_exists_names_what_renews_and_what_ends_it(database: str, command: Command) -> None:
    assert database
    identity = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url", "https://e.example.com")
    ended = command("invite", "NL-TNM", *identity)
    assert (ended.status, ended.out) == (1, "")
    for line in ("party update NL-TNM", "party unregister NL-TNM"):
        assert f"'ocpi-emsp {line}'" in ended.err
        assert command(*line.split()[:2], "--help").status == 0
    assert "--no-tell" in command("party", "unregister", "--help").out
