"""Paginated lists of the simulated CPO.

Rules obeyed (OCPI 2.1.1, transport_and_format.md, "Pagination"): `offset` and `limit`, the server may lower the limit;
`Link` with rel="next" on every page but the last (links.py); `X-Total-Count` counts what matches without offset and
limit; `X-Limit` is the upper limit of the page. `date_from` is required for sessions only (mod_sessions.md 2.1.1).

`deviations.py` lists how pages can deviate. A page is written piece by piece, so a long one costs no memory.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec
from attrs import evolve, frozen

from ocpi_emsp.testing.cpo.catalogue import Catalogue, Collection
from ocpi_emsp.testing.cpo.deviations import BIGGEST_PAGE
from ocpi_emsp.testing.cpo.documents import deviates, listed
from ocpi_emsp.testing.cpo.links import next_url
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import Answer, Request, RequestError, answer, encode, parse_timestamp

_PIECE: Final = 1000
"""Objects that are written at once; a page with no more than that is not streamed."""


@frozen(kw_only=True)
class Page:
    """The requested part of all matching positions."""

    matching: Sequence[int]
    positions: Sequence[int]
    offset: int
    limit: int


class Lists:
    """Answers the lists; knows which were requested, because some deviations only occur once."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._moved: set[str] = set()
        self.requests: Counter[str] = Counter()

    def clear(self) -> None:
        """Allow the deviations that occur once to occur again."""
        self._moved.clear()

    def get(self, module: str, request: Request) -> Answer:
        """Return a page. Raises `RequestError` (200, 2001) for a parameter that is missing or wrong."""
        settings = self._settings
        collection = self._catalogue.collection(module)
        if module == "sessions" and settings.require_date_from and "date_from" not in request.query_params:
            raise RequestError(200, 2001, "Missing required parameter: date_from")
        page = _page(request, collection, settings)
        response = _response(module, collection, page, settings)
        response.headers.update(_headers(request, page, settings))
        self._move(module, collection, page)
        return response

    def _move(self, module: str, collection: Collection, page: Page) -> None:
        """Remove or add objects while they are being listed: once, after the first page."""
        settings = self._settings
        if page.offset > 0 or module in self._moved or not (settings.shrinking or settings.growing):
            return
        self._moved.add(module)
        collection.hide(page.matching[: settings.shrinking])
        collection.grow(settings.growing)


def _page(request: Request, collection: Collection, settings: Settings) -> Page:
    query = request.query_params
    offset = _integer(query, "offset", default=0, least=0)
    limit = _limit(query, settings)
    matching = collection.matching(_moment(query, "date_from"), _moment(query, "date_to"))
    start = 0 if settings.next_link == "endless-pages" else offset
    first = max(0, start - settings.duplicates) if start < len(matching) else start
    return Page(matching=matching, positions=matching[first : start + limit], offset=offset, limit=limit)


def _limit(query: Mapping[str, str], settings: Settings) -> int:
    zero_allowed = settings.next_link == "zero-limit"
    asked = _integer(query, "limit", default=settings.page_limit, least=0 if zero_allowed else 1)
    return BIGGEST_PAGE if settings.ignore_limit else min(asked or settings.page_limit, settings.page_limit)


def _integer(query: Mapping[str, str], name: str, *, default: int, least: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) < least:
        raise RequestError(200, 2001, f"Parameter is not an integer from {least}: {name}")
    return int(text)


def _moment(query: Mapping[str, str], name: str) -> datetime | None:
    try:
        return parse_timestamp(query[name]) if name in query else None
    except ValueError:
        raise RequestError(200, 2001, f"Parameter is not a DateTime: {name}") from None


def _response(module: str, collection: Collection, page: Page, settings: Settings) -> Answer:
    if settings.empty_without_data and not page.positions:
        return answer(settings.now)
    objects = _objects(module, collection, page.positions, settings)
    if len(page.positions) <= _PIECE:
        return answer(settings.now, list(objects))
    empty = answer(settings.now, [])
    head, tail = empty.body.split(b"]", 1)
    return evolve(empty, body=head, rest=_pieces(objects, tail))


def _pieces(objects: Iterator[msgspec.Raw], tail: bytes) -> Iterator[bytes]:
    separator = b""
    while piece := list(islice(objects, _PIECE)):
        yield separator + b",".join(piece)
        separator = b","
    yield b"]" + tail


def _objects(
    module: str, collection: Collection, positions: Sequence[int], settings: Settings
) -> Iterator[msgspec.Raw]:
    changed = deviates(settings)
    repeated = positions[:1] if settings.repeated_ids else ()
    for position in (*positions, *repeated):
        if changed:
            document = collection.document(position)
            yield msgspec.Raw(encode(listed(document, module, position, settings)))
        else:
            yield msgspec.Raw(collection.encoded(position))


def _headers(request: Request, page: Page, settings: Settings) -> dict[str, str]:
    total = len(page.matching)
    shown = 0 if settings.next_link == "zero-limit" else page.limit
    headers = {"x-limit": str(shown)} if settings.totals else {}
    if settings.totals and settings.total_count:
        headers["x-total-count"] = str(total + settings.uncounted)
    more = page.offset + page.limit < total
    url = next_url(request, settings, offset=page.offset, limit=page.limit, more=more)
    return headers | ({"link": f'<{url}>; rel="next"'} if url is not None else {})
