"""The extra headers of a party's profile: which are possible, and which values are shown.

Rules of this module (RFC 9110 5.1 and 5.5; docs/reference/profiles.md):
- a name is a token, a value is printable ASCII without leading or trailing blanks: a header can hold nothing else;
- headers that this library sets, or that belong to the connection, cannot be set;
- only values of headers that name a party (``ocpi-to-party-id``, ...) are shown: any other value may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from attrs import field, frozen

SHORTEST: Final = 4
"""Shortest secret, in characters; replacing shorter texts would make any text unreadable."""
MOST: Final = 4000
"""Longest value, in characters; servers reject headers of more than 8 KB in total."""
RESERVED: Final = frozenset(
    {
        *("accept", "authorization", "content-length", "content-type", "host", "x-correlation-id", "x-request-id"),
        *("accept-encoding", "content-encoding", "baggage", "traceparent", "tracestate"),
        *("connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""Headers that this library sets, or that belong to the connection."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[!-~](?:[ -~\t]*[!-~])?")


@frozen(kw_only=True)
class ExtraHeader:
    """A header that a partner requires on each call; its value may be a secret, and never appears in a repr."""

    clause: ClassVar[str] = "credentials.md#21-credentials-object"

    name: str
    """The name, in lower case."""
    value: str = field(repr=False)

    @property
    def shown(self) -> str:
        """Return the value if the header names a party, and ``***`` for any other."""
        return self.value if names_party(self.name) else "***"


_ROUTING = re.compile(r"ocpi-(?:to|from)-(?:country-code|party-id)")


def names_party(header: str) -> bool:
    """Return True for a header that names the called or the calling party of a hub; its value may be shown."""
    return _ROUTING.fullmatch(header) is not None


def read_headers(value: Any) -> tuple[ExtraHeader, ...]:
    """Return the headers of a mapping of names to values. Raises ValueError, which quotes no value."""
    example = "for example {'ocpi-to-party-id': 'AAA'}"
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in (*value, *value.values())):
        raise ValueError(f"expected a mapping of names to texts, {example}")
    found = dict[str, str]()
    for name, text in value.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"the name '{name[:100]}' cannot be that of a header: expected a token, {example}")
        if name.lower() in RESERVED:
            raise ValueError(f"the header '{name}' is set with each call already: expected another, {example}")
        if name.lower() in found:
            raise ValueError(f"the header '{name}' is given twice: expected one value, {example}")
        if len(text) > MOST or not _VALUE.fullmatch(text):
            limits = f"expected printable ASCII, at most {MOST} characters, without blanks at its ends"
            raise ValueError(f"the value of '{name}' cannot be that of a header: {limits}, {example}")
        found[name.lower()] = text
    return tuple(ExtraHeader(name=name, value=text) for name, text in found.items())


def secret_values(headers: Mapping[str, str]) -> list[str]:
    """Return the values of a request's extra headers that must not be logged."""
    extra = (value for name, value in headers.items() if name not in RESERVED and not names_party(name))
    return [value for value in extra if len(value) >= SHORTEST]
