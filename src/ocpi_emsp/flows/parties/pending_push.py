"""Push requests: one journal entry for each party that our tokens must be pushed to, written with the change.

Rules of this module:
- an entry records that something changed, not what: the push determines that, so a thousand changes are one entry;
- a change only writes what no earlier change wrote: a waiting entry stays as it is, a leased one is marked as changed,
  and one that waits after single tokens failed becomes due;
- a transaction reads the tokens before it writes an entry: entries are locked last.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, frozen

from ocpi_emsp.flows.parties.party import Party, PartyState, checkpoint_key, matrix_of, party_key, read_party
from ocpi_emsp.ports import FAN_OUT, Entry, Kind, Query, Transaction
from ocpi_emsp.routes import outgoing
from ocpi_emsp.support import SupportMatrix

AFTER_REGISTERING: Final = timedelta(seconds=5)
"""Delay of the first push: a party that registers only accepts our token once it has our response."""
_PAGE = 500
"""Parties, or entries, that are read at once."""


@frozen(kw_only=True)
class PushRequest:
    """The state of a party's pushes, as stored in its entry."""

    push: str = ""
    """The id of the push that leases the entry; empty if none does."""
    changed: bool = False
    """True if something changed since that push leased the entry."""
    answers: bool = False
    """True if the last push ran to its end and only single tokens failed."""

    @classmethod
    def of(cls, entry: Entry) -> PushRequest:
        """Read the state of an entry; a missing member is False."""
        said = entry.details
        return cls(
            push=str(said.get("push", "")),
            changed=said.get("changed") is True,
            answers=said.get("answers") is True,
        )

    def on(self, entry: Entry) -> Entry:
        """Return the entry with this state."""
        said = {"push": self.push, "changed": self.changed, "answers": self.answers}
        return evolve(entry, details={**entry.details, **said})


def entry_id(country_code: str, party_id: str) -> str:
    """Return the id of a party's entry."""
    return f"fan-out-{country_code.upper()}-{party_id.upper()}"


def gets_tokens(party: Party) -> bool:
    """Return True if our tokens are pushed to the party."""
    return party.state is PartyState.REGISTERED and party.profile.push_tokens


async def request_push(tx: Transaction, party: Party, now: datetime, *, wait: timedelta = timedelta(0)) -> None:
    """Request a push of our tokens to a party, not before ``wait`` is over."""
    if gets_tokens(party):
        old = await tx.entry(entry_id(party.country_code, party.party_id))
        await _write(tx, party, old, now, now + wait if wait else None)


async def request_push_if_enabled(
    tx: Transaction, before: Party, party: Party, matrix: SupportMatrix, now: datetime
) -> None:
    """Request a push of all tokens to a party if its profile allows it now, and did not ``before``."""
    if _may_push(party, matrix) and not _may_push(before, matrix):
        await request_push(tx, party, now)


def _may_push(party: Party, matrix: SupportMatrix) -> bool:
    return gets_tokens(party) and outgoing("tokens.put").on(matrix_of(party.profile, matrix))


async def request_pushes(tx: Transaction, now: datetime) -> None:
    """Request a push to every party that our tokens are pushed to.

    A party that registers meanwhile has its own entry, which waits longer than a transaction takes.
    """
    old = {entry.id: entry async for entry in _entries(tx)}
    async for party in _parties(tx):
        if gets_tokens(party):
            await _write(tx, party, old.get(entry_id(party.country_code, party.party_id)), now, None)


async def _write(tx: Transaction, party: Party, old: Entry | None, now: datetime, due: datetime | None) -> None:
    if old is None:
        await tx.get(checkpoint_key(party.country_code, party.party_id, FAN_OUT))  # locked: two may find none
        old = await tx.entry(entry_id(party.country_code, party.party_id))
    if old is None:
        await tx.append(_entry(party, now, due))
        return
    want = PushRequest.of(old)
    if want.push:
        if not want.changed:
            await tx.append(evolve(want, changed=True).on(old))
    elif want.answers and old.due is not None:
        await tx.append(evolve(old, due=None))


def _entry(party: Party, now: datetime, due: datetime | None) -> Entry:
    key = party_key(party.country_code, party.party_id)
    return Entry(
        id=entry_id(party.country_code, party.party_id),
        topic=FAN_OUT,
        name="tokens",
        key=key,
        at=now,
        details={"country_code": key.country_code, "party_id": key.party_id},
        due=due,
    )


async def _entries(tx: Transaction) -> AsyncIterator[Entry]:
    after = 0
    while entries := await tx.entries(FAN_OUT, limit=_PAGE, after=after):
        for entry in entries:
            yield entry
        after = entries[-1].sequence


async def _parties(tx: Transaction) -> AsyncIterator[Party]:
    query = Query(kind=Kind.PARTY, limit=_PAGE, count=False)
    while records := (await tx.page(query)).records:
        for record in records:
            yield read_party(record.document)
        query = evolve(query, after=records[-1].sequence)
