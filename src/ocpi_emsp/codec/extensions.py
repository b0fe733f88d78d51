"""Members unknown to the specification: added to sent documents, found in received ones.

Rules of this module (docs/how-to/extensions.md):
- an extension never replaces a member of the specification, whatever its case, and holds only JSON values;
- ``authorization_id`` is the only extension with a meaning here: it identifies an authorization in the authorize
  response, the command, the session and the CDR. ``authorization_reference`` of OCPI 2.2 is read as the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from attrs import fields_dict

from ocpi_emsp.codec.documents import dump
from ocpi_emsp.codec.encode import document
from ocpi_emsp.codec.patch import Members, join, members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import Finding, Severity, pointer

AUTHORIZATION_ID: Final = "authorization_id"
NAMES_OF_AUTHORIZATION: Final = (AUTHORIZATION_ID, "authorization_reference")
_LONGEST: Final = 36
"""Maximum characters of an authorization_id, the same as of every id in 2.1.1."""


def require_extensions(
    kind: type[Any], extensions: Mapping[str, Any] | None, authorization_id: str | None = None
) -> dict[str, Any]:
    """Return all members to add to an object of this kind.

    Raises InvalidObject with findings for unusable extensions, TypeError if ``extensions`` is not a mapping.
    """
    named: object = extensions
    if named is not None and not isinstance(named, Mapping):
        expected = 'a mapping of names to values, for example {"vendor_id": 5}'
        raise TypeError(f"invalid extensions {shown(named)}: expected {expected}")
    found: dict[Any, Any] = dict(extensions or {})
    if authorization_id is not None and found.setdefault(AUTHORIZATION_ID, authorization_id) != authorization_id:
        raise _invalid(kind, AUTHORIZATION_ID, "authorization_id is given twice, with two values")
    known = {name.lower() for name in fields_dict(kind)}
    for name in found:
        if not isinstance(name, str) or not name.isascii() or not name.isprintable() or not name:
            raise _invalid(
                kind, str(name), f"{shown(str(name))} is not a name: expected printable ASCII, for example 'vendor_id'"
            )
        if name.lower() in known:
            raise _invalid(kind, name, f"{name} is a member of {kind.__name__} and cannot be an extension")
    if AUTHORIZATION_ID in found:
        _require_id(kind, found[AUTHORIZATION_ID])
    plain: dict[str, Any] = document(found)
    dump(plain)
    return plain


def _require_id(kind: type[Any], value: object) -> None:
    is_usable = isinstance(value, str) and value.isascii() and value.isprintable() and value.strip() == value
    if not isinstance(value, str) or not is_usable or not 0 < len(value) <= _LONGEST:
        example = "2f6c9a1e-8d0b-4c55-9d1c-0c6f6c1b7a11"
        expected = f"expected 1 to {_LONGEST} printable characters, for example {example}"
        said = f"invalid authorization_id {shown(value)}: {expected}"
        raise _invalid(kind, AUTHORIZATION_ID, said)


def _invalid(kind: type[Any], name: str, message: str) -> InvalidObject:
    finding = Finding(
        pointer=pointer((name,)), rule="extension.invalid", severity=Severity.ERROR, message=message, clause=kind.clause
    )
    return InvalidObject(f"this {kind.__name__} cannot be sent: {message}", findings=(finding,))


def extended(body: bytes, extensions: Mapping[str, Any]) -> bytes:
    """Return a document with extensions after its members."""
    if not extensions:
        return body
    return with_members(body, {name: msgspec.Raw(dump(value)) for name, value in extensions.items()})


def with_members(body: bytes, added: Members) -> bytes:
    """Return a document with undecoded members after its own."""
    return join({**members(body), **added}) if added else body


def extensions_in(kind: type[Any], body: bytes) -> Members:
    """Return the undecoded members of a document that are not fields of its kind."""
    known = fields_dict(kind)
    return {name: value for name, value in members(body).items() if name not in known}


def authorization_id_of(received: bytes) -> str | None:
    """Return the authorization_id of a received session or CDR; None if it is not a text or a number."""
    if b"authorization_" not in received:
        return None
    try:
        found = members(received)
        values = [msgspec.json.decode(found[name]) for name in NAMES_OF_AUTHORIZATION if name in found]
    except (NotJson, InvalidObject, msgspec.DecodeError):
        return None
    texts = (str(each).strip() for each in values if isinstance(each, str | int) and not isinstance(each, bool))
    return next((text for text in texts if text), None)


def same_authorization(one: str | None, other: str | None) -> bool | None:
    """Return True if both are equal, ignoring case; None if either is unknown."""
    return None if one is None or other is None else one.casefold() == other.casefold()
