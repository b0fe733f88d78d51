"""Collects what is stored around a CDR, for its plausibility (docs/how-to/audit-bills.md).

Rules of this module:
- nothing is written, and every query is bounded and uses an index: the work for a CDR does not grow with the store;
- a gatherer is for one run: a party's usual values are looked up once for some thousand CDRs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from attrs import define, field

from ocpi_emsp.flows.cdrs.known_places import Place, known_place
from ocpi_emsp.flows.cdrs.known_tokens import known_token
from ocpi_emsp.flows.cdrs.neighbours import NEIGHBOURS, SESSIONS, CdrReader, neighbour, other_cdrs, session_of
from ocpi_emsp.flows.cdrs.published import published_tariff
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.models import Cdr
from ocpi_emsp.ports import Key, Kind, Owner, Query, Record, Transaction
from ocpi_emsp.pricing.places import ChargingPlace
from ocpi_emsp.pricing.plausibility import KnownToken, Surroundings

_SAMPLE: Final = 50
"""Documents of each kind that determine a party's usual currency."""
_NEAR: Final = 5000
"""Sequences before a CDR from which the sample is taken."""
_MOST: Final = 10_000
"""Places, and tokens, that are cached."""
_MOST_SAMPLES: Final = 100


@define
class Gatherer:
    """Collects what is stored around CDRs, in the transactions that it is given."""

    context: Context
    now: datetime = field()
    _reader: CdrReader = field(factory=CdrReader, init=False)
    _places: dict[tuple[Owner, ChargingPlace], Place] = field(factory=dict, init=False)
    _tokens: dict[str, KnownToken | None] = field(factory=dict, init=False)
    _samples: dict[tuple[Owner, int], Mapping[Key, str]] = field(factory=dict, init=False)
    _firsts: dict[Owner, datetime] = field(factory=dict, init=False)

    @now.default
    def _clock(self) -> datetime:
        return self.context.clock.now()

    async def around(
        self, tx: Transaction, record: Record, cdr: Cdr, party: Party | None, *, with_session: bool = True
    ) -> Surroundings:
        """Return what is known around a stored CDR; ``party`` sends its objects, and has the profile."""
        place = await self._place(tx, record, cdr, party)
        reference = credit_reference(record) if cdr.total_cost < 0 else None
        others = await other_cdrs(tx, record, cdr, reference, self._reader)
        equal_ids = party is not None and party.profile.cdr_id_is_session_id
        session, is_beyond = None, False
        if with_session:
            session, is_beyond = await session_of(tx, record, cdr, others.summaries, equal_ids=equal_ids)
        beyond = {f"{NEIGHBOURS} CDRs": others.of_driver_beyond, f"{SESSIONS} sessions": is_beyond}
        return Surroundings(
            now=self.now,
            received_at=await self._received_at(tx, record, cdr),
            others=[neighbour(summary, key, record.key) for key, summary in others.summaries.items()],
            are_all=not others.of_driver_beyond,
            of_driver_beyond=tuple(what for what, is_so in beyond.items() if is_so),
            at_location_beyond=f"{NEIGHBOURS} CDRs" if others.at_location_beyond else "",
            reference=reference,
            session=session,
            place=place.known,
            connector=place.connector,
            published_tariff=await published_tariff(tx, record.key, cdr, place.connector),
            token=await self._token(tx, cdr.auth_id),
            currencies=await self._usual(tx, record),
        )

    async def _place(self, tx: Transaction, record: Record, cdr: Cdr, party: Party | None) -> Place:
        if party is not None and party.profile.without_locations:
            return Place()
        name = (record.key.country_code, record.key.party_id), ChargingPlace.of(cdr.location)
        if name not in self._places:
            _make_room(self._places)
            self._places[name] = await known_place(tx, record.key, name[1])
        return self._places[name]

    async def _token(self, tx: Transaction, auth_id: str) -> KnownToken | None:
        if auth_id not in self._tokens:
            _make_room(self._tokens)
            self._tokens[auth_id] = await known_token(tx, self.context.identity.owner, auth_id)
        return self._tokens[auth_id]

    async def _received_at(self, tx: Transaction, record: Record, cdr: Cdr) -> datetime | None:
        """Return when a CDR was received; None if the party had sent none yet when the session ended, so it could not
        be received.
        """
        owner = record.key.country_code, record.key.party_id
        if owner not in self._firsts:
            first = (await tx.page(_of_owner(Kind.CDR, owner, limit=1))).records
            self._firsts[owner] = first[0].received_at if first else record.received_at
        return record.received_at if self._firsts[owner] <= cdr.stop_date_time else None

    async def _usual(self, tx: Transaction, record: Record) -> Mapping[str, int]:
        """Return the number of earlier CDRs, and of the party's tariffs, per currency."""
        owner, block = (record.key.country_code, record.key.party_id), record.sequence // _NEAR
        if (owner, block) not in self._samples:
            _make_room(self._samples, _MOST_SAMPLES)
            after = max(0, (block - 1) * _NEAR)
            near = (await tx.page(_of_owner(Kind.CDR, owner, after=after, limit=_SAMPLE))).records
            tariffs = (await tx.page(_of_owner(Kind.TARIFF, owner, limit=_SAMPLE))).records
            self._samples[owner, block] = {each.key: _currency(each) for each in (*near, *tariffs)}
        sample = self._samples[owner, block]
        return Counter(currency for key, currency in sample.items() if key != record.key and currency)


def _make_room(held: dict[Any, Any], most: int = _MOST) -> None:
    if len(held) >= most:
        held.clear()


def _of_owner(kind: str, owner: Owner, **changes: Any) -> Query:
    return Query(kind=kind, country_code=owner[0], party_id=owner[1], count=False, **changes)


class _Priced(msgspec.Struct):
    currency: str


class _Crediting(msgspec.Struct):
    credit_reference_id: str | None = None


def _currency(record: Record) -> str:
    try:
        return msgspec.json.decode(record.document, type=_Priced).currency.upper()
    except msgspec.MsgspecError:
        return ""


def credit_reference(record: Record) -> str | None:
    """Return the CDR that a credit names: not a member of 2.1.1, but some partners send it from 2.2."""
    try:
        return msgspec.json.decode(record.document, type=_Crediting).credit_reference_id or None
    except msgspec.MsgspecError:
        return None
