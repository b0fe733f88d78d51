"""What the tests of reservations share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flows.commands_desk import E1, E2, Desk
from ocpi_emsp._bridge import run
from ocpi_emsp.events import ReservationChanged
from ocpi_emsp.flows.commands.reservations import expire
from ocpi_emsp.ports import Entry
from ocpi_emsp.resources import ReservationState, SentCommand
from our_emsp import NOW

ASKED, ACTIVE, REFUSED, EXPIRED, USED = ReservationState
HOUR = timedelta(hours=1)


def states(made: Desk) -> list[str]:
    """What was said of reservations since the last look."""
    said = [event.state for event in made.cpo.events if isinstance(event, ReservationChanged)]
    made.cpo.events.clear()
    return said


def replaced(made: Desk, **changes: Any) -> tuple[SentCommand, SentCommand]:
    """A reservation that runs, and a replacement that is asked for; nothing was said of it yet."""
    first = made.reserve(evse_uid=E1)
    made.result(first)
    states(made)
    made.cpo.clock.advance(minutes=1)
    values: dict[str, Any] = {"until": NOW + 2 * HOUR, "evse_uid": E2}
    second = made.reserve(**(values | changes))
    return first, second


def _expire(made: Desk, entry: Entry) -> list[Entry]:
    context = made.cpo.emsp._contexts()

    async def act() -> list[Entry]:
        async with context.store.transaction() as tx:
            return await expire(context, tx, entry, context.clock.now())

    return run(act())
