"""Lists that fail: the responses of broken servers, proxies and networks.

Rules of this module: only lists fail, single objects do not; the requests of each list are counted to decide which fail
(`failure_after`, `failure_every`, `failure_times`), so a test sees the same every time.

`list_failure` is one of:

- "html": a proxy's HTTP 502 with a page of HTML; "framework": a web framework's HTTP 422, JSON without an envelope
- "server-error": HTTP 500 with status_code 3000
- "ocpi-2001", "ocpi-3000": HTTP 200 with that status_code
- "busy": HTTP 503; "rate-limited": HTTP 429 for each request of all lists beyond `requests_per_second`
- "token-rotated": the token that asked is answered with HTTP 401 from now on, until a handshake brings another
- "not-json": a page that ends in the middle of its JSON
- "reset": the connection is closed in the middle of a page
- "huge-page": a valid page of `huge_page_bytes`, each object with a vendor field that pads it; no Content-Length
- "endless-body": a page that goes on with blanks as fast as they are read; "slow-body": with a blank now and then
- "redirect-loop": HTTP 302 to itself; "redirect-foreign": HTTP 302 to another origin

"reset", "endless-body" and "slow-body" need a server: the ASGITransport of httpx2 and httpx reads a body to its end.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from itertools import repeat
from typing import Final

import msgspec
from attrs import evolve

from ocpi_emsp.testing.cpo.registration import Registration
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import JSON_TYPE, Answer, Request, RequestError

FRAMEWORK: Final = b'{"detail":[{"type":"missing","loc":["query","date_from"],"msg":"Field required","input":null}]}'
HTML: Final = b"<html><body>Bad Gateway</body></html>"
_BLANKS: Final = b" " * 65_536


class Failures:
    """Makes lists fail; counts their requests."""

    def __init__(self, settings: Settings, registration: Registration) -> None:
        self._settings = settings
        self._registration = registration
        self.clear()

    def clear(self) -> None:
        """Restart counting, and accept the rotated token again."""
        self._asked = Counter[str]()
        self._failed = Counter[str]()
        self._times = deque[float]()
        self._rotated: str | None = None

    def check_token(self, token: str) -> None:
        """Raise `RequestError` (401) for the token that was rotated away."""
        if token == self._rotated:
            raise RequestError(401, 2000, "The token is unknown")

    def answer(self, module: str, request: Request, page: Callable[[], Answer]) -> Answer:
        """Return the response to the GET of a list: the page, or its failure. Raises `RequestError`."""
        failure = self._settings.list_failure
        if failure is None or module not in self._settings.failing_modules or not self._strikes(failure, module):
            return page()
        match failure:
            case "html":
                return Answer(status=502, body=HTML, headers={"content-type": "text/html"})
            case "framework":
                return Answer(status=422, body=FRAMEWORK, headers=JSON_TYPE)
            case "redirect-loop" | "redirect-foreign":
                return self._redirect(failure, request)
            case "not-json":
                whole = _complete(page())
                return evolve(whole, body=whole.body[: len(whole.body) // 2])
            case "reset":
                return evolve(_complete(page()), cut=True)
            case "huge-page":
                return _padded(_complete(page()), self._settings.huge_page_bytes)
            case "endless-body":
                return evolve(_begun(page()), rest=repeat(_BLANKS))
            case "slow-body":
                return evolve(_begun(page()), rest=repeat(b" "), pause=self._settings.drip_seconds)
        raise self._refusal(failure)

    def _strikes(self, failure: str, module: str) -> bool:
        self._asked[module] += 1
        if failure == "rate-limited":
            return self._is_too_fast()
        if failure == "token-rotated":
            return self._rotates()
        settings, beyond = self._settings, self._asked[module] - self._settings.failure_after
        if beyond <= 0 or (beyond - 1) % settings.failure_every:
            return False
        if settings.failure_times is not None and self._failed[module] >= settings.failure_times:
            return False
        self._failed[module] += 1
        return True

    def _is_too_fast(self) -> bool:
        """Return True if too many requests were answered within the last second."""
        now = self._settings.monotonic()
        while self._times and now - self._times[0] >= 1:
            self._times.popleft()
        if len(self._times) >= self._settings.requests_per_second:
            return True
        self._times.append(now)
        return False

    def _rotates(self) -> bool:
        """Rotate once; after that the old token is rejected."""
        if self._rotated is not None or self._asked.total() <= self._settings.failure_after:
            return False
        self._rotated = self._registration.server_token
        return True

    def _redirect(self, failure: str, request: Request) -> Answer:
        origin = self._settings.url if failure == "redirect-loop" else self._settings.foreign_origin
        query = f"?{request.query_string}" if request.query_string else ""
        headers = {"location": f"{origin.rstrip('/')}{request.path}{query}"}
        return Answer(status=302, body=b"", headers=headers)

    def _refusal(self, failure: str) -> RequestError:
        status, status_code, message = {
            "server-error": (500, 3000, "Something went wrong"),
            "ocpi-2001": (200, 2001, "Invalid or missing parameters"),
            "ocpi-3000": (200, 3000, "Generic server error"),
            "busy": (503, 3000, "Busy"),
            "rate-limited": (429, 2000, "Too many requests"),
            "token-rotated": (401, 2000, "The token is unknown"),
        }[failure]
        return RequestError(status, status_code, message, self._retry_after())

    def _retry_after(self) -> dict[str, str]:
        """Return the header of RFC 9110, 10.2.3: seconds, or an HTTP date."""
        seconds = self._settings.retry_after
        if seconds is None:
            return {}
        if self._settings.retry_after_as_date:
            return {"retry-after": format_datetime(self._settings.true_time + timedelta(seconds=seconds), usegmt=True)}
        return {"retry-after": str(seconds)}


def _complete(page: Answer) -> Answer:
    """Return a page with all its bytes in `body`."""
    return evolve(page, body=page.body + b"".join(page.rest or ()), rest=None)


def _begun(page: Answer) -> Answer:
    """Return a page that only lacks its last brace."""
    whole = _complete(page)
    return evolve(whole, body=whole.body[:-1])


def _padded(page: Answer, size: int) -> Answer:
    """Return a page whose objects have an additional vendor field, so that it has at least `size` bytes."""
    objects = msgspec.json.decode(page.body, type=dict[str, msgspec.Raw])
    documents = msgspec.json.decode(objects.pop("data", b"[]"), type=list[msgspec.Raw])
    padding = max(0, size - len(page.body)) // max(1, len(documents))
    tail = b"]," + msgspec.json.encode(objects)[1:]
    return evolve(page, body=b'{"data":[', rest=_padded_pieces(documents, padding, tail))


def _padded_pieces(documents: list[msgspec.Raw], padding: int, tail: bytes) -> Iterator[bytes]:
    separator = b""
    for document in documents:
        yield separator + bytes(document)[:-1] + b',"x_padding":"'
        for start in range(0, padding, len(_BLANKS)):
            yield _BLANKS[: padding - start]
        yield b'"}'
        separator = b","
    yield tail
