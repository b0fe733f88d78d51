"""Stand-ins for texts: same length, same classes; equal for equal texts, different for different ones.

Rules of this module:
- the characters of a text, each as an index within its class, form a number; a secret permutation maps it to that of
  the stand-in;
- a text with up to two ASCII letters or digits, and a word of OCPI, stays unchanged;
- texts that differ only in the case of ASCII letters have stand-ins that differ only so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from math import prod
from typing import TypeAlias

from ocpi_emsp.redact import permutation
from ocpi_emsp.redact.alphabets import alphabet
from ocpi_emsp.redact.forms import fixed, is_name, is_word, owner, traits

_SHORT = 2
"""Letters and digits of a text that is too short to identify anything."""
_TOGETHER = 24
"""Characters that form one number; the time to write a number grows with the square of its length."""
_STEPS = 2000
"""Most texts to skip: at worst, one text in 26 of the same form has one trait more."""
_CACHED = 10_000
"""Cached stand-ins, for texts that recur in a file: ids, hosts of URLs, names of operators."""

_Moved: TypeAlias = list[tuple[int, str]]
"""The indices of the characters to replace, with the class of each."""


class StandIns:
    """The stand-ins of one key; with ``parties``, the ids of parties are replaced, too."""

    def __init__(self, key: bytes, *, parties: bool) -> None:
        self._key = key
        self._parties = parties
        self.of: Callable[[str], str] = lru_cache(maxsize=_CACHED)(self._of)

    def _of(self, text: str) -> str:
        if is_word(text):
            return text
        start, end = owner(text)
        places = fixed(text) | set(range(end))
        moved = _moved(text, places)
        found = text if _is_short(text, places) else self._walked(text, moved)
        return found[:start] + self.party(found[start:end]) + found[end:]

    def _walked(self, text: str, moved: _Moved) -> str:
        """Return the next text on the cycle that has the same traits; the cycle leads back to the text itself."""
        wanted, found = traits(text), self._stepped(text, moved)
        for _ in range(_STEPS):
            if found == text or (traits(found) == wanted and not is_name(found)):
                break
            found = self._stepped(found, moved)
        return found

    def party(self, text: str) -> str:
        """Return the stand-in of a party id, which is too short for the general rule."""
        return self._stepped(text, _moved(text)) if self._parties else text

    def host(self, text: str) -> str:
        """Return a host of the same length below a reserved name (RFC 2606), if the length allows it."""
        ending = ".example" if len(text) >= 10 else ".test" if len(text) >= 6 else ""
        letters = self._stepped("h" * len(text), _moved("h" * len(text)), salt=text.lower().encode())
        return letters[: len(text) - len(ending)] + ending

    def _stepped(self, text: str, moved: _Moved, salt: bytes = b"") -> str:
        """Return the text with its replaceable characters one step further on their secret cycle."""
        letters = list(text)
        for start in range(0, len(moved), _TOGETHER):
            some = moved[start : start + _TOGETHER]
            number = 0
            for place, choice in some:
                number = number * len(choice) + choice.index(text[place])
            number = permutation.step(self._key + salt, number, prod(len(choice) for _, choice in some))
            for place, choice in reversed(some):
                number, index = divmod(number, len(choice))
                letters[place] = choice[index]
        return "".join(letters)


def _is_short(text: str, without: Iterable[int]) -> bool:
    letters = [each for place, each in enumerate(text) if place not in without and alphabet(each)]
    return len(letters) <= _SHORT and all(each.isascii() for each in letters)


def _moved(text: str, without: Iterable[int] = ()) -> _Moved:
    found = ((place, alphabet(each, first=place == 0)) for place, each in enumerate(text) if place not in without)
    return [(place, choice) for place, choice in found if choice is not None]
