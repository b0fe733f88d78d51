"""Pagination: the query of a list, and the headers of its pages.

Rules of this module (transport_and_format.md, pagination):
- ``date_from`` is inclusive, ``date_to`` exclusive: adjacent windows neither overlap nor leave a gap;
- a limit over the cap is reduced and X-Limit says so; an unreadable parameter is a finding (2001);
- the next link retains the filters of the request;
- our own next link also names the last object of the page (``after``): the next page neither skips nor repeats one,
  whatever changed meanwhile. It carries the total (``total``), so later pages need not count again: it is not signed,
  since a partner that changes it only misleads itself. Requests by offset are supported as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl, urlencode

from attrs import evolve, frozen

from ocpi_emsp.codec import wire_time
from ocpi_emsp.codec.readings import UNREADABLE, read_datetime, shown
from ocpi_emsp.errors import InvalidParameter
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.scalars import DateTime, aware_times

_CLAUSE = "transport_and_format.md#paginated-request"
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*?\brel\s*=\s*"?next(?![\w-])', re.IGNORECASE)
_COUNT = re.compile(r'"?\+?(\d{1,18})(?:\.0*)?"?', re.ASCII)
_WHOLE_NUMBER = re.compile(r"\d+", re.ASCII)
_LARGEST = 10**18 - 1
"""Stands for any larger number: no list has so many objects."""


@frozen(kw_only=True, field_transformer=aware_times)
class PageRequest:
    """A part of a list: last updated in ``[date_from, date_to)``, ``limit`` objects from ``offset`` on."""

    date_from: DateTime | None = None
    date_to: DateTime | None = None
    offset: int = 0
    limit: int | None = None
    after: int | None = None
    """In our own lists: the sequence of the last returned object; if set, ``offset`` is only informative."""
    total: int | None = None
    """In our own lists: the number of objects when the list began."""

    def query(self) -> dict[str, str]:
        """Return the URL parameters that are not the default."""
        values: dict[str, str | None] = {
            "date_from": wire_time(self.date_from) if self.date_from else None,
            "date_to": wire_time(self.date_to) if self.date_to else None,
            "offset": str(self.offset) if self.offset else None,
            "limit": str(self.limit) if self.limit is not None else None,
            "after": str(self.after) if self.after is not None else None,
            "total": str(self.total) if self.total is not None else None,
        }
        return {name: value for name, value in values.items() if value is not None}


def read_page_request(query: str, *, default: int, cap: int) -> PageRequest:
    """Return the page that a query string requests, with a limit of at most ``cap``. Raises InvalidParameter."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    findings: list[Finding] = []
    page = PageRequest(
        date_from=_moment(given, "date_from", findings),
        date_to=_moment(given, "date_to", findings),
        offset=_number(given, "offset", 0, 0, findings),
        limit=min(cap, _number(given, "limit", default, 1, findings)),
        after=_number(given, "after", 0, 0, findings) if "after" in given else None,
        total=_number(given, "total", 0, 0, findings) if "total" in given else None,
    )
    if findings:
        raise InvalidParameter("invalid query parameter", findings=findings)
    return page


def _moment(given: Mapping[str, str], name: str, findings: list[Finding]) -> datetime | None:
    if name not in given:
        return None
    # The "+" of a UTC offset becomes a space if the partner did not percent-encode it.
    text = re.sub(r" (\d\d:?\d\d)$", r"+\1", given[name])
    moment = read_datetime(text, lambda _rule, _message: None)
    if moment is UNREADABLE:
        expected = "expected a timestamp, for example 2024-05-01T00:00:00Z"
        findings.append(_finding(name, f"invalid {name} {shown(given[name][:40])}: {expected}"))
        return None
    assert isinstance(moment, datetime)
    return moment


def _number(given: Mapping[str, str], name: str, default: int, least: int, findings: list[Finding]) -> int:
    if name not in given:
        return default
    if _WHOLE_NUMBER.fullmatch(given[name]):
        digits = given[name].lstrip("0")
        number = _LARGEST if len(digits) > 18 else int(digits or 0)
        if number >= least:
            return number
    findings.append(_finding(name, f"invalid {name} {shown(given[name][:40])}: expected an integer of {least} or more"))
    return default


def _finding(name: str, message: str) -> Finding:
    return Finding(pointer=f"/{name}", rule="parameter", severity=Severity.ERROR, message=message, clause=_CLAUSE)


def link_next(url: str, page: PageRequest, limit: int, *, after: int | None = None, total: int | None = None) -> str:
    """Return the Link header of a page that is not the last; ``url`` is the list's own, ``after`` the last one's
    sequence.
    """
    following = evolve(page, offset=page.offset + limit, limit=limit, after=after, total=total)
    return f'<{url}?{urlencode(following.query(), safe=":")}>; rel="next"'


def next_link(header: str | None) -> str | None:
    """Return the target of the link with rel=next in a Link header, unchanged, or None."""
    match = _NEXT.search(header) if header else None
    return match[1].strip() or None if match else None


def read_count(header: str) -> int | None:
    """Return the number in X-Total-Count or X-Limit; None if it is unreadable or ambiguous.

    ``7.0`` and ``"7"`` are 7, as is a header that occurs twice with the same number.
    """
    found = {_COUNT.fullmatch(part.strip()) for part in header.split(",")}
    counts = {int(match[1]) if match else None for match in found}
    return counts.pop() if len(counts) == 1 else None
