"""How much a document holds, seen in its bytes: looked at before anything is read, so that its work has a bound.

Rules of this module:
- what is counted is counted in C, over the few bytes that make the structure, in a fraction of the time of parsing;
- what is beyond a bound is refused with its place (rule ``document.bounds``); what is no JSON is for the codec to say;
- the bounds are far above what any object of OCPI holds: those of a request are settings (``BodyLimits``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, Protocol, TypeAlias

import msgspec
from attrs import frozen

from ocpi_emsp.codec import rules
from ocpi_emsp.codec.documents import longest_number, require_json
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.findings import Finding, pointer


class Bounds(Protocol):
    """The most that a document may hold."""

    @property
    def values(self) -> int:
        """Members and items, at all depths together."""

    @property
    def objects(self) -> int:
        """Objects, at all depths together."""

    @property
    def items(self) -> int:
        """Items of one list."""

    @property
    def members(self) -> int:
        """Members of one object."""

    @property
    def digits(self) -> int:
        """Digits of one number."""


@frozen(kw_only=True)
class DocumentBounds:
    """The bounds of documents that are read outside of a request; ``BodyLimits`` has the reasons."""

    values: int = 400_000
    objects: int = 100_000
    items: int = 20_000
    members: int = 10_000
    digits: int = 10_000


DEFAULT_BOUNDS: Final = DocumentBounds()
LIGHT: Final = 64 * 1024
"""Bytes up to which a document that the strict lane reads is not weighed."""

_DEEPEST = 32
"""Objects and lists inside each other in a document of thousands of values; the models have nine."""
_TOO_DEEP: Final = (b"[" * (_DEEPEST + 1), b"{" * (_DEEPEST + 1))
"""How it begins where that many are inside each other, and nothing beside them."""
_NESTED = 10
"""Those below an object of OCPI."""
_STEPS = 6
"""Steps of the place that a refusal names: further down it is one part of many."""
_STRUCTURE: Final = b'[]{},"'
_NO_STRUCTURE: Final = bytes(each for each in range(256) if each not in _STRUCTURE)
_EMPTY: Final = (b"{}", b"[]")
_INNERMOST = re.compile(rb"\[,*\]|\{,*\}")
_Measure: TypeAlias = Callable[[bytes], int]


def weigh(data: bytes, bounds: Bounds = DEFAULT_BOUNDS) -> None:
    """Raises InvalidObject with the place and the bound for a document that holds too much; NotJson if it is none."""
    least = min(bounds.values, bounds.objects, bounds.items, bounds.members, bounds.digits)
    if len(data) <= least:
        return
    require_json(data)
    if longest_number(data, bounds.digits):
        raise _refusal(data, data, lambda part: part, partial(longest_number, digits=bounds.digits), *_digits(bounds))
    if data.count(b",") + data.count(b"{") + data.count(b"[") <= min(bounds.items, bounds.members):
        return
    if _is_all_texts(data, bounds.values):
        raise _refusal(data, data, lambda part: part, lambda part: part.count(b'"') // 4, bounds.values, "values")
    skeleton = _skeleton(data)
    if any(run in skeleton for run in _TOO_DEEP):
        raise _too_deep()
    for measure, bound, what in ((_values, bounds.values, "values"), (_objects, bounds.objects, "objects")):
        if measure(skeleton) > bound:
            raise _refusal(data, skeleton, _skeleton, measure, bound, what, bound // 2)
    found = _too_long(skeleton, bounds)
    if found is not None:
        raise _refusal(data, skeleton, _skeleton, lambda part: int(_too_long(part, bounds) is not None), *found)


def _too_deep() -> InvalidObject:
    message = f"more than {_DEEPEST} objects and lists inside each other, at most {_DEEPEST} are read"
    return InvalidObject(f"too much to read: {message}", findings=(Finding.of(rules.BOUNDS, "", message),))


def _digits(bounds: Bounds) -> tuple[int, str]:
    return bounds.digits, "digits in one number"


def _skeleton(data: bytes) -> bytes:
    """The brackets, braces and commas of a document, without those in its texts."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    found = data.translate(None, _NO_STRUCTURE).replace(b'""', b"")
    return b"".join(found.split(b'"')[::2]) if b'"' in found else found


def _is_all_texts(data: bytes, values: int) -> bool:
    """Whether there are too many texts alone, names or values: to take them out would take too long."""
    return data.count(b'"') - data.count(b'\\"') > 4 * values


def _values(skeleton: bytes) -> int:
    """Members and items: one more than commas in each object and list, and none in an empty one."""
    empty = skeleton.count(b"[]") + skeleton.count(b"{}")
    return skeleton.count(b",") + skeleton.count(b"[") + skeleton.count(b"{") - empty


def _objects(skeleton: bytes) -> int:
    return skeleton.count(b"{")


def _too_long(skeleton: bytes, bounds: Bounds) -> tuple[int, str] | None:
    """The bound, and what one list or one object has too many of."""
    too_long = (
        (b"[" + b"," * bounds.items, (bounds.items, "items in one list")),
        (b"{" + b"," * bounds.members, (bounds.members, "members in one object")),
    )
    least = min(bounds.items, bounds.members)
    for _ in range(_DEEPEST):
        for run, found in too_long:
            if run in skeleton:
                return found
        if skeleton.count(b",") < least:
            return None
        skeleton = _INNERMOST.sub(b"", skeleton)
    return _DEEPEST, "objects and lists inside each other"


def _refusal(
    data: bytes, seen: bytes, see: Callable[[bytes], bytes], measure: _Measure, bound: int, what: str, above: int = 0
) -> InvalidObject:
    """The refusal of a document; ``see`` makes of a part what is measured, ``seen`` is that of the document."""
    path, part, seen = _heaviest(data, seen, see, measure, above)
    found = max(measure(seen), _own(part, seen) if above == 0 and see is _skeleton else 0, bound + 1)
    message = f"{found} {what}, at most {bound} are read"
    return InvalidObject(f"too much to read: {message}", findings=(Finding.of(rules.BOUNDS, pointer(path), message),))


def _heaviest(
    data: bytes, seen: bytes, see: Callable[[bytes], bytes], measure: _Measure, above: int
) -> tuple[tuple[str | int, ...], bytes, bytes]:
    """The innermost part that holds more than ``above``, and where it lies."""
    path, part = tuple[str | int, ...](), data.strip()
    while len(path) < _STEPS and 0 < _own(part, seen if see is _skeleton else None) <= DEFAULT_BOUNDS.members:
        weights = ((measure(below_seen), step, below, below_seen) for step, below, below_seen in _parts(part, see))
        heaviest = max(weights, key=lambda each: each[0], default=None)
        if heaviest is None or heaviest[0] <= above:
            break
        path, part, seen = (*path, heaviest[1]), heaviest[2], heaviest[3]
    return path, part, seen


def _parts(part: bytes, see: Callable[[bytes], bytes]) -> Iterator[tuple[str | int, bytes, bytes]]:
    """The parts of an object or a list, each as it is and as it is seen."""
    found: Iterable[tuple[str | int, msgspec.Raw]] = ()
    if part.startswith(b"{"):
        found = _MEMBERS.decode(part).items()
    elif part.startswith(b"["):
        found = enumerate(_ITEMS.decode(part))
    for step, raw in found:
        below = bytes(raw)
        yield step, below, see(below)


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


def _own(part: bytes, skeleton: bytes | None = None) -> int:
    """How many members or items an object or list itself has; 0 for anything else, or where that is hard to see."""
    if part[:1] not in (b"{", b"[") or (skeleton is None and _is_all_texts(part, DEFAULT_BOUNDS.values)):
        return 0
    found = (_skeleton(part) if skeleton is None else skeleton)[1:-1]
    for empty in _EMPTY * 2:  # in place of a match for each of a million
        found = found.replace(empty, b"")
    for _ in range(_NESTED):
        if b"]" not in found and b"}" not in found:
            return found.count(b",") + 1
        found = _INNERMOST.sub(b"", found)
    return 0
