"""Requests from partners, in both modes.

Rules of this module: it imports all flows that serve, so it is only imported when an application is created
(:meth:`ocpi_emsp.Emsp.asgi`, ``wsgi``), or by the first request that is given to ``handle``.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from ocpi_emsp._bridge import run
from ocpi_emsp.flows.serving.dispatch import dispatch
from ocpi_emsp.ports import ReadBody
from ocpi_emsp.resources.contexts import Contexts
from ocpi_emsp.wire import Request, Response


class Handle(Protocol):
    """Answers a request."""

    def __call__(self, request: Request, read: ReadBody | None = None) -> Response: ...


class AioHandle(Protocol):
    """Answers a request, awaited."""

    def __call__(self, request: Request, read: ReadBody | None = None) -> Awaitable[Response]: ...


def answering(contexts: Contexts) -> Handle:
    """Return a function that answers in the caller's thread; with ``read``, it reads a request's body later."""

    def answer(request: Request, read: ReadBody | None = None) -> Response:
        return run(dispatch(contexts(), request, read))  # without a step between: every request goes through here

    return answer


def aio_answering(contexts: Contexts) -> AioHandle:
    """Return a function that answers in the caller's task; see :func:`answering`."""
    from ocpi_emsp._pieces import driven

    async def answer(request: Request, read: ReadBody | None = None) -> Response:
        return await driven(dispatch(contexts(), request, read), briefly=True)

    return answer
