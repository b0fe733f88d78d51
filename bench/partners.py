"""Partners that are registered in a store without a handshake, for measurements over a served eMSP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.parties.party import Party, PartyState, Profile, issue, put_party
from ocpi_emsp.storage import MemoryStore, SqlStore


def register(store: MemoryStore | SqlStore, tokens: Mapping[str, str], profile: Profile | None = None) -> None:
    """Store parties of NL, by party_id, with the token that each sends."""

    async def put() -> None:
        now = datetime.now(UTC)
        async with lift_store(store, in_place).transaction() as tx:
            for party_id, token in tokens.items():
                issued = (issue(token, now),)
                party = Party(
                    country_code="NL",
                    party_id=party_id,
                    state=PartyState.REGISTERED,
                    issued=issued,
                    profile=profile or Profile(),
                )
                await put_party(tx, party, now)

    run(put())
