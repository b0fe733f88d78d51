"""Remove a wrapping from one object: a list of one, or an envelope.

Rules of this module (transport_and_format.md, response format; docs/spec-choices.md row 14):
- a list of one item stands for that item, where one object is expected; a longer list has no reading;
- an envelope has data and a status_code, or data and no object member beside it;
- a request has no envelope: with ``envelopes`` one around its object is removed;
- the item keeps its bytes; the codec decides whether it is the right object.
"""

from __future__ import annotations

import msgspec
from attrs import frozen

from ocpi_emsp.codec.patch import items, members
from ocpi_emsp.errors import InvalidObject, NotJson

_DEEPEST = 3
"""Wrappings that are removed at most; an envelope around a list of one counts as two."""
_DATA = b'"data"'
_BESIDE = frozenset({"data", "status_message", "timestamp"})
"""Members of an envelope without a status_code; no object has them."""


@frozen
class Unwrapped:
    """The object of a document, and its wrappings from outside to inside."""

    document: bytes
    around: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """Describe the wrappings in a sentence."""
        return f"expected one object, found it in {' in '.join(reversed(self.around))}; read as that object"


def may_be_wrapped(data: bytes, *, envelopes: bool = False) -> bool:
    """Return False if :func:`unwrap` has nothing to remove."""
    # Searched from the end, which takes a fifth of the time.
    return data[:1] != b"{" or (envelopes and data.rfind(_DATA) >= 0)


def unwrap(data: bytes | msgspec.Raw, *, envelopes: bool = False) -> Unwrapped:
    """Remove wrappings from a document; one that is not JSON stays unchanged."""
    document, around = bytes(data), list[str]()
    while len(around) < _DEEPEST:
        inner = _item(document) or (_data(document) if envelopes else None)
        if inner is None:
            break
        document = bytes(inner[0])
        around.append(inner[1])
    return Unwrapped(document, tuple(around))


def _item(document: bytes) -> tuple[msgspec.Raw, str] | None:
    """Return the item of a list of one."""
    if not document.lstrip().startswith(b"["):
        return None
    try:
        listed = items(document)
    except (NotJson, InvalidObject):
        return None
    return (listed[0], "a list of one") if len(listed) == 1 else None


def _data(document: bytes) -> tuple[msgspec.Raw, str] | None:
    """Return the data of an envelope."""
    if _DATA not in document:
        return None
    try:
        parts = members(document)
    except (NotJson, InvalidObject):
        return None
    is_envelope = "status_code" in parts or parts.keys() <= _BESIDE
    return (parts["data"], "an envelope") if "data" in parts and is_envelope else None
