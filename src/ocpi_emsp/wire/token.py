"""The Authorization header.

Rules of this module (transport_and_format.md, security; docs/spec-choices.md row 1):
- the form is ``Token <token>``, the scheme in any case; 2.1.1 sends the token raw, partners with 2.2 habits in base64;
- white space around a token is not part of it, nor is a line break at the end of the encoded text;
- an empty token, or one that a header cannot hold, is rejected, as are two headers: it is unknown which of them a proxy
  in front has checked;
- both readings are looked up exactly, and never guessed from the form; we send the token raw unless a party's profile
  says base64.
"""

from __future__ import annotations

import base64
import re

from ocpi_emsp.errors import AnswerUnusable, NotAuthenticated

_SECOND = re.compile(r",\s*[A-Za-z]+\s")
"""Start of a second header of the same name: servers and adapters join them with a comma (RFC 9110 5.2)."""
_UNSENDABLE = re.compile(r"[^\t\x20-\x7e]")
"""Characters that a header cannot hold (RFC 9110 5.5)."""


def presented_token(header: str | None) -> str:
    """Return the token of the header, unchanged. Raises NotAuthenticated."""
    if header is None:
        raise NotAuthenticated("the Authorization header is missing")
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "token" or not token:
        raise NotAuthenticated("the Authorization header must be: Token <token>")
    if "," in token and _SECOND.search(token):
        raise NotAuthenticated("there is more than one Authorization header: send one")
    return token


def from_base64(token: str) -> str | None:
    """Return the decoded token, or None if it is not base64; a trailing line break comes from ``echo`` and is
    removed.
    """
    try:
        return base64.b64decode(token, validate=True).decode("ascii").strip()
    except ValueError:
        return None


def to_base64(token: str) -> str:
    """Return the token as partners with 2.2 habits send it."""
    return base64.b64encode(token.encode("utf-8", "surrogateescape")).decode()


def authorization(token: str, *, as_base64: bool = False) -> str:
    """Return the header's value for a token that we present, without white space around it. Raises AnswerUnusable."""
    token = token.strip()
    if not token:
        raise AnswerUnusable("the partner's token is empty: it has to give one")
    if as_base64:
        return "Token " + to_base64(token)
    bad = _UNSENDABLE.search(token)
    if bad is not None:
        other = "a control character" if bad[0].isascii() else "a letter beyond ASCII"
        what = "a line break" if bad[0] in "\r\n" else other
        raise AnswerUnusable(
            f"the partner's token has {what} as character {bad.start() + 1}, which cannot be sent in a header: "
            "it has to give another one, or to read base64 (base64_token)"
        )
    return f"Token {token}"
