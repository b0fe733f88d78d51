"""``list`` of a group: stored objects, of every party or of one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import click

from ocpi_emsp.cli import options as o
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.options import Argument, Command, command

_WHOSE = Argument("whose", "only of this party, such as NL-TNM", type=o.party, required=False, metavar="[PARTY]")


def listed(module: str, summary: str, *params: click.Parameter, **constants: str) -> Command:
    """Return ``list`` of a group; the party is an argument, as for most commands, or ``--party``."""
    made = command(module, "list", summary, _WHOSE, o.of_party, o.limit, o.store, o.lines, *params, **constants)
    made.callback = partial(_of_one_party, cast("Callable[..., int]", made.callback))
    return made


def _of_one_party(run: Callable[..., int], *, whose: Any, party: Any, **given: Any) -> int:
    if whose is not None and party not in (None, whose):
        raise Usage(f"expected one party: PARTY is {whose}, --party is {party}")
    return run(party=party if whose is None else whose, **given)
