"""Tokens given to a command: in a file, on standard input or in the environment, where `ps` does not show them.

Rules of this module: those of read_secrets.py.
"""

from __future__ import annotations

import click
from click.core import ParameterSource

from ocpi_emsp.cli import files
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.options import Arguments, option, token
from ocpi_emsp.cli.read_secrets import text_of, warn
from ocpi_emsp.secret import Secret


def token_options(name: str, about: str) -> tuple[click.Option, click.Option]:
    """Return an option for a token, which the environment may provide instead, and one for a file that holds it."""
    environment = f"OCPI_EMSP_{name.strip('-').replace('-', '_').upper()}"
    return (
        click.Option(
            [name],
            help=f"{about}; - reads it from standard input",
            type=token,
            envvar=environment,
            show_envvar=True,
            metavar="TOKEN",
        ),
        option(f"{name}-file", f"a file with it: {name} shows it to every user of this machine (ps)", metavar="FILE"),
    )


def token_of(arguments: Arguments, name: str) -> Secret | None:
    """Return the token given for ``name``, such as ``token_a``; None if there is none. Raises Usage."""
    given, file = getattr(arguments, name), getattr(arguments, f"{name}_file")
    flag, on_line = f"--{name.replace('_', '-')}", _is_on_line(name)
    if on_line and file is not None:
        raise Usage(f"expected one of {flag} and {flag}-file")
    if on_line and given == files.STDIN:
        file = given
    if file is not None:
        return Secret(_read(file))
    if given is None:
        return None
    if on_line:
        warn(flag, f"{flag}-file FILE, {flag} - for standard input, or OCPI_EMSP_{name.upper()}")
    return Secret(given)


def required_token(arguments: Arguments, name: str) -> Secret:
    """Return the token like :func:`token_of`. Raises Usage if there is none."""
    found = token_of(arguments, name)
    if found is None:
        flag = f"--{name.replace('_', '-')}"
        raise Usage(f"Missing option '{flag}': set it, {flag}-file FILE, or OCPI_EMSP_{name.upper()}")
    return found


def given_on_line(*names: str) -> bool:
    """Return True if the command line has one of these options."""
    return any(map(_is_on_line, names))


def _is_on_line(name: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _read(path: str) -> str:
    try:
        return token(text_of(path).strip())
    except click.BadParameter as error:
        raise Usage(f"{'standard input' if path == files.STDIN else path}: {error.message}") from None
