"""Merge-patch on undecoded JSON: members that a patch does not touch keep their bytes.

Rules of this module (transport_and_format.md PATCH, RFC 7396, docs/spec-choices.md rows 5 and 6):
- an absent member stays, a null member is removed, objects merge (with an empty object if there was none), everything
  else is replaced;
- lists are replaced, except those in ``keyed``: their items merge by the member that identifies them, new items are
  appended, none is removed; a single item in place of a list is a list of one;
- the result is not checked here: the codec finds a removed required field.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import msgspec

from ocpi_emsp.codec.documents import malformed, require_json, require_utf8
from ocpi_emsp.errors import InvalidObject

T = TypeVar("T")
Members: TypeAlias = dict[str, msgspec.Raw]

_MEMBERS = msgspec.json.Decoder(Members)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw] | None)


def members(data: bytes | msgspec.Raw) -> Members:
    """Return the members of a JSON object, undecoded. Raises NotJson, or InvalidObject if it is not an object."""
    return _cut(_MEMBERS, bytes(data), "object")


def items(data: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """Return the items of a JSON array, undecoded. Raises NotJson, or InvalidObject if it is not an array or null."""
    return _cut(_ITEMS, bytes(data), "array") or []


def has_each_once(document: bytes, found: Members) -> bool:
    """Return True if no member of the document is repeated; ``found`` are its members."""
    least = sum(map(len, found)) + sum(map(len, found.values())) + 4 * len(found) + 1  # quotes, colons, commas, braces
    spaced = least + 2 * len(found) - 1  # with a blank behind each colon and comma
    return len(document) in (least, spaced) or len(msgspec.json.format(document, indent=-1)) == least


def as_items(data: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """Return items like :func:`items`; a single object becomes a list of one."""
    return [msgspec.Raw(bytes(data))] if bytes(data).startswith(b"{") else items(data)


def _cut(decoder: msgspec.json.Decoder[T], data: bytes, what: str) -> T:
    require_utf8(data)
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        require_json(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error, data) from None
    raise InvalidObject(f"expected a JSON {what}")


def join(document: Mapping[str, msgspec.Raw]) -> bytes:
    """Return the JSON object of these members."""
    return msgspec.json.encode(document)


def merge_patch(document: bytes, patch: bytes, keyed: Mapping[str, str] | None = None) -> bytes:
    """Return ``document`` with ``patch`` merged in; ``keyed`` maps the name of a list to the member that identifies its
    items.

    >>> merge_patch(b'{"name":"a","operator":{"name":"x","website":"y"}}', b'{"name":null,"operator":{"name":"z"}}')
    b'{"operator":{"name":"z","website":"y"}}'
    """
    return merge_members(document, members(patch), keyed)


def merge_members(document: bytes, changes: Members, keyed: Mapping[str, str] | None = None) -> bytes:
    """Merge like :func:`merge_patch`, with a patch that is already cut into its members."""
    try:
        return _merge(document, changes, keyed or {})
    except RecursionError as error:
        raise malformed(error) from None


def _merge(document: bytes, changes: Members, keyed: Mapping[str, str]) -> bytes:
    merged = members(document)
    for name, change in changes.items():
        new = bytes(change)
        if new == b"null":
            merged.pop(name, None)
        elif name in keyed and is_listed(new, keyed[name]):
            old = bytes(merged.get(name, b""))
            known = old if is_listed(old, keyed[name]) else b"[]"
            merged[name] = msgspec.Raw(merge_items(known, new, keyed[name], keyed))
        elif new.startswith(b"{"):
            old = bytes(merged.get(name, b""))
            merged[name] = msgspec.Raw(_merge(old if old.startswith(b"{") else b"{}", members(new), keyed))
        else:
            merged[name] = change
    return join(merged)


def merge_items(document: bytes, patch: bytes, key: str, keyed: Mapping[str, str] | None = None) -> bytes:
    """Return the array ``document`` with the items of ``patch`` merged in by their member ``key``."""
    merged = as_items(document)
    places = {identity(item, key): place for place, item in enumerate(merged)}
    for change in as_items(patch):
        place = places.setdefault(identity(change, key), len(merged))
        if place == len(merged):
            merged.append(msgspec.Raw(b"{}"))
        merged[place] = msgspec.Raw(_merge(bytes(merged[place]), members(change), keyed or {}))
    return msgspec.json.encode(merged)


def is_listed(data: bytes, key: str) -> bool:
    """Return True for a list, or one item of it."""
    return data.startswith(b"[") or (
        data.startswith(b"{") and bytes(getattr(_cut(_only(key), data, "object"), key)) != b"null"
    )


@lru_cache
def _only(key: str) -> msgspec.json.Decoder[Any]:
    """Return a decoder of one member; it skips the others, which takes a third of the time of cutting all."""
    return msgspec.json.Decoder(msgspec.defstruct("Only", [(key, msgspec.Raw, msgspec.Raw(b"null"))]))


def member(item: bytes | msgspec.Raw, key: str) -> bytes:
    """Return the undecoded member ``key`` of an item; ``null`` if it has none."""
    return bytes(getattr(_cut(_only(key), bytes(item), "object"), key))


def identity(item: bytes | msgspec.Raw, key: str) -> str:
    """Return the text of the member ``key`` of an item, a number by its digits. Raises InvalidObject if there is
    none.
    """
    value = member(item, key)
    if value.startswith(b'"'):
        return msgspec.json.decode(value, type=str)
    if value == b"null" or value[:1] in b"{[tf":
        raise InvalidObject(f"an item without {key} cannot be merged")
    return value.decode()
