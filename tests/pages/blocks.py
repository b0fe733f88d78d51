"""The blocks of the pages that are executed: README.md, CHANGELOG.md and docs/.

Rules of a page (docs/CONTRIBUTING.md says them to its authors):
- ```` ```python ```` runs, in the order of the page, in one namespace; ``title="app.py"`` saves it as a file, for the
  commands of the page;
- ```` ```text ```` right behind a block of Python is what that block prints; ``...`` stands for anything;
- ```` ```console ```` has lines that begin with ``$ ``, each with what it prints below it;
- ```` ```text title="uvicorn" ```` is what that server of the page prints next;
- ``<!-- continues: other.md -->`` has the blocks of that page run before;
- ``<!-- invisible-code-block: python`` is Python which the reader does not need;
- ``<!-- skip: next "reason" -->`` leaves the next block out, and says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen
from sybil import Document, Region
from sybil.parsers.markdown.lexers import DirectiveInHTMLCommentLexer, FencedCodeBlockLexer

ROOT: Final = Path(__file__).parents[2]
_FENCES: Final = FencedCodeBlockLexer(r".+?")
_COMMENTS: Final = DirectiveInHTMLCommentLexer("invisible-code-block|skip", ".+?")
_TITLE: Final = re.compile(r'title="([\w./-]+)(, at the end)?"')
_CONTINUES: Final = re.compile(r"^<!-- continues: ([\w./-]+) -->$", re.MULTILINE)
_REASON: Final = re.compile(r'next "([^"]+)"')


@frozen
class Block:
    """A block of a page."""

    language: str
    source: str
    line: int
    """Of its first line of code, from 1."""
    title: str | None
    """The file that it is."""
    is_end: bool
    """Whether it goes to the end of a file that something else wrote: ``title="settings.py, at the end"``."""
    skipped: str | None
    """Why it is not run."""
    prints: str | None
    """What it prints, if the page says so."""


@frozen
class Page:
    """A page, by its path from the root of the repository."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path.name)

    @property
    def slug(self) -> str:
        """Its name as that of a module."""
        return re.sub(r"\W", "_", self.name.removesuffix(".md"))

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def continues(self) -> Page | None:
        """The page before this one, whose files, servers and names this one uses."""
        named = _CONTINUES.search(self.text)
        return None if named is None else Page(self.path.parent / named[1])

    def blocks(self) -> list[Block]:
        """All of them, with the invisible ones, in the order of the page."""
        return list(_blocks(Document(self.text, self.name)))


def pages() -> list[Page]:
    """README and what is below docs/, but the projects of docs/examples, which have tests of their own."""
    below = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "examples" not in path.parts]
    return [Page(path) for path in (ROOT / "README.md", *below)]


def _blocks(document: Document) -> Iterator[Block]:
    regions = sorted([*_FENCES(document), *_COMMENTS(document)], key=lambda region: region.start)
    skipped, printed = None, set[int]()
    for number, region in enumerate(regions):
        lexemes = region.lexemes
        if lexemes.get("directive") == "skip":
            reason = _REASON.fullmatch(lexemes["arguments"].strip())
            assert reason is not None, f"{document.path}: a skip needs a reason: {lexemes['arguments']}"
            skipped = reason[1]
            continue
        said = str(lexemes.get("language") or lexemes["arguments"])
        language, title = said.split()[0], _TITLE.search(said)
        following = regions[number + 1] if number + 1 < len(regions) else None
        prints = None
        if language == "python" and following is not None and _is_output(document, region, following):
            prints = str(following.lexemes["source"])
            printed.add(number + 1)
        if number not in printed:
            line = document.text[: region.start].count("\n") + 2
            yield Block(language, str(lexemes["source"]), line, *_file(title), skipped, prints)
        skipped = None


def _file(title: re.Match[str] | None) -> tuple[str | None, bool]:
    return (title[1], title[2] is not None) if title else (None, False)


def _is_output(document: Document, block: Region, following: Region) -> bool:
    return following.lexemes.get("language") == "text" and not document.text[block.end : following.start].strip()
