"""JSON documents, the response envelope and the ASGI messages of the simulated CPO.

Rules obeyed (OCPI 2.1.1):

- every answer is an object with `data`, `status_code`, `status_message` and `timestamp`
  (transport_and_format.md, "Response format"); an error carries no `data`;
- numbers are JSON numbers (types.md 1.4); they are kept as `Decimal`, so no digit is lost on the way;
- timestamps are UTC, and one without a zone means UTC (types.md 1.2);
- a body that is not JSON is answered with HTTP 400, an unknown resource with HTTP 404 (status_codes.md).
"""

import enum
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, quote, unquote

import msgspec
from attrs import frozen

Json: TypeAlias = Any
"""Any JSON value; a number with a fraction or an exponent is a `Decimal`."""
Document: TypeAlias = dict[str, Any]
"""A JSON object."""

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class Absent(enum.Enum):
    """The type of `ABSENT`: "no value", where None would mean JSON `null`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def encode(value: Json) -> bytes:
    """JSON text of `value`; a `Decimal` becomes a JSON number with all its digits."""
    return _encoder.encode(value)


def decode(text: bytes | str) -> Json:
    """The value of a JSON text, decimals exact. Raises `ValueError` if it is not JSON."""
    return _decoder.decode(text)


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """An OCPI DateTime: UTC, whole seconds, `YYYY-MM-DDTHH:MM:SSZ` (types.md 1.2)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """The moment that an OCPI DateTime names. Raises `ValueError` if the text is none."""
    if "T" not in text:
        raise ValueError(f"{text!r} is not a DateTime")
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def merge(document: Document, changes: Document) -> Document:
    """`document` with the fields of `changes`; a `null` takes the field away."""
    return {name: value for name, value in {**document, **changes}.items() if value is not None}


class RequestError(Exception):
    """A request that is refused; carries the answer's HTTP status, OCPI status_code and headers."""

    def __init__(self, status: int, status_code: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.status_code = status_code
        self.headers = dict(headers or {})


@frozen(kw_only=True)
class Request:
    """An HTTP request as received: `segments` are the decoded parts of the path below the mount point."""

    method: str
    path: str
    segments: tuple[str, ...]
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    client: str | None

    @property
    def query(self) -> dict[str, str]:
        """The query parameters, in the order of the URL."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    def json(self) -> Json:
        """The body's JSON value. Raises `RequestError` (400, 2000) if it is not JSON."""
        try:
            return decode(self.body)
        except ValueError as error:
            raise RequestError(400, 2000, f"The body is invalid JSON: {error}") from error


@frozen(kw_only=True)
class Response:
    """An HTTP response to send; `status_code` is OCPI's, None where the answer is no envelope.

    What follows the `body` may come piece by piece from `rest`, `pause` seconds after each other. If it is `cut`, the
    connection is closed in the middle of the body.
    """

    status: int
    body: bytes
    headers: dict[str, str]
    status_code: int | None = None
    rest: Iterator[bytes] | None = None
    pause: float = 0.0
    cut: bool = False


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
"""Answers one method of one resource; may raise `RequestError`."""


def answer(
    data: Json | Absent = ABSENT,
    *,
    status: int = 200,
    status_code: int = 1000,
    message: str = "Success",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An OCPI envelope; without `data` unless it is given."""
    envelope: Document = {} if data is ABSENT else {"data": data}
    envelope |= {"status_code": status_code, "status_message": message, "timestamp": timestamp(utc_now())}
    return Response(
        status=status,
        body=encode(envelope),
        headers={"content-type": "application/json", **(headers or {})},
        status_code=status_code,
    )


def refusal(error: RequestError) -> Response:
    """The envelope that answers a refused request."""
    return answer(status=error.status, status_code=error.status_code, message=str(error), headers=error.headers)


def plain_json(value: Json, status: int = 200) -> Response:
    """JSON without an envelope, for the control interface, which is not OCPI."""
    return Response(status=status, body=encode(value), headers={"content-type": "application/json"})


async def read_request(scope: Scope, receive: Receive) -> Request:
    """The request of an ASGI `http` scope, its body read completely."""
    path: str = _raw_path(scope).split(b"?")[0].decode("ascii", "replace")
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=path,
        segments=_segments(path),
        query_string=scope["query_string"].decode("ascii", "replace"),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        body=await _read_body(receive),
        client=client[0] if client else None,
    )


def _raw_path(scope: Scope) -> bytes:
    """The path as sent; a server may leave `raw_path` out and give the decoded path only."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw


def _segments(path: str) -> tuple[str, ...]:
    """The decoded segments of a path; one trailing slash makes no difference."""
    return tuple(unquote(segment) for segment in path.removeprefix("/").removesuffix("/").split("/"))


async def _read_body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)
