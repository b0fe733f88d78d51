"""docs: reference/cli.md, from the commands themselves, and reference/settings.md with the whole settings file.

Rules of this module: it says what click has, in the order of the help, and nothing of its own but headings.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from ocpi_emsp.cli.commands import GROUPS, Commands
from ocpi_emsp.cli.config import default, sample, settings
from ocpi_emsp.cli.options import Argument, Setting

_SETTINGS_HEAD = """\
# Settings

A command takes each setting from its flag, then from the environment, then from `ocpi-emsp.toml` in the directory where
it runs. One that is empty is not set, and an unknown name in the file is an error. `ocpi-emsp config init` writes the
file below. A backend of yours has none of these: it gives `Emsp(...)` its arguments, and `Limits` for the rest
([Python](api/index.md)).

`OCPI_EMSP_SECRET_KEY` holds the key, or keys, that encrypt partners' tokens in the database
([the key](../how-to/secrets.md)). It is in the environment only.

| setting | environment | default | what it does |
|---|---|---|---|
"""


def pages() -> Iterator[tuple[str, str]]:
    """Both pages."""
    yield "reference/cli.md", "\n".join(_commands()) + "\n"
    yield "reference/settings.md", _SETTINGS_HEAD + "".join(_settings()) + _file()


def _commands() -> Iterator[str]:
    top = Commands()
    context = click.Context(top, info_name="ocpi-emsp")
    yield "# The command"
    yield ""
    yield "`ocpi-emsp --help` lists the commands, `ocpi-emsp COMMAND --help` its options. Settings come from flags, the"
    yield "environment or `ocpi-emsp.toml` ([settings](settings.md)). With `--json`, standard output holds one JSON"
    yield "document, or JSON lines for a list; messages go to standard error."
    yield ""
    yield "| exit status | meaning |"
    yield "|---|---|"
    yield "| 0 | done |"
    yield "| 1 | done, with rejections or failures |"
    yield "| 2 | wrong arguments or settings |"
    yield "| 3 | external failure: partner, database, output |"
    yield "| 130 | interrupted |"
    for title, commands in GROUPS.items():
        yield f"\n## {title}\n"
        for each in commands:
            yield from _command(each, context)


def _command(command: click.Command, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=command.name, parent=parent)
    yield f"### {context.command_path}\n"
    yield f"{_prose(command.help)}\n"
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from (line.replace("### ", "#### ", 1) for line in _command(each, context))
        return
    yield f"```text\n{context.get_usage().removeprefix('Usage: ')}\n```\n"
    rows = [_row(each, context) for each in command.params]
    shown = [row for row in rows if row is not None]
    if shown:
        yield "| argument or option | what it does |"
        yield "|---|---|"
        yield from shown
        yield ""
    if command.epilog:
        yield f"{_prose(command.epilog)}\n"


def _row(param: click.Parameter, context: click.Context) -> str | None:
    if isinstance(param, Argument):
        return f"| `{param.make_metavar(context)}` | {_cell(param.about)} |" if param.about else None
    record = param.get_help_record(context)
    return None if record is None else f"| `{_cell(record[0])}` | {_cell(record[1])} |"


def _settings() -> Iterator[str]:
    for name, option in settings().items():
        value = default(option)
        shown = {None: "none", True: "`true`", False: "`false`"}.get(value) if not isinstance(value, list) else "`[]`"
        yield f"| `{name}` | `{_environment(option)}` | {shown or f'`{value}`'} | {_cell(str(option.help))} |\n"


def _environment(option: Setting) -> str:
    return str(option.envvar)


def _file() -> str:
    return f"\n## ocpi-emsp.toml\n\n```toml\n{sample()}```\n"


def _prose(text: str | None) -> str:
    """Text of the help as Markdown."""
    return (text or "").replace("\b\n", "").replace("<", "&lt;").replace("*", "\\*")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
