"""From a file to the documents in it, each with its place.

Rules of this module:
- a file holds an object, a list, an envelope (its data an object or a list), or one of these on every line;
- JSON lines are read line by line; they are recognised by the file's name (.jsonl, .ndjson), or if the first line is a
  whole document and more follows; a line that is longer than any payload is skipped, not held;
- documents are cut out of a list or an envelope without being decoded; bytes that are not JSON stay one document, and
  the check reports them.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import Any, BinaryIO, TypeAlias, TypeVar

import msgspec
from attrs import frozen

from ocpi_emsp.cli.files import numbered
from ocpi_emsp.codec.patch import items, join, members
from ocpi_emsp.errors import NotJson

LINES = (".jsonl", ".ndjson")
MAX_LINE = 16 * 1024 * 1024
"""Bytes of a line: a page of a list has a few MB; it is cut into its objects without being decoded."""
MAX_DOCUMENT = 4 * 1024 * 1024
"""Bytes of one object on a line: the limit of a request body. Checking takes up to 25 times its size."""
T = TypeVar("T", bytes, bytes | None)
_Numbered: TypeAlias = tuple[int, bytes | None]
"""A line with its number, from 1; None if it is too long."""


@frozen
class Part:
    """A document inside a file: ``pointer`` is its place in the file's document, or in that of its line."""

    document: bytes
    pointer: str = ""
    line: int | None = None
    envelope: bool = False
    """True for the envelope itself, without its data."""
    kind: type[Any] | None = None
    """Its kind, if its surroundings name it."""
    partial: bool = False
    """True for the body of a PATCH: only the present members are checked."""
    at: datetime | None = None
    """When it was sent, if known."""
    entry: str = ""
    """Its place in a file without lines that is not one document: a request or a response of a HAR file."""
    too_long: bool = False
    """True for a line of more than :data:`MAX_LINE` bytes, or an object of more than :data:`MAX_DOCUMENT`: it is not
    stored.
    """

    @property
    def place(self) -> str:
        """Its place in the file, for people; empty if it is the whole file."""
        return f"line {self.line}" if self.line is not None else self.entry


def read_parts(stream: BinaryIO, name: str, *, cut_envelopes: bool = True) -> Iterator[Part]:
    """Yield the documents of a file, in order. Raises OSError."""
    if name.lower().endswith(LINES):
        return _of_lines(map(_without_mark, numbered(stream, 1, MAX_LINE)), cut_envelopes)
    lines = map(_without_mark, enumerate(iter(stream.readline, b""), start=1))
    filled = ((number, line) for number, line in lines if line.strip())
    first, second = next(filled, None), next(filled, None)
    if first is None:
        return cut(Part(b""), cut_envelopes)
    if second is None:
        return cut(Part(first[1]), cut_envelopes)
    if first[1].lstrip()[:1] in b"{[" and _is_whole(first[1]):
        return _of_lines(chain((first, second), numbered(stream, second[0] + 1, MAX_LINE)), cut_envelopes)
    data = b"".join(_padded([first, second])) + stream.read()
    if not _is_whole(data) and _looks_like_lines(data):
        return _of_lines(enumerate(data.split(b"\n"), start=1), cut_envelopes)
    return cut(Part(data), cut_envelopes)


def cut(part: Part, cut_envelopes: bool = True) -> Iterator[Part]:
    """Return the documents of a list or an envelope, each a part that inherits the place of the whole."""
    try:
        return iter(_parts(part, cut_envelopes))
    except NotJson:
        return iter([part])


def _without_mark(line: tuple[int, T]) -> tuple[int, T]:
    """Return the first line without the byte order mark that editors on Windows write."""
    number, text = line
    return (number, text.removeprefix(BOM_UTF8)) if number == 1 and text else line


def _padded(lines: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Yield the lines with the blank ones before them, so that places in a message are those of the file."""
    before = 0
    for number, line in lines:
        yield b"\n" * (number - before - 1) + line
        before = number


def _of_lines(numbered: Iterable[_Numbered], cut_envelopes: bool) -> Iterator[Part]:
    for number, line in numbered:
        if line is None:
            yield Part(b"", line=number, too_long=True)
        elif line.strip():
            for part in cut(Part(line.strip(), line=number), cut_envelopes):
                fits = len(part.document) <= MAX_DOCUMENT
                yield part if fits else Part(b"", part.pointer, number, too_long=True)


def _is_whole(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _looks_like_lines(data: bytes) -> bool:
    """Return True if every line begins an object, though the whole is not JSON: JSON lines, the first of which is
    broken.
    """
    return all(line.lstrip()[:1] == b"{" for line in data.split(b"\n") if line.strip())


def _parts(part: Part, cut_envelopes: bool) -> Iterable[Part]:
    start = part.document.lstrip()[:1]
    if start == b"[":
        return _items(part, part.document, "")
    if start == b"{" and cut_envelopes:
        envelope = members(part.document)
        if is_envelope(envelope):
            inner = bytes(envelope.pop("data", msgspec.Raw(b"null"))).strip()
            return chain([_inside(part, join(envelope), "", envelope=True)], _data(part, inner))
    return [part]


def is_envelope(names: Iterable[str]) -> bool:
    """Return True if an object with these members is the envelope around a response's data."""
    return {"status_code"} <= set(names) and not {"data", "timestamp"}.isdisjoint(names)


def _data(part: Part, data: bytes) -> Iterable[Part]:
    if data.startswith(b"["):
        return _items(part, data, "/data")
    return [] if data == b"null" else [_inside(part, data, "/data")]


def _items(part: Part, data: bytes, pointer: str) -> Iterable[Part]:
    return (_inside(part, bytes(item), f"{pointer}/{index}") for index, item in enumerate(items(data)))


def _inside(part: Part, document: bytes, pointer: str, *, envelope: bool = False) -> Part:
    """Return a document within a part; the pointer leads to it from the part's document."""
    return Part(
        document, pointer, part.line, envelope, None if envelope else part.kind, part.partial, part.at, part.entry
    )
