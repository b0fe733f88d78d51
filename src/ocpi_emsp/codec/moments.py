"""When a partner itself says that an object was last updated, read out of its document.

Rules of this module (docs/spec-choices.md row 4): objects are ordered by this time alone; a time that we gave an object
stands beside its document, and orders nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from attrs import frozen

from ocpi_emsp.codec.patch import join, members
from ocpi_emsp.codec.readings import UNREADABLE, read_datetime

EARLIEST = datetime.min.replace(tzinfo=UTC)
"""Before all that a partner says: the time of what has none."""


class _Timely(msgspec.Struct):
    last_updated: datetime | None = None


class _Untimely(msgspec.Struct):
    last_updated: str = ""


_TIMELY = msgspec.json.Decoder(_Timely)
_UNTIMELY = msgspec.json.Decoder(_Untimely)


def said_at(document: bytes | msgspec.Raw) -> datetime:
    """The ``last_updated`` of an object, :data:`EARLIEST` where it has none that can be read."""
    try:
        moment = _TIMELY.decode(document).last_updated
        if moment is not None:
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except msgspec.ValidationError:
        return _tolerantly(document)
    return EARLIEST


def _tolerantly(document: bytes | msgspec.Raw) -> datetime:
    try:
        moment = read_datetime(_UNTIMELY.decode(document).last_updated, lambda _rule, _message: None)
    except msgspec.ValidationError:
        return EARLIEST
    return EARLIEST if moment is UNREADABLE else moment


@frozen
class Around:
    """The ``last_updated`` of an object, for many parts of it that have none: it is read once."""

    moment: datetime
    written: msgspec.Raw

    @classmethod
    def of(cls, document: bytes) -> Around:
        """That of a document."""
        moment = said_at(document)
        return cls(moment, members(document)["last_updated"] if moment > EARLIEST else msgspec.Raw(b"null"))


def timed(document: bytes, around: bytes | Around) -> bytes:
    """The document with the ``last_updated`` of another one, where it has none of its own and that one has."""
    if said_at(document) > EARLIEST:
        return document
    around = around if isinstance(around, Around) else Around.of(around)
    if around.moment == EARLIEST:
        return document
    return join({**members(document), "last_updated": around.written})
