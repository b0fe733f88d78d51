"""Log once what waits in the journal and no process delivers, with the process to start.

Rules of this module:
- flows have no timers: a process checks while it serves or writes something, at most once a minute;
- an entry is overdue a minute after it could have been delivered; if another entry of its topic is leased, a process
  delivers and is only slow;
- each topic is logged once, and again after it had no backlog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from ocpi_emsp import logs
from ocpi_emsp.codec import wire_time
from ocpi_emsp.flows.core.context import BETWEEN_LOOKS, Context
from ocpi_emsp.ports import DEADLINE, EVENT, FAN_OUT, PARKED, PENDING_AUDIT, RELAY, Entry, Key

_MINUTE: Final = timedelta(minutes=1)
"""How long an entry is overdue before it is logged."""
_RUNNING: Final = "emsp.running(), or ocpi-emsp serve"
_WORK: Final[Mapping[str, tuple[str, str]]] = {
    EVENT: ("events", _RUNNING),
    RELAY: ("relayed events", "emsp.relay(publish).run()"),
    FAN_OUT: ("token pushes", _RUNNING),
    DEADLINE: ("command deadlines", _RUNNING),
    PENDING_AUDIT: ("audits of CDRs", "emsp.running() of an Emsp(audit=True), ocpi-emsp serve --audit, or a worker"),
}
"""What waits in a topic, and what to start for it."""


async def log_backlog(context: Context) -> None:
    """Log each topic with overdue entries, once; the entries are read once a minute. Raises nothing."""
    now, backlog = context.clock.now(), context.backlog
    if backlog.looked_at is None or now < backlog.looked_at:
        backlog.looked_at = now  # a loop that starts together with this process gets a minute to catch up
    if now - backlog.looked_at < BETWEEN_LOOKS:
        return
    backlog.looked_at = now
    try:
        async with context.store.transaction(read_only=True) as tx:  # one entry for all: a request pays for the query
            waiting = {topic: await tx.entries(topic) for topic in _WORK}
        for topic, (work, start) in _WORK.items():
            overdue = _overdue(context, topic, waiting[topic], now)
            if overdue and topic not in backlog.logged:
                since = wire_time(min(_ready_at(entry) for entry in overdue))
                logs.warning("backlog.unattended", work=work, waiting=len(overdue), since=since, start=start)
            (backlog.logged.add if overdue else backlog.logged.discard)(topic)
    except Exception as error:  # noqa: BLE001 # whatever a store raises: what the caller does is done already
        logs.debug("backlog.unknown", error=type(error).__name__)


def _overdue(context: Context, topic: str, entries: Sequence[Entry], now: datetime) -> list[Entry]:
    """Return the first entries of their objects that no process delivers."""
    lease = context.limits.delivery.lease
    # The due time of an open command is its deadline, not a lease.
    if topic != DEADLINE and any(entry.due is not None and now < entry.due <= now + lease for entry in entries):
        return []
    first: dict[Key | str, Entry] = {}
    for entry in entries:
        first.setdefault(entry.key or entry.id, entry)
    return [entry for entry in first.values() if now - _ready_at(entry) > _MINUTE]


def _ready_at(entry: Entry) -> datetime:
    return entry.at if entry.due in (None, PARKED) else entry.due
