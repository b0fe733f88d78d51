"""``ocpi-emsp completion``: prints the script with which a shell completes commands and options."""

from __future__ import annotations

from typing import Any

from click.shell_completion import get_completion_class

from ocpi_emsp.cli import output
from ocpi_emsp.cli.commands import Commands
from ocpi_emsp.cli.errors import Usage

VARIABLE = "_OCPI_EMSP_COMPLETE"
"""Set by the script when the shell asks for completions."""


def run(arguments: Any) -> int:
    """Print the script."""
    shell = get_completion_class(arguments.shell)
    if shell is None:
        raise Usage(f"invalid shell '{arguments.shell}': expected bash, zsh or fish")
    try:
        output.write(shell(Commands(), {}, "ocpi-emsp", VARIABLE).source() + "\n")
    except RuntimeError as error:  # the bash version is too old
        raise Usage(str(error)) from None
    return 0
