"""The objects of one page of a CPO's list, into the store.

Rules of this module:
- a pulled object is handled like a pushed one: the same reading, the same rules, the same events;
- the good objects of a page are stored although others are bad; a bad one becomes a rejection, which can be replayed as
  a push; the same bad object again is the same rejection;
- a page and the place after it are one transaction; a page of more than CHUNK objects is several, and the place is
  saved with the last. Only what would be lost without its place must be on disk before the next page (pull.py);
- an object that names its owner (country_code and party_id, as in OCPI 2.2) is accepted from no other party. Of several
  parties behind one connection, hub_owners.py determines the owner, to which a copy that was stored as the connection's
  own is moved;
- timestamps without a zone get that of the party's profile before anything else reads them; a rejection has none;
- of several objects of one page with one id, the last updated one counts, of several with the same time the last; other
  content is a rejection, and the notes of the sync report it;
- an object for which a quota leaves no room ends the sync of its module, and nothing of its transaction is stored; a
  CDR beside another one only becomes a rejection;
- in a full sync every listed object is marked as received then, also a known, older or bad one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TypeAlias, TypeVar

import msgspec
from attrs import define, evolve, field, frozen

from ocpi_emsp.codec.content import same_content
from ocpi_emsp.codec.moments import said_at
from ocpi_emsp.codec.patch import identity
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.wrapping import may_be_wrapped, unwrap
from ocpi_emsp.codec.zones import Zoned, in_zone, zone_finding
from ocpi_emsp.errors import CannotStore, InvalidObject, NotJson, QuotaExceeded, Refusal
from ocpi_emsp.findings import Finding
from ocpi_emsp.flows.calls.request_log import count_findings
from ocpi_emsp.flows.cdrs import inbound as cdrs
from ocpi_emsp.flows.commands.session_link import link_fresh
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.backlog import log_backlog
from ocpi_emsp.flows.events.delivery import ListenerFailed, deliver
from ocpi_emsp.flows.events.newest import append_newest, remove_oldest
from ocpi_emsp.flows.inbound.moves import MOVED
from ocpi_emsp.flows.inbound.quota_reached import report_quota
from ocpi_emsp.flows.inbound.request import Incoming, NewSession, Outcome, Stored, deviating
from ocpi_emsp.flows.inbound.stored import received_key
from ocpi_emsp.flows.inbound.tariff_versions import versioned_owners
from ocpi_emsp.flows.inbound.twins import REPEATED
from ocpi_emsp.flows.locations import inbound as locations
from ocpi_emsp.flows.parties.hub_owners import UNKNOWN_OWNER, Owned, may_write, owner_of, record_owners, said_owner
from ocpi_emsp.flows.parties.owner_evidence import is_said_of, text_at
from ocpi_emsp.flows.parties.party import Caller, Party
from ocpi_emsp.flows.parties.quota import CONFLICTS, Growth, settle_growth
from ocpi_emsp.flows.sessions import inbound as sessions
from ocpi_emsp.flows.sync.report import RejectedObject, Tally
from ocpi_emsp.flows.tariffs import inbound as tariffs
from ocpi_emsp.ports import Entry, Key, Kind, Owner, Record, Transaction, prefetch, repeatable
from ocpi_emsp.routes import VERSION, Route, incoming as incoming_route
from ocpi_emsp.wire import Request

CHUNK = 1000
"""Objects of one transaction: bounds what a store locks, and what one in memory holds for a rollback."""
_PAGE_CLAUSE = "transport_and_format.md#pagination"
_OWNER_CLAUSE = "transport_and_format.md#client-owned-object-push"

T = TypeVar("T")
Take: TypeAlias = Callable[[Incoming, Transaction], Awaitable[Stored]]
Save: TypeAlias = Callable[[Transaction, bool], Awaitable[None]]
"""Saves the place after the page, with the page's last transaction. Raises if another sync has taken the pull over."""


@frozen
class Source:
    """How the objects of a module are stored: the route that receives them, and its store function."""

    kind: str
    route: Route
    parameter: str
    """The parameter of the route that is the object's id; empty if its URL has none."""
    store: Take

    @property
    def module(self) -> str:
        """The module that is pulled."""
        return self.route.module


SOURCES: Mapping[str, Source] = {
    source.module: source
    for source in (
        Source(Kind.LOCATION, incoming_route("locations.put_location"), "location_id", locations.store),
        Source(Kind.TARIFF, incoming_route("tariffs.put"), "tariff_id", tariffs.store),
        Source(Kind.SESSION, incoming_route("sessions.put"), "session_id", sessions.store),
        Source(Kind.CDR, incoming_route("cdrs.post"), "", cdrs.store),
    )
}


@frozen
class Pull:
    """The context for pulling the objects of one module of one party."""

    context: Context
    party: Party
    source: Source
    tally: Tally
    correlation_id: str
    full: bool = False
    requested: Mapping[str, Owner] = field(factory=dict)
    """The owners of the requested objects, by their ids."""
    of: Owner | None = None
    """The owner of the current object, if it is not the party itself."""
    seen_owners: set[Owner] = field(factory=set)
    """The owners that were recorded with the party."""

    @cached_property
    def caller(self) -> Caller:
        """The party, as if it had pushed."""
        return Caller(self.party, "")

    @property
    def owner(self) -> Owner:
        """The codes of the party whose objects are stored."""
        return self.of or self.party.owner

    def key(self, object_id: str) -> Key:
        """Return the key of one of the module's objects."""
        return received_key(self.source.kind, self.owner, object_id)

    def incoming(self, document: bytes, object_id: str, page: Page) -> Incoming:
        """Return the object as if it had been pushed."""
        country_code, party_id = self.owner
        params = {"country_code": country_code, "party_id": party_id, self.source.parameter: object_id}
        request = Request(self.source.route.method, "", body=document)
        return Incoming(
            self.context,
            self.caller,
            request,
            params,
            self.correlation_id,
            page.now,
            leased=page.leased,
            grown=page.grown,
            fresh=page.fresh,
            versioned=page.versioned,
            pulled=True,
        )

    def rejection(self, document: bytes, object_id: str, page: Page, error: Refusal, entry_id: str) -> Entry:
        """Return the entry of a rejected object, as a push."""
        incoming = self.incoming(document, object_id, page)
        path = self.source.route.url(f"/{VERSION}/{self.source.module}", trailing_slash=False, **incoming.params)
        return evolve(incoming, request=evolve(incoming.request, url=path)).rejection(
            self.source.route, error, entry_id
        )


@frozen
class Page:
    """One transaction's part of a page."""

    url: str
    now: datetime
    leased: list[Entry] = field(factory=list)
    results: list[Stored | RejectedObject] = field(factory=list)
    found: list[Finding] = field(factory=list)
    """Findings about its objects."""
    notes: list[str] = field(factory=list)
    """What the notes of the sync report about its objects."""
    folded: list[tuple[str, str]] = field(factory=list)
    """Rule and note of what may hold for many objects: the notes of the sync have the first, and the number of
    others.
    """
    grown: Growth = field(factory=Growth)
    exceeded: list[QuotaExceeded] = field(factory=list)
    """Quotas that rejected single objects; if others are exceeded, nothing is stored, and the sync of the module
    ends.
    """
    fresh: list[NewSession] = field(factory=list)
    versioned: set[Owner] = field(factory=set)
    """The owners of its new tariffs that have tariff versions, if its tariffs are locked."""


async def store_page(
    pull: Pull,
    documents: Sequence[msgspec.Raw],
    url: str,
    save: Save,
    *,
    place: Key | None,
    ids: Sequence[str] | None = None,
    is_repeated: bool = False,
) -> None:
    """Store the objects of a page, and ``save`` with the last of them. Raises StoreFailed, and the errors of ``save``.

    ``place``: the key of the record that ``save`` reads, so that it is locked together with the objects, before them.
    ``ids``: those of the objects, empty for one without, if they were already read. ``is_repeated``: the next sync
    stores the page again if it, and the place after it, was lost.
    """
    found = ids or [text_at(unwrap(document).document, "id") for document in documents]
    chunks_of_ids = zip(_chunks(documents), _chunks(found), strict=True)
    listed = [each for chunk, some in chunks_of_ids for each in await _read(pull, chunk, some)]
    chunks = _chunks(_each_once(pull, listed)) or [[]]
    for number, chunk in enumerate(chunks, start=1):
        last = number == len(chunks)
        try:
            await _store(pull, chunk, url, save, place, last=last, is_repeated=is_repeated)
        except CannotStore:  # one of several; a transaction for each object will show which one
            for each in chunk:
                await _store_alone(pull, each, url, save, place)
            await _store(pull, [], url, save, place, last=last, is_repeated=is_repeated)


def _chunks(listed: Sequence[T]) -> list[Sequence[T]]:
    return [listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK)]


@define  # created for each object; a frozen class takes several times as long in attrs
class _Listed:
    """A listed object, and how it is read: with its zone, for its owner."""

    pull: Pull
    received: bytes
    zoned: Zoned
    owned: Owned
    object_id: str
    """The id; empty if it has none."""
    key: Key
    twins: tuple[_Listed, ...] = ()
    """The other objects of the page with this id, the one that counts least first."""


async def _read(pull: Pull, documents: Sequence[msgspec.Raw], ids: Sequence[str]) -> list[_Listed]:
    """Return the objects with their zone and owner. Reads for the owner lock nothing: they may be many."""
    zone = pull.party.profile.time_zone
    received = [_unwrapped(pull, bytes(document)) for document in documents]
    zoned = [in_zone(document, zone) for document in received]
    if any(each.added for each in zoned):
        note = f"timestamps without a zone designator were read in {zone}"
        pull.tally.note(*{note}.difference(pull.tally.notes))
    profile, kind = pull.party.profile, pull.source.kind
    if profile.owner_from is not None and not is_said_of(profile.owner_from, kind):
        note = f"a {kind} has no {profile.owner_from}: whose it is, is looked for as without owner_from"
        pull.tally.note(*{note}.difference(pull.tally.notes))
    names_owners = profile.is_hub or profile.owner_from is not None
    owned = await _owned(pull, zoned, ids) if names_owners else [Owned(pull.owner)] * len(zoned)
    pulls = [pull if each.owner == pull.owner else evolve(pull, of=each.owner) for each in owned]
    keys = [received_key(pull.source.kind, each.owner, found) for each, found in zip(owned, ids, strict=True)]
    return [_Listed(*each) for each in zip(pulls, received, zoned, owned, ids, keys, strict=True)]


def _unwrapped(pull: Pull, document: bytes) -> bytes:
    """Return the unwrapped object; the wrapping is noted once."""
    if not may_be_wrapped(document):
        return document
    unwrapped = unwrap(document)
    if unwrapped.around:
        pull.tally.note(*{unwrapped.note}.difference(pull.tally.notes))
    return unwrapped.document


def _each_once(pull: Pull, listed: list[_Listed]) -> list[_Listed]:
    """Return the objects of a page, of several with one id the last updated one; a CDR's identity does not change."""
    groups = dict[Key, list[_Listed]]()
    for each in listed if len({each.object_id for each in listed}) < len(listed) else ():
        if each.object_id:
            groups.setdefault(each.key, []).append(each)
    counting = dict[Key, _Listed]()
    for key, group in groups.items():
        *twins, last = sorted(group, key=lambda each: said_at(each.zoned.document))
        if twins:
            pull.tally.note(_twice(last, twins))
            counting[key] = evolve(last, twins=tuple(twins))
    if not counting or pull.source.kind == Kind.CDR:
        return listed
    others = [each for each in listed if not each.object_id or each.key not in counting]
    return [*others, *counting.values()]


def _twice(last: _Listed, twins: Sequence[_Listed]) -> str:
    """Return the note about objects with one id on one page."""
    note = f"{_named(last)} is listed {len(twins) + 1} times on one page"
    if last.pull.source.kind == Kind.CDR or not any(_differs(last, each) for each in twins):
        return note
    return f"{note}, with different contents: the one that was updated last counts, the others are among the rejections"


def _named(listed: _Listed) -> str:
    return f"{listed.pull.source.kind} {shown(listed.object_id)}"


def _differs(one: _Listed, other: _Listed) -> bool:
    return not same_content(one.received, other.received, one.pull.source.kind)


async def _owned(pull: Pull, zoned: Sequence[Zoned], ids: Sequence[str]) -> list[Owned]:
    """Return the owner of each object of a hub: the one that it was requested of, unless the object names another."""
    context, party, found = pull.context, pull.party, list[Owned]()
    async with context.store.transaction(read_only=True) as tx:
        own = [received_key(pull.source.kind, party.owner, object_id) for object_id in ids if object_id]
        await prefetch(tx, list(dict.fromkeys(own)))
        for each in zoned:
            owned = await owner_of(context, tx, party, pull.source.kind, each.document)
            requested = pull.requested.get(text_at(each.document, "id"))
            if requested is not None and not owned.is_read and await may_write(context, tx, party, requested):
                owned = Owned(requested)
            found.append(owned)
    new = {each.owner for each in found if each.owner != party.owner} - pull.seen_owners
    await record_owners(context, party, new)
    pull.seen_owners.update(new)
    return found


async def _store(
    pull: Pull,
    listed: Sequence[_Listed],
    url: str,
    save: Save,
    place: Key | None,
    *,
    last: bool,
    is_repeated: bool = False,
) -> None:
    page, store = Page(url, pull.context.clock.now()), pull.context.store
    async with repeatable(store) if is_repeated else store.transaction() as tx:
        await _lock(pull, listed, tx, page, place)
        await save(tx, last)
        for each in listed:
            if each.twins:
                page.results.extend(await _take_one(each, tx, page))
            else:
                page.results.append(await _take(each, tx, page))
        await link_fresh(pull.incoming(b"", "", page), tx)
    await after_commit(pull, page)


async def _lock(pull: Pull, listed: Sequence[_Listed], tx: Transaction, page: Page, place: Key | None) -> None:
    """Lock the place and the objects at once, the owners' records before the copies stored as the connection's own."""
    own = pull.party.owner
    keys = dict.fromkeys([each.key for each in listed if each.object_id])
    copies = (key._replace(country_code=own[0], party_id=own[1]) for key in keys if key[1:3] != own)
    wanted = dict.fromkeys([*([] if place is None else [place]), *keys, *copies])
    await prefetch(tx, list(wanted), children=pull.source.kind == Kind.LOCATION)
    if pull.source.kind == Kind.TARIFF:
        page.versioned.update(await versioned_owners(tx, keys))


async def _store_alone(pull: Pull, listed: _Listed, url: str, save: Save, place: Key | None) -> None:
    try:
        await _store(pull, [listed], url, save, place, last=False)
    except CannotStore as error:
        page = Page(url, pull.context.clock.now())
        async with pull.context.store.transaction() as tx:
            page.results.extend([await _reject(each, tx, page, error) for each in (listed, *listed.twins)])
        await after_commit(pull, page)


async def after_commit(pull: Pull, page: Page) -> None:
    """Count what was stored, and deliver its events."""
    settle_growth(pull.context, pull.party, page.grown)
    for exceeded in page.exceeded[:1]:
        pull.tally.note(*{exceeded.message}.difference(pull.tally.notes))
        await report_quota(pull.context, pull.party, exceeded, pull.correlation_id)
    counts = Counter[Outcome]()
    for result in page.results:
        if isinstance(result, RejectedObject):
            pull.tally.reject(result)
        else:
            counts[result.outcome] += 1
    for outcome, count in counts.items():
        pull.tally.add(outcome.value, count)
    _tell_owners(pull, page.found)
    count_findings(pull.context.telemetry, pull.source.module, page.found)
    pull.tally.note(*page.notes)
    for rule, note in page.folded:
        pull.tally.fold(rule, note)
    try:
        await deliver(pull.context, page.leased)
    except ListenerFailed as error:
        pull.tally.note(f"{error}; the objects are stored, the event is tried again")
    await remove_oldest(pull.context)
    await log_backlog(pull.context)


def _tell_owners(pull: Pull, found: Sequence[Finding]) -> None:
    """Count moved objects, and report once why an owner is unknown."""
    pull.tally.add("moved", sum(finding.rule == MOVED for finding in found))
    unknown = [finding.message for finding in found if finding.rule in UNKNOWN_OWNER]
    pull.tally.note(*{message: None for message in unknown if message not in pull.tally.notes})


async def _take_one(listed: _Listed, tx: Transaction, page: Page) -> list[Stored | RejectedObject]:
    """Store one object of those with its id, and the others among the rejections. Raises CannotStore."""
    results, twins, counts = [await _take(listed, tx, page)], list(listed.twins), listed
    while twins and isinstance(results[-1], RejectedObject):
        counts = twins.pop()
        results.append(await _take(counts, tx, page))
    for twin in twins:
        if _differs(counts, twin):
            message = f"{_named(twin)} is listed with another content on the same page, which was updated later"
            error = deviating("another one of this id counts", "/id", REPEATED, message, _PAGE_CLAUSE)
            await _reject(twin, tx, page, error)
        results.append(Stored(Outcome.STALE if _differs(counts, twin) else Outcome.UNCHANGED))
    return results


async def _take(listed: _Listed, tx: Transaction, page: Page) -> Stored | RejectedObject:
    """Store one object, also as a rejection. Raises CannotStore, QuotaExceeded."""
    pull, document = listed.pull, listed.zoned.document
    try:
        object_id = listed.object_id or identity(document, "id")
        incoming = _incoming(listed, object_id, page)
        said = said_owner(document)
        if said is not None and said != pull.owner and not listed.owned.is_read:
            message = f"it belongs to {'-'.join(said)}, but was listed by {pull.party}"
            raise deviating("an object of another party", "/party_id", "pull.owner", message, _OWNER_CLAUSE)
        stored = await pull.source.store(incoming, tx)
        if stored.outcome is Outcome.CONFLICT:
            raise cdrs.conflict(document)
        if incoming.deviations:
            page.found.extend(incoming.deviations)
            page.notes.extend(f"{_named(listed)}: {each.message}" for each in incoming.noted)
            page.folded.extend((each.rule, f"{_named(listed)}: {each.message}") for each in incoming.counted)
    except CannotStore:
        raise
    except QuotaExceeded as error:
        if error.quota != CONFLICTS:
            raise
        page.exceeded.append(error)
        return await _reject(listed, tx, page, error)
    except (InvalidObject, NotJson) as error:
        return await _reject(listed, tx, page, error)
    if stored.record is not None and stored.outcome in (Outcome.UNCHANGED, Outcome.STALE):
        await _mark_listed(pull, tx, stored.record, page.now)
    return stored


def _incoming(listed: _Listed, object_id: str, page: Page) -> Incoming:
    """Return the object as if it had been pushed, with the findings about its times and its owner."""
    incoming = listed.pull.incoming(listed.zoned.document, object_id, page)
    if listed.zoned.added:
        time_zone = listed.pull.party.profile.time_zone or ""
        incoming.deviations.append(zone_finding(listed.zoned.added, time_zone))
    incoming.deviations.extend(listed.owned.findings)
    return incoming


async def _mark_listed(pull: Pull, tx: Transaction, record: Record | None, now: datetime) -> None:
    """Record that the CPO still lists this object."""
    if record is not None and (record.missing_since is not None or (pull.full and record.received_at != now)):
        await tx.put(record.listed(now))


async def _reject(listed: _Listed, tx: Transaction, page: Page, error: Refusal) -> RejectedObject:
    pull, document = listed.pull, listed.received
    page.found.extend(error.findings)
    object_id = text_at(document, "id")
    named = (part.encode() for part in (*pull.party.owner, pull.source.module))
    digest = hashlib.sha256(b"\0".join((*named, document)))
    rejection = pull.rejection(document, object_id, page, error, f"pulled-{digest.hexdigest()[:40]}")
    await append_newest(pull.context, tx, rejection)
    if object_id:
        await _mark_listed(pull, tx, await tx.get(listed.key), page.now)
    return RejectedObject(id=object_id, url=page.url, message=error.message, findings=tuple(error.findings))
