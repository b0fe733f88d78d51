"""Absent optional members as null, for partners that require every member (docs/spec-choices.md).

Rules of this module (types.md, cardinality ? and *; terminology.md):
- an absent optional member becomes null, in the object and in every object within; nothing else changes;
- the sent document keeps its bytes, including members unknown to the specification.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, get_args, get_type_hints

import attrs
import msgspec

from ocpi_emsp.codec.patch import items, join, members

_NULL: Final = msgspec.Raw(b"null")


def with_nulls(kind: Any, document: bytes | msgspec.Raw) -> bytes:
    """Return a document of this kind, or a list of them, with null for each absent optional member."""
    data = bytes(document).strip()
    if data.startswith(b"["):
        return b"[" + b",".join(with_nulls(kind, each) for each in items(data)) + b"]"
    if not data.startswith(b"{"):
        return data
    found = members(data)
    for name, is_optional, inner in _members_of(kind):
        if name not in found:
            found |= {name: _NULL} if is_optional else {}
        elif inner is not None:
            found[name] = msgspec.Raw(with_nulls(inner, found[name]))
    return join(found)


@cache
def _members_of(kind: Any) -> tuple[tuple[str, bool, Any], ...]:
    """Return each member of a kind: its name, whether it is optional, and the kind of objects that it holds."""
    hints = get_type_hints(kind)
    return tuple(
        (each.name, each.default is not attrs.NOTHING, _kind_in(hints[each.name])) for each in attrs.fields(kind)
    )


def _kind_in(hint: Any) -> Any:
    """Return the model in a hint such as ``tuple[Evse, ...]`` or ``Image | None``."""
    if isinstance(hint, type) and attrs.has(hint):
        return hint
    return next((found for each in get_args(hint) if (found := _kind_in(each)) is not None), None)
