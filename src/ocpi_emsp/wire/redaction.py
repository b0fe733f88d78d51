"""Which parts of a received request may be stored, listed and exported.

Rules of this module (docs/explanation/security.md, docs/spec-choices.md):
- only listed headers are stored, since any other may be a secret: Cookie, Proxy-Authorization, X-Api-Key;
- a query retains the values of OCPI parameters if they have the expected form, or are short;
- in a body the text of a member "token" is hidden, as in credentials that were sent in place of another object;
  everything else stays as received;
- a secret is also found in encoded form: percent-encoded, or with JSON escapes of some or all letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

HIDDEN: Final = "***"
_STORED_HEADERS: Final = frozenset({"content-type", "user-agent", "x-request-id", "x-correlation-id"})
_ENCODED: Final = 3
"""How often a path may be percent-encoded."""
_STORED_PREFIX: Final = "ocpi-"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")
_NUMBER: Final = re.compile(r"[0-9]{0,20}")
_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)? ?(?:[Zz]|[+ -][0-9]{2}:?[0-9]{2})?)?"
)
_TYPE: Final = re.compile(r"[A-Za-z_]{0,12}")
_KNOWN: Final = {"date_from": _DATE, "date_to": _DATE, "offset": _NUMBER, "limit": _NUMBER, "type": _TYPE}
"""The parameters of OCPI, with the form of their values."""
_SHORT: Final = 10
"""Characters of a value too short to be a secret: ``limit=-1`` and ``date_from=yesterday`` show the mistake."""


def stored_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """Return the headers that may be stored, without ``secrets`` in their values."""
    named = ((name.lower(), value) for name, value in headers.items())
    return {name: without(value, secrets) for name, value in named if _may_be_stored(name)}


def _may_be_stored(name: str) -> bool:
    return name in _STORED_HEADERS or name.startswith(_STORED_PREFIX)


def stored_query(query: str, secrets: Iterable[str] = ()) -> str:
    """Return the query without the values of parameters unknown to OCPI, and without ``secrets``."""
    return without("&".join(map(_parameter, query.split("&"))), secrets) if query else query


def _parameter(text: str) -> str:
    """Return one parameter; an unknown one retains its name if it is followed by a value."""
    name, _, value = text.partition("=")
    if name in _KNOWN and (len(value) <= _SHORT or _KNOWN[name].fullmatch(unquote_plus(value))):
        return text
    is_name = name in _KNOWN or (bool(value.strip("=")) and _NAME.fullmatch(name) is not None)
    return f"{name}={HIDDEN}" if is_name else HIDDEN


def stored_body(body: bytes, secrets: Iterable[str] = ()) -> bytes:
    """Return the body as received, without ``secrets`` and the text of a member "token"."""
    for secret in filter(None, secrets):
        raw = secret.encode("utf-8", "surrogateescape")
        if b"\\" in body or b"%" in body:
            body = _spellings(raw.decode("latin-1")).sub(HIDDEN, body.decode("latin-1")).encode("latin-1")
        else:
            body = body.replace(raw, HIDDEN.encode())
    return _TOKEN.sub(rb'\1"***"', body)


def redacted(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a stored rejection from an earlier version, without their secrets."""
    clean = dict[str, Any]()
    if "headers" in details:
        clean["headers"] = stored_headers(details["headers"])
    if "query" in details:
        clean["query"] = stored_query(details["query"])
    return clean


def without(text: str, secrets: Iterable[str]) -> str:
    """Return a text without these secrets."""
    encoded = "%" in text or "\\" in text
    for secret in filter(None, secrets):
        text = _spellings(secret).sub(HIDDEN, text) if encoded else text.replace(secret, HIDDEN)
    return text


def path_without(path: str, secrets: Iterable[str]) -> str:
    """Return a path without these secrets, in any percent-encoding; the cost stays low for a long path from a
    stranger.
    """
    secrets = [each for each in secrets if each]
    for secret in secrets:
        path = path.replace(secret, HIDDEN)
    if "%" not in path:
        return path
    found = "/".join(HIDDEN if _holds(each, secrets) else each for each in path.split("/"))
    return HIDDEN if _holds(found, secrets) else found


def _holds(text: str, secrets: Iterable[str]) -> bool:
    for _ in range(_ENCODED):
        text = unquote(text, errors="surrogateescape")
    return any(secret in text for secret in secrets)


@lru_cache(maxsize=64)
def _spellings(secret: str) -> re.Pattern[str]:
    """Return a pattern that finds a secret, each letter plain, percent-encoded (up to three times), or escaped as in
    JSON.
    """
    return re.compile("".join(map(_letter, secret)))


def _letter(letter: str) -> str:
    coded = letter.encode("utf-8", "surrogateescape").hex()
    percent = "".join(
        f"%(?:25){{0,2}}{_digit(high)}{_digit(low)}" for high, low in zip(coded[::2], coded[1::2], strict=True)
    )
    escaped = rf"\\{{1,4}}u(?i:{ord(letter):04x})"
    plain = rf"\\{{0,4}}{re.escape(letter)}" if letter in '"/' else re.escape(letter)
    return f"(?:{plain}|{percent}|{escaped})"


def _digit(digit: str) -> str:
    """Return a pattern for one digit of a percent-encoded byte, which may be percent-encoded itself."""
    both = {digit, digit.upper()}
    again = "|".join(sorted(f"{ord(each):02x}" for each in both))
    return f"(?:[{''.join(sorted(both))}]|%(?:25){{0,2}}(?:{again}))"


_TOKEN: Final = re.compile(
    rf'''("{"".join(map(_letter, "token"))}"\s*:\s*)"(?:[^"\\]|\\.)*(?:"|\Z)'''.encode(), re.DOTALL
)
