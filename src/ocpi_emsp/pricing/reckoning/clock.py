"""Which elements the local clock and calendar allow, and when that changes.

Rules of this module (mod_tariffs.md 4.5, and the readings ``wrap_day``, ``dates``, ``equal_times``):
- times of day, dates and days of the week are local; a window is half open, and end_time 00:00 is the end of its day;
- a window whose end is before its start continues after midnight;
- a zone is only asked for its offset; when that changes, the local clock jumps and windows are evaluated again: both
  passes of a repeated hour count;
- the number of steps is limited, since a session of decades has many days.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from typing import Final, NamedTuple

from ocpi_emsp.pricing.exact import moment
from ocpi_emsp.pricing.reckoning.axis import Axis, Limit
from ocpi_emsp.pricing.reckoning.limits import Budget

DAY: Final = 86400
_WEEK: Final = frozenset(range(7))
_THURSDAY: Final = 3  # 1970-01-01
# A zone cannot return its offset within a day of the first and the last moment of datetime.
_EARLIEST: Final = -62135596800 + 2 * DAY
_LATEST: Final = 253402300800 - 2 * DAY


class Window(NamedTuple):
    """The clock restrictions of one element, given by its bit. Times are seconds of the day, dates days since 1970."""

    bit: int
    start: int | None = None
    end: int | None = None
    first: int | None = None
    until: int | None = None
    days: frozenset[int] | None = None
    """Days of the week; Monday is 0."""
    from_moment: int | None = None
    """A local moment, in seconds since 1970, that replaces a date and its time (``dates=span``)."""
    to_moment: int | None = None


class Slice(NamedTuple):
    """A stretch of time, with the elements that the clock allows in it."""

    start: int
    end: int
    allowed: int


class Clock:
    """Returns the elements that are allowed at each moment."""

    def __init__(self, windows: list[Window], every: int, yesterday: bool, zone: tzinfo) -> None:
        self.elements = sum(each.bit for each in windows)
        self._zone, self._yesterday, self._every = zone, yesterday, every
        self._times = sorted({0, *(time for each in windows for time in (each.start, each.end) if time)} - {DAY})
        self._today, self._wrapped = _by_time(windows, self._times, every)
        self._dates = _axis(((each.bit, each.first, each.until) for each in windows), every)
        self._moments = _axis(((each.bit, each.from_moment, each.to_moment) for each in windows), every)
        self._weekdays = [every] * 7
        for each in windows:
            if each.days is not None:
                for day in _WEEK - each.days:
                    self._weekdays[day] &= ~each.bit
        self._days: dict[int, int] = {}
        self._known = Slice(0, 0, 0)

    def at(self, time: int) -> int:
        """Return the elements that are allowed at a moment."""
        return self._local(time + self._offset(time))

    def slices(self, start: int, end: int, budget: Budget) -> list[Slice]:
        """Return the stretches between two moments within which nothing changes. Raises TooManySteps."""
        if start >= end:
            return [Slice(start, start, self.at(start))]
        known = self._known
        if known.start <= start and end <= known.end:
            return [Slice(start, end, known.allowed)]
        found: list[Slice] = []
        for each in self._walk(start, end):
            if found:
                budget.step()
            if found and found[-1].allowed == each.allowed:
                found[-1] = found[-1]._replace(end=each.end)
            else:
                found.append(each)
        found[-1] = found[-1]._replace(end=end)
        return found

    def _walk(self, start: int, end: int) -> Iterator[Slice]:
        time = start
        while time < end:
            offset = self._offset(time)
            following = self._following(time + offset) - offset
            if self._offset(following) != offset:
                following = self._jump(time, following, offset)
            allowed = self._local(time + offset)
            self._known = Slice(time, following, allowed)
            yield self._known
            time = following

    def _following(self, local: int) -> int:
        """Return the next local moment at which something may change."""
        day, time = divmod(local, DAY)
        place = bisect_right(self._times, time)
        following = day * DAY + (self._times[place] if place < len(self._times) else DAY)
        moments = [] if self._moments is None else self._moments.limits
        place = bisect_right(moments, local)
        return min(following, int(moments[place])) if place < len(moments) else following

    def _jump(self, start: int, end: int, offset: int) -> int:
        """Return the first second after ``start`` with another offset."""
        while end - start > 1:
            middle = (start + end) // 2
            if self._offset(middle) == offset:
                start = middle
            else:
                end = middle
        return end

    def _offset(self, time: int) -> int:
        at = moment(min(max(time, _EARLIEST), _LATEST)).astimezone(self._zone).utcoffset()
        return 0 if at is None else at.days * DAY + at.seconds

    def _local(self, local: int) -> int:
        day, time = divmod(local, DAY)
        place = bisect_right(self._times, time) - 1
        today = self._day(day)
        allowed = self._today[place] & today
        if self._wrapped[place]:
            allowed |= self._wrapped[place] & (self._day(day - 1) if self._yesterday else today)
        return allowed if self._moments is None else allowed & self._moments.at(local)

    def _day(self, day: int) -> int:
        known = self._days.get(day)
        if known is None:
            known = self._weekdays[(day + _THURSDAY) % 7]
            if self._dates is not None:
                known &= self._dates.at(day)
            self._days[day] = known
        return known


def _axis(limits: Iterable[tuple[int, int | None, int | None]], every: int) -> Axis | None:
    """Return an axis of local dates or moments: the first limit is inclusive, the second exclusive."""
    found = [Limit(*each) for each in limits if each[1] is not None or each[2] is not None]
    return Axis(found, every, inclusive=False) if found else None


def _by_time(windows: list[Window], times: list[int], every: int) -> tuple[list[int], list[int]]:
    """Return two lists of elements, by the times at which something changes: those in a window of today, and those in a
    window that began the day before.
    """
    changes = {time: [0, 0, 0] for time in times}
    inside, wrapped = every, 0
    for each in windows:
        start, end = each.start or 0, each.end or DAY
        wraps = each.end is not None and end < start
        if start:
            inside &= ~each.bit
            changes[start][0] |= each.bit
        if wraps:
            wrapped |= each.bit
            changes[end][2] |= each.bit
        elif end < DAY:
            changes[end][1] |= each.bit
    today, before = [], []
    for time in times:
        enter, leave, unwrap = changes[time]
        inside = (inside | enter) & ~leave
        wrapped &= ~unwrap
        today.append(inside)
        before.append(wrapped)
    return today, before
