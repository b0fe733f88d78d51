"""The partner's own ``last_updated`` of an object, read from its document.

Rules of this module (docs/spec-choices.md row 4): only this time orders objects; a time that this library assigned is
stored beside the document and orders nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from attrs import frozen

from ocpi_emsp.codec.patch import join, members
from ocpi_emsp.codec.readings import UNREADABLE, read_datetime

EARLIEST = datetime.min.replace(tzinfo=UTC)
"""Stands for a missing time; earlier than any time that a partner sends."""


class _Timely(msgspec.Struct):
    last_updated: datetime | None = None


class _Untimely(msgspec.Struct):
    last_updated: str = ""


_TIMELY = msgspec.json.Decoder(_Timely)
_UNTIMELY = msgspec.json.Decoder(_Untimely)


def said_at(document: bytes | msgspec.Raw) -> datetime:
    """Return the ``last_updated`` of an object; :data:`EARLIEST` if it is missing or unreadable."""
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
    """The ``last_updated`` of an object, read once for all of its parts that have none."""

    moment: datetime
    written: msgspec.Raw

    @classmethod
    def of(cls, document: bytes) -> Around:
        """Return the ``last_updated`` of a document."""
        moment = said_at(document)
        return cls(moment, members(document)["last_updated"] if moment > EARLIEST else msgspec.Raw(b"null"))


def timed(document: bytes, around: bytes | Around) -> bytes:
    """Return the document, with the ``last_updated`` of ``around`` added if only ``around`` has one."""
    if said_at(document) > EARLIEST:
        return document
    around = around if isinstance(around, Around) else Around.of(around)
    if around.moment == EARLIEST:
        return document
    return join({**members(document), "last_updated": around.written})
