"""Every command: its group, what it does, and what makes its arguments.

Rules of this module: the help of the whole command reads the table alone; a command's arguments are made when it runs,
or when its own help is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import click

from ocpi_emsp.cli import options as o
from ocpi_emsp.cli import output
from ocpi_emsp.cli.declared import check, data, operate, partners, run
from ocpi_emsp.cli.options import command

_Make: TypeAlias = Callable[[str], click.Command]
"""Makes the command with this summary."""

GROUPS: dict[str, dict[str, tuple[str, _Make]]] = {
    "Run": {
        "demo": (
            "Play the whole support matrix with two simulated CPOs, over HTTP.",
            lambda s: command("demo", s, o.json),
        ),
        "serve": ("Serve an eMSP on a database.", run.serve),
        "worker": ("Sync CPOs as jobs in PostgreSQL, beside other workers.", run.worker),
        "simulate-cpo": ("Run a simulated CPO; it prints one JSON line when it listens.", run.simulate_cpo),
    },
    "Partners": {
        "invite": ("Make a token A for a CPO that shall register with us.", partners.invite),
        "register": ("Register with a CPO, while our server runs.", partners.register),
        "party": ("Diagnose a partner; renew or end its registration.", partners.party),
        "sync": ("Pull what changed at CPOs since the last sync; push our tokens.", partners.sync),
        "push-tokens": ("Send our tokens to CPOs: changes, and earlier failures.", partners.push_tokens),
        "command": ("Send a command to a CPO, and wait for its result.", partners.commands),
    },
    "Data": {
        **{
            plural: (f"List or show the {plural} in the store.", partial(data.objects, plural))
            for plural in ("parties", "locations", "evses", "sessions", "cdrs", "tariffs", "tokens", "reservations")
        },
        "authorizations": ("List the decisions on real-time authorizations.", data.authorizations),
        "rejections": ("List, show or replay rejected requests.", data.rejections),
        "events": ("List, show or retry events that are not delivered.", data.events),
    },
    "Check": {
        "check": ("Check payloads against OCPI 2.1.1.", check.check),
        "report": ("Report the deviations of a partner, from what it sent.", check.report),
        "reconcile": ("Compare a party's CDRs with its sessions.", check.reconcile),
        "rules": (
            "Print every rule of the checks.",
            lambda s: command("rules", s, o.formats("text", "json", "markdown")),
        ),
        "matrix": ("Print the support matrix.", check.matrix),
    },
    "Operate": {
        "db": ("Create, upgrade or check the schema of the database.", operate.db),
        "export": ("Write everything in the store as JSON lines.", operate.export),
        "import": ("Read an export into the store.", operate.import_),
        "completion": ("Print the script of shell completion.", operate.completion),
    },
}
"""In the order of the help."""

_EXAMPLES = """\b
Examples:
  ocpi-emsp demo
  ocpi-emsp check location.json
  ocpi-emsp serve --country-code IT --party-id BEC --name "Be Charge" --invite NL-TNM
  ocpi-emsp party diagnose https://cpo.example.com/ocpi/cpo/versions --token TOKEN

Exit status: 0 done, 1 done with refusals or failures, 2 usage, 3 external failure (partner, database, output)."""


class Commands(click.Group):
    """The whole command."""

    def __init__(self) -> None:
        version = click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="print the version",
        )
        super().__init__(
            "ocpi-emsp",
            params=[version],
            help="The eMSP side of OCPI 2.1.1: receive, call, check.",
            epilog=_EXAMPLES,
            no_args_is_help=False,
            invoke_without_command=True,
            callback=_print_help,
        )
        self._table = {name: made for commands in GROUPS.values() for name, made in commands.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 # click's
        """Their names."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command with this name."""
        if cmd_name not in self._table:
            return None
        summary, make = self._table[cmd_name]
        made = make(summary)
        made.name = cmd_name
        return made

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The commands, group by group."""
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, summary) for name, (summary, _) in commands.items()], col_max=16)


def _print_help() -> int:
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        output.write(context.get_help() + "\n")
    return 0


def _print_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    from importlib.metadata import version

    if asked and not context.resilient_parsing:
        output.write(f"ocpi-emsp {version('ocpi-emsp')}\n")
        context.exit()


def arguments_of(name: str, argv: Sequence[str] = ()) -> o.Arguments:
    """What a command without actions would be run with."""
    commands = Commands()
    with click.Context(commands) as top:
        made = commands.get_command(top, name)
        assert made is not None, name
        return o.Arguments(**made.make_context(name, list(argv), parent=top).params)
