"""From a file to the documents in it, each with its place.

Rules of this module:
- a file holds an object, a list, an envelope (its data an object or a list), or one of these on every line;
- JSON lines are read line by line; a file is taken for them by its name (.jsonl, .ndjson), or where its first line is
  a whole document and more follows;
- documents are cut out of a list or an envelope without being decoded; bytes that are no JSON stay one document, and
  the check says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, TypeAlias

import msgspec
from attrs import frozen

from ocpi_emsp.codec.patch import items, join, members
from ocpi_emsp.errors import NotJson

_LINES = (".jsonl", ".ndjson")
_Numbered: TypeAlias = tuple[int, bytes]


@frozen
class Part:
    """A document inside a file: ``pointer`` is its place in the file's document, or in that of its line."""

    document: bytes
    pointer: str = ""
    line: int | None = None
    envelope: bool = False
    """The envelope itself, without its data."""


def read_parts(stream: BinaryIO, name: str, *, cut_envelopes: bool = True) -> Iterator[Part]:
    """The documents of a file, in order. Raises OSError."""
    numbered = enumerate(stream, start=1)
    if name.lower().endswith(_LINES):
        return _of_lines(numbered, cut_envelopes)
    first, second = _next_filled(numbered), _next_filled(numbered)
    if first is None:
        return _cut(b"", None, cut_envelopes)
    if second is None:
        return _cut(first[1], None, cut_envelopes)
    if first[1].lstrip()[:1] in b"{[" and _is_whole(first[1]):
        return _of_lines(chain((first, second), numbered), cut_envelopes)
    data = b"".join(_padded([first, second])) + stream.read()
    if not _is_whole(data) and _looks_like_lines(data):
        return _of_lines(enumerate(data.split(b"\n"), start=1), cut_envelopes)
    return _cut(data, None, cut_envelopes)


def _next_filled(numbered: Iterator[_Numbered]) -> _Numbered | None:
    """The next line that is not blank."""
    return next(((number, line) for number, line in numbered if line.strip()), None)


def _padded(lines: Iterable[_Numbered]) -> Iterator[bytes]:
    """The lines with the blank ones before them, so that places in a message are those of the file."""
    before = 0
    for number, line in lines:
        yield b"\n" * (number - before - 1) + line
        before = number


def _of_lines(numbered: Iterable[_Numbered], cut_envelopes: bool) -> Iterator[Part]:
    for number, line in numbered:
        if line.strip():
            yield from _cut(line.strip(), number, cut_envelopes)


def _is_whole(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _looks_like_lines(data: bytes) -> bool:
    """No JSON as a whole, and an object begins on every line: JSON lines, the first of which is broken."""
    return all(line.lstrip()[:1] == b"{" for line in data.split(b"\n") if line.strip())


def _cut(data: bytes, line: int | None, cut_envelopes: bool) -> Iterator[Part]:
    try:
        return iter(_parts(data, line, cut_envelopes))
    except NotJson:
        return iter([Part(data, line=line)])


def _parts(data: bytes, line: int | None, cut_envelopes: bool) -> Iterable[Part]:
    start = data.lstrip()[:1]
    if start == b"[":
        return _items(data, "", line)
    if start == b"{" and cut_envelopes:
        envelope = members(data)
        if "status_code" in envelope and envelope.keys() & {"data", "timestamp"}:
            inner = bytes(envelope.pop("data", msgspec.Raw(b"null"))).strip()
            return chain([Part(join(envelope), line=line, envelope=True)], _data(inner, line))
    return [Part(data, line=line)]


def _data(data: bytes, line: int | None) -> Iterable[Part]:
    if data.startswith(b"["):
        return _items(data, "/data", line)
    return [] if data == b"null" else [Part(data, "/data", line)]


def _items(data: bytes, pointer: str, line: int | None) -> Iterable[Part]:
    return (Part(bytes(item), f"{pointer}/{index}", line) for index, item in enumerate(items(data)))
