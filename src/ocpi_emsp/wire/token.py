"""The Authorization header.

Rules of this module (transport_and_format.md, security; docs/spec-choices.md row 1):
- ``Token <token>``, the scheme in any case; 2.1.1 sends the token raw, partners with 2.2 habits send it in base64;
- both readings are looked up exactly, none is guessed from the shape; we send raw unless a party's profile says base64.
"""

from __future__ import annotations

import base64

from ocpi_emsp.errors import NotAuthenticated


def presented_token(header: str | None) -> str:
    """The token of the header as it stands. Raises NotAuthenticated."""
    if header is None:
        raise NotAuthenticated("the Authorization header is missing")
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "token" or not token:
        raise NotAuthenticated("the Authorization header must be: Token <token>")
    return token


def from_base64(token: str) -> str | None:
    """Return the decoded token, or None if it is not base64."""
    try:
        return base64.b64decode(token, validate=True).decode("ascii")
    except ValueError:
        return None


def authorization(token: str, *, as_base64: bool = False) -> str:
    """The header's value for a token that we present."""
    return "Token " + (base64.b64encode(token.encode()).decode() if as_base64 else token)
