"""``ocpi-emsp authorizations list``: what CPOs asked of our tokens, and what they were answered.

Rules of this module: the uid of a token, which identifies a driver, is printed: whoever asks for this list looks for
somebody who stood at a plug.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import asdict

from ocpi_emsp.cli import output
from ocpi_emsp.cli.listing import print_list, write_lines
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.stores import emsp_of_nobody, opened
from ocpi_emsp.codec import wire_time
from ocpi_emsp.resources import Decision

_COLUMNS = ("at", "party", "token", "type", "place", "outcome", "decided by", "ms", "reason")


def run(arguments: Arguments) -> int:
    """List them."""
    with opened(arguments) as store:
        authorizations = emsp_of_nobody(store).authorizations
        party = arguments.party

        def page(after: int, limit: int) -> list[Decision]:
            return list(authorizations.list(party, limit=limit, after=after))

        def write(page: Sequence[Decision]) -> None:
            if arguments.json:
                write_lines([_as_json(decision) for decision in page])
            else:
                output.write(output.table(_COLUMNS, [_row(decision) for decision in page]))

        print_list(arguments, page, write, "there are no authorizations")
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
    """The location, with its EVSE where one was asked for; of several, their number."""
    evses = decision.evse_uids
    if len(evses) > 1:
        return f"{decision.location_id} ({len(evses)} EVSEs)"
    return "/".join((decision.location_id, *evses))


def _as_json(decision: Decision) -> dict[str, Any]:
    members = asdict(decision)
    del members["sequence"]
    return {**members, "at": wire_time(decision.at)}
