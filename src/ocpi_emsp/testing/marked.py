"""A document for people: indented JSON, with deviations marked at the line of their member.

    {
      "id": "LOC1",
      "country": "BE",  <-- location.country.alpha2
      ...

Rules of this module:
- a missing member is marked at the line of the nearest surrounding object;
- of a long document only the lines around marks are shown;
- a document that is not JSON is shown as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ocpi_emsp.codec import dump, parse
from ocpi_emsp.errors import NotJson
from ocpi_emsp.findings import pointer as pointer_of

__all__ = ["marked"]

AROUND = 3
"""Lines before and after a mark."""
WHOLE = 40
"""Lines up to which a document is shown whole."""
_LONGEST = 2000


def marked(document: bytes, marks: Iterable[tuple[str, str]]) -> str:
    """Return a document with marks, each a JSON pointer and the text to show there."""
    marks = sorted(marks)
    try:
        lines = list(_lines(parse(document), (), "", ""))
    except NotJson:
        said = "".join(f"  <-- {text}" for _, text in marks)
        return document[:_LONGEST].decode("utf-8", "replace") + said
    places = {place: number for number, (place, _) in reversed(list(enumerate(lines)))}
    said_at: dict[int, list[str]] = {}
    for place, text in marks:
        number, missing = _line_of(place, places)
        said_at.setdefault(number, []).append(f"{missing}: {text}" if missing else text)
    shown = [
        f"{line}  <-- {'; '.join(said_at[number])}" if number in said_at else line
        for number, (_, line) in enumerate(lines)
    ]
    return "\n".join(shown if len(shown) <= WHOLE else _around(shown, said_at))


def _line_of(place: str, places: dict[str, int]) -> tuple[int, str]:
    """Return the line of a pointer, or of the surrounding object and the rest of the pointer."""
    known = place
    while known not in places:
        known = known.rpartition("/")[0]
    return places[known], place[len(known) + 1 :]


def _around(lines: list[str], marks: Iterable[int]) -> Iterator[str]:
    wanted = {number + step for number in marks for step in range(-AROUND, AROUND + 1)} or set(range(WHOLE))
    skipping = False
    for number, line in enumerate(lines):
        if number in wanted:
            yield line
        elif not skipping:
            yield "..."
        skipping = number not in wanted


def _lines(value: Any, path: tuple[str | int, ...], before: str, after: str) -> Iterator[tuple[str, str]]:
    """Yield each line of a value, with its pointer."""
    indent, place = "  " * len(path), pointer_of(path)
    if not (isinstance(value, dict | list) and value):
        yield place, f"{indent}{before}{dump(value).decode()}{after}"
        return
    is_object = isinstance(value, dict)
    yield place, f"{indent}{before}{'{' if is_object else '['}"
    for index, step in enumerate(value if is_object else range(len(value))):
        name = f"{dump(step).decode()}: " if is_object else ""
        yield from _lines(value[step], (*path, step), name, "," if index < len(value) - 1 else "")
    yield place, f"{indent}{'}' if is_object else ']'}{after}"
