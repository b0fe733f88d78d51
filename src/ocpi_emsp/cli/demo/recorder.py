"""What our eMSP sends and receives: its HTTP clients, recorded, and its events.

Rules of this module: no header and no body is stored, and so no token.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define, field, frozen

from ocpi_emsp.events import Event
from ocpi_emsp.transports.library import http

E = TypeVar("E", bound=Event)

CALL_SECONDS = 5.0
"""Seconds in which a partner on this machine must answer."""


@frozen
class Answer:
    """A response that we received."""

    method: str
    path: str
    http_status: int
    status_code: int | None


@define
class Recorder:
    """Creates the HTTP clients of an eMSP, and records their requests."""

    sent: int = 0
    answers: list[Answer] = field(factory=list)

    def client(self) -> http.AsyncClient:
        """Return a client for calls on this machine: no proxy, no redirect."""
        return http.AsyncClient(
            timeout=CALL_SECONDS,
            follow_redirects=False,
            trust_env=False,
            event_hooks={"request": [self._on_request], "response": [self._on_response]},
        )

    def last(self, since: int, method: str | None = None, end: str = "") -> Answer | None:
        """Return the last response from ``since`` on, of this method, on a path with this end."""
        found = (
            answer
            for answer in reversed(self.answers[since:])
            if method in (None, answer.method) and answer.path.endswith(end)
        )
        return next(found, None)

    async def _on_request(self, _: http.Request) -> None:
        self.sent += 1

    async def _on_response(self, response: http.Response) -> None:
        body = await response.aread()
        request = response.request
        self.answers.append(Answer(request.method, request.url.path, response.status_code, _status_code(body)))


def _status_code(body: bytes) -> int | None:
    try:
        code = json.loads(body)["status_code"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return code if isinstance(code, int) else None


class Heard:
    """The events of our eMSP."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    async def __call__(self, event: Any) -> None:
        """Record an event; this is the listener."""
        self._events.append(event)

    def has(self, kind: type[E], matches: Callable[[E], bool]) -> bool:
        """Return True if an event of this kind that matches was received."""
        return any(isinstance(event, kind) and matches(event) for event in self._events)
