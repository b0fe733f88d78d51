"""A large document that is mostly known already: taken apart once, and what is known is not read again.

Rules of this module:
- known items are compared byte by byte where they stand, which takes a tenth of the time of reading them; what is left
  is read as JSON, with all that surrounds it;
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
"""What stands for the list, once it was taken out: no document has it."""


@define
class Cut:
    """An object without one of its lists, and the items of that."""

    parts: Members
    """Its other members."""
    items: list[int | bytes]
    """Each as its place among the known ones, or in its bytes."""
    is_plain: bool
    """Whether none of its members is repeated."""


def cut(document: bytes, name: str, known: Sequence[bytes]) -> Cut:
    """Take the list ``name`` out of an object; ``known`` are items that it may have, in the order of before.

    Raises NotJson, or InvalidObject for anything but an object, and for anything but a list in its place.
    """
    require_utf8(document)
    plain = _cut_plain(document, name, known) if known else None  # else all of it is read anyway
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
    """The same for a document without blanks; None for one that is written otherwise."""
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
    if parts.get(name) != msgspec.Raw(_MARK):  # another one of this name counts, or it lies deeper
        return None
    is_plain = has_each_once(without, parts)
    del parts[name]
    return Cut(parts, found, is_plain)


_COMMA: Final = ord(",")
_END: Final = ord("]")
_TAIL: Final = 32
"""Bytes that an item ends with: its time, in the order of the specification."""


def _known(document: bytes, place: int, known: Sequence[bytes]) -> tuple[list[int | bytes], int]:
    """The items from a place in the list on, up to its end or to where nothing more is known; and where that is."""
    found, at = list[int | bytes](), 0
    while at < len(known):
        item = known[at]
        if document.startswith(item, place) and document[place + len(item)] in (_COMMA, _END):
            found.append(at)
            place += len(item) + 1
            if document[place - 1] == _END:
                break
        elif at + 1 < len(known) and (behind := _next(document, known[at + 1], place)) >= 0:
            between = items(b"[%b]" % document[place:behind])  # it is JSON: the known one behind it is no part of it
            if not between:
                break
            found += map(bytes, between)
            place = behind + 1
        else:
            break
        at += 1
    return found, place


def _next(document: bytes, item: bytes, place: int) -> int:
    """Where an item of the list begins behind another one; -1 where there is none."""
    # Its end alone is found faster, and is not there where its time has changed.
    return -1 if document.find(item[-_TAIL:], place) < 0 else document.find(b"," + item, place)


@lru_cache
def _listed(name: str) -> msgspec.json.Decoder[Any]:
    """Reads one list of an object; all else is skipped."""
    return msgspec.json.Decoder(msgspec.defstruct("Listed", [("found", list[msgspec.Raw], msgspec.field(name=name))]))
