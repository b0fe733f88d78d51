"""The lines of an export: everything in a store, in a form that any store of this library can import.

Rules of this module:
- the first line identifies the file, the last one has the number of lines between: so a truncated file is detected;
- a record's ``document`` is the stored one, byte for byte; one that a line cannot hold, because of line breaks or
  surrounding space, is written as the text ``document_text`` instead;
- ``missing_since`` and ``missed`` are only written if the object is missing, ``correlation_id`` only if its last change
  had one, ``valid_from``, ``first_received_at`` and ``valid_until`` only for tariffs and their versions: older exports
  have none of them;
- a rejection that an earlier version stored with secrets in its headers or its query is written without them;
- times have microseconds; the bodies of journal entries, which may be anything, are in base64;
- a line is untrusted until it was read: BadLine has a sentence about its fault.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from attrs import asdict, frozen

from ocpi_emsp.codec.documents import require_utf8
from ocpi_emsp.codec.patch import members
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.ports import (
    DEAD,
    EVENT,
    NAMES,
    REJECTION,
    RELAY,
    TOPICS,
    Entry,
    Key,
    Record,
)
from ocpi_emsp.resources.records import read_details, read_document
from ocpi_emsp.wire.redaction import redacted

VERSION: Final = 1
_NOTHING = msgspec.Raw()
_MOST_MISSED = 2**31 - 1  # the largest number of every database
_NO_LINE = b"\r\n"
_SPACE = b" \t\r\n"
_TIMES = ("missing_since", "valid_from", "first_received_at", "valid_until")
_OWNER = ("country_code", "party_id")
_EVENTS = frozenset({EVENT, RELAY, *DEAD.values()})
T = TypeVar("T")


class BadLine(Exception):
    """A line that cannot be imported; the text says why."""


@frozen(kw_only=True)
class Header:
    """The first line."""

    ocpi_emsp_export: int
    exported_at: str = ""


@frozen(kw_only=True)
class End:
    """The last line, in its member ``end``."""

    lines: int
    """Number of lines between the first one and this one."""


@frozen(kw_only=True)
class _RecordLine:
    kind: str
    country_code: str
    party_id: str
    id: str
    last_updated: str
    received_at: str
    parent: str = ""
    missing_since: str | None = None
    missed: Annotated[int, msgspec.Meta(ge=0, le=_MOST_MISSED)] = 0
    correlation_id: str = ""
    valid_from: str | None = None
    first_received_at: str | None = None
    valid_until: str | None = None
    document: msgspec.Raw = _NOTHING
    document_text: str | None = None


@frozen(kw_only=True)
class _EntryLine:
    id: str
    topic: str
    name: str
    at: str
    body: str
    details: dict[str, Any]
    key: tuple[str, str, str, str, str] | None = None
    attempts: int = 0
    error: str = ""
    due: str | None = None


# --- to lines -------------------------------------------------------------------------------------------------------


def header_line(now: datetime) -> bytes:
    """Return the first line."""
    return _line({"ocpi_emsp_export": VERSION, "exported_at": _time(now)})


def end_line(lines: int) -> bytes:
    """Return the last line."""
    return _line({"end": {"lines": lines}})


def record_line(record: Record) -> bytes:
    """Return the line of a record."""
    written: dict[str, Any] = {
        **record.key._asdict(),
        "last_updated": _time(record.last_updated),
        "received_at": _time(record.received_at),
    }
    for name in _TIMES:
        moment = getattr(record, name)
        if moment is not None:
            written[name] = _time(moment)
    if record.missed:
        written["missed"] = record.missed
    if record.correlation_id:
        written["correlation_id"] = record.correlation_id
    if _survives(record.document):
        return _line({**written, "document": msgspec.Raw(record.document)})
    return _line({**written, "document_text": record.document.decode()})


def _survives(document: bytes) -> bool:
    """Return True if a document on a line is read back as the same bytes."""
    if document != document.strip(_SPACE) or any(each in document for each in _NO_LINE):
        return False
    try:
        return bytes(members(b'{"document":' + document + b"}")["document"]) == document
    except (OcpiError, KeyError):
        return False


def entry_line(entry: Entry) -> bytes:
    """Return the line of a journal entry."""
    members = asdict(entry, recurse=False, filter=lambda field, _: field.name != "sequence")
    details = {**entry.details, **redacted(entry.details)} if entry.topic == REJECTION else dict(entry.details)
    written = {"at": _time(entry.at), "body": base64.b64encode(entry.body).decode(), "details": details}
    return _line({"entry": {**members, **written, "due": _time(entry.due) if entry.due is not None else None}})


def _line(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


# --- from lines -----------------------------------------------------------------------------------------------------


def read_header(line: bytes) -> Header | None:
    """Return the header, or None if the line is not one."""
    try:
        return _decode(line, Header)
    except BadLine:
        return None


def read_line(line: bytes) -> Record | Entry | End:
    """Return the content of a line after the header. Raises BadLine."""
    try:
        parts = members(line)
    except OcpiError as error:
        raise BadLine(error.message) from None
    if "end" in parts:
        return _decode(bytes(parts["end"]), End)
    if "entry" in parts:
        return _entry(_decode(bytes(parts["entry"]), _EntryLine))
    return _record(_decode(line, _RecordLine))


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadLine(str(error)) from None
    except RecursionError:
        raise BadLine("it is nested too deeply") from None


def _record(line: _RecordLine) -> Record:
    if line.kind not in NAMES:
        raise BadLine(f"invalid kind '{line.kind}': expected one of an export")
    document = bytes(line.document)
    if bool(document) == (line.document_text is not None):
        raise BadLine("it has either a document or a document_text")
    if line.document_text is not None:
        document = line.document_text.encode()
    key = Key(line.kind, line.country_code, line.party_id, line.id, line.parent)
    _require_usable(key, document)
    return Record(
        key,
        document,
        _moment(line, "last_updated"),
        _moment(line, "received_at"),
        missing_since=_moment_or_none(line, "missing_since"),
        valid_from=_moment_or_none(line, "valid_from"),
        first_received_at=_moment_or_none(line, "first_received_at"),
        valid_until=_moment_or_none(line, "valid_until"),
        missed=line.missed,
        correlation_id=line.correlation_id,
    )


def _require_usable(key: Key, document: bytes) -> None:
    """Raise BadLine for a document that its reader cannot read."""
    try:
        require_utf8(document)
        read_document(key.kind, document)
    except OcpiError as error:
        findings = "".join(f"; {finding}" for finding in error.findings)
        raise BadLine(f"its document is not a valid {key.kind}: {error.message}{findings}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadLine(f"its document is not a valid {key.kind}: {error}") from None


def _entry(line: _EntryLine) -> Entry:
    if line.topic not in TOPICS:
        raise BadLine(f"invalid topic '{line.topic}': expected one of an export")
    for name in (*_OWNER, "correlation_id") if line.topic in _EVENTS else _OWNER:
        if not isinstance(line.details.get(name), str):
            raise BadLine(f"its details have no {name}")
    try:
        body = base64.b64decode(line.body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadLine(f"its body is not valid base64: {error}") from None
    read = {
        "key": Key(*line.key) if line.key is not None else None,
        "at": _moment(line, "at"),
        "body": body,
        "due": _moment_or_none(line, "due"),
    }
    entry = Entry(**{**asdict(line), **read})
    try:
        read_details(entry)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        said = {KeyError: f": {error.args[0]} is missing", ValueError: f": {error}"}.get(type(error), "")
        raise BadLine(f"its details are not valid for the topic {entry.topic}{said}") from None
    return entry


def _moment_or_none(line: _RecordLine | _EntryLine, name: str) -> datetime | None:
    return None if getattr(line, name) is None else _moment(line, name)


def _moment(line: _RecordLine | _EntryLine, name: str) -> datetime:
    text = getattr(line, name)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # reported below
    raise BadLine(f"invalid {name} '{text}': expected a time with its zone")
