"""A request and a response, in both directions.

Rules of this module: header names are lower case; bodies are bytes; a request's headers never show in a repr, since
one of them is the token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field


@define
class Request:
    """An HTTP request. ``url`` is absolute for what we send; for what we receive it is the raw path."""

    method: str
    url: str
    query: str = ""
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    most_bytes: int | None = field(default=None, repr=False)
    """Bytes of the answer to what we send, where it may have fewer than any answer."""
    most_seconds: float | None = field(default=None, repr=False)
    """Seconds for that answer, where it may take fewer than any answer."""
    peer: str = field(default="", repr=False)
    """The address that the connection came from, of a request that we receive; empty where there is none."""


@define
class Response:
    """An HTTP response."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = field(default=b"", repr=False)
    url: str = field(default="", repr=False)
    """Where it was answered, if a redirect led there; empty: at the URL of the request."""

    def header(self, name: str) -> str | None:
        """The value of the header with this lower-case name, or None."""
        return next((value for key, value in self.headers if key == name), None)

    def joined(self, name: str) -> str:
        """The values of all headers with this lower-case name, as one that is a list (RFC 9110 5.2)."""
        return ", ".join(value for key, value in self.headers if key == name)
