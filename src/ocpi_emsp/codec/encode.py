"""Models to the wire.

Rules of this module (types.md, transport_and_format.md):
- absent optional fields and empty lists are not written; timestamps are UTC, whole seconds, ``Z``;
- a Decimal is written as the JSON number it is, digit by digit; enums by their value, unlisted ones too;
- ``encode`` serialises what it is given; ``encode_valid`` is what the library sends with: valid, or not sent.
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
    """A cattrs converter that unstructures models into documents that :func:`ocpi_emsp.codec.documents.dump` writes."""
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
    """Writes a model; what is no such model stays as it is, for the codec to judge."""
    from cattrs.gen import make_dict_unstructure_fn

    write = make_dict_unstructure_fn(kind, converter, _cattrs_omit_if_default=True)
    return lambda value: write(value) if isinstance(value, kind) else value


def _number(number: Any) -> Any:
    """A number as it is; a float by its shortest digits, so that one that is not finite is seen (msgspec: null)."""
    return Decimal(repr(number)) if isinstance(number, float) else number


def wire_time(moment: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SSZ``; a fraction is cut off (types.md 1.2). Raises ValueError if the time has no zone."""
    utc = moment if moment.tzinfo is UTC else aware(moment, "time").astimezone(UTC)
    written = msgspec.json.encode(utc)  # a fifth of the time of isoformat, and every answer has one
    return str(written[1:20], "ascii") + "Z"


@cache
def _converter() -> Converter:
    """Made for the first document: who only reads needs none."""
    return make_converter()


def document(value: Any) -> Any:
    """The untyped document of a model, or of a list of models."""
    return _converter().unstructure(value)


def encode(value: Any) -> bytes:
    """The JSON of a model, or of a list of models, as it goes over the wire.

    Raises InvalidObject if it holds what JSON cannot: NaN, a lone surrogate.
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
    """Raises InvalidObject for an object, or a token in it, with an id that identifies nothing, and for a token with a
    text that no token can have.

    An id of dots alone is a step in the path of a URL: ``tokens/IT/BEC/..`` is another object.
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
    """What is wrong with texts of a token: line breaks and the like (types.md 1.5), a language that is none.

    Letters beyond ASCII are left to the partners: most read them.
    """
    for name in _TEXTS:
        text = members.get(name)
        if not isinstance(text, str) or (name in _IDS and not is_usable_id(text)):  # the latter is a fault of its own
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
    """Like :func:`encode`, for one model; raises InvalidObject with every finding where it breaks the specification."""
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
