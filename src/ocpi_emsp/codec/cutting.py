"""Take a large document apart once, without reading the items that are already known.

Rules of this module:
- known items are compared byte by byte in place, in a tenth of the time of reading them; the rest of the document is
  read as JSON;
- a document with blanks is read as a whole.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from attrs import define

from ocpi_emsp.codec.documents import require_utf8
from ocpi_emsp.codec.patch import Members, has_each_once, items, members
from ocpi_emsp.errors import InvalidObject, NotJson

_NULL: Final = msgspec.Raw(b"null")
_MARK: Final = b'["' + secrets.token_hex(16).encode() + b'"]'
"""Placeholder for a list that was taken out; no document contains it."""


@define
class Cut:
    """An object without one of its lists, and the items of that list."""

    parts: Members
    """The other members of the object."""
    items: list[int | bytes]
    """Each item: its index among the known items, or its bytes."""
    is_plain: bool
    """True if no member of the object is repeated."""


def cut(document: bytes, name: str, known: Sequence[bytes]) -> Cut:
    """Take the list ``name`` out of an object; ``known`` holds the expected items in their previous order.

    Raises NotJson if the document is not JSON, InvalidObject if it is not an object or the member is not a list.
    """
    require_utf8(document)
    plain = _cut_plain(document, name, known) if known else None  # otherwise the whole document is read anyway
    return plain or _cut_any(document, name, known)


def _cut_any(document: bytes, name: str, known: Sequence[bytes]) -> Cut:
    parts = members(document)
    is_plain = has_each_once(document, parts)
    found = list[int | bytes](map(bytes, items(parts.pop(name, _NULL))))
    for at, item in enumerate(known[: len(found)]):
        if found[at] == item:
            found[at] = at
    return Cut(parts, found, is_plain)


def _cut_plain(document: bytes, name: str, known: Sequence[bytes]) -> Cut | None:
    """Cut a document without blanks; return None if it is written in another way."""
    head = b'"%b":[' % name.encode()
    first = document.find(head) + len(head)
    if first < len(head):
        return None
    try:
        found, place = _known(document, first, known)
        if document[place - 1] != _END:
            rest = _listed(name).decode(b"{%b%b" % (head, document[place:])).found
            written = b",".join(rest)
            place += len(written) + 1
            if (found and not rest) or document[place - len(written) - 1 : place] != written + b"]":
                return None  # a comma without an item behind it, or blanks
            found += map(bytes, rest)
        without = b"%b%b%b" % (document[: first - 1], _MARK, document[place:])
        parts = members(without)
    except (NotJson, InvalidObject, msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError):
        return None
    if parts.get(name) != msgspec.Raw(_MARK):  # a later one counts, or it is nested deeper
        return None
    is_plain = has_each_once(without, parts)
    del parts[name]
    return Cut(parts, found, is_plain)


_COMMA: Final = ord(",")
_END: Final = ord("]")
_TAIL: Final = 32
"""Length in bytes of the end of an item: its ``last_updated``, in the order of the specification."""


def _known(document: bytes, place: int, known: Sequence[bytes]) -> tuple[list[int | bytes], int]:
    """Return the items from ``place`` on and the position after them; stop at the list's end or at the first unknown
    part.
    """
    found, at = list[int | bytes](), 0
    while at < len(known):
        item = known[at]
        if document.startswith(item, place) and document[place + len(item)] in (_COMMA, _END):
            found.append(at)
            place += len(item) + 1
            if document[place - 1] == _END:
                break
        elif at + 1 < len(known) and (behind := _next(document, known[at + 1], place)) >= 0:
            between = items(b"[%b]" % document[place:behind])  # valid JSON: the known item is not part of it
            if not between:
                break
            found += map(bytes, between)
            place = behind + 1
        else:
            break
        at += 1
    return found, place


def _next(document: bytes, item: bytes, place: int) -> int:
    """Return the position of ``item`` behind another item of the list; -1 if it is not there."""
    # The end of the item alone is found faster, and is missing if the item's time has changed.
    return -1 if document.find(item[-_TAIL:], place) < 0 else document.find(b"," + item, place)


@lru_cache
def _listed(name: str) -> msgspec.json.Decoder[Any]:
    """Return a decoder of one list of an object; it skips everything else."""
    return msgspec.json.Decoder(msgspec.defstruct("Listed", [("found", list[msgspec.Raw], msgspec.field(name=name))]))
