"""The whole command: its commands by group, its help, its version.

Rules of this module: a command's own module is imported when the command runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from ocpi_emsp.cli import options as o, output
from ocpi_emsp.cli.declared import check, data, operate, partners, run

GROUPS: dict[str, tuple[click.Command, ...]] = {
    "Run": (run.demo, run.serve, run.worker, run.simulate_cpo),
    "Partners": (
        partners.invite,
        partners.register,
        partners.party,
        partners.sync,
        partners.push_tokens,
        partners.commands,
    ),
    "Data": (*data.objects, data.authorizations, data.rejections, data.events),
    "Check": (
        check.check,
        check.redact,
        check.audit,
        check.quote,
        check.report,
        check.reconcile,
        check.rules,
        check.matrix,
        check.openapi,
    ),
    "Operate": (operate.config, operate.db, operate.export, operate.import_, operate.completion),
}
"""The groups in the order of the help."""

_EXAMPLES = """\b
Examples:
  ocpi-emsp demo
  ocpi-emsp check location.json
  ocpi-emsp audit cdr.json
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
            commands=[each for commands in GROUPS.values() for each in commands],
            params=[version],
            help="The eMSP side of OCPI 2.1.1: receive, call, check.",
            epilog=_EXAMPLES,
            no_args_is_help=False,
            invoke_without_command=True,
            callback=_print_help,
        )

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 # click's
        """Return the names of the commands, in the order of the help."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands, group by group."""
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(str(each.name), str(each.help)) for each in commands], col_max=16)


def _print_help() -> int:
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        output.write(context.get_help() + "\n")
    return 0


def _print_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    from ocpi_emsp import __version__

    if asked and not context.resilient_parsing:
        output.write(f"ocpi-emsp {__version__}\n")
        context.exit()


def arguments_of(name: str, argv: Sequence[str] = ()) -> o.Arguments:
    """What a command without actions would be run with."""
    commands = Commands()
    with click.Context(commands) as top:
        return o.Arguments(**commands.commands[name].make_context(name, list(argv), parent=top).params)
