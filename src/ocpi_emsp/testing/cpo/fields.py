"""The required fields of an eMSP's objects, and a check that names the faults.

The tables are those of OCPI 2.1.1: Credentials (credentials.md 2.1), BusinessDetails and Image (mod_locations.md 4.1,
4.14), Token (mod_tokens.md 3.2), LocationReferences (mod_tokens.md 4.2) and the four command objects (mod_commands.md
3.2 to 3.5). A deviation is answered with status_code 2001 (status_codes.md).
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from ocpi_emsp.testing.cpo.wire import Document, Json, RequestError, parse_timestamp


@frozen(kw_only=True)
class Field:
    """One row of a table of the specification."""

    name: str
    kind: str
    required: bool = True
    max_length: int | None = None
    values: tuple[str, ...] = ()
    fields: tuple["Field", ...] = ()


def _is_url(value: Json) -> bool:
    if not isinstance(value, str) or len(value) > 255:
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_datetime(value: Json) -> bool:
    if not isinstance(value, str) or len(value) > 25:
        return False
    try:
        parse_timestamp(value)
    except ValueError:
        return False
    return True


_KINDS: Final[dict[str, Callable[[Json], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "URL": _is_url,
    "DateTime": _is_datetime,
}


def _string(name: str, max_length: int, *, required: bool = True) -> Field:
    return Field(name=name, kind="string", max_length=max_length, required=required)


def _enum(name: str, *values: str) -> Field:
    return Field(name=name, kind="string", values=values)


_RESPONSE_URL = Field(name="response_url", kind="URL")
_LAST_UPDATED = Field(name="last_updated", kind="DateTime")
_LOCATION_ID = _string("location_id", 39)

IMAGE: Final = (
    Field(name="url", kind="URL"),
    Field(name="thumbnail", kind="URL", required=False),
    _string("category", 255),
    _string("type", 4),
    Field(name="width", kind="int", required=False),
    Field(name="height", kind="int", required=False),
)

BUSINESS_DETAILS: Final = (
    _string("name", 100),
    Field(name="website", kind="URL", required=False),
    Field(name="logo", kind="object", required=False, fields=IMAGE),
)

CREDENTIALS: Final = (
    _string("token", 64),
    Field(name="url", kind="URL"),
    Field(name="business_details", kind="object", fields=BUSINESS_DETAILS),
    _string("party_id", 3),
    _string("country_code", 2),
)

TOKEN: Final = (
    _string("uid", 36),
    _enum("type", "OTHER", "RFID"),
    _string("auth_id", 36),
    _string("visual_number", 64, required=False),
    _string("issuer", 64),
    Field(name="valid", kind="boolean"),
    _enum("whitelist", "ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER"),
    _string("language", 2, required=False),
    _LAST_UPDATED,
)

COMMANDS: Final[dict[str, tuple[Field, ...]]] = {
    "RESERVE_NOW": (
        _RESPONSE_URL,
        Field(name="token", kind="object", fields=TOKEN),
        Field(name="expiry_date", kind="DateTime"),
        Field(name="reservation_id", kind="int"),
        _LOCATION_ID,
        _string("evse_uid", 39, required=False),
    ),
    "START_SESSION": (
        _RESPONSE_URL,
        Field(name="token", kind="object", fields=TOKEN),
        _LOCATION_ID,
        _string("evse_uid", 39, required=False),
    ),
    "STOP_SESSION": (_RESPONSE_URL, _string("session_id", 36)),
    "UNLOCK_CONNECTOR": (
        _RESPONSE_URL,
        _LOCATION_ID,
        _string("evse_uid", 39),
        _string("connector_id", 36),
    ),
}
"""The object of each CommandType."""


def problems(document: Json, fields: tuple[Field, ...], prefix: str = "") -> list[str]:
    """Return the faults of `document` by the table `fields`, in words; empty if there are none."""
    if not isinstance(document, dict):
        return [f"{prefix.rstrip('.') or 'The body'} is not an object"]
    return [text for field in fields for text in _problems_of(document, field, prefix)]


def _problems_of(document: Document, field: Field, prefix: str) -> list[str]:
    name, value = prefix + field.name, document.get(field.name)
    if value is None:
        return [f"Missing required field: {name}"] if field.required else []
    if not _KINDS[field.kind](value):
        return [f"Field is not a valid {field.kind}: {name}"]
    if field.max_length is not None and len(value) > field.max_length:
        return [f"Field is longer than {field.max_length}: {name}"]
    if field.values and value not in field.values:
        return [f"Field is none of {', '.join(field.values)}: {name}"]
    return problems(value, field.fields, f"{name}.") if field.fields else []


def absent(document: Json, fields: tuple[Field, ...], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of the table's members that `document` and its objects lack, not even having null."""
    if not isinstance(document, dict):
        return []
    missing = [(*path, field.name) for field in fields if field.name not in document]
    nested = (absent(document.get(field.name), field.fields, (*path, field.name)) for field in fields)
    return [*missing, *(each for found in nested for each in found)]


def check(document: Json, fields: tuple[Field, ...]) -> Document:
    """Return `document` if it is valid by the table `fields`. Raises `RequestError` (200, 2001) otherwise."""
    found = problems(document, fields)
    if found:
        raise RequestError(200, 2001, "; ".join(found))
    valid: Document = document
    return valid
