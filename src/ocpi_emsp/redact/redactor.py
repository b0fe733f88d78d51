"""Redacts a document token by token, in place, so everything between the tokens stays.

Rules of this module:
- below a member unknown to OCPI everything is replaced: names, texts, numbers; the member's own name stays if it looks
  like a name from a program;
- in a payload that is not JSON, everything is replaced that stands where a value may stand;
- a document is not parsed and written again: that would lose repeated members, spellings, and payloads that are not
  JSON;
- a member is looked up by its name alone, so the kind of document does not matter;
- bytes that are not valid in their encoding are lost, and stay invalid.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator
from typing import Final

from attrs import define

from ocpi_emsp.codec import parse
from ocpi_emsp.errors import NotJson
from ocpi_emsp.redact.forms import is_number
from ocpi_emsp.redact.places import ALL, OBJECT, UNKNOWN, Place, coarse, place_of, stays
from ocpi_emsp.redact.stand_ins import StandIns
from ocpi_emsp.redact.urls import is_url, redacted_path, redacted_url

_TOKEN: Final = re.compile(
    r'(?P<blank>[ \t\n\r\ufeff]+)|(?P<mark>[{}\[\]:,])|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>true|false|null)'
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|(?P<junk>[^ \t\n\r\ufeff{}\[\]:,\"]+|.)",
    re.DOTALL,
)
_UNIT: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL
)
_NUMBER: Final = re.compile(r"([+-]?)([0-9.]+)(.*)", re.ASCII)
_ABSURD: Final = re.compile(r"([eE][+-]?)([1-9][0-9]{3,})", re.ASCII)
"""An exponent too large for any quantity."""
_NAME: Final = re.compile(r"[A-Za-z_$@][A-Za-z_$./:~-]*(?:[0-9]{1,2}[A-Za-z_$./:~-]*){0,3}", re.ASCII)
_LONGEST_NAME: Final = 64
_ID: Final = re.compile(r"[0-9a-f]{8,}|[0-9A-F]{8,}|.*[A-Z][0-9]+[A-Z].*", re.ASCII)
"""Digits among capital letters, or only hexadecimal digits: an id, not a name from a program."""
_MOST_NAMES: Final = 1000
_NO_TEXT: Final = re.compile("[\udc80-\udcff]")
_NO_ESCAPE: Final = "\\q"
"""A backslash before a letter that JSON does not escape."""


class Redactor:
    """Replaces identifying data in payloads: ids, names, addresses, URLs' hosts, secrets, coordinates.

    Equal texts have equal stand-ins in all documents of one redactor, and of others with the same ``key``; the default
    is a random key. ``parties``: replace the ids of parties as well. ``keep``: members whose values stay.
    """

    def __init__(self, key: bytes | None = None, *, parties: bool = False, keep: Iterable[str] = ()) -> None:
        self._stand_ins = StandIns(key or secrets.token_bytes(32), parties=parties)
        self._keep = frozenset(keep)
        self.unknown_names: dict[str, None] = {}
        """Names of members that OCPI does not know, which stay since they read as names that a program has; at most
        1,000. One that identifies must be replaced by hand."""

    def document(self, data: bytes) -> bytes:
        """Return a payload, JSON or not, without identifying data; UTF-8 keeps its number of bytes."""
        encoding = json.detect_encoding(data) if data else "utf-8"
        if encoding in ("utf-8", "utf-8-sig"):
            text = data.decode("utf-8", "surrogateescape")
            return self._text(_NO_TEXT.sub("\udcff", text)).encode("utf-8", "surrogateescape")
        return self._text(data.decode(encoding, "replace")).encode(encoding, "replace")

    def url(self, text: str) -> str:
        """Return a URL, or its path, without identifying data."""
        return redacted_url(text, self._stand_ins) if is_url(text) else redacted_path(text, self._stand_ins)

    def _text(self, text: str) -> str:
        if "\n" in text and not _is_json(text):  # JSON lines, or a broken document
            return "\n".join(map(self._line, text.split("\n")))
        return self._line(text)

    def _line(self, text: str) -> str:
        return "".join(_Walk(self).over(text) if _is_json(text) else self._broken(text))

    def _broken(self, text: str) -> Iterator[str]:
        """Redact token by token, since the structure is uncertain."""
        tokens = list(_TOKEN.finditer(text))
        for number, token in enumerate(tokens):
            match token.lastgroup:
                case "text":
                    following = next((each[0] for each in tokens[number + 1 : number + 3] if each[0].strip()), "")
                    yield self.name(token[0], UNKNOWN) if following == ":" else self.text(token[0], UNKNOWN)
                case "number":
                    yield self.number(token[0], UNKNOWN)
                case "junk":
                    yield self._stand_ins.of(token[0])
                case _:
                    yield token[0]

    def place(self, written: str, around: Place) -> Place:
        """Return the kind of value that a member of an object holds."""
        name = _said(written)
        if around is ALL or name in self._keep:
            return ALL
        return place_of(name) if "object" in around else UNKNOWN

    def name(self, written: str, around: Place) -> str:
        """Return the name of a member; one that may identify is replaced."""
        name = _said(written)
        if around is ALL or name in self._keep or place_of(name) is not UNKNOWN:
            return written
        if "object" in around and len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) and not _ID.fullmatch(name):
            if len(self.unknown_names) < _MOST_NAMES:
                self.unknown_names[name] = None
            return written
        return self._rewritten(written, UNKNOWN)

    def text(self, written: str, place: Place) -> str:
        """Return a text in its quotes, redacted."""
        return written if place is ALL else self._rewritten(written, place)

    def number(self, written: str, place: Place) -> str:
        """Return a number: its digits get the stand-in of the same digits as a text."""
        if place is ALL or "number" in place:
            return written
        if "coordinate" in place and (degrees := coarse(written)) is not None:
            return degrees
        found = _NUMBER.fullmatch(written)
        assert found is not None
        return self._digits(found)

    def _digits(self, number: re.Match[str]) -> str:
        """Return the stand-in of a number, from its sign, its digits and its exponent."""
        sign, digits, exponent = number.groups()
        found = _ABSURD.fullmatch(exponent)
        return sign + self._stand_ins.of(digits) + (found[1] + self._stand_ins.of(found[2]) if found else exponent)

    def _rewritten(self, written: str, place: Place) -> str:
        """Return the stand-in of a quoted text; characters that were escaped stay escaped."""
        inner = written[1:-1]
        if "\\" not in inner:
            return f'"{self._stand_in(inner, place)}"'
        units = _UNIT.findall(inner)
        said = "".join(map(_character, units))
        after = self._stand_in(said, place)
        if len(after) != len(units):  # coordinates
            return json.dumps(after)
        return f'"{"".join(map(_as_written, units, said, after))}"'

    def _stand_in(self, text: str, place: Place) -> str:
        if stays(text, place):
            return text
        if "party" in place:
            return self._stand_ins.party(text) if len(text) <= 3 else self._stand_ins.of(text)
        if "coordinate" in place and (degrees := coarse(text)) is not None:
            return degrees
        if "coordinate" in place and is_number(text) and (found := _NUMBER.fullmatch(text)) is not None:
            return self._digits(found)
        return redacted_url(text, self._stand_ins)


@define
class _Frame:
    """An open object or list: what its members or items may be."""

    is_object: bool
    place: Place
    next: Place
    """The kind of the next value."""
    is_named: bool = False
    """True if the name of the next value was read."""


class _Walk:
    """Walks the tokens of one JSON document."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._open = [_Frame(is_object=False, place=OBJECT, next=OBJECT)]

    def over(self, text: str) -> Iterator[str]:
        """Yield the document in pieces."""
        for token in _TOKEN.finditer(text):
            match token.lastgroup:
                case "text":
                    yield self._text(token[0])
                case "number":
                    yield self._redactor.number(token[0], self._open[-1].next)
                case "mark":
                    self._mark(token[0])
                    yield token[0]
                case _:
                    yield token[0]

    def _text(self, written: str) -> str:
        frame = self._open[-1]
        if not frame.is_object or frame.is_named:
            return self._redactor.text(written, frame.next)
        frame.is_named = True
        frame.next = self._redactor.place(written, frame.place)
        return self._redactor.name(written, frame.place)

    def _mark(self, mark: str) -> None:
        frame = self._open[-1]
        if mark in "{[":
            place = frame.next
            self._open.append(_Frame(is_object=mark == "{", place=place, next=place))
        elif mark in "}]":
            self._open.pop()
        elif mark == ",":
            frame.is_named = False


def _is_json(text: str) -> bool:
    try:
        parse(text.encode("utf-8", "surrogatepass"))
    except NotJson:
        return False
    return True


def _said(written: str) -> str:
    """Return the content of a quoted text."""
    inner = written[1:-1]
    return "".join(map(_character, _UNIT.findall(inner))) if "\\" in inner else inner


_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}


def _character(unit: str) -> str:
    if len(unit) == 1:
        return unit
    if len(unit) == 12:
        return str(json.loads(f'"{unit}"'))
    return chr(int(unit[2:], 16)) if len(unit) == 6 else _ESCAPED.get(unit[1], "\\")


def _as_written(unit: str, before: str, after: str) -> str:
    """Return one character, escaped like the original."""
    if len(unit) == 2 and unit[1] not in _ESCAPED:
        return _NO_ESCAPE
    if before == after:
        return unit
    if len(unit) < 6:
        return after
    return "".join(f"\\u{int.from_bytes(pair):04x}" for pair in _pairs(after))


def _pairs(character: str) -> Iterator[bytes]:
    data = character.encode("utf-16-be")
    return (data[start : start + 2] for start in range(0, len(data), 2))
