"""Records and journal entries as a store has them, for tools that copy or show them: an export, an import, the command.

Rules of this module: a document that this library wrote must be readable; a partner's object may deviate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from attrs import evolve

from ocpi_emsp._bridge import LiftedTransaction, in_place, run
from ocpi_emsp.codec import decode
from ocpi_emsp.codec.patch import members
from ocpi_emsp.flows.commands.reservations import Reservation
from ocpi_emsp.flows.commands.session_match import PendingMatch
from ocpi_emsp.flows.commands.states import read_command
from ocpi_emsp.flows.inbound.evses import evses_after, evses_of, find_evse, put_copies
from ocpi_emsp.flows.inbound.stored import received_key
from ocpi_emsp.flows.inbound.tariff_versions import listed_at, queries_at
from ocpi_emsp.flows.locations.read import as_stored
from ocpi_emsp.flows.parties.extra_headers import names_party
from ocpi_emsp.flows.parties.party import Party, party_key
from ocpi_emsp.flows.serving.rejections import rejection_of
from ocpi_emsp.flows.tokens.authorization_records import Decision
from ocpi_emsp.flows.tokens.store import TokenWithExtensions, valid_token_with_extensions
from ocpi_emsp.ports import AUTHORIZATION, REJECTION, STARTS, BlockingTransaction, Entry, Key, Kind, Query, Record
from ocpi_emsp.pricing.stored import of_document

__all__ = [
    "TokenWithExtensions",
    "as_stored",
    "listed_at",
    "listed_evses",
    "names_party",
    "party_key",
    "put_records",
    "queries_at",
    "read_details",
    "read_document",
    "received_key",
    "stored_evse",
    "stored_evses",
    "valid_token_with_extensions",
]

_READERS: Mapping[str, Callable[[bytes], Any]] = {
    Kind.PARTY: partial(decode, Party),
    Kind.CREDENTIAL: partial(msgspec.json.decode, type=tuple[str, str]),
    Kind.COMMAND: read_command,
    Kind.RESERVATION: partial(decode, Reservation),
    Kind.AUDIT: of_document,
}


def read_document(kind: str, document: bytes) -> Any:
    """Read a record's document; a partner's object as its members.

    Raises OcpiError; for a document of our own also RecursionError, and DecodeError of msgspec.
    """
    return _READERS.get(kind, members)(document)


def stored_evses(tx: BlockingTransaction, location: Record) -> Sequence[Record]:
    """Return the EVSEs of a location, wherever they are stored."""
    return run(evses_of(LiftedTransaction.of(tx, in_place), location))


def stored_evse(tx: BlockingTransaction, key: Key) -> Record | None:
    """Return an EVSE, wherever it is stored, or None."""
    return run(find_evse(LiftedTransaction.of(tx, in_place), key))


def listed_evses(tx: BlockingTransaction, query: Query) -> Sequence[Record]:
    """Return the next EVSEs of the owner of a query, by location; their sequences are places in this list only."""
    locations = evolve(query, kind=Kind.LOCATION, after=0)
    return run(evses_after(LiftedTransaction.of(tx, in_place), locations, query.after))


def put_records(tx: BlockingTransaction, records: Sequence[Record]) -> None:
    """Put records of another store in place of those here."""
    run(put_copies(LiftedTransaction.of(tx, in_place), records))


def _decision(entry: Entry) -> Any:
    return Decision(id=entry.id, at=entry.at, outcome=entry.name, **entry.details)


_DETAILS: Mapping[str, Callable[[Entry], Any]] = {
    REJECTION: rejection_of,
    **dict.fromkeys(STARTS, PendingMatch.of),
    AUTHORIZATION: _decision,
}


def read_details(entry: Entry) -> Any:
    """Read the details of an entry beyond its owner; None if its topic has none.

    Raises AttributeError, KeyError, TypeError or ValueError for details that do not belong to its topic.
    """
    reader = _DETAILS.get(entry.topic)
    return None if reader is None else reader(entry)
