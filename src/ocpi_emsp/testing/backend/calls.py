"""Calls to a mounted application: an ASGI callable, a WSGI callable, or what listens at a URL.

Rules of this module: an ASGI application gets its lifespan, in one event loop for all calls; what it raises is raised
here; nothing is followed and nothing retried.
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
    """The origin that requests are made for."""
    return app.rstrip("/") if isinstance(app, str) else _NO_HOST


@contextmanager
def calling(app: Any) -> Iterator[Call]:
    """A function that sends a request to the application and returns its answer, read to the end."""
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
