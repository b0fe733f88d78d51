"""What of a received request may be stored, listed and exported.

Rules of this module (docs/security.md, docs/spec-choices.md):
- headers are those of a list, since any other may be a secret: Cookie, Proxy-Authorization, X-Api-Key;
- a query keeps the values of the parameters that OCPI knows, where they look like what OCPI expects there;
- of credentials that were sent where another object belongs, the token is hidden; all else of a body is as received.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

HIDDEN: Final = "***"
_STORED_HEADERS: Final = frozenset({"content-type", "user-agent", "x-request-id", "x-correlation-id"})
_STORED_PREFIX: Final = "ocpi-"
_KNOWN: Final = frozenset({"date_from", "date_to", "offset", "limit", "type"})
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")
_VALUE: Final = re.compile(r"[0-9A-Za-z_:.+%-]{0,40}")
_TOKEN: Final = re.compile(rb'("token"\s*:\s*)"(?:[^"\\]|\\.)*"')
_OF_CREDENTIALS: Final = b'"business_details"'
"""A member that credentials alone have."""


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
    if name in _KNOWN and _VALUE.fullmatch(value):
        return text
    is_name = name in _KNOWN or (bool(value.strip("=")) and _NAME.fullmatch(name) is not None)
    return f"{name}={HIDDEN}" if is_name else HIDDEN


def stored_body(body: bytes, secrets: Iterable[str] = ()) -> bytes:
    """The body as received, but for ``secrets`` and the token of credentials."""
    for secret in filter(None, secrets):
        body = body.replace(secret.encode("utf-8", "surrogateescape"), HIDDEN.encode())
    return _TOKEN.sub(rb'\1"***"', body) if _OF_CREDENTIALS in body else body


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
    for secret in filter(None, secrets):
        text = text.replace(secret, HIDDEN)
    return text
