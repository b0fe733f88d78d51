"""The response envelope, written and read.

Rules of this module (transport_and_format.md, response format; docs/spec-choices.md row 13):
- an envelope that we write always has status_code and timestamp, and ``data`` undecoded;
- one that we read may lack anything except a status_code; a response that is neither an envelope nor a list of one
  raises AnswerUnusable.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from ocpi_emsp.codec import decode, wire_time
from ocpi_emsp.codec.patch import Members, members
from ocpi_emsp.codec.wrapping import may_be_wrapped, unwrap
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import Finding
from ocpi_emsp.models import Envelope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


_SUCCESS = b'"status_code":1000,"status_message":"Success","timestamp":"'


def success(now: datetime, data: bytes | None = None, message: str = "Success") -> bytes:
    """Return an envelope with status_code 1000; ``data`` is JSON, None omits it."""
    if message != "Success":
        return _envelope(1000, message, now, data)
    start = b"{" if data is None else b'{"data":' + data + b","
    return start + _SUCCESS + wire_time(now).encode() + b'"}'


def failure(status_code: int, message: str, now: datetime, findings: Sequence[Finding] = ()) -> bytes:
    """Return an envelope with an error's status_code; ``findings`` become ``data``."""
    data = msgspec.json.encode([finding.as_json() for finding in findings]) if findings else None
    return _envelope(status_code, message, now, data)


def _envelope(status_code: int, message: str, now: datetime, data: bytes | None) -> bytes:
    start = b'{"data":' + data + b"," if data is not None else b"{"
    end = f'"status_code":{status_code},"status_message":'.encode() + msgspec.json.encode(message)
    return start + end + b',"timestamp":"' + wire_time(now).encode() + b'"}'


def read_envelope(body: bytes) -> Envelope:
    """Return the envelope of a response. Raises NotJson, or InvalidObject if status_code is missing or invalid."""
    body = body.removeprefix(BOM_UTF8)
    parts = members(unwrap(body).document if may_be_wrapped(body) else body)
    return Envelope(
        data=parts.get("data", msgspec.Raw()),
        status_code=_status_code(parts),
        status_message=_text(parts, "status_message"),
        timestamp=_timestamp(parts),
    )


def _status_code(parts: Members) -> int:
    try:
        return msgspec.convert(msgspec.json.decode(parts["status_code"]), int, strict=False)
    except (KeyError, msgspec.DecodeError):
        raise InvalidObject("not an OCPI envelope: status_code is missing or not an integer") from None


def _text(parts: Members, name: str) -> str | None:
    try:
        value = msgspec.json.decode(parts[name]) if name in parts else None
    except msgspec.DecodeError:  # a number too large for any type
        value = bytes(parts[name]).decode()
    return value if value is None or isinstance(value, str) else str(value)


def _timestamp(parts: Members) -> datetime:
    """Return the time of the response; the epoch if it is missing or unreadable: nothing depends on it."""
    try:
        stamped = decode(Envelope, b'{"status_code":0,"timestamp":' + bytes(parts["timestamp"]) + b"}")
    except (KeyError, InvalidObject, NotJson):
        return _EPOCH
    return stamped.timestamp
