"""Bounded connections over h11, which is pure Python: the parser bounds a head and the framing of a body."""

from __future__ import annotations

from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ocpi_emsp.cli.connections import Bounded, Config, ConnectionLimits


class _Connection(h11.Connection):
    """Bounds a request's head, and what is sent between the chunks of its body."""

    def __init__(self, limits: ConnectionLimits) -> None:
        super().__init__(h11.SERVER, limits.head_bytes)
        self._limits = limits
        self._sent = 0
        """Bytes since the request before, or since this one's head, with those that are not looked at yet."""
        self._body = 0

    def receive_data(self, data: bytes) -> None:
        """Receive data that was read."""
        self._sent += len(data)
        super().receive_data(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Parse the next event. Raises RemoteProtocolError also beyond a limit."""
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._body += len(event.data)
        elif isinstance(event, h11.Request):
            head = self._begin()
            if head > self._limits.head_bytes:
                raise h11.RemoteProtocolError(f"the head has {head} bytes", error_status_hint=431)
        elif isinstance(event, h11.EndOfMessage):
            self._begin()
        elif self.their_state is h11.SEND_BODY and self._sent - 2 * self._body > self._limits.framing_bytes:
            raise h11.RemoteProtocolError(f"{self._sent} bytes were sent for {self._body} bytes of a body")
        return event

    def _begin(self) -> int:
        """Restart counting here; return what was sent before."""
        left = len(self.trailing_data[0])
        before, self._sent, self._body = self._sent - left, left, 0
        return before


class H11Bounded(Bounded, H11Protocol):
    """A bounded connection over h11."""

    def __init__(self, config: Config, *given: Any, **named: Any) -> None:
        super().__init__(config, *given, **named)
        self.conn = _Connection(config.limits)

    def _may_refuse(self) -> bool:
        return self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
