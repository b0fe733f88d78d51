"""``ocpi-emsp parties|locations|...|reservations list|show``, ``ocpi-emsp command list``: stored objects.

Rules of this module:
- a document is printed as stored, a location with its EVSEs; if it is printed on one line, line breaks between its
  members become spaces;
- a list with ``--status`` reads the status from the documents: no index has it;
- a tariff ``--at`` a time is printed as of then, also deleted ones;
- no token of a party is printed, nor its hash, nor the value of an extra header that may be a secret;
- a list is read page by page, each in its own transaction, so it blocks no writer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from attrs import evolve

from ocpi_emsp.cli import output
from ocpi_emsp.cli.columns import COLUMNS, cells, member
from ocpi_emsp.cli.errors import CommandFailed, Usage
from ocpi_emsp.cli.listing import of_party, print_list
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.stores import PAGE, opened, pages, reading
from ocpi_emsp.codec import wire_time
from ocpi_emsp.codec.patch import items, join, members
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.models import TokenType
from ocpi_emsp.ports import BlockingTransaction, Key, Kind, Owner, Query, Record
from ocpi_emsp.resources.records import (
    as_stored,
    listed_at,
    listed_evses,
    names_party,
    party_key,
    queries_at,
    received_key,
    stored_evse,
    stored_evses,
)
from ocpi_emsp.wire.redaction import HIDDEN

if TYPE_CHECKING:
    from ocpi_emsp.storage.sql.store import SqlStore


KINDS = {
    "parties": Kind.PARTY,
    "locations": Kind.LOCATION,
    "evses": Kind.EVSE,
    "sessions": Kind.SESSION,
    "cdrs": Kind.CDR,
    "tariffs": Kind.TARIFF,
    "tokens": Kind.TOKEN,
    "reservations": Kind.RESERVATION,
    "commands": Kind.COMMAND,
}


_PLURALS = {"evses": "EVSEs", "cdrs": "CDRs"}
_SINGULARS = {Kind.EVSE: "EVSE", Kind.CDR: "CDR"}
"""Names that differ from those of the command, or of the kind."""


def run(arguments: Arguments) -> int:
    """List or show; return 1 if an object does not exist."""
    with opened(arguments) as store:
        if arguments.action == "show":
            _show(store, arguments)
            return 0
        _list(store, arguments)
        return 0


# --- list -----------------------------------------------------------------------------------------------------------


def _list(store: SqlStore, arguments: Arguments) -> None:
    kind, owner, at = KINDS[arguments.kind], arguments.party or (None, None), _at(arguments)

    def page(limit: int, after: int) -> list[Record]:
        query = Query(kind=kind, country_code=owner[0], party_id=owner[1], after=after, limit=limit, count=False)
        with reading(store) as tx:
            if at is not None:
                return _first(tx, queries_at(owner, at, limit, after))
            if kind == Kind.EVSE:
                return list(listed_evses(tx, query)[:limit])
            return [_whole(tx, record) for record in tx.page(query).records]

    nothing = f"there are no {_PLURALS.get(arguments.kind, arguments.kind)}{of_party(arguments)}"
    if (status := getattr(arguments, "status", None)) is None:
        if at is not None:
            nothing = f"no {arguments.kind}{of_party(arguments)} held at {wire_time(at)}"
        print_list(arguments, page, COLUMNS[kind], cells, _on_one_line, nothing)
        return
    nothing += f" with the status {status}"
    print_list(arguments, partial(_with_status, page, status.upper()), COLUMNS[kind], cells, _on_one_line, nothing)


def _with_status(page: Callable[[int, int], list[Record]], status: str, limit: int, after: int) -> list[Record]:
    """Return up to ``limit`` records with the status, in the order of the pages."""
    found: list[Record] = []
    while len(found) < limit and (records := page(PAGE, after)):
        found += [record for record in records if member(record, "status").upper() == status]
        after = records[-1].sequence
    return found[:limit]


def _at(arguments: Arguments) -> datetime | None:
    """Return the requested moment, which only tariffs support."""
    return arguments.at if arguments.kind == "tariffs" else None


def _first(tx: BlockingTransaction, queries: Iterable[Query]) -> list[Record]:
    """Return the results of the first query that has any."""
    found = (tx.page(query).records for query in queries)
    return [listed_at(record) for record in next((records for records in found if records), ())]


# --- show -----------------------------------------------------------------------------------------------------------


def _show(store: SqlStore, arguments: Arguments) -> None:
    found = _find_one(store, arguments)
    if arguments.json:
        output.write_bytes(found.document.rstrip(b"\r\n") + b"\n")
        output.flush()
        return
    output.write(f"received {wire_time(found.received_at)}, last updated {wire_time(found.last_updated)}\n")
    output.write_text(msgspec.json.format(found.document, indent=2).decode())  # preserves the digits of numbers


def _find_one(store: SqlStore, arguments: Arguments) -> Record:
    kind = KINDS[arguments.kind]
    with reading(store) as tx:
        owners = _owners(tx, kind, arguments.party)
        keys = [key for owner in owners for key in _keys(kind, owner, arguments)]
        records = [record for key in keys for record in _found(tx, key, _at(arguments))]
        if len(records) > 1:
            raise Usage(f"there are several: {'; '.join(_name(record.key) for record in records)}: say which")
        if not records:
            raise CommandFailed(_not_there(kind, arguments))
        return _whole(tx, records[0])


def _found(tx: BlockingTransaction, key: Key, at: datetime | None) -> list[Record]:
    """Return the object of a key, or its version of a moment."""
    if at is not None:
        return _first(tx, (evolve(query, id=key.id) for query in queries_at(key[1:3], at, 1)))
    record = stored_evse(tx, key) if key.kind == Kind.EVSE else tx.get(key)
    return [] if record is None else [record]


def _not_there(kind: str, arguments: Arguments) -> str:
    if kind == Kind.PARTY:
        return f"there is no party {'-'.join(arguments.party)}"
    at = _at(arguments)
    what = f"{_SINGULARS.get(kind, kind)} '{arguments.id}'{of_party(arguments)}"
    return f"there is no {what}" + (f" that held at {wire_time(at)}" if at else "")


def _name(key: Key) -> str:
    whose = f"--party {key.country_code}-{key.party_id}"
    return f"{whose} --type {key.parent}" if key.kind == Kind.TOKEN else whose


def _owners(tx: BlockingTransaction, kind: str, owner: Owner | None) -> Iterator[Owner]:
    """Yield the possible owners: the given party, or any known party, or the owner of the first object."""
    if owner is not None:
        yield owner
        return
    stored_as = Kind.LOCATION if kind == Kind.EVSE else kind  # an EVSE may have no record of its own
    first = tx.page(Query(kind=stored_as, limit=1, count=False)).records
    known = [
        record.key for records in pages(tx, Query(kind=Kind.PARTY)) for record in records if record.key.country_code
    ]
    yield from dict.fromkeys((key.country_code, key.party_id) for key in (*(record.key for record in first), *known))


def _keys(kind: str, owner: Owner, arguments: Arguments) -> Iterator[Key]:
    if kind == Kind.PARTY:
        yield party_key(*owner)
    elif kind in (Kind.EVSE, Kind.RESERVATION):
        location, own_id = _at_location(arguments)
        yield Key(kind, *owner, own_id, location)
    elif kind == Kind.TOKEN:
        types = (arguments.type,) if arguments.type else tuple(each.value for each in TokenType)
        yield from (Key(kind, *owner, arguments.id, each) for each in types)
    else:
        yield received_key(kind, owner, arguments.id)


def _at_location(arguments: Arguments) -> tuple[str, str]:
    """Return the location and the id within it; the first slash separates them."""
    if arguments.location is not None:
        return arguments.location, arguments.id
    location, slash, own_id = arguments.id.partition("/")
    if not slash:
        raise Usage(f"invalid id '{arguments.id}': expected LOCATION/{arguments.id}, or --location LOCATION")
    return location, own_id


# --- documents ------------------------------------------------------------------------------------------------------


def _whole(tx: BlockingTransaction, record: Record) -> Record:
    """Return the record with the document to print; a location's receipt is that of its newest part."""
    if record.key.kind == Kind.PARTY:
        return evolve(record, document=_without_secrets(record.document))
    if record.key.kind != Kind.LOCATION:
        return record
    evses = stored_evses(tx, record)
    try:
        document = as_stored(record, evses)
    except OcpiError:  # it is not an object that EVSEs can be added to
        document = record.document
    return evolve(record, document=document, received_at=max(each.received_at for each in (record, *evses)))


def _without_secrets(party: bytes) -> bytes:
    """Return a party without tokens and their hashes; extra headers only show values that name a party."""
    parts = members(party)
    for name in ("token", "token_a"):
        parts.pop(name, None)
    profile = members(parts.get("profile", msgspec.Raw(b"{}")))
    if "headers" in profile:
        profile["headers"] = msgspec.Raw(msgspec.json.encode(list(map(_header, items(profile["headers"])))))
        parts["profile"] = msgspec.Raw(join(profile))
    issued = [members(each) for each in items(parts.get("issued", msgspec.Raw(b"[]")))]
    for each in issued:
        each.pop("sha256", None)
    parts["issued"] = msgspec.Raw(b"[" + b",".join(join(each) for each in issued) + b"]")
    return join(parts)


def _header(header: bytes) -> dict[str, str]:
    name, value = (msgspec.json.decode(each, type=str) for each in map(members(header).__getitem__, ("name", "value")))
    return {"name": name, "value": value if names_party(name) else HIDDEN}


def _on_one_line(record: Record) -> bytes:
    """Replace line breaks: they only occur between members, since a text in JSON has them escaped."""
    return record.document.strip(b"\r\n").replace(b"\r", b" ").replace(b"\n", b" ")
