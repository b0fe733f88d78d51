"""The simulated CPO's objects: locations, sessions, CDRs and tariffs, created on demand.

Rules obeyed (OCPI 2.1.1, transport_and_format.md, "Pagination"): the sequence of objects does not change, and the
oldest by creation comes first. `date_from` and `date_to` select by `last_updated` (mod_locations.md 2.1.1): from
`date_from`, inclusive, to `date_to`, exclusive, so that adjoining periods lose and repeat nothing. A changed EVSE or
connector also updates its parents' `last_updated` (same place).
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any, Final

from attrs import frozen

from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.documents import are_rewritten, rewritten
from ocpi_emsp.testing.cpo.overcharging import DUPLICATE, OVERCHARGES, kind_of
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.templates import LocationTexts
from ocpi_emsp.testing.cpo.wire import Document, encode, merge, parse_timestamp, timestamp, utc_now


@frozen(kw_only=True)
class Generator:
    """Generates `count` documents with the ids `{prefix}1`, `{prefix}2` and so on; index 0 is the oldest.

    `write` returns the JSON text of what `make` returns, if there is a faster way to it.
    """

    prefix: str
    count: int
    make: Callable[[int], Document]
    last_updated: Callable[[int], datetime]
    write: Callable[[int], bytes] | None = None


class Collection:
    """Documents of one kind, oldest first: the generated ones, as changed, and then those added.

    A position identifies a document permanently; only changed documents are stored in memory. A hidden document is
    unknown until it is shown again.
    """

    def __init__(self, generator: Generator, unlisted_share: Callable[[], float]) -> None:
        self._generator = generator
        self._unlisted_share = unlisted_share
        self._changed: dict[int, tuple[Document | None, datetime]] = {}
        self._added: dict[str, int] = {}
        self._hidden: set[int] = set()
        self._matches: dict[tuple[datetime | None, datetime | None, float], Sequence[int]] = {}

    def get(self, object_id: str) -> Document | None:
        """Return a copy of the document, or None if it is unknown."""
        position = self._position(object_id)
        return None if position is None or not self._is_known(position) else self.document(position)

    def has(self, object_id: str) -> bool:
        """Return True if there is such a document, hidden or not."""
        position = self._position(object_id)
        return position is not None and not self._is_removed(position)

    def put(self, object_id: str, document: Document) -> None:
        """Add or replace a document; one without a readable `last_updated` counts as updated now."""
        position = self._position(object_id)
        if position is None:
            position = self._added[object_id] = self._generator.count + len(self._added)
        self._hidden.discard(position)
        self._change(position, deepcopy(document))

    def remove(self, object_id: str) -> None:
        """Remove a document, if it is known."""
        position = self._position(object_id)
        if position is not None:
            self._change(position, None)

    def hide(self, what: Sequence[int] | Sequence[str]) -> None:
        """Hide documents, named by id or by position. Raises `KeyError` for an id that was never known."""
        self._hidden.update(self._positions(what))
        self._matches.clear()

    def show(self, what: Sequence[int] | Sequence[str] | None = None) -> None:
        """Show hidden documents again, all of them unless some are named. Raises `KeyError` like `hide`."""
        self._hidden.difference_update(list(self._hidden) if what is None else self._positions(what))
        self._matches.clear()

    def grow(self, count: int) -> None:
        """Add `count` documents at the end, as if there had been more from the beginning."""
        for _ in range(count):
            index = self._generator.count + len(self._added)
            self.put(f"{self._generator.prefix}{index + 1}", self._generator.make(index))

    def matching(self, date_from: datetime | None, date_to: datetime | None) -> Sequence[int]:
        """Return the positions of the documents that match the filters, in order.

        Cached until the next change, as a crawl requests them page by page.
        """
        key = (date_from, date_to, self._unlisted_share())
        if key not in self._matches:
            self._matches.clear()
            self._matches[key] = self._find(date_from, date_to)
        return self._matches[key]

    def document(self, position: int) -> Document:
        """Return a copy of the document at a known position."""
        if position in self._changed:
            document = deepcopy(self._changed[position][0])
            if document is None:
                raise LookupError(f"nothing at position {position}")
            return document
        return self._generator.make(position)

    def encoded(self, position: int) -> bytes:
        """Return the JSON text of the document at a known position."""
        write = self._generator.write
        return encode(self.document(position)) if write is None or position in self._changed else write(position)

    def _position(self, object_id: str) -> int | None:
        if object_id in self._added:
            return self._added[object_id]
        number = object_id.removeprefix(self._generator.prefix)
        if not (number.isascii() and number.isdecimal() and len(number) < 10):
            return None
        index = int(number) - 1
        known = 0 <= index < self._generator.count and object_id == f"{self._generator.prefix}{index + 1}"
        return index if known else None

    def _positions(self, what: Sequence[int] | Sequence[str]) -> list[int]:
        positions = [self._position(each) if isinstance(each, str) else each for each in what]
        if None in positions:
            raise KeyError(what[positions.index(None)])
        return [position for position in positions if position is not None]

    def _is_known(self, position: int) -> bool:
        hidden = position in self._hidden or self._is_unlisted(position)
        return not hidden and not self._is_removed(position)

    def _is_removed(self, position: int) -> bool:
        return position in self._changed and self._changed[position][0] is None

    def _is_unlisted(self, position: int) -> bool:
        """Return True for the share of all documents that is not listed, spread evenly."""
        share = self._unlisted_share()
        return int((position + 1) * share) > int(position * share)

    def _change(self, position: int, document: Document | None) -> None:
        self._changed[position] = (document, _last_updated(document))
        self._matches.clear()

    def _find(self, date_from: datetime | None, date_to: datetime | None) -> Sequence[int]:
        """Return matching generated documents: they are ordered by last_updated, so not all need to be examined."""
        everything = range(self._generator.count)
        first = 0 if date_from is None else bisect_left(everything, date_from, key=self._generator.last_updated)
        end = len(everything)
        if date_to is not None:
            end = max(first, bisect_left(everything, date_to, key=self._generator.last_updated))
        if not self._changed and not self._hidden and not self._unlisted_share():
            return range(first, end)
        unchanged = (each for each in range(first, end) if each not in self._changed)
        changed = (
            position
            for position, (_, updated) in self._changed.items()
            if (date_from is None or updated >= date_from) and (date_to is None or updated < date_to)
        )
        return sorted(each for each in chain(unchanged, changed) if self._is_known(each))


def _last_updated(document: Document | None) -> datetime:
    try:
        return parse_timestamp((document or {})["last_updated"])
    except (KeyError, TypeError, ValueError):
        return utc_now()


_CHILDREN: Final = (("evses", "uid"), ("connectors", "id"))
"""The children of a location, and of an EVSE: the field, and the field that identifies each child."""


class Catalogue:
    """The four collections of a simulated CPO, consistent with each other.

    CDR n belongs to the n-th completed session; three sessions of four are completed, the fourth is ACTIVE.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._texts: tuple[dict[str, Any], LocationTexts] | None = None
        self.locations = self._collection("LOC", settings.locations, self._location, _moment, self._write_location)
        self.sessions = self._collection("SES", settings.sessions, self._session, _session_updated)
        self.cdrs = self._collection("CDR", settings.cdrs, self._cdr, _cdr_updated)
        self.tariffs = self._collection("TAR", settings.tariffs, self._tariff, _moment)

    def collection(self, module: str) -> Collection:
        """Return the collection of a ModuleID. Raises `KeyError` for another module."""
        return {
            "locations": self.locations,
            "sessions": self.sessions,
            "cdrs": self.cdrs,
            "tariffs": self.tariffs,
        }[module]

    def find(self, module: str, object_id: str, *child_ids: str) -> Document | None:
        """Return an object, or the EVSE or connector of a location that `child_ids` name; None if it is unknown."""
        found = self.collection(module).get(object_id)
        for (children, key), child_id in zip(_CHILDREN, child_ids, strict=False):
            siblings = (found or {}).get(children) or []
            found = next((child for child in siblings if child.get(key) == child_id), None)
        return found

    def put(self, module: str, document: Document, *parent_ids: str) -> None:
        """Add or replace an object, or an EVSE or connector of known parents, which are updated with it."""
        if not parent_ids:
            self.collection(module).put(document["id"], document)
            return
        parent = self.find(module, *parent_ids)
        if parent is not None:
            children, key = _CHILDREN[len(parent_ids) - 1]
            changed = _with_child(parent, children, key, document, self._settings.now)
            if self._settings.unmoved_parents:
                changed |= {"last_updated": parent["last_updated"]}
            self.put(module, changed, *parent_ids[:-1])

    def change(self, module: str, changes: Document, *ids: str) -> None:
        """Merge `changes` into an object, EVSE or connector, if it is known, and update its parents."""
        known = self.find(module, *ids)
        if known is not None:
            # A change without `last_updated` happened now.
            self.put(module, merge(known, {"last_updated": timestamp(self._settings.now), **changes}), *ids[:-1])

    def _collection(
        self,
        prefix: str,
        count: int,
        make: Callable[[int], Document],
        updated: Callable[[int], datetime],
        write: Callable[[int], bytes] | None = None,
    ) -> Collection:
        def deviating(index: int) -> Document:
            return rewritten(make(index), _MODULES[prefix], self._settings)

        def unlisted_share() -> float:
            return self._settings.unlisted_share if prefix in ("LOC", "TAR") else 0.0

        generator = Generator(prefix=prefix, count=count, make=deviating, last_updated=updated, write=write)
        return Collection(generator, unlisted_share)

    def _location(self, index: int, at_least: int = 0) -> Document:
        arguments = self._location_arguments()
        arguments["evses"] = max(arguments["evses"], at_least)
        return samples.location(f"LOC{index + 1}", index=index, last_updated=_moment(index), **arguments)

    def _write_location(self, index: int) -> bytes:
        if are_rewritten(self._settings):
            return encode(rewritten(self._location(index), "locations", self._settings))
        arguments = self._location_arguments()
        if self._texts is None or self._texts[0] != arguments:
            self._texts = arguments, LocationTexts(**arguments)
        return self._texts[1].location(f"LOC{index + 1}", index, _moment(index))

    def _location_arguments(self) -> dict[str, Any]:
        return {
            "evses": self._settings.evses,
            "country_code": self._settings.country_code,
            "party_id": self._settings.party_id,
            "operator": self._settings.name,
            "tariff_ids": [f"TAR{number + 1}" for number in range(self._settings.tariffs)],
        }

    def _tariff(self, index: int) -> Document:
        price = samples.ENERGY_PRICE + Decimal("0.05") * (index % 4)
        return samples.tariff(f"TAR{index + 1}", energy_price=price, last_updated=_moment(index))

    def _session(self, index: int) -> Document:
        at = self._used_location(index)
        return samples.session(
            f"SES{index + 1}",
            at=at,
            auth_id=self._settings.auth_ids[index % len(self._settings.auth_ids)],
            start=_moment(index),
            kwh=Decimal("10.0000") + Decimal("0.5000") * (index % 20),
            tariff=self._tariff_of(at),
            status="ACTIVE" if index % 4 == 3 else "COMPLETED",
        )

    def _cdr(self, index: int) -> Document:
        kind = kind_of(index, self._settings.overcharging)
        of = self._session(_completed(0 if kind == DUPLICATE else index))
        tariff = self._tariff_of(of["location"])
        cdr = samples.cdr(f"CDR{index + 1}", of=of, tariffs=[tariff] if tariff else [])
        return OVERCHARGES[kind](cdr) | {"last_updated": timestamp(_cdr_updated(index))}

    def _used_location(self, session_index: int) -> Document:
        """Return the location of a session, with only the used EVSE."""
        at = self._location(session_index % max(self._settings.locations, 1), at_least=1)
        return samples.relevant(at, at["evses"][session_index % len(at["evses"])]["uid"])

    def _tariff_of(self, at: Document) -> Document | None:
        """Return the tariff of the used connector, as generated."""
        tariff_id = at["evses"][0]["connectors"][0].get("tariff_id")
        return self._tariff(int(tariff_id.removeprefix("TAR")) - 1) if tariff_id else None


_MODULES = {"LOC": "locations", "SES": "sessions", "CDR": "cdrs", "TAR": "tariffs"}


def _moment(index: int) -> datetime:
    """Return when the document of this index was created, and a location or tariff last updated."""
    return samples.BASE + timedelta(minutes=index)


def _completed(index: int) -> int:
    """Return the index of the n-th completed session."""
    return index // 3 * 4 + index % 3


def _session_updated(index: int) -> datetime:
    return _moment(index) + samples.CHARGING + samples.PARKING


def _cdr_updated(index: int) -> datetime:
    return _session_updated(_completed(index)) + timedelta(minutes=5)


def _with_child(parent: Document, children: str, key: str, child: Document, now: datetime) -> Document:
    """Return `parent` with one child added or replaced, both updated at the same time."""
    siblings = parent.get(children) or []
    known = any(each.get(key) == child[key] for each in siblings)
    kept = [child if each.get(key) == child[key] else each for each in siblings]
    updated = child.get("last_updated", timestamp(now))
    return parent | {children: kept if known else [*kept, child], "last_updated": updated}
