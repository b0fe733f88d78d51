"""A text that does not reveal itself.

Rules of this module (credentials.md 2.1: a token is as good as a password):
- printing, formatting and logging give ``***``; pickle, JSON and concatenation, which would copy the text, raise
  TypeError;
- :meth:`Secret.reveal` returns the text, so a search for that word finds every place where one is used.
"""

from __future__ import annotations

import hmac
from typing import Final, NoReturn, SupportsIndex

SHOWN: Final = "***"


class Secret:
    """A token. ``str()``, ``repr()`` and formats give ``***``, :meth:`reveal` returns the text. Equal to its text."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """Return the text: hand it over in a secure way, and never log it."""
        return self.__text

    def __str__(self) -> str:
        return SHOWN

    def __repr__(self) -> str:
        return f"Secret('{SHOWN}')"

    def __format__(self, spec: str) -> str:
        return format(SHOWN, spec)

    def __len__(self) -> int:
        return len(self.__text)

    def __eq__(self, other: object) -> bool:
        text = other.__text if isinstance(other, Secret) else other
        if not isinstance(text, str):
            return NotImplemented
        return hmac.compare_digest(_bytes(self.__text), _bytes(text))

    def __hash__(self) -> int:
        return hash(self.__text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret gives no state: reveal() gives its text")

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Secret is not pickled: reveal() gives its text")


def revealed(token: str | Secret) -> str:
    """Return the text of a token that is given in either form."""
    return token.reveal() if isinstance(token, Secret) else token


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
