"""Objects that are pulled from a partner.

Rules of this module (transport_and_format.md, pagination; list_trail.py has the rules of following a list):
- pages are followed lazily; the good objects of a page are returned even if others are bad, and the bad ones are named;
- an object that was already returned is not returned again;
- the party's profile bounds the size of a page, and names the zone of timestamps without one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, TypeVar

import msgspec
from attrs import evolve, field, frozen

from ocpi_emsp import logs
from ocpi_emsp.codec import decode
from ocpi_emsp.codec.encode import is_usable_id
from ocpi_emsp.codec.patch import identity
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.wrapping import unwrap
from ocpi_emsp.codec.zones import in_zone
from ocpi_emsp.errors import AnswerUnusable, InvalidObject, NotJson
from ocpi_emsp.findings import Finding
from ocpi_emsp.flows.calls.call import call, url_of
from ocpi_emsp.flows.calls.list_trail import CircularList, IncompleteList
from ocpi_emsp.flows.calls.pagination import ListPage, first_url, walk
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.routes import Route
from ocpi_emsp.wire import PageRequest

T = TypeVar("T")


@frozen
class RejectedItem:
    """An object of a page without a usable reading: the bytes as received, and the reason."""

    document: bytes
    findings: tuple[Finding, ...]


@frozen
class FetchedPage(Generic[T]):
    """One page of a list."""

    items: tuple[T, ...]
    rejected: tuple[RejectedItem, ...]
    url: str
    total: int | None
    """The last X-Total-Count that the partner sent."""
    notes: tuple[str, ...] = field(default=())
    """Faults of the page itself, and how they were handled."""


def read(kind: type[T], data: bytes | msgspec.Raw) -> T:
    """Return the object of a partner's response; a list of one stands for its item. Raises AnswerUnusable."""
    answered = unwrap(data)
    if answered.around:
        logs.info("answer.unwrapped", kind=kind.__name__, note=answered.note)
    try:
        return decode(kind, answered.document)
    except InvalidObject as error:
        raise AnswerUnusable(error.reason, findings=error.findings) from error
    except NotJson as error:
        raise AnswerUnusable(f"{kind.__name__} is not usable: {error.reason}", findings=error.findings) from error


async def fetch_object(context: Context, party: Party, route: Route, kind: type[T], /, **params: str) -> T:
    """Return one object. Raises PartnerRefused if the partner does not know it, AnswerUnusable if it is unreadable;
    InvalidObject for an id that cannot be part of a URL: then nothing was sent.
    """
    for name, value in params.items():
        if not is_usable_id(value):
            raise InvalidObject(f"invalid {name} {shown(value)}: expected the id of an object, for example 'A1'")
    envelope = await call(context, party, route, params=params)
    return read(kind, in_zone(envelope.data, party.profile.time_zone).document)


async def fetch_pages(
    context: Context, party: Party, route: Route, kind: type[T], page: PageRequest
) -> AsyncIterator[FetchedPage[T]]:
    """Yield the pages of a list, one request each. Raises PartnerError; UnsafeUrl for a next link to another origin."""
    most = party.profile.page_limit
    filters = (page if most is None else evolve(page, limit=min(most, page.limit or most))).query()
    seen = set[str]()
    url = first_url(url_of(context, party, route), filters)
    async for listed in walk(context, party, url, filters, module=route.module):
        yield _decoded(party, kind, listed, seen)
        if listed.problem is not None and not isinstance(listed.problem, CircularList | IncompleteList):
            raise listed.problem


def _decoded(party: Party, kind: type[T], page: ListPage, seen: set[str]) -> FetchedPage[T]:
    good, bad = list[T](), list[RejectedItem]()
    unwrapped = [unwrap(document) for document in page.documents]
    notes = dict.fromkeys(each.note for each in unwrapped if each.around)
    for document in (each.document for each in unwrapped):
        try:
            value = decode(kind, in_zone(document, party.profile.time_zone).document)
        except (InvalidObject, NotJson) as error:
            bad.append(RejectedItem(bytes(document), error.findings))
            continue
        name = identity(document, "uid" if hasattr(value, "uid") else "id") + getattr(value, "type", "")
        if name not in seen:
            seen.add(name)
            good.append(value)
    return FetchedPage(tuple(good), tuple(bad), page.url, page.total, (*page.notes, *notes))
