"""Rejections and authorization decisions: the newest of each party are stored, up to a bound.

Rules of this module:
- the oldest entries of the same party are deleted first, so that no party displaces another's entries;
- all rejections together have a bound, too: entries of the parties with the most are deleted, down to a common level;
- a process counts what it appends, and checks after each SLACKth part of a bound and at a party's first entry;
  meanwhile each process may exceed the bound by that much;
- it checks in a transaction of its own, after the one that appended, and only one process checks a party at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from attrs import evolve, frozen

from ocpi_emsp import logs
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.settings import Limits
from ocpi_emsp.ports import AUTHORIZATION, Entry, Key, Kind, Owner, Transaction, Usage

SLACK: Final = 64
"""Fraction of a bound by which each process may exceed it."""
_AT_ONCE: Final = 10
"""Entries that are read at once: each may have a body of megabytes."""
_MOST: Final = 5000
"""Entries that one check removes; the next one continues."""
_NONE: Final = Usage()


@frozen
class Bounds:
    """How much of a topic is stored."""

    of_party: Usage
    total_bytes: int | None = None
    """Bytes of all parties together."""


def bounds_of(limits: Limits, topic: str) -> Bounds:
    """Return the bounds of a topic."""
    if topic == AUTHORIZATION:
        return Bounds(Usage(limits.authorize.decisions, limits.authorize.decision_bytes))
    return Bounds(Usage(limits.rejections.count, limits.rejections.bytes), limits.rejections.total_bytes)


async def append_newest(context: Context, tx: Transaction, entry: Entry) -> None:
    """Append an entry with an owner; :func:`remove_oldest` makes room for it after the commit."""
    await tx.append(entry)
    counted, bounds, topic = context.appended, bounds_of(context.limits, entry.topic), entry.topic
    key, size = (topic, _owner(entry)), len(entry.body) + len(msgspec.json.encode(entry.details))
    is_first = key not in counted.since
    since = counted.since[key] = counted.since.get(key, _NONE).plus(1, size)
    if topic in counted.of_all:
        counted.of_all[topic] += size
    is_much = since.count * SLACK >= bounds.of_party.count or since.bytes * SLACK >= bounds.of_party.bytes
    if is_first or is_much or _is_total_due(bounds, counted.of_all.get(topic)):
        counted.due.add(key)


async def remove_oldest(context: Context) -> None:
    """Remove entries beyond the bounds, if a check is due. Raises nothing: the appended entries are stored."""
    counted = context.appended
    if not counted.due:
        return
    due, counted.due = counted.due, set()
    for topic, owner in due:
        counted.since[topic, owner] = _NONE
        try:
            await _reduce(context, topic, owner, bounds_of(context.limits, topic).of_party)
            await _look_at_all(context, topic)
        except Exception as error:  # noqa: BLE001 # whatever a store raises: the next look makes up for it
            logs.warning("journal.not_bounded", topic=topic, party="-".join(owner), error=error)


def _is_total_due(bounds: Bounds, appended: int | None) -> bool:
    """Return True if enough was appended to check all parties, or if they were never checked."""
    total = bounds.total_bytes
    return total is not None and (appended is None or appended * SLACK >= total)


async def _look_at_all(context: Context, topic: str) -> None:
    bounds = bounds_of(context.limits, topic)
    if bounds.total_bytes is None or not _is_total_due(bounds, context.appended.of_all.get(topic)):
        return
    context.appended.of_all[topic] = 0
    async with context.store.transaction(read_only=True) as tx:
        usages = await tx.usage(topic)
    level = level_of([each.bytes for each in usages.values()], bounds.total_bytes)
    for owner, usage in usages.items():
        if usage.bytes > level:
            await _reduce(context, topic, owner, evolve(bounds.of_party, bytes=level))


def level_of(sizes: Sequence[int], total: int) -> int:
    """Return the largest common limit with which all together have no more than ``total``."""
    left = total
    for place, size in enumerate(sorted(sizes)):
        level = left // (len(sizes) - place)
        if size > level:
            return level
        left -= size
    return max(sizes, default=0)


async def _reduce(context: Context, topic: str, owner: Owner, most: Usage) -> None:
    """Remove the oldest entries of a party, until no more than ``most`` remains."""
    removed, after = 0, 0
    async with context.store.transaction() as tx:
        await tx.get(Key(Kind.CHECKPOINT, *owner, topic))  # locks the name: only one process checks at a time
        left = (await tx.usage(topic, owner)).get(owner, _NONE)
        while (left.count > most.count or left.bytes > most.bytes) and removed < _MOST:
            entries = await tx.entries(topic, limit=_AT_ONCE, owner=owner, after=after)
            if not entries:
                break
            for entry in entries:
                if left.count <= most.count and left.bytes <= most.bytes:
                    break
                await tx.settle(entry.id)
                left, removed, after = left.plus(-1, -entry.size), removed + 1, entry.sequence
    if removed:
        logs.info("journal.oldest_removed", topic=topic, party="-".join(owner), removed=removed)


def _owner(entry: Entry) -> Owner:
    return str(entry.details["country_code"]).upper(), str(entry.details["party_id"]).upper()
