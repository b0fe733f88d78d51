"""Due work for the loop beside a server or in a worker: events, deadlines, pending matches that are over.

Rules of this module: each is handled at most once, however many processes run it on one store.
"""

from __future__ import annotations

from attrs import frozen

from ocpi_emsp.flows.commands.deadlines import Expired, expire
from ocpi_emsp.flows.commands.session_link import forget_old
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.delivery import redeliver


@frozen
class Done:
    """The result of a round."""

    number: int
    """Number of events, deadlines and pending matches that were handled."""
    looked: int
    """Number of deadlines that were read."""


async def do_what_is_due(context: Context, *, look: bool, tidy: bool) -> Done:
    """Deliver the events that are due; with ``look``, handle the deadlines that passed. Raises StoreFailed.

    With ``tidy``, pending matches whose time is over are deleted, and waiting entries are read as well, in case a clock
    went back or an entry was lost: once in a few minutes is enough.
    """
    delivered = await redeliver(context, everything=tidy)
    expired = await expire(context, everything=tidy) if look or tidy else Expired(0, 0)
    forgotten = await forget_old(context) if tidy else 0
    return Done(delivered + expired.done + forgotten, expired.looked)
