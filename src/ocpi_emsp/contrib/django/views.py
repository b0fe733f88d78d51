"""Views that pass a request to the eMSP, for ``include()``.

Rules of this module: Django's middleware sees these requests like any other; what must not apply to a partner's request
(CSRF, login, a transaction around the view) is switched off where the view is included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from ocpi_emsp.contrib.django.emsp import get_emsp

View = TypeVar("View", bound=Callable[..., Any])
_CHUNK = 65_536


def for_partners(view: View) -> View:
    """Return the view without Django's protections that must not apply to a partner's request, for every database."""
    view.login_required = False  # type: ignore[attr-defined] # of LoginRequiredMiddleware, from Django 5.1 on
    for alias in connections:
        transaction.non_atomic_requests(alias)(view)
    exempt: View = csrf_exempt(view)
    return exempt


def serve(request: HttpRequest) -> HttpResponse:
    """Answer a partner, under WSGI or ASGI."""
    answer = _Answer()
    body = b"".join(get_emsp().wsgi()(_environ(request), answer.start))
    return HttpResponse(answer.written + body, status=answer.status, headers=answer.headers)


async def serve_async(request: HttpRequest) -> HttpResponse:
    """Answer a partner, under ASGI."""
    scope = getattr(request, "scope", None)
    if scope is None:
        raise ImproperlyConfigured(
            "ocpi_emsp.contrib.django.async_urls needs an ASGI server: include ocpi_emsp.contrib.django.urls under WSGI"
        )
    status, headers, body = 500, list[tuple[str, str]](), bytearray()

    async def receive() -> dict[str, Any]:
        part = request.read(_CHUNK)  # Django has read the whole body already
        return {"type": "http.request", "body": part, "more_body": bool(part)}

    async def send(message: Any) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        else:
            body.extend(message.get("body", b""))

    query = str(request.META.get("QUERY_STRING", "")).encode()  # Django's test client has text in the scope
    await get_emsp().asgi(background=False)({**scope, "query_string": query}, receive, send)
    return HttpResponse(bytes(body), status=status, headers=dict(headers))


class _Answer:
    """The status and headers of a WSGI application's response."""

    status = 500
    headers: dict[str, str]
    written = b""

    def start(self, status: str, headers: list[tuple[str, str]], _: object = None, /) -> Callable[[bytes], object]:
        self.status = int(status.partition(" ")[0])
        self.headers = dict(headers)
        return self.write

    def write(self, part: bytes) -> None:
        self.written += part


def _environ(request: HttpRequest) -> dict[str, Any]:
    """Return the request in the form of PEP 3333, whichever server it came from."""
    environ = dict(request.META)
    scope = getattr(request, "scope", None)
    if scope is not None:
        raw = scope.get("raw_path") or quote(request.path).encode()
        environ |= {"REQUEST_URI": raw.decode("latin-1"), "wsgi.input_terminated": True}
    elif not any(str(environ.get(each, "")).startswith("/") for each in ("RAW_URI", "REQUEST_URI")):
        environ["REQUEST_URI"] = quote(request.path)
    environ["SCRIPT_NAME"] = str(environ.get("SCRIPT_NAME", "")).encode().decode("latin-1")  # Django decodes it
    if scope is not None or request._read_started:  # otherwise the stream of the server itself, which may be in chunks
        environ["wsgi.input"] = request
    return environ
