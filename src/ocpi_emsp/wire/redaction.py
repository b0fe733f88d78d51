"""What of a received request may be stored, listed and exported.

Rules of this module (docs/explanation/security.md, docs/spec-choices.md):
- headers are those of a list, since any other may be a secret: Cookie, Proxy-Authorization, X-Api-Key;
- a query keeps the values of the parameters that OCPI knows, where they look like what OCPI expects, or are short;
- in a body the member "token" is hidden where it is a text, as in credentials that were sent where another object
  belongs; all else is as received;
- a secret is found in its encodings, too: percent-encoded, and with the escapes of JSON, of some letters or of all.
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
"""The parameters of OCPI, and how a value of each looks."""
_SHORT: Final = 10
"""Characters of a value that is no secret: ``limit=-1`` and ``date_from=yesterday`` show what was wrong with them."""


def stored_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """The headers that may be stored, without ``secrets`` in their values."""
    named = ((name.lower(), value) for name, value in headers.items())
    return {name: without(value, secrets) for name, value in named if _may_be_stored(name)}


def _may_be_stored(name: str) -> bool:
    return name in _STORED_HEADERS or name.startswith(_STORED_PREFIX)


def stored_query(query: str, secrets: Iterable[str] = ()) -> str:
    """The query without the values of parameters that OCPI does not know, and without ``secrets``."""
    return without("&".join(map(_parameter, query.split("&"))), secrets) if query else query


def _parameter(text: str) -> str:
    """One parameter; one that is unknown keeps its name where a value shows that it is a name."""
    name, _, value = text.partition("=")
    if name in _KNOWN and (len(value) <= _SHORT or _KNOWN[name].fullmatch(unquote_plus(value))):
        return text
    is_name = name in _KNOWN or (bool(value.strip("=")) and _NAME.fullmatch(name) is not None)
    return f"{name}={HIDDEN}" if is_name else HIDDEN


def stored_body(body: bytes, secrets: Iterable[str] = ()) -> bytes:
    """The body as received, but for ``secrets`` and the text of a member "token"."""
    for secret in filter(None, secrets):
        raw = secret.encode("utf-8", "surrogateescape")
        if b"\\" in body or b"%" in body:
            body = _spellings(raw.decode("latin-1")).sub(HIDDEN, body.decode("latin-1")).encode("latin-1")
        else:
            body = body.replace(raw, HIDDEN.encode())
    return _TOKEN.sub(rb'\1"***"', body)


def redacted(details: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a stored rejection that an earlier version stored with their secrets, without them."""
    clean = dict[str, Any]()
    if "headers" in details:
        clean["headers"] = stored_headers(details["headers"])
    if "query" in details:
        clean["query"] = stored_query(details["query"])
    return clean


def without(text: str, secrets: Iterable[str]) -> str:
    """A text without these secrets."""
    encoded = "%" in text or "\\" in text
    for secret in filter(None, secrets):
        text = _spellings(secret).sub(HIDDEN, text) if encoded else text.replace(secret, HIDDEN)
    return text


def path_without(path: str, secrets: Iterable[str]) -> str:
    """A path without these secrets, however they are percent-encoded; as cheap for a long one that a stranger sends."""
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
    """What finds a secret, each letter of it as it is, percent-encoded (three times at most), or escaped as in JSON."""
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
    """One of the two digits of a percent-encoded byte, which may be percent-encoded itself."""
    both = {digit, digit.upper()}
    again = "|".join(sorted(f"{ord(each):02x}" for each in both))
    return f"(?:[{''.join(sorted(both))}]|%(?:25){{0,2}}(?:{again}))"


_TOKEN: Final = re.compile(
    rf'''("{"".join(map(_letter, "token"))}"\s*:\s*)"(?:[^"\\]|\\.)*(?:"|\Z)'''.encode(), re.DOTALL
)
