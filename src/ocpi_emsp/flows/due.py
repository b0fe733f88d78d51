"""What is due, for the loop that runs beside a server or in a worker: events, deadlines, searches that are over.

Rules of this module: each is done at most once, however many processes run it on one store.
"""

from __future__ import annotations

from ocpi_emsp.flows.command_links import forget_old
from ocpi_emsp.flows.context import Context
from ocpi_emsp.flows.deadlines import expire
from ocpi_emsp.flows.deliver import redeliver


async def do_what_is_due(context: Context, *, tidy: bool) -> int:
    """Deliver the events that are due, and deal with the deadlines that passed; their number. Raises StoreFailed.

    With ``tidy``, nobody looks any more for the session of a START_SESSION whose time is over: once in a few minutes
    is enough.
    """
    done = await redeliver(context) + await expire(context)
    return done + await forget_old(context) if tidy else done
