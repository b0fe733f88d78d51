"""Character classes: a character is only replaced by one of its class.

Rules of this module:
- a class holds the letters or digits of one Unicode category and one UTF-8 length, so the length in characters and in
  bytes stays; ASCII letters keep their case;
- symbols form a class as well, since some are letters (circled ones, those of flags, Braille), and so do private-use
  characters and the invisible tags;
- all other characters (white space, punctuation, marks, control characters) stay unchanged.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from string import ascii_lowercase, ascii_uppercase, digits

_NOT_ZERO = digits[1:]
_REPLACED = frozenset({"Ll", "Lu", "Lt", "Lm", "Lo", "Nd", "Nl", "No", "So", "Co"})
_TAGS = "".join(map(chr, range(0xE0020, 0xE007F)))
_RANGES = {2: range(0x80, 0x800), 3: range(0x800, 0x10000), 4: range(0x10000, 0x33480)}
"""Code points by their length in UTF-8, limited to ranges with letters, digits and symbols."""


def alphabet(character: str, *, first: bool = False) -> str | None:
    """Return the class of a character; None if the character stays.

    With ``first`` it begins a text, which gains no leading zero, because a JSON number must not have one.
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
