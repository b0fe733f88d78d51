"""A request and a response, in both directions.

Rules of this module: header names are lower case; bodies are bytes; a request's headers never appear in a repr, since
one of them is the token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field


@define
class Request:
    """An HTTP request. ``url`` is absolute if we send it; if we receive it, it is the raw path."""

    method: str
    url: str
    query: str = ""
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    most_bytes: int | None = field(default=None, repr=False)
    """Most bytes of the response to a sent request, if lower than the general limit."""
    most_seconds: float | None = field(default=None, repr=False)
    """Most seconds for that response, if lower than the general limit."""
    peer: str = field(default="", repr=False)
    """The address of the peer of a received request; empty if there is none."""


@define
class Response:
    """An HTTP response."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = field(default=b"", repr=False)
    url: str = field(default="", repr=False)
    """The URL that answered, after redirects; empty: the URL of the request."""

    def header(self, name: str) -> str | None:
        """Return the value of the header with this lower-case name, or None."""
        return next((value for key, value in self.headers if key == name), None)

    def joined(self, name: str) -> str:
        """Return the values of all headers with this lower-case name, joined as a list (RFC 9110 5.2)."""
        return ", ".join(value for key, value in self.headers if key == name)
