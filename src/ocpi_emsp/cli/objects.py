"""``ocpi-emsp parties|locations|...|reservations list|show``, ``ocpi-emsp command list``: what is in the store.

Rules of this module:
- a document is printed as it is stored, a location with its EVSEs; on a line of its own, line breaks between its
  members become spaces;
- of a party, no token is printed, nor its hash;
- a list is read page by page, each in a transaction of its own, so it blocks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from attrs import frozen

from ocpi_emsp.cli import output
from ocpi_emsp.cli.columns import COLUMNS, cells
from ocpi_emsp.cli.errors import CommandFailed, Usage
from ocpi_emsp.cli.listing import print_list
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.stores import opened, pages, reading
from ocpi_emsp.codec import wire_time
from ocpi_emsp.codec.patch import items, join, members
from ocpi_emsp.flows.locations.inbound import assemble
from ocpi_emsp.flows.parties.party import party_key
from ocpi_emsp.models import TokenType
from ocpi_emsp.ports import BlockingTransaction, Key, Kind, Query, Record

if TYPE_CHECKING:
    from ocpi_emsp.storage.sql.store import SqlStore

_Owner: TypeAlias = tuple[str, str]


@frozen
class _Found:
    """A record, and a location's EVSEs."""

    record: Record
    evses: Sequence[Record]

    @property
    def sequence(self) -> int:
        """Its place in a list."""
        return self.record.sequence


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


def run(arguments: Arguments) -> int:
    """List or show; 1 where an object is not there."""
    with opened(arguments) as store:
        if arguments.action == "show":
            _show(store, arguments)
            return 0
        _list(store, arguments)
        return 0


# --- list -----------------------------------------------------------------------------------------------------------


def _list(store: SqlStore, arguments: Arguments) -> None:
    kind, owner = KINDS[arguments.kind], arguments.party or (None, None)

    def page(after: int, limit: int) -> list[_Found]:
        query = Query(kind=kind, country_code=owner[0], party_id=owner[1], after=after, limit=limit, count=False)
        with reading(store) as tx:
            return [_with_evses(tx, record) for record in tx.page(query).records]

    def write(page: Sequence[_Found]) -> None:
        if arguments.json:
            output.write_bytes(b"".join(_on_one_line(_document(found)) + b"\n" for found in page))
        else:
            output.write(output.table(COLUMNS[kind], [cells(found.record, found.evses) for found in page]))

    print_list(arguments, page, write, f"there are no {arguments.kind}")


def _with_evses(tx: BlockingTransaction, record: Record) -> _Found:
    return _Found(record, tx.children(record.key) if record.key.kind == Kind.LOCATION else ())


# --- show -----------------------------------------------------------------------------------------------------------


def _show(store: SqlStore, arguments: Arguments) -> None:
    found = _find_one(store, arguments)
    document = _document(found)
    if arguments.json:
        output.write_bytes(document.rstrip(b"\r\n") + b"\n")
        output.flush()
        return
    received = max(each.received_at for each in (found.record, *found.evses))
    output.write(f"received {wire_time(received)}, last updated {wire_time(found.record.last_updated)}\n")
    output.write_text(msgspec.json.format(document, indent=2).decode())  # it keeps the digits of numbers


def _find_one(store: SqlStore, arguments: Arguments) -> _Found:
    kind = KINDS[arguments.kind]
    with reading(store) as tx:
        keys = [key for owner in _owners(tx, kind, arguments.party) for key in _keys(kind, owner, arguments)]
        records = [record for key in keys if (record := tx.get(key)) is not None]
        if len(records) > 1:
            raise Usage(f"there are several: {'; '.join(_name(record.key) for record in records)}: say which")
        if not records:
            raise CommandFailed(_not_there(kind, arguments))
        return _with_evses(tx, records[0])


def _not_there(kind: str, arguments: Arguments) -> str:
    if kind == Kind.PARTY:
        return f"there is no party {'-'.join(arguments.party)}"
    whose = f" of {'-'.join(arguments.party)}" if arguments.party else ""
    return f"there is no {kind} '{arguments.id}'{whose}"


def _name(key: Key) -> str:
    whose = f"--party {key.country_code}-{key.party_id}"
    return f"{whose} --type {key.parent}" if key.kind == Kind.TOKEN else whose


def _owners(tx: BlockingTransaction, kind: str, owner: _Owner | None) -> Iterator[_Owner]:
    """Whose object it can be: the given party's, or of any party that we know, or of whoever has the first one."""
    if owner is not None:
        yield owner
        return
    first = tx.page(Query(kind=kind, limit=1, count=False)).records
    known = [
        record.key for records in pages(tx, Query(kind=Kind.PARTY)) for record in records if record.key.country_code
    ]
    yield from dict.fromkeys((key.country_code, key.party_id) for key in (*(record.key for record in first), *known))


def _keys(kind: str, owner: _Owner, arguments: Arguments) -> Iterator[Key]:
    if kind == Kind.PARTY:
        yield party_key(*owner)
    elif kind in (Kind.EVSE, Kind.RESERVATION):
        location, own_id = _at_location(arguments)
        yield Key(kind, *owner, own_id, location)
    elif kind == Kind.TOKEN:
        types = (arguments.type,) if arguments.type else tuple(each.value for each in TokenType)
        yield from (Key(kind, *owner, arguments.id, each) for each in types)
    else:
        yield Key(kind, *owner, arguments.id)


def _at_location(arguments: Arguments) -> tuple[str, str]:
    """The location and the id there; the first slash is the one between them."""
    if arguments.location is not None:
        return arguments.location, arguments.id
    location, slash, own_id = arguments.id.partition("/")
    if not slash:
        raise Usage(f"invalid id '{arguments.id}': expected LOCATION/{arguments.id}, or --location LOCATION")
    return location, own_id


# --- documents ------------------------------------------------------------------------------------------------------


def _document(found: _Found) -> bytes:
    """What is printed of a record."""
    record = found.record
    if record.key.kind == Kind.PARTY:
        return _without_tokens(record.document)
    return assemble(record, found.evses) if record.key.kind == Kind.LOCATION else record.document


def _without_tokens(party: bytes) -> bytes:
    parts = members(party)
    parts.pop("token", None)
    issued = [members(each) for each in items(parts.get("issued", msgspec.Raw(b"[]")))]
    for each in issued:
        each.pop("sha256", None)
    parts["issued"] = msgspec.Raw(b"[" + b",".join(join(each) for each in issued) + b"]")
    return join(parts)


def _on_one_line(document: bytes) -> bytes:
    """Line breaks stand between members only: inside a text of JSON they are escaped."""
    return document.strip(b"\r\n").replace(b"\r", b" ").replace(b"\n", b" ")
