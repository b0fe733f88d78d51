"""mod_commands.md: the four commands."""

from __future__ import annotations

from collections.abc import Iterator

from ocpi_emsp.check.examples import broken
from ocpi_emsp.check.registry import WARNING, Chapter, Context, Hit
from ocpi_emsp.models import ReserveNow

COMMANDS = Chapter("Commands", "mod_commands.md")


@COMMANDS.rule_with_context(
    "reserve_now.expired",
    WARNING,
    "mod_commands.md#32-reservenow-object",
    "The reservation ends in the past.",
    ReserveNow,
    example=broken(ReserveNow, expiry_date="2015-06-29T20:39:09Z"),
)
def reservation_expired(command: ReserveNow, context: Context) -> Iterator[Hit]:
    if command.expiry_date <= context.now:
        yield ("expiry_date",), f"the reservation ended at {command.expiry_date:%Y-%m-%dT%H:%M:%SZ}"
