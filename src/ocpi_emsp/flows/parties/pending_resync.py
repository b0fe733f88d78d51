"""Resync requests: what the next sync must pull because its push was lost.

Rules of this module (transport_and_format.md, offline behaviour: lost objects are pulled; docs/spec-choices.md row 15):
- a request is for one object or, with an empty id, for all changes of the module since the moment of the request;
- equal requests count once; too many of a party become one for a window: their number is bounded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from ocpi_emsp.ports import RESYNC, Entry, Owner, Transaction

MOST = 100
"""Objects of a party that are requested at once: pulling more of them one by one costs more than a window."""
PULLED = frozenset({"locations", "sessions", "cdrs", "tariffs"})


@frozen(kw_only=True)
class ResyncRequest:
    """An object, or a window, to pull."""

    entry_id: str
    module: str
    id: str
    """The id of an object; empty for a window."""
    at: datetime
    of: tuple[str, str]
    """The owner: the party that is pulled, or one behind its connection."""


async def request_resync(
    tx: Transaction,
    owner: Owner,
    module: str,
    object_id: str,
    now: datetime,
    of: tuple[str, str] | None = None,
) -> None:
    """Record that an object or, with an empty id, a window of the module, must be pulled from a party.

    ``of`` is the object's owner, if that is another party behind the party's connection.
    """
    if module not in PULLED:
        return
    if object_id and len(await tx.entries(RESYNC, owner=owner, limit=MOST)) >= MOST:
        object_id = ""
    of = of if object_id and of is not None and of != owner else None
    entry_id = _id(owner, module, object_id, *(of or ()))
    if await tx.entry(entry_id) is not None:
        return  # the first request has the earlier moment
    details = {"country_code": owner[0], "party_id": owner[1], "id": object_id, **({"of": list(of)} if of else {})}
    await tx.append(Entry(id=entry_id, topic=RESYNC, name=module, key=None, at=now, details=details))


async def resync_requests(tx: Transaction, owner: Owner, module: str) -> Sequence[ResyncRequest]:
    """Return what must be pulled of a party's module."""
    entries = await tx.entries(RESYNC, owner=owner, limit=MOST + len(PULLED))
    return [
        ResyncRequest(entry_id=entry.id, module=entry.name, id=entry.details["id"], at=entry.at, of=_of(entry, owner))
        for entry in entries
        if entry.name == module
    ]


def _of(entry: Entry, owner: Owner) -> tuple[str, str]:
    country_code, party_id = entry.details.get("of", owner)
    return country_code, party_id


def _id(owner: Owner, module: str, object_id: str, *of: str) -> str:
    text = "\n".join((*owner, module, object_id, *of))
    return f"resync-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"
