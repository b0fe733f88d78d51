"""Calls to a mounted application: an ASGI callable, a WSGI callable, or a server at a URL.

Rules of this module: an ASGI application gets its lifespan, in one event loop for all calls; its exceptions are raised
here; redirects are not followed and nothing is retried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from anyio.from_thread import start_blocking_portal

from ocpi_emsp.testing.applications import is_asgi, lifespan
from ocpi_emsp.transports.library import http

Call: TypeAlias = Callable[[http.Request], http.Response]

_SECONDS = 30.0
_NO_HOST = "http://backend.test"


def base_of(app: Any) -> str:
    """Return the origin that requests are made for."""
    return app.rstrip("/") if isinstance(app, str) else _NO_HOST


@contextmanager
def calling(app: Any) -> Iterator[Call]:
    """Yield a function that sends a request to the application and returns its complete response."""
    if isinstance(app, str):
        with http.Client(timeout=_SECONDS) as remote:
            yield remote.send
    elif is_asgi(app):
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(lifespan(app)):
            client = http.AsyncClient(transport=http.ASGITransport(app))
            with portal.wrap_async_context_manager(client):
                yield lambda request: portal.call(partial(client.send, request))
    else:
        with http.Client(transport=http.WSGITransport(app)) as wsgi:
            yield wsgi.send
