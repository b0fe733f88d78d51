"""Requests from the simulated CPO to the eMSP.

Rules obeyed (OCPI 2.1.1, transport_and_format.md): every request carries `Authorization: Token ...`; URLs are looked
up in the eMSP's version details ("Interface endpoints"); a failed request is neither queued nor repeated
("Offline behaviour").
"""

import gzip
from collections import deque
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urljoin

from attrs import frozen

from ocpi_emsp.testing.cpo.registration import Registration, authorization
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import ABSENT, BYTE_ORDER_MARK, Absent, Document, Json, decode_or_none, encode
from ocpi_emsp.transports.library import http, library_of

LOG_LENGTH: Final = 10_000
"""Entries that each log holds, so that a simulator that runs for days stays small."""


class NotRegisteredError(Exception):
    """The call needs a completed handshake."""


class EndpointMissingError(Exception):
    """The eMSP's version details do not list the module."""


@frozen(kw_only=True)
class Exchange:
    """One HTTP request to the eMSP and its response; never holds the Authorization header.

    `request_body` is the body as passed (None for no body); `body` is the response's JSON, None if it was not JSON.
    """

    method: str
    url: str
    request_body: Json
    status: int
    headers: http.Headers
    body: Json
    text: str

    @property
    def status_code(self) -> int | None:
        """The OCPI status_code of the envelope; None if the response is not an envelope."""
        code = self.body.get("status_code") if isinstance(self.body, dict) else None
        return code if isinstance(code, int) else None

    @property
    def data(self) -> Json:
        """The `data` of the envelope; None if there is none."""
        return self.body.get("data") if isinstance(self.body, dict) else None

    @property
    def ok(self) -> bool:
        """True if both HTTP and OCPI report success."""
        code = self.status_code
        return 200 <= self.status < 300 and code is not None and 1000 <= code < 2000

    def to_json(self) -> Document:
        """Return the exchange as a JSON object, for the control interface."""
        sent = self.request_body
        return self.summary() | {
            "request_body": sent.decode("utf-8", "replace") if isinstance(sent, bytes) else sent,
            "headers": dict(self.headers),
            "body": self.body,
            "text": self.text,
        }

    def summary(self) -> Document:
        """Return the request and both statuses of its response."""
        return {"method": self.method, "url": self.url, "status": self.status, "status_code": self.status_code}


def path_of(*segments: str) -> str:
    """Return a path of percent-encoded segments."""
    return "/".join(quote(segment, safe="") for segment in segments)


class Outgoing:
    """The HTTP client; opened at the first request, and again after `aclose`."""

    def __init__(self, settings: Settings, registration: Registration) -> None:
        self._settings = settings
        self._registration = registration
        self._client: http.AsyncClient | None = None
        self.log: deque[Exchange] = deque(maxlen=LOG_LENGTH)

    async def send(
        self,
        method: str,
        url: str,
        *,
        token: str | None = None,
        body: Json | Absent = ABSENT,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Send one request, with the token of the registration unless another is given.

        A body of `bytes` is sent as it is. Raises `NotRegisteredError` without a token and `HTTPError` of the HTTP
        library without a response.
        """
        sent = {"authorization": authorization(token or self.token(), self._settings)}
        if body is not ABSENT:
            sent["content-type"] = "application/json"
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        content = None if body is ABSENT else self._content(body)
        if content is not None and self._settings.compressed_requests:
            sent["content-encoding"], content = "gzip", gzip.compress(content)
        response = await self._open().request(
            method, url, content=content, params=dict(query) if query else None, headers=sent
        )
        exchange = Exchange(
            method=method,
            url=str(response.request.url),
            request_body=None if body is ABSENT else body,
            status=response.status_code,
            headers=response.headers,
            body=decode_or_none(response.content),
            text=response.text,
        )
        self.log.append(exchange)
        return exchange

    def _content(self, body: Json) -> bytes:
        if isinstance(body, bytes):
            return body
        return (BYTE_ORDER_MARK if self._settings.byte_order_mark else b"") + encode(body)

    def resolve(self, module: str, reference: str) -> str:
        """Return the absolute URL of a link that the eMSP returned, such as the Location of a CDR."""
        return urljoin(self.url(module), reference)

    def token(self) -> str:
        """Return the token for the eMSP. Raises `NotRegisteredError`."""
        if self._registration.client_token is None:
            raise NotRegisteredError("There is no registration with an eMSP")
        return self._registration.client_token

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def url(self, module: str, path: str = "") -> str:
        """Return the URL of a path below a module of the eMSP. Raises `NotRegisteredError` or
        `EndpointMissingError`.
        """
        self.token()
        if module.startswith(("http://", "https://")):
            url = module
        elif module in self._registration.endpoints:
            url = self._registration.endpoints[module]
        else:
            raise EndpointMissingError(f"The eMSP's version details do not list '{module}'")
        if not path:
            return url
        match self._settings.url_joining:
            case "concatenated":
                return f"{url}/{path}"
            case "joined":
                return urljoin(url, path)
        return f"{url.rstrip('/')}/{path.removeprefix('/')}"

    def _open(self) -> http.AsyncClient:
        if self._client is None:
            settings = self._settings
            library = http if settings.transport is None else library_of(settings.transport)
            self._client = library.AsyncClient(transport=settings.transport, timeout=settings.timeout, trust_env=False)
        return self._client
