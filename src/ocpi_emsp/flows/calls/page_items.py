"""The objects of a page, undecoded, with their ids, and never more than the allowed number.

Rules of this module (docs/explanation/security.md):
- objects are counted before a list of them is created: 64 MiB of ``{}`` are 20 million objects, and a gigabyte of
  memory;
- counting costs nothing if a page has too few commas for that many, as any page of usual size has.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from attrs import define

from ocpi_emsp.codec.patch import items
from ocpi_emsp.codec.wrapping import unwrap
from ocpi_emsp.flows.parties.owner_evidence import text_at


class TooManyObjects(Exception):
    """A page has more objects than it may have."""


class _Named(msgspec.Struct, gc=False):
    """An object of a list, for reading its id."""

    id: str


_NAMED = msgspec.json.Decoder(list[_Named])


class _Object:
    """Stands for every object while they are counted."""


@define
class _Count:
    left: int


_ONE = _Object()


def page_items(data: bytes, most: int) -> list[msgspec.Raw]:
    """Return the items of a JSON array. Raises TooManyObjects for more than ``most``; NotJson, InvalidObject for
    anything else.
    """
    if data.count(b",") >= most:
        _require_few(data, most)
    return items(data) if data else []


def page_ids(data: bytes, documents: Sequence[msgspec.Raw]) -> list[str]:
    """Return the id of each object of a page, decoded at once if possible; empty for an object without one."""
    try:
        return [each.id for each in _NAMED.decode(data)]
    except msgspec.MsgspecError:  # no data, or an item that is not an object
        return [text_at(unwrap(document).document, "id") for document in documents]


def _require_few(data: bytes, most: int) -> None:
    count = _Count(most)
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # items() reports other faults
        msgspec.json.decode(data, type=list[_Object], dec_hook=partial(_counted, count))
    if count.left < 0:
        raise TooManyObjects


def _counted(count: _Count, _kind: type, _value: Any) -> _Object:
    count.left -= 1
    if count.left < 0:
        raise ValueError("too many objects")
    return _ONE
