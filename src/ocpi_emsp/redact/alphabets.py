"""The characters that may stand for a character: those of its class.

Rules of this module:
- a class holds the letters or digits of one Unicode category and of one length in UTF-8, so that neither the length in
  characters nor that in bytes changes; ASCII letters keep their case;
- symbols are a class as well, since there are letters among them (circled ones, those of flags, Braille), and so are
  characters of private use and the invisible tags;
- what is none of that (white space, punctuation, marks, control characters) stands for itself.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from string import ascii_lowercase, ascii_uppercase, digits

_NOT_ZERO = digits[1:]
_REPLACED = frozenset({"Ll", "Lu", "Lt", "Lm", "Lo", "Nd", "Nl", "No", "So", "Co"})
_TAGS = "".join(map(chr, range(0xE0020, 0xE007F)))
_RANGES = {2: range(0x80, 0x800), 3: range(0x800, 0x10000), 4: range(0x10000, 0x33480)}
"""Code points by their length in UTF-8, as far as they hold letters, digits and symbols."""


def alphabet(character: str, *, first: bool = False) -> str | None:
    """The class of a character; None where it stands for itself.

    ``first``: it begins a text, which begins with a zero afterwards only if it did before, as a JSON number must not.
    """
    if character.isascii():
        return _ascii(character, first)
    if character in _TAGS:
        return _TAGS
    category = unicodedata.category(character)
    if category not in _REPLACED:
        return None
    found = _alphabets(len(character.encode())).get(category, "")
    return found if character in found else None


def _ascii(character: str, first: bool) -> str | None:
    if character.isdigit():
        return digits if not first else _NOT_ZERO if character != "0" else None
    if character.isalpha():
        return ascii_lowercase if character.islower() else ascii_uppercase
    return None


@cache
def _alphabets(length: int) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for character in map(chr, _RANGES[length]):
        category = unicodedata.category(character)
        if category in _REPLACED:
            found.setdefault(category, []).append(character)
    return {category: "".join(characters) for category, characters in found.items()}
