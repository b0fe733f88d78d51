"""The objects of a page, undecoded, and never more than a page may have.

Rules of this module (docs/explanation/security.md):
- they are counted before a list of them is made: 64 MiB of ``{}`` are 20 million objects, and a gigabyte of them;
- counting costs nothing where a page has too few commas for so many, as any page of a usual size has.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from attrs import define

from ocpi_emsp.codec.patch import items


class TooManyObjects(Exception):
    """A page has more objects than it may have."""


class _Object:
    """Stands for every object while they are counted."""


@define
class _Count:
    left: int


_ONE = _Object()


def page_items(data: bytes, most: int) -> list[msgspec.Raw]:
    """The items of a JSON array, at most ``most``. Raises TooManyObjects; NotJson, InvalidObject for anything else."""
    if data.count(b",") >= most:
        _require_few(data, most)
    return items(data) if data else []


def _require_few(data: bytes, most: int) -> None:
    count = _Count(most)
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # items() says what else is wrong
        msgspec.json.decode(data, type=list[_Object], dec_hook=partial(_counted, count))
    if count.left < 0:
        raise TooManyObjects


def _counted(count: _Count, _kind: type, _value: Any) -> _Object:
    count.left -= 1
    if count.left < 0:
        raise ValueError("too many objects")
    return _ONE
