"""What an answer says that is no OCPI envelope: the error of a framework, the page of a proxy, the text of a gateway.

Rules of this module (docs/spec-choices.md row 13):
- the words of a person come first: FastAPI's ``detail``, a problem's ``title`` (RFC 9457), ``message``, ``error``; what
  is about a field names the field;
- JSON in which they lie deeper than is looked stands as it is;
- of HTML, the text of the title or the body; anything else as it stands;
- what identifies a driver is left out, and JSON that was cut has no words;
- it is on one line, bounded, and what is not printable is escaped. Its secrets are for the caller to hide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from ocpi_emsp.report.escapes import printable

LONGEST = 300
"""Characters of an excerpt at most: a sentence or three, in a log line that stays readable."""
_READ = 65_536
"""Bytes of an answer that are looked at; an error is shorter."""
_DEEPEST, _MOST = 4, 20
_WORDS = ("detail", "message", "error_description", "error", "title", "msg", "reason", "errors")
"""The members that say what is wrong, the most telling first."""
_AROUND = frozenset({"body", "query", "path", "header"})
"""Where FastAPI finds a field; the field says enough."""
_DRIVERS = frozenset({"uid", "auth_id", "contract_id", "visual_number"})
"""The members that identify a driver."""
_PRIVATE = re.compile(rf"""("(?:{"|".join(sorted(_DRIVERS))})"\s*:\s*)(?:"(?:[^"\\]|\\.)*"|[^\s",}}\]]+)""")


def words_of(body: bytes) -> str:
    """The words of an answer without an envelope, unbounded and unescaped; empty where there are none."""
    text = body[:_READ].decode("utf-8-sig", "replace")
    try:
        value = msgspec.json.decode(text.strip())
        return "; ".join(_sentences(value, _DEEPEST)) or (_PRIVATE.sub(r'\1"*"', text) if value else "")
    except (msgspec.MsgspecError, RecursionError):
        if text.lstrip()[:1] in ("{", "["):  # JSON that was cut: objects, and no words about them
            return ""
        if not re.search(r"<[a-zA-Z!]", text):
            return text
        from ocpi_emsp.wire.html_text import text_of  # few partners answer with HTML

        return text_of(text)


def excerpt(text: str) -> str:
    """A text on one line, bounded and escaped."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def _sentences(value: Any, depth: int) -> Iterator[str]:
    """What a JSON value says, sentence by sentence."""
    if depth < 0 or value is None or value == "":
        return
    if isinstance(value, list):
        for each in value[:_MOST]:
            yield from _sentences(each, depth - 1)
    elif isinstance(value, dict):
        yield from _of_object(value, depth)
    else:
        yield str(value)


def _of_object(value: dict[str, Any], depth: int) -> Iterator[str]:
    place = _place(value.get("loc") or value.get("field") or value.get("path") if "msg" in value else None)
    if place:
        yield f"{place}: {value['msg']}"
        return
    members = {name.lower(): each for name, each in value.items()}
    telling = [name for name in _WORDS if members.get(name)]
    if not telling:
        for name, each in [pair for pair in value.items() if pair[0].lower() not in _DRIVERS][:_MOST]:
            yield from (f"{name}: {sentence}" for sentence in _sentences(each, depth - 1))
        return
    nested = [name for name in telling if isinstance(members[name], list | dict)]
    for name in nested or telling[:1]:
        yield from _sentences(members[name], depth - 1)


def _place(loc: Any) -> str:
    """The path of a field, as FastAPI and others name it."""
    parts = loc if isinstance(loc, list) else [loc]
    names = [str(part) for part in parts if isinstance(part, str | int)]
    return ".".join(names[1:] if len(names) > 1 and names[0] in _AROUND else names)
