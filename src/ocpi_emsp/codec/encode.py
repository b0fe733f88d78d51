"""Models to the wire.

Rules of this module (types.md, transport_and_format.md):
- absent optional fields and empty lists are not written; timestamps are UTC, in whole seconds, with ``Z``;
- a Decimal is written digit by digit as a JSON number; enums are written by value, also unlisted ones;
- ``encode`` does not check its argument; ``encode_valid`` does, and is used for all objects that the library sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from ocpi_emsp.codec.diagnose import diagnose
from ocpi_emsp.codec.documents import dump, parse
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.strict import decode_strict
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.findings import Finding, Report, Rule, Severity, pointer
from ocpi_emsp.models import Token
from ocpi_emsp.models.tariffs import UnreadRestrictions
from ocpi_emsp.scalars import aware

if TYPE_CHECKING:
    from cattrs import Converter


def make_converter() -> Converter:
    """Return a cattrs converter that unstructures models into documents for :func:`ocpi_emsp.codec.documents.dump`."""
    from cattrs import Converter
    from cattrs.gen import make_dict_unstructure_fn, override

    converter = Converter()
    converter.register_unstructure_hook(datetime, wire_time)
    converter.register_unstructure_hook(Decimal, _number)
    converter.register_unstructure_hook(float, _number)
    write = make_dict_unstructure_fn(
        UnreadRestrictions, converter, _cattrs_omit_if_default=True, unread=override(omit=True)
    )
    converter.register_unstructure_hook_factory(attrs.has, lambda kind: _unstructure(kind, converter))
    converter.register_unstructure_hook(UnreadRestrictions, write)
    return converter


def _unstructure(kind: type[Any], converter: Converter) -> Callable[[Any], Any]:
    """Return a function that unstructures a model; other values stay unchanged, and the codec rejects them."""
    from cattrs.gen import make_dict_unstructure_fn

    write = make_dict_unstructure_fn(kind, converter, _cattrs_omit_if_default=True)
    return lambda value: write(value) if isinstance(value, kind) else value


def _number(number: Any) -> Any:
    """Return a number unchanged; a float as its shortest decimal, so that NaN and infinity are detected (msgspec:
    null).
    """
    return Decimal(repr(number)) if isinstance(number, float) else number


def wire_time(moment: datetime) -> str:
    """Return ``YYYY-MM-DDTHH:MM:SSZ``, with fractions cut off (types.md 1.2). Raises ValueError if the time has no
    zone.
    """
    utc = moment if moment.tzinfo is UTC else aware(moment, "time").astimezone(UTC)
    written = msgspec.json.encode(utc)  # takes a fifth of the time of isoformat, and every response has a timestamp
    return str(written[1:20], "ascii") + "Z"


@cache
def _converter() -> Converter:
    """Create the converter for the first document; a process that only reads needs none."""
    return make_converter()


def document(value: Any) -> Any:
    """Return the untyped document of a model, or of a list of models."""
    return _converter().unstructure(value)


def encode(value: Any) -> bytes:
    """Return the JSON of a model, or of a list of models, as sent over the wire.

    Raises InvalidObject if it holds a value that JSON cannot: NaN, a lone surrogate.
    """
    return dump(document(value))


EMPTY_ID = Rule(
    id="id.unusable",
    severity=Severity.ERROR,
    clause="",
    sentence="An id of ours is empty, or dots alone: it identifies nothing.",
)
BAD_TEXT = Rule(
    id="token.text",
    severity=Severity.ERROR,
    clause="types.md#15-string-type",
    sentence="A text of a token of ours is not printable, or its language is empty.",
)
_IDS = ("uid", "auth_id", "location_id", "evse_uid", "connector_id", "session_id")
_TEXTS = ("uid", "auth_id", "visual_number", "issuer", "language")


def require_texts(value: Any) -> None:
    """Raise InvalidObject for an object, or a token in it, whose id identifies nothing, and for a token with an
    unusable text.

    An id of only dots is a path step in a URL: ``tokens/IT/BEC/..`` is another object.
    """
    token, path = (value, ()) if isinstance(value, Token) else (getattr(value, "token", None), ("token",))
    found = [*_unusable_ids(value), *(_unusable_ids(token, path) if path else ())]
    if isinstance(token, Token):
        found += unusable_texts({name: getattr(token, name) for name in _TEXTS}, path)
    if found:
        message = f"this {type(value).__name__} breaks the specification; it is not sent"
        raise InvalidObject(f"{message}: {found[0].message}", findings=tuple(found))


def _unusable_ids(value: Any, path: tuple[str, ...] = ()) -> Iterator[Finding]:
    for name in _IDS:
        text = getattr(value, name, None)
        if isinstance(text, str) and not is_usable_id(text):
            expected = "expected text that identifies something, for example 'A1'"
            message = f"invalid {name} {shown(text)}: {expected}"
            yield Finding.of(EMPTY_ID, pointer((*path, name)), message, value.clause)


def unusable_texts(members: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[Finding]:
    """Yield a finding for each unusable text of a token: line breaks and the like (types.md 1.5), an unknown language.

    Non-ASCII letters pass: most partners read them.
    """
    for name in _TEXTS:
        text = members.get(name)
        if not isinstance(text, str) or (name in _IDS and not is_usable_id(text)):  # such an id has its own finding
            continue
        expected = "" if text.isprintable() else "expected printable characters, for example 'A1'"
        if name == "language" and not text.strip():
            expected = "expected a language of ISO 639-1 or None, for example 'de'"
        if expected:
            message = f"invalid {name} {shown(text)}: {expected}"
            yield Finding.of(BAD_TEXT, pointer((*path, name)), message, BAD_TEXT.clause)


def is_usable_id(text: str) -> bool:
    """True for an id that can stand in a URL and identifies something."""
    return bool(text.strip()) and text not in (".", "..")


def encode_valid(value: Any) -> bytes:
    """Return the JSON of one model like :func:`encode`; raises InvalidObject with all findings if it breaks the
    specification.
    """
    plain = document(value)
    unwritable: tuple[Finding, ...] = ()
    try:
        data = dump(plain)
        if decode_strict(type(value), data) is not None:
            require_texts(value)
            return data
        plain = parse(data)
    except InvalidObject as error:
        unwritable = error.findings
    findings = diagnose(type(value), plain).findings
    named = {finding.pointer for finding in findings if finding.severity is Severity.ERROR}
    findings += [finding for finding in unwritable if finding.pointer not in named]
    message = f"this {type(value).__name__} breaks the specification; it is not sent"
    raise InvalidObject(message, findings=tuple(Report.of(findings)))
