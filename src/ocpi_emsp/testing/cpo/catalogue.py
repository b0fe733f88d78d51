"""What the simulated CPO owns: locations, sessions, CDRs and tariffs, made when they are asked for.

Rules obeyed (OCPI 2.1.1, transport_and_format.md, "Pagination"): the sequence of objects does not change, and the
oldest by creation comes first. `date_from` and `date_to` select by `last_updated` (mod_locations.md 2.1.1): after
`date_from`, inclusive, and before `date_to`, exclusive, so that adjoining periods lose and repeat nothing.
A changed EVSE or connector also updates its parents' `last_updated` (same place).
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Decimal

from attrs import frozen

from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.presets import quirky
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import Document, merge, parse_timestamp, timestamp, utc_now


@frozen(kw_only=True)
class Generator:
    """`count` documents with the ids `{prefix}1`, `{prefix}2` and so on; index 0 is the oldest."""

    prefix: str
    count: int
    make: Callable[[int], Document]
    last_updated: Callable[[int], datetime]


@frozen
class Page:
    """Some of the documents that match, and the number of all that match."""

    documents: Sequence[Document]
    total: int


class Collection:
    """Documents of one kind, oldest first: the generated ones, as changed, and then those added.

    A position numbers a document for good; only changed documents are kept in memory.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._changed: dict[int, tuple[Document | None, datetime]] = {}
        self._added: dict[str, int] = {}
        self._revision = 0
        self._matches: tuple[tuple[int, datetime | None, datetime | None], Sequence[int]] | None = None

    def get(self, object_id: str) -> Document | None:
        """A copy of the document, or None if it is not known."""
        position = self._position(object_id)
        return None if position is None else self._document(position)

    def put(self, object_id: str, document: Document) -> None:
        """Adds or replaces a document; one without a readable `last_updated` counts as updated now."""
        position = self._position(object_id)
        if position is None:
            position = self._added[object_id] = self._generator.count + len(self._added)
        self._change(position, deepcopy(document))

    def remove(self, object_id: str) -> None:
        """Removes a document, if it is known."""
        position = self._position(object_id)
        if position is not None:
            self._change(position, None)

    def page(self, date_from: datetime | None, date_to: datetime | None, offset: int, limit: int) -> Page:
        """The documents `offset` to `offset + limit` of those that match the filters."""
        positions = self._matching(date_from, date_to)
        documents = [self._document(position) for position in positions[offset : offset + limit]]
        return Page([document for document in documents if document is not None], len(positions))

    def _position(self, object_id: str) -> int | None:
        if object_id in self._added:
            return self._added[object_id]
        number = object_id.removeprefix(self._generator.prefix)
        if not (number.isascii() and number.isdecimal() and len(number) < 10):
            return None
        index = int(number) - 1
        known = 0 <= index < self._generator.count and object_id == f"{self._generator.prefix}{index + 1}"
        return index if known else None

    def _document(self, position: int) -> Document | None:
        if position in self._changed:
            return deepcopy(self._changed[position][0])
        return self._generator.make(position)

    def _change(self, position: int, document: Document | None) -> None:
        self._changed[position] = (document, _last_updated(document))
        self._revision += 1

    def _matching(self, date_from: datetime | None, date_to: datetime | None) -> Sequence[int]:
        """The matching positions; kept until the next change, as a crawl asks for them page by page."""
        key = (self._revision, date_from, date_to)
        if self._matches is None or self._matches[0] != key:
            everything = range(self._generator.count + len(self._added))
            self._matches = key, [each for each in everything if self._matches_dates(each, date_from, date_to)]
        return self._matches[1]

    def _matches_dates(self, position: int, date_from: datetime | None, date_to: datetime | None) -> bool:
        if position in self._changed:
            document, updated = self._changed[position]
            if document is None:
                return False
        else:
            updated = self._generator.last_updated(position)
        return (date_from is None or updated >= date_from) and (date_to is None or updated < date_to)


def _last_updated(document: Document | None) -> datetime:
    try:
        return parse_timestamp((document or {})["last_updated"])
    except (KeyError, TypeError, ValueError):
        return utc_now()


class Catalogue:
    """The four collections of a simulated CPO, consistent with each other.

    CDR n belongs to the n-th completed session; three sessions of four are completed, the fourth is ACTIVE.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.locations = self._collection("LOC", settings.locations, self._location, _location_updated)
        self.sessions = self._collection("SES", settings.sessions, self._session, _session_updated)
        self.cdrs = self._collection("CDR", settings.cdrs, self._cdr, _cdr_updated)
        self.tariffs = self._collection("TAR", settings.tariffs, self._tariff, _tariff_updated)

    def collection(self, module: str) -> Collection:
        """The collection that a ModuleID names. Raises `KeyError` for another module."""
        return {
            "locations": self.locations,
            "sessions": self.sessions,
            "cdrs": self.cdrs,
            "tariffs": self.tariffs,
        }[module]

    def find(self, location_id: str, evse_uid: str | None, connector_id: str | None) -> Document | None:
        """A location, or the EVSE or connector of it that is asked for; None if it is not known."""
        found = self.locations.get(location_id)
        if found is not None and evse_uid is not None:
            found = _child(found, "evses", "uid", evse_uid)
        if found is not None and connector_id is not None:
            found = _child(found, "connectors", "id", connector_id)
        return found

    def change_location(self, location_id: str, changes: Document) -> None:
        """Merges `changes` into a location, if it is known."""
        known = self.locations.get(location_id)
        if known is not None:
            self.locations.put(location_id, _changed(known, changes))

    def put_evse(self, location_id: str, evse: Document) -> None:
        """Adds or replaces an EVSE of a known location, which is updated with it."""
        known = self.locations.get(location_id)
        if known is not None:
            self.locations.put(location_id, _with_child(known, "evses", "uid", evse))

    def change_evse(self, location_id: str, evse_uid: str, changes: Document) -> None:
        """Merges `changes` into an EVSE, if it is known, and updates its location."""
        known = self.find(location_id, evse_uid, None)
        if known is not None:
            self.put_evse(location_id, _changed(known, changes))

    def put_connector(self, location_id: str, evse_uid: str, connector: Document) -> None:
        """Adds or replaces a connector of a known EVSE, which is updated with it."""
        known = self.find(location_id, evse_uid, None)
        if known is not None:
            self.put_evse(location_id, _with_child(known, "connectors", "id", connector))

    def change_connector(self, location_id: str, evse_uid: str, connector_id: str, changes: Document) -> None:
        """Merges `changes` into a connector, if it is known, and updates its EVSE and location."""
        known = self.find(location_id, evse_uid, connector_id)
        if known is not None:
            self.put_connector(location_id, evse_uid, _changed(known, changes))

    def change(self, module: str, object_id: str, changes: Document) -> None:
        """Merges `changes` into a session or tariff, if it is known."""
        known = self.collection(module).get(object_id)
        if known is not None:
            self.collection(module).put(object_id, _changed(known, changes))

    def _collection(
        self, prefix: str, count: int, make: Callable[[int], Document], updated: Callable[[int], datetime]
    ) -> Collection:
        def deviating(index: int) -> Document:
            document: Document = quirky(make(index)) if self._settings.quirky_documents else make(index)
            return document

        return Collection(Generator(prefix=prefix, count=count, make=deviating, last_updated=updated))

    def _location(self, index: int, at_least: int = 0) -> Document:
        return samples.location(
            f"LOC{index + 1}",
            evses=max(self._settings.evses, at_least),
            index=index,
            country_code=self._settings.country_code,
            party_id=self._settings.party_id,
            operator=self._settings.name,
            tariff_ids=[f"TAR{number + 1}" for number in range(self._settings.tariffs)],
            last_updated=_location_updated(index),
        )

    def _tariff(self, index: int) -> Document:
        price = samples.ENERGY_PRICE + Decimal("0.05") * (index % 4)
        return samples.tariff(f"TAR{index + 1}", energy_price=price, last_updated=_tariff_updated(index))

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
        of = self._session(_completed(index))
        tariff = self._tariff_of(of["location"])
        return samples.cdr(f"CDR{index + 1}", of=of, tariffs=[tariff] if tariff else [])

    def _used_location(self, session_index: int) -> Document:
        """Where a session takes place, with only the EVSE used."""
        at = self._location(session_index % max(self._settings.locations, 1), at_least=1)
        return samples.relevant(at, at["evses"][session_index % len(at["evses"])]["uid"])

    def _tariff_of(self, at: Document) -> Document | None:
        """The tariff of the connector used, as it was generated."""
        tariff_id = at["evses"][0]["connectors"][0].get("tariff_id")
        return self._tariff(int(tariff_id.removeprefix("TAR")) - 1) if tariff_id else None


def _moment(index: int) -> datetime:
    return samples.BASE + timedelta(minutes=index)


def _completed(index: int) -> int:
    """The index of the n-th completed session."""
    return index // 3 * 4 + index % 3


def _location_updated(index: int) -> datetime:
    return _moment(index)


def _tariff_updated(index: int) -> datetime:
    return _moment(index)


def _session_updated(index: int) -> datetime:
    return _moment(index) + samples.CHARGING + samples.PARKING


def _cdr_updated(index: int) -> datetime:
    return _session_updated(_completed(index)) + timedelta(minutes=5)


def _child(parent: Document, children: str, key: str, value: str) -> Document | None:
    return next((child for child in (parent.get(children) or []) if child.get(key) == value), None)


def _changed(document: Document, changes: Document) -> Document:
    """`document` after a PATCH; without a new `last_updated` the change is of now."""
    return merge(document, {"last_updated": timestamp(utc_now()), **changes})


def _with_child(parent: Document, children: str, key: str, child: Document) -> Document:
    """`parent` with one child added or replaced, both updated at the same time."""
    siblings = parent.get(children) or []
    known = any(each.get(key) == child[key] for each in siblings)
    kept = [child if each.get(key) == child[key] else each for each in siblings]
    updated = child.get("last_updated", timestamp(utc_now()))
    return parent | {children: kept if known else [*kept, child], "last_updated": updated}
