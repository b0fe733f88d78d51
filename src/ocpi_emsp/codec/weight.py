"""Bound the size of a document before it is read, by counting in its bytes.

Rules of this module:
- counting runs in C over the few structural bytes, in a fraction of the time of parsing;
- a document beyond a bound is rejected with the place (rule ``document.bounds``); the codec reports what is not JSON;
- the bounds are far above the size of any OCPI object: those of a request are settings (``BodyLimits``).
- the nesting depth that a JSON parser accepts depends on Python: about 990 levels on 3.11, as many as fit on the stack
  on 3.14. Recursive code of ours fails earlier on both, so the documents that it reads have a bound of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import accumulate
from typing import Final, Protocol, TypeAlias

import msgspec
from attrs import frozen

from ocpi_emsp.codec import rules
from ocpi_emsp.codec.documents import is_readable_json, longest_number, malformed
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
    """The bounds of documents that are read outside a request; ``BodyLimits`` explains the values."""

    values: int = 400_000
    objects: int = 100_000
    items: int = 20_000
    members: int = 10_000
    digits: int = 10_000


DEFAULT_BOUNDS: Final = DocumentBounds()
LIGHT: Final = 64 * 1024
"""Size in bytes up to which a document that the strict lane accepts is not weighed."""

_DEEPEST = 32
"""Nesting depth allowed in a document of thousands of values; the models need nine."""
_WALKED = 256
"""Nesting depth allowed in a document that Python code walks through, which it may do with 1000 nested calls."""
_TOO_DEEP: Final = (b"[" * (_DEEPEST + 1), b"{" * (_DEEPEST + 1))
"""First bytes of a document that consists of that many opening brackets or braces."""
_NESTED = 10
"""Nesting depth below an OCPI object."""
_STEPS = 6
"""Path length of the place that a rejection names; deeper parts are too many to be named."""
_PIECE: Final = 64 * 1024
"""Number of brackets that are counted at once, so that other threads get their turn."""
_STRUCTURE: Final = b'[]{},"'
_NO_STRUCTURE: Final = bytes(each for each in range(256) if each not in _STRUCTURE)
_EMPTY: Final = (b"{}", b"[]")
_INNERMOST = re.compile(rb"\[,*\]|\{,*\}")
_Measure: TypeAlias = Callable[[bytes], int]


def weigh(data: bytes, bounds: Bounds = DEFAULT_BOUNDS) -> None:
    """Raise InvalidObject with the place and the bound for a document that is too large; NotJson if it is not JSON."""
    least = min(bounds.values, bounds.objects, bounds.items, bounds.members, bounds.digits)
    if len(data) <= least:
        return
    if not is_readable_json(data):
        require_shallow(data)
        raise malformed(RecursionError(), data)
    if longest_number(data, bounds.digits):
        raise _refusal(data, data, lambda part: part, partial(longest_number, digits=bounds.digits), *_digits(bounds))
    if data.count(b",") + data.count(b"{") + data.count(b"[") <= min(bounds.items, bounds.members):
        return
    if _is_all_texts(data, bounds.values):
        raise _refusal(data, data, lambda part: part, lambda part: part.count(b'"') // 4, bounds.values, "values")
    skeleton = _skeleton(data)
    if any(run in skeleton for run in _TOO_DEEP):
        raise too_deep(_DEEPEST)
    for measure, bound, what in ((_values, bounds.values, "values"), (_objects, bounds.objects, "objects")):
        if measure(skeleton) > bound:
            raise _refusal(data, skeleton, _skeleton, measure, bound, what, bound // 2)
    found = _too_long(skeleton, bounds)
    if found is not None:
        raise _refusal(data, skeleton, _skeleton, lambda part: int(_too_long(part, bounds) is not None), *found)


def require_shallow(data: bytes) -> None:
    """Raise InvalidObject if objects and lists nest too deeply, or NotJson if such a document is not JSON."""
    if nests_deeper(data, _WALKED):
        is_readable_json(data)  # raises NotJson if it is not
        raise too_deep(_WALKED)


def nests_deeper(data: bytes, most: int = _DEEPEST) -> bool:
    """Return whether objects and lists nest more than ``most`` levels deep; False for a truncated document."""
    brackets = _skeleton(data).translate(_AS_BRACKETS, b",")
    return brackets.count(b"[") * 2 == len(brackets) and _depth(brackets, most) > most


_AS_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_STEP: Final = {ord("["): 1, ord("]"): -1}


def _depth(brackets: bytes, most: int) -> int:
    """Return the nesting depth, or a number up to ``most`` if it is not more than that."""
    for taken in range(_NESTED):  # nearly all documents are gone by then
        if len(brackets) <= 2 * (most - taken):
            return taken
        if b"[" * (most + 1) in brackets:
            return most + 1
        brackets = brackets.replace(b"[]", b"")  # removes exactly the innermost level
    deepest = depth = 0
    for start in range(0, len(brackets), _PIECE):
        levels = [*accumulate(map(_STEP.__getitem__, brackets[start : start + _PIECE]), initial=depth)]
        deepest, depth = max(deepest, max(levels)), levels[-1]
    return _NESTED + deepest


def too_deep(most: int = 0) -> InvalidObject:
    """Return the rejection of a document that nests too deeply, with the bound if there is one."""
    message = f"more than {most} objects and lists inside each other, at most {most} are read"
    message = message if most else "too many objects and lists inside each other"
    return InvalidObject(f"too much to read: {message}", findings=(Finding.of(rules.BOUNDS, "", message),))


def _digits(bounds: Bounds) -> tuple[int, str]:
    return bounds.digits, "digits in one number"


def _skeleton(data: bytes) -> bytes:
    """Return the brackets, braces and commas of a document, without those in its texts."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    found = data.translate(None, _NO_STRUCTURE).replace(b'""', b"")
    return b"".join(found.split(b'"')[::2]) if b'"' in found else found


def _is_all_texts(data: bytes, values: int) -> bool:
    """Return True if the texts alone, names or values, exceed the bound: removing them would take too long."""
    return data.count(b'"') - data.count(b'\\"') > 4 * values


def _values(skeleton: bytes) -> int:
    """Count members and items: in each object and list one more than its commas, none if it is empty."""
    empty = skeleton.count(b"[]") + skeleton.count(b"{}")
    return skeleton.count(b",") + skeleton.count(b"[") + skeleton.count(b"{") - empty


def _objects(skeleton: bytes) -> int:
    return skeleton.count(b"{")


def _too_long(skeleton: bytes, bounds: Bounds) -> tuple[int, str] | None:
    """Return the exceeded bound and what it counts, for one list or one object."""
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
    """Return the rejection of a document; ``see`` maps a part to what is measured, ``seen`` is that of the whole
    document.
    """
    path, part, seen = _heaviest(data, seen, see, measure, above)
    found = max(measure(seen), _own(part, seen) if above == 0 and see is _skeleton else 0, bound + 1)
    message = f"{found} {what}, at most {bound} are read"
    return InvalidObject(f"too much to read: {message}", findings=(Finding.of(rules.BOUNDS, pointer(path), message),))


def _heaviest(
    data: bytes, seen: bytes, see: Callable[[bytes], bytes], measure: _Measure, above: int
) -> tuple[tuple[str | int, ...], bytes, bytes]:
    """Return the innermost part that holds more than ``above``, and its place."""
    path, part = tuple[str | int, ...](), data.strip()
    while len(path) < _STEPS and 0 < _own(part, seen if see is _skeleton else None) <= DEFAULT_BOUNDS.members:
        weights = ((measure(below_seen), step, below, below_seen) for step, below, below_seen in _parts(part, see))
        heaviest = max(weights, key=lambda each: each[0], default=None)
        if heaviest is None or heaviest[0] <= above:
            break
        path, part, seen = (*path, heaviest[1]), heaviest[2], heaviest[3]
    return path, part, seen


def _parts(part: bytes, see: Callable[[bytes], bytes]) -> Iterator[tuple[str | int, bytes, bytes]]:
    """Yield the parts of an object or a list, each with its place, its bytes and what is measured of it."""
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
    """Count the direct members or items of an object or list; 0 for anything else, or if that is hard to tell."""
    if part[:1] not in (b"{", b"[") or (skeleton is None and _is_all_texts(part, DEFAULT_BOUNDS.values)):
        return 0
    found = (_skeleton(part) if skeleton is None else skeleton)[1:-1]
    for empty in _EMPTY * 2:  # instead of one match for each of a million
        found = found.replace(empty, b"")
    for _ in range(_NESTED):
        if b"]" not in found and b"}" not in found:
            return found.count(b",") + 1
        found = _INNERMOST.sub(b"", found)
    return 0
