"""Find the repeated members of a document; the last one counts, and all are reported.

Rules of this module:
- a document without repetitions, which nearly all are, is recognised in a fraction of the time of parsing it;
- a large document is examined in pieces: no step holds the interpreter for long, and the objects of the whole document
  are never in memory at once, where a garbage collection would delay requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import inspect

from ocpi_emsp.codec.documents import JsonObject, longest_number, parse, require_utf8
from ocpi_emsp.codec.patch import has_each_once, items, members
from ocpi_emsp.codec.weight import require_shallow
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.findings import MAX_FINDINGS, pointer

_MAX_DIGITS: Final = 300
"""Longest number, in digits; a longer one takes more time to write than the document takes to parse."""
_NAMED: Final = b'":'
"""End of a member's name."""
_PIECE: Final = 64 * 1024
"""Size of a piece in bytes."""
_TOGETHER: Final = 50
"""List items that are examined together."""
_STEPS: Final = 4
"""Nesting levels that are taken apart; deeper levels are one piece."""


def repetitions(data: bytes, kind: Any = None) -> list[str]:
    """Return the pointers of the first repeated members of a document.

    ``kind`` is the type as which the document was accepted. Raises NotJson; InvalidObject if it nests too deeply.
    """
    if (kind is not None and _is_written_once(data, kind)) or _is_without(data):
        return []
    require_shallow(data)
    return [pointer(path) for path in islice(_repeated(parse(data), ()), MAX_FINDINGS)]


def _is_without(data: bytes) -> bool:
    """Return True if no member is repeated, False if that is hard to tell. An escape may hide a name."""
    if b"\\u" in data or longest_number(data, _MAX_DIGITS):
        return False
    try:
        require_utf8(data)
        return all(map(_has_each_once, _pieces(data, _STEPS)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OcpiError):
        return False


def _is_written_once(data: bytes, kind: Any) -> bool:
    """Return True if the document, read by its schema and written again, has the same length.

    Then nothing is repeated, and there is neither a blank nor a member unknown to the schema. Returns False if that is
    hard to tell.
    """
    require_utf8(data)
    try:
        return len(msgspec.json.encode(_outline(kind).decode(data))) == len(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


@cache
def _outline(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return a decoder that reads only the objects of a document; values stay undecoded."""
    return msgspec.json.Decoder(_outlined(inspect.type_info(kind)))


def _outlined(node: inspect.Type) -> Any:
    match node:
        case inspect.Metadata(type=inner):
            return _outlined(inner)
        case inspect.UnionType(types=types):
            return _outlined(next(each for each in types if not isinstance(each, inspect.NoneType)))
        case inspect.VarTupleType(item_type=item):
            inner = _outlined(item)
            return inner if inner is msgspec.Raw else list[inner]  # type: ignore[valid-type] # made below
        case inspect.DataclassType(cls=cls):
            return _struct(cls)
    return msgspec.Raw


@cache
def _struct(cls: Any) -> Any:
    node = inspect.type_info(cls)
    assert isinstance(node, inspect.DataclassType)
    fields = [_field(each.name, _outlined(each.type)) for each in node.fields]
    return msgspec.defstruct(cls.__name__, fields, omit_defaults=True, gc=False)


def _field(name: str, outlined: Any) -> tuple[str, Any, Any]:
    """Return a field that is not written if the document does not have it."""
    if outlined is msgspec.Raw:
        return name, outlined, msgspec.Raw()
    return name, outlined | msgspec.UnsetType | None, msgspec.UNSET


def _has_each_once(piece: bytes) -> bool:
    """Return True if reading the piece loses no name; blanks before colons are removed first."""
    written = msgspec.json.format(piece, indent=-1)
    return written.count(_NAMED) == msgspec.json.encode(msgspec.json.decode(piece)).count(_NAMED)


def _pieces(data: bytes, steps: int) -> Iterator[bytes]:
    """Yield pieces of a document that share no member; ``{"":0,"":0}`` stands for a repeated member."""
    data = data.strip()
    if data[:1] not in (b"{", b"["):
        return
    if len(data) <= _PIECE or steps == 0:
        yield data
    elif data.startswith(b"["):
        listed = items(data)
        for start in range(0, len(listed), _TOGETHER):
            some = listed[start : start + _TOGETHER]
            if sum(map(len, some)) <= _PIECE:
                yield msgspec.json.encode(some)
            else:
                for each in some:
                    yield from _pieces(bytes(each), steps - 1)
    else:
        found = members(data)
        if not has_each_once(data, found):
            yield _REPEATED
        for value in found.values():
            yield from _pieces(bytes(value), steps - 1)


_REPEATED: Final = b'{"":0,"":0}'


def _repeated(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _repeated(each, (*path, index))
    elif isinstance(value, JsonObject):
        yield from ((*path, name) for name in value.repeated)
        for name, each in value.items():
            yield from _repeated(each, (*path, name))
