"""The text of a response that is not an OCPI envelope: the error of a framework, the page of a proxy, a gateway's text.

Rules of this module (docs/spec-choices.md row 13):
- sentences for people come first: FastAPI's ``detail``, a problem's ``title`` (RFC 9457), ``message``, ``error``; a
  sentence about a field names the field;
- JSON in which they are nested too deeply is shown unchanged;
- of HTML, the text of the title or the body is used; anything else is shown unchanged;
- data that identifies a driver is left out, and truncated JSON gives no text;
- the result is one bounded line, with unprintable characters escaped. The caller must hide its secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from ocpi_emsp.report.escapes import printable

LONGEST = 300
"""Most characters of an excerpt: a sentence or three, in a log line that stays readable."""
_READ = 65_536
"""Bytes of a response that are examined; an error is shorter."""
_DEEPEST, _MOST = 4, 20
_WORDS = ("detail", "message", "error_description", "error", "title", "msg", "reason", "errors")
"""Members with the reason of a failure, the most specific first."""
_AROUND = frozenset({"body", "query", "path", "header"})
"""Where FastAPI found a field; the field's name suffices."""
_DRIVERS = frozenset({"uid", "auth_id", "contract_id", "visual_number"})
"""Members that identify a driver."""
_PRIVATE = re.compile(rf"""("(?:{"|".join(sorted(_DRIVERS))})"\s*:\s*)(?:"(?:[^"\\]|\\.)*"|[^\s",}}\]]+)""")


def words_of(body: bytes) -> str:
    """Return the text of a response without an envelope, unbounded and unescaped; empty if there is none."""
    text = body[:_READ].decode("utf-8-sig", "replace")
    try:
        value = msgspec.json.decode(text.strip())
        return "; ".join(_sentences(value, _DEEPEST)) or (_PRIVATE.sub(r'\1"*"', text) if value else "")
    except (msgspec.MsgspecError, RecursionError):
        if text.lstrip()[:1] in ("{", "["):  # truncated JSON: objects, without text about them
            return ""
        if not re.search(r"<[a-zA-Z!]", text):
            return text
        from ocpi_emsp.wire.html_text import text_of  # few partners answer with HTML

        return text_of(text)


def excerpt(text: str) -> str:
    """Return a text on one line, bounded and escaped."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def _sentences(value: Any, depth: int) -> Iterator[str]:
    """Yield the sentences in a JSON value."""
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
    """Return the path of a field, as FastAPI and others name it."""
    parts = loc if isinstance(loc, list) else [loc]
    names = [str(part) for part in parts if isinstance(part, str | int)]
    return ".".join(names[1:] if len(names) > 1 and names[0] in _AROUND else names)
