"""The text of an HTML page that a partner, or a proxy in front of it, answers with.

Rules of this module: the title comes first; scripts and styles are not text; the error is expected at the top.
"""

from __future__ import annotations

from html.parser import HTMLParser

_PAGE = 4096
"""Characters of HTML that are read."""
_UNSEEN = frozenset({"script", "style"})


class _Page(HTMLParser):
    """The text of an HTML page, with its title separate."""

    def __init__(self) -> None:
        super().__init__()
        self.words: dict[str, list[str]] = {"title": [], "": []}
        self._within = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 # HTMLParser calls it so
        self._within = tag if tag == "title" or tag in _UNSEEN else ""

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 # HTMLParser calls it so
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within not in _UNSEEN:
            self.words[self._within].extend(data.split())


def text_of(text: str) -> str:
    """Return the title of a page and its text on one line; the title once."""
    page = _Page()
    page.feed(text[:_PAGE])
    page.close()
    title, rest = " ".join(page.words["title"]), " ".join(page.words[""])
    return rest if not title or rest.startswith(title) else f"{title}: {rest}" if rest else title
