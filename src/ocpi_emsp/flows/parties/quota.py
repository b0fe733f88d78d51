"""How much a party stores here, and whether there is room for more.

Rules of this module (docs/reference/quotas.md):
- a process adds up what it stores, and queries the database after each SLACKth part, so that the usual push only costs
  a comparison; additions of other processes show at the next query;
- a replacement that does not grow is stored whatever the quota;
- a party without room is checked again after a minute, not at every request;
- the objects of a hub's connection are those of every party whose objects were received over it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from attrs import define

from ocpi_emsp.errors import QuotaExceeded
from ocpi_emsp.findings import counted
from ocpi_emsp.flows.core.context import Context, PartyUsage
from ocpi_emsp.flows.parties.allowed_parties import owner_named
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.ports import DEAD, EVENT, RELAY, Kind, Transaction, Usage

SLACK: Final = 16
"""Fraction of a quota, or of the stored amount, that a process may add before it checks again."""
_FIRST: Final = Usage(50_000, 64 * 1024 * 1024)
"""Most that a process adds before its first check."""
_AGAIN: Final = timedelta(minutes=1)
_OBJECTS: Final = (Kind.LOCATION, Kind.EVSE, Kind.SESSION, Kind.TARIFF, Kind.CDR, Kind.CDR_CONFLICT)
_EVENTS: Final = (EVENT, RELAY, *DEAD.values())
OBJECTS, BYTES, EVENTS = "QuotaLimits.objects", "QuotaLimits.bytes", "QuotaLimits.events"
CONFLICTS, OWNERS = "QuotaLimits.cdr_conflicts", "QuotaLimits.owners"


@define
class Growth:
    """What a transaction adds to the party's stored amount."""

    count: int = 0
    bytes: int = 0


def usage_of(context: Context, party: Party) -> PartyUsage:
    """Return what this process knows of how much a party stores."""
    usage = context.usages.get(party.owner)
    return context.usages.setdefault(party.owner, PartyUsage()) if usage is None else usage


def quota_of(context: Context, party: Party) -> Usage:
    """Return what a party may store: by its profile, or by the general setting."""
    quotas, profile = context.limits.quotas, party.profile
    return Usage(profile.max_objects or quotas.objects, profile.max_bytes or quotas.bytes)


def fits(context: Context, party: Party, grown: Growth, count: int, size: int) -> bool:
    """Count what is about to be stored; return False if :func:`require_room` must check, which is rare."""
    usage = context.usages.get(party.owner)
    if usage is None or usage.profile is not party.profile:
        return False
    if count > 0 and usage.added_count + grown.count + count > usage.free_count:
        return False
    if size > 0 and usage.added_bytes + grown.bytes + size > usage.free_bytes:
        return False
    grown.count += count
    grown.bytes += size
    return True


async def require_room(context: Context, party: Party, tx: Transaction, grown: Growth, count: int, size: int) -> None:
    """Count what is about to be stored in a transaction that added ``grown`` so far. Raises QuotaExceeded."""
    if fits(context, party, grown, count, size):
        return
    usage, quota = usage_of(context, party), quota_of(context, party)
    if _is_time_to_look(usage, grown, quota) or (
        _exceeded(usage, grown, quota, count, size) and _may_look_again(context, usage)
    ):
        await _look(context, party, tx, grown, usage)
    slack = _slack(usage, quota)
    usage.free_count = min(slack.count, quota.count - usage.objects.count)
    usage.free_bytes = min(slack.bytes, quota.bytes - usage.objects.bytes)
    usage.profile = party.profile
    name = _exceeded(usage, grown, quota, count, size)
    if name:
        most, of = (quota.count, "objects") if name == OBJECTS else (quota.bytes, "bytes")
        why = f"{party} may store {most} {of} here, and has no room left ({name}): this is not stored"
        raise QuotaExceeded(why, quota=name, limit=most)
    grown.count += count
    grown.bytes += size


def _exceeded(usage: PartyUsage, grown: Growth, quota: Usage, count: int, size: int) -> str:
    """Return the quota that would be exceeded, or an empty text."""
    if count > 0 and usage.objects.count + usage.added_count + grown.count + count > quota.count:
        return OBJECTS
    if size > 0 and usage.objects.bytes + usage.added_bytes + grown.bytes + size > quota.bytes:
        return BYTES
    return ""


def _is_time_to_look(usage: PartyUsage, grown: Growth, quota: Usage) -> bool:
    slack = _slack(usage, quota)
    return usage.added_count + grown.count >= slack.count or usage.added_bytes + grown.bytes >= slack.bytes


def _slack(usage: PartyUsage, quota: Usage) -> Usage:
    """Return what this process may add before it checks."""
    return Usage(
        max(min(_FIRST.count, quota.count // SLACK), usage.objects.count // SLACK),
        max(min(_FIRST.bytes, quota.bytes // SLACK), usage.objects.bytes // SLACK),
    )


def _may_look_again(context: Context, usage: PartyUsage) -> bool:
    now = context.clock.now()
    return usage.looked_at is None or not timedelta(0) <= now - usage.looked_at < _AGAIN


async def _look(context: Context, party: Party, tx: Transaction, grown: Growth, usage: PartyUsage) -> None:
    """Read the stored amount, without what the transaction itself has added."""
    found = await _sum(party, tx, _OBJECTS)
    usage.objects, usage.added_count, usage.added_bytes = found.plus(-grown.count, -grown.bytes), 0, 0
    usage.looked_at = context.clock.now()
    quota = quota_of(context, party)
    for name, used, most in ((OBJECTS, found.count, quota.count), (BYTES, found.bytes, quota.bytes)):
        if used <= most - most // SLACK:
            await _end(usage, party, tx, name)


async def _sum(party: Party, tx: Transaction, names: Iterable[str]) -> Usage:
    total = Usage()
    owners = {party.owner, *map(owner_named, party.seen_owners)}
    for name in names:
        usages = await tx.usage(name, party.owner if len(owners) == 1 else None)
        for owner in owners & usages.keys():
            total = total.plus(usages[owner].count, usages[owner].bytes)
    return total


def settle_growth(context: Context, party: Party, grown: Growth) -> None:
    """Add the growth of a transaction, once it is committed."""
    if grown.count or grown.bytes:
        usage = usage_of(context, party)
        usage.added_count += grown.count
        usage.added_bytes += grown.bytes


# --- waiting events -------------------------------------------------------------------------------------------------


async def require_room_for_event(context: Context, party: Party, tx: Transaction, size: int) -> None:
    """Count an event of a party that is journalled. Raises QuotaExceeded if too many already wait."""
    usage, most = usage_of(context, party), context.limits.quotas.events
    usage.journaled += size
    looked_at = usage.events_looked_at
    is_old = looked_at is None or not timedelta(0) <= context.clock.now() - looked_at < _AGAIN
    if usage.journaled * SLACK >= most or (usage.events > most and is_old):
        usage.events, usage.journaled = (await _sum(party, tx, _EVENTS)).bytes, 0
        usage.events_looked_at = context.clock.now()
        if usage.events <= most - most // SLACK:
            await _end(usage, party, tx, EVENTS)
    if usage.events > most:
        raise QuotaExceeded(
            f"{counted(most, 'byte')} of events of {party} are pending ({EVENTS}): this is not stored",
            quota=EVENTS,
            limit=most,
        )


# --- other quotas ---------------------------------------------------------------------------------------------------


def require_owners(context: Context, party: Party, owners: int) -> None:
    """Raise QuotaExceeded if objects of too many parties were received over a connection."""
    most = context.limits.quotas.owners
    if owners > most:
        why = f"the connection of {party} brings objects of more parties than its limit of {most}"
        raise QuotaExceeded(f"{why} ({OWNERS})", quota=OWNERS, limit=most)


def require_conflicts(context: Context, party: Party, conflicts: int) -> None:
    """Raise QuotaExceeded if no further CDR may be stored beside another one with the same id."""
    most = context.limits.quotas.cdr_conflicts
    if conflicts >= most:
        why = f"{counted(most, 'CDR')} of {party} in conflict with another one of the same id ({CONFLICTS})"
        raise QuotaExceeded(f"{why}: this is not stored", quota=CONFLICTS, limit=most)


def quota_entry_id(party: Party, name: str) -> str:
    """Return the id of the entry that records that a party has reached a quota."""
    return f"quota-{party.country_code.upper()}-{party.party_id.upper()}-{name}"


async def _end(usage: PartyUsage, party: Party, tx: Transaction, name: str) -> None:
    """End the episode: there is room again, so the next time that the quota is reached is reported."""
    usage.reached.pop(name, None)
    if await tx.entry(quota_entry_id(party, name)) is not None:
        await tx.settle(quota_entry_id(party, name))
