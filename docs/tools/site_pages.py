"""The pages of the site, as mkdocs reads them: ``python docs/tools/site_pages.py``; ``make docs`` builds the site.

Rules of this module:
- a page is a file of the repository, or generated from the code by a module beside this one; none of both is twice;
- links are written for the repository, and become links of the site here; one to a file that is no page stays as it is,
  so that the strict build reports it;
- ``build/docs`` and ``build/mkdocs.yml`` are written anew each time, so that nothing of an earlier build is left.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Final

import reference_api
import reference_cli
import reference_database
import reference_errors
import reference_reasons
from search_words import PHRASES, searchable
from state_svg import with_diagrams

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "docs"
OUTSIDE: Final = {
    "CHANGELOG.md": "reference/changelog.md",
    "bench/results.md": "explanation/measurements.md",
    ".github/SECURITY.md": "security-policy.md",
}
"""Files outside docs/ that are pages."""
GENERATORS: Final = (reference_api, reference_cli, reference_database, reference_errors, reference_reasons)
ASSETS: Final = {".svg", ".png", ".css", ".js", ".conf", ".example", ".py", ".service", ".yaml", ""}
_COMMENT: Final = re.compile(r"^<!-- .*?-->\n+", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")


def pages() -> dict[str, str]:
    """The text of each page, by its path in the site."""
    sources = {f"docs/{path.relative_to(ROOT / 'docs')}": path for path in _files() if path.suffix == ".md"}
    places = {source: source.removeprefix("docs/") for source in sources} | OUTSIDE
    written = {page: _of_site((ROOT / source).read_text("utf-8"), source) for source, page in places.items()}
    made = generated()
    assert not made.keys() & written.keys(), "a page has one source"
    return written | made


def generated() -> dict[str, str]:
    """The text of each page that has no file."""
    return dict(page for module in GENERATORS for page in module.pages())


def _of_site(markdown: str, source: str) -> str:
    """A file of the repository as a page: without what only the tests read, and with its diagrams drawn."""
    return with_diagrams(with_site_links(_COMMENT.sub("", markdown), source))


def with_site_links(markdown: str, source: str) -> str:
    """The text of a file of the repository, its links turned into those of the site."""
    page = OUTSIDE.get(source, source.removeprefix("docs/"))

    def link(found: re.Match[str]) -> str:
        target = normpath(join(dirname(source), found[0]))
        return relpath(OUTSIDE.get(target, relpath(target, "docs")), dirname(page) or ".")

    return _LINK.sub(link, markdown)


def write() -> None:
    """Write the pages and what they show, and the settings of mkdocs."""
    shutil.rmtree(BUILD, ignore_errors=True)
    found = pages()
    assert PHRASES.keys() <= found.keys(), "each phrase leads to a page"
    for page, text in found.items():
        place = BUILD / page
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(searchable(page, text), "utf-8")
    for path in _files():
        if path.suffix in ASSETS:
            place = BUILD / path.relative_to(ROOT / "docs")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    shutil.copyfile(ROOT / ".ci" / "mkdocs.yml", BUILD.with_name("mkdocs.yml"))


def _files() -> Iterator[Path]:
    """What is below docs/, without the tools and the environments of the examples."""
    for path in sorted((ROOT / "docs").rglob("*")):
        parts = path.relative_to(ROOT / "docs").parts
        if path.is_file() and parts[0] != "tools" and not any(part.startswith((".", "__")) for part in parts):
            yield path


if __name__ == "__main__":
    write()
