"""mod_commands.md: the four commands."""

from __future__ import annotations

from collections.abc import Iterator

from ocpi_emsp.check.examples import broken
from ocpi_emsp.check.registry import Chapter, Context, Hit
from ocpi_emsp.models import ReserveNow

COMMANDS = Chapter("Commands", "mod_commands.md")


@COMMANDS.rule(
    "reserve_now.expired",
    "The reservation ends in the past.",
    broken(ReserveNow, expiry_date="2015-06-29T20:39:09Z"),
    with_context=True,
)
def reservation_expired(command: ReserveNow, context: Context) -> Iterator[Hit]:
    if command.expiry_date <= context.now:
        yield ("expiry_date",), f"the reservation ended at {command.expiry_date:%Y-%m-%dT%H:%M:%SZ}"
