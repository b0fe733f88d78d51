"""Merge-patch on undecoded JSON: what a patch does not touch keeps its bytes.

Rules of this module (transport_and_format.md PATCH, RFC 7396, docs/spec-choices.md rows 5 and 6):
- a member that is absent stays, one that is null is removed, objects merge, everything else is replaced;
- lists are replaced, except those named in ``keyed``: their items merge by the member that identifies them, new ones
  are added at the end, none is removed;
- the result is not checked here: a removed required field is found by the codec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from ocpi_emsp.errors import InvalidObject, NotJson

Members: TypeAlias = dict[str, msgspec.Raw]

_MEMBERS = msgspec.json.Decoder(Members)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


def members(data: bytes | msgspec.Raw) -> Members:
    """The members of a JSON object, undecoded. Raises NotJson; InvalidObject where it is no object."""
    try:
        return _MEMBERS.decode(data)
    except msgspec.ValidationError:
        raise InvalidObject("a JSON object is required") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(f"not JSON: {error}") from None
    except RecursionError:
        raise NotJson("not readable: nested too deeply") from None


def items(data: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """The items of a JSON array, undecoded; none for null. Raises InvalidObject where it is no array."""
    if bytes(data) == b"null":
        return []
    try:
        return _ITEMS.decode(data)
    except msgspec.ValidationError:
        raise InvalidObject("a JSON array is required") from None


def join(document: Mapping[str, msgspec.Raw]) -> bytes:
    """The JSON object of these members."""
    return msgspec.json.encode(document)


def merge_patch(document: bytes, patch: bytes, keyed: Mapping[str, str] | None = None) -> bytes:
    """``document`` with ``patch`` merged in; ``keyed`` maps the name of a list to the member that identifies its items.

    >>> merge_patch(b'{"name":"a","operator":{"name":"x","website":"y"}}', b'{"name":null,"operator":{"name":"z"}}')
    b'{"operator":{"name":"z","website":"y"}}'
    """
    merged = members(document)
    for name, change in members(patch).items():
        old = merged.get(name)
        text = bytes(change)
        if text == b"null":
            merged.pop(name, None)
        elif old is None:
            merged[name] = change
        elif text.startswith(b"{") and bytes(old).startswith(b"{"):
            merged[name] = msgspec.Raw(merge_patch(bytes(old), text, keyed))
        elif keyed and name in keyed and text.startswith(b"[") and bytes(old).startswith(b"["):
            merged[name] = msgspec.Raw(merge_items(bytes(old), text, keyed[name], keyed))
        else:
            merged[name] = change
    return join(merged)


def merge_items(document: bytes, patch: bytes, key: str, keyed: Mapping[str, str] | None = None) -> bytes:
    """The array ``document`` with the items of ``patch`` merged in by their member ``key``."""
    merged = {identity(item, key): item for item in items(document)}
    for change in items(patch):
        name = identity(change, key)
        old = merged.get(name)
        merged[name] = change if old is None else msgspec.Raw(merge_patch(bytes(old), bytes(change), keyed))
    return msgspec.json.encode(list(merged.values()))


def identity(item: bytes | msgspec.Raw, key: str) -> str:
    """The text of the member ``key`` of an item, a number by its digits. Raises InvalidObject where there is none."""
    value = bytes(members(item).get(key, msgspec.Raw(b"null")))
    if value.startswith(b'"'):
        return msgspec.json.decode(value, type=str)
    if value == b"null" or value[:1] in b"{[tf":
        raise InvalidObject(f"an item without {key} cannot be merged")
    return value.decode()
