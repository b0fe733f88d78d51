"""JSON documents, requests and the response envelope of the simulated CPO.

Rules obeyed (OCPI 2.1.1):

- every answer is an object with `data`, `status_code`, `status_message` and `timestamp`
  (transport_and_format.md, "Response format"); an error carries no `data`;
- numbers are JSON numbers (types.md 1.4); they are read as `Decimal`, so no digit is lost;
- timestamps are UTC, and one without a zone means UTC (types.md 1.2);
- a body that is not JSON is answered with HTTP 400, an unknown resource with HTTP 404 (status_codes.md).
"""

import enum
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import msgspec
import starlette.requests
from attrs import frozen

Json: TypeAlias = Any
"""Any JSON value; a number with a fraction or an exponent is a `Decimal`."""
Document: TypeAlias = dict[str, Any]
"""A JSON object."""


class Absent(enum.Enum):
    """The type of `ABSENT`: "no value", where None would mean JSON `null`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
JSON_TYPE: Final = {"content-type": "application/json"}

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def encode(value: Json) -> bytes:
    """Return the JSON text of `value`; a `Decimal` becomes a JSON number with all its digits."""
    return _encoder.encode(value)


def decode(text: bytes | str) -> Json:
    """Return the value of a JSON text, decimals exact. Raises `ValueError` if it is not JSON."""
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError as error:  # no ValueError in msgspec 0.20
        raise ValueError(str(error)) from error


def decode_or_none(text: bytes) -> Json:
    """Return the value of a JSON text, None if it is not JSON."""
    try:
        return decode(text)
    except ValueError:
        return None


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Return an OCPI DateTime: UTC, whole seconds, `YYYY-MM-DDTHH:MM:SSZ` (types.md 1.2)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """Return the moment of an OCPI DateTime. Raises `ValueError` if the text is not one."""
    if "T" not in text:
        raise ValueError(f"invalid DateTime '{text}': expected ISO 8601, for example 2024-01-01T00:00:00Z")
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def merge(document: Document, changes: Document) -> Document:
    """Return `document` with the fields of `changes`; a `null` removes the field."""
    return {name: value for name, value in {**document, **changes}.items() if value is not None}


class RequestError(Exception):
    """A rejected request; carries the response's HTTP status, OCPI status_code and headers."""

    def __init__(self, status: int, status_code: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.status_code = status_code
        self.headers = dict(headers or {})


class Request(starlette.requests.Request):
    """A request with an exact path: as sent, and its parameters decoded after the path was split."""

    @property
    def path(self) -> str:
        """The path as sent, percent-encoded."""
        raw: bytes = self.scope["raw_path"]
        return raw.decode("ascii", "replace")

    @property
    def query_string(self) -> str:
        """The query as sent, percent-encoded."""
        return self.url.query

    @property
    def ids(self) -> tuple[str, ...]:
        """The parameters of the path, decoded."""
        return tuple(unquote(each) for each in self.path_params.values())

    async def document(self) -> Json:
        """Return the body's JSON value, decimals exact. Raises `RequestError` (400, 2000) if it is not JSON."""
        try:
            return decode(await self.body())
        except ValueError as error:
            raise RequestError(400, 2000, f"The body is invalid JSON: {error}") from error


@frozen(kw_only=True)
class Answer:
    """An HTTP response to send; `status_code` is OCPI's, None if the response is not an envelope.

    Pieces of `rest` follow the `body`, `pause` seconds apart. If the answer is `cut`, the connection is closed in the
    middle of the body.
    """

    status: int
    body: bytes
    headers: dict[str, str]
    status_code: int | None = None
    rest: Iterator[bytes] | None = None
    pause: float = 0.0
    cut: bool = False


Handler: TypeAlias = Callable[[Request], Awaitable[Answer]]
"""Answers one method of one resource; may raise `RequestError`."""


def answer(
    now: datetime,
    data: Json | Absent = ABSENT,
    *,
    status: int = 200,
    status_code: int = 1000,
    message: str = "Success",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return an OCPI envelope; without `data` unless it is given."""
    envelope: Document = {} if data is ABSENT else {"data": data}
    envelope |= {"status_code": status_code, "status_message": message, "timestamp": timestamp(now)}
    return Answer(
        status=status, body=encode(envelope), headers={**JSON_TYPE, **(headers or {})}, status_code=status_code
    )


def refusal(now: datetime, error: RequestError) -> Answer:
    """Return the envelope that answers a rejected request."""
    return answer(now, status=error.status, status_code=error.status_code, message=str(error), headers=error.headers)


def plain_json(value: Json, status: int = 200) -> Answer:
    """Return JSON without an envelope, for the control interface, which is not OCPI, and for framework errors."""
    return Answer(status=status, body=encode(value), headers=JSON_TYPE)
