"""Requests from the simulated CPO to the eMSP.

Rules obeyed (OCPI 2.1.1, transport_and_format.md): every request carries `Authorization: Token ...`; URLs are looked
up in the eMSP's version details ("Interface endpoints"); a failed request is neither queued nor repeated
("Offline behaviour").
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urljoin

import httpx
from attrs import frozen

from ocpi_emsp.testing.cpo.registration import Registration, authorization
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import ABSENT, Absent, Document, Json, decode, encode

LOG_LENGTH: Final = 10_000
"""How many entries each log keeps, so that a simulator that runs for days stays small."""


class NotRegisteredError(Exception):
    """The call needs a completed handshake."""


class EndpointMissingError(Exception):
    """The eMSP's version details do not list the module."""


@frozen(kw_only=True)
class Exchange:
    """One HTTP request to the eMSP and its answer; never holds the Authorization header.

    `request_body` is what was given (None for no body); `body` is the answer's JSON, None if it was not JSON.
    """

    method: str
    url: str
    request_body: Json
    status: int
    headers: httpx.Headers
    body: Json
    text: str

    @property
    def status_code(self) -> int | None:
        """The OCPI status_code of the envelope; None if the answer is no envelope."""
        code = self.body.get("status_code") if isinstance(self.body, dict) else None
        return code if isinstance(code, int) else None

    @property
    def data(self) -> Json:
        """The `data` of the envelope; None if there is none."""
        return self.body.get("data") if isinstance(self.body, dict) else None

    @property
    def ok(self) -> bool:
        """Whether both HTTP and OCPI report success."""
        code = self.status_code
        return 200 <= self.status < 300 and code is not None and 1000 <= code < 2000

    def to_json(self) -> Document:
        """The exchange as a JSON object, for the control interface."""
        request_body = self.request_body
        return {
            "method": self.method,
            "url": self.url,
            "request_body": request_body.decode("utf-8", "replace")
            if isinstance(request_body, bytes)
            else request_body,
            "status": self.status,
            "status_code": self.status_code,
            "headers": dict(self.headers),
            "body": self.body,
            "text": self.text,
        }


def path_of(*segments: str) -> str:
    """A path of percent-encoded segments."""
    return "/".join(quote(segment, safe="") for segment in segments)


class Outgoing:
    """The HTTP client; opened at the first request, and again after `aclose`."""

    def __init__(self, settings: Settings, registration: Registration) -> None:
        self._settings = settings
        self._registration = registration
        self._client: httpx.AsyncClient | None = None
        self.log: deque[Exchange] = deque(maxlen=LOG_LENGTH)

    async def send(
        self,
        method: str,
        url: str,
        *,
        token: str,
        body: Json | Absent = ABSENT,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Sends one request; `bytes` as body are sent as they are. Raises `httpx.HTTPError` without an answer."""
        sent: dict[str, str] = {"authorization": authorization(token, self._settings)}
        if body is not ABSENT:
            sent["content-type"] = "application/json"
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        response = await self._open().request(
            method, url, content=_content(body), params=dict(query) if query else None, headers=sent
        )
        exchange = Exchange(
            method=method,
            url=str(response.request.url),
            request_body=None if body is ABSENT else body,
            status=response.status_code,
            headers=response.headers,
            body=_json_or_none(response),
            text=response.text,
        )
        self.log.append(exchange)
        return exchange

    async def call(
        self,
        method: str,
        module: str,
        path: str = "",
        *,
        body: Json | Absent = ABSENT,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Sends one request to a module of the eMSP; see `EmspCalls.call`."""
        url = self._url(module) if not path else f"{self._url(module).rstrip('/')}/{path.removeprefix('/')}"
        return await self.send(method, url, token=self.token(), body=body, query=query, headers=headers)

    def resolve(self, module: str, reference: str) -> str:
        """The absolute URL of a link that the eMSP returned, such as the Location of a CDR."""
        return urljoin(self._url(module), reference)

    def token(self) -> str:
        """The token for the eMSP. Raises `NotRegisteredError`."""
        if self._registration.client_token is None:
            raise NotRegisteredError("There is no registration with an eMSP")
        return self._registration.client_token

    async def aclose(self) -> None:
        """Closes the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _url(self, module: str) -> str:
        self.token()
        if module.startswith(("http://", "https://")):
            return module
        try:
            return self._registration.endpoints[module]
        except KeyError:
            raise EndpointMissingError(f"The eMSP's version details do not list {module!r}") from None

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            options: dict[str, Any] = {"timeout": self._settings.timeout, "trust_env": False}
            self._client = httpx.AsyncClient(transport=self._settings.transport, **options)
        return self._client


def _content(body: Json | Absent) -> bytes | None:
    if body is ABSENT:
        return None
    return body if isinstance(body, bytes) else encode(body)


def _json_or_none(response: httpx.Response) -> Json:
    try:
        return decode(response.content)
    except ValueError:
        return None
