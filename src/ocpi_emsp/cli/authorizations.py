"""``ocpi-emsp authorizations list``: CPOs' authorization requests for our tokens, and the responses.

Rules of this module: the uid of a token, which identifies a driver, is printed: the list is used to find a driver who
stood at a plug.
"""

from __future__ import annotations

from functools import partial

from ocpi_emsp.cli.listing import members, of_party, print_list
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.stores import emsp_of_nobody, opened
from ocpi_emsp.codec import wire_time
from ocpi_emsp.resources import Decision

_COLUMNS = ("at", "party", "token", "type", "place", "outcome", "decided by", "ms", "reason")


def run(arguments: Arguments) -> int:
    """List the decisions."""
    with opened(arguments) as store:
        listed = partial(emsp_of_nobody(store).authorizations.list, arguments.party)
        print_list(
            arguments,
            listed,
            _COLUMNS,
            _row,
            lambda each: members(each, "sequence"),
            f"there are no authorizations{of_party(arguments)}",
        )
    return 0


def _row(decision: Decision) -> tuple[str, ...]:
    return (
        wire_time(decision.at),
        f"{decision.country_code}-{decision.party_id}",
        decision.token_uid,
        decision.token_type,
        _place(decision),
        decision.outcome,
        decision.decided_by,
        f"{decision.latency_ms:.1f}",
        decision.reason,
    )


def _place(decision: Decision) -> str:
    """Return the location, with its EVSE if one was requested; for several, their number."""
    evses = decision.evse_uids
    if len(evses) > 1:
        return f"{decision.location_id} ({len(evses)} EVSEs)"
    return "/".join((decision.location_id, *evses))
