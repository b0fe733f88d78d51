"""External text, made harmless for the form that it is written to.

Rules of this module: nothing is dropped, so a reader sees what was sent; unprintable characters are escaped.
"""

from __future__ import annotations

import html
import re

_MARKDOWN = re.compile(r"([!-/:-@\[-`{-~])")
_PLAIN = re.compile(r"[\w.,:;/*#()+ =@?!%\"'\[\]{}~^$-]+", re.ASCII)
"""Characters that a code span of Markdown shows unchanged, also in a table."""


def printable(text: str) -> str:
    """Return text that cannot move a terminal's cursor: unprintable characters are escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def in_html(text: str) -> str:
    """Return text as the content or a quoted attribute of an element."""
    return html.escape(printable(text), quote=True)


def in_markdown(text: str) -> str:
    """Return text for a paragraph or a table cell of Markdown, in which no character acts as Markdown or HTML."""
    return _MARKDOWN.sub(_escaped_mark, printable(text))


def _escaped_mark(match: re.Match[str]) -> str:
    mark = match[1]
    if mark in ",.-()'" or (mark == ":" and match.string[match.end() : match.end() + 1] != "/"):
        return mark
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(mark, "\\" + mark)


def as_code(text: str) -> str:
    """Return text as a code span of Markdown, or escaped if a code span cannot hold it."""
    shown = printable(text)
    if _PLAIN.fullmatch(shown) and not shown.startswith(" ") and not shown.endswith(" "):
        return f"`{shown}`"
    return in_markdown(text)
