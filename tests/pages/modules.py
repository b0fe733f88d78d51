"""The Python of the pages as modules, for mypy and basedpyright: ``python tests/pages/modules.py`` (make types).

A module holds the blocks of a page in their order, or a file that the page shows; a reader runs them like that.
"""

from __future__ import annotations

import ast
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pages.blocks import ROOT, Block, Page, pages

_IMPORT: Final = re.compile(r"^from ([\w.]+) import (.+)$", re.MULTILINE)
FOLDER: Final = ROOT / "build" / "types" / "of_pages"


def write(folder: Path = FOLDER) -> None:
    """Write all of them anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    for page in pages():
        for name, source in modules(page):
            (folder / f"{name}.py").write_text(source, "utf-8")


def modules(page: Page) -> Iterator[tuple[str, str]]:
    """The name and the source of each module of a page."""
    session, files = list[str](), _files(page)
    for block in page.blocks():
        if block.language != "python" or block.skipped is not None:
            continue
        if block.title is None:
            session.append(_in_a_module(block))
        elif not block.is_end:
            yield _file(page, block.title), _with_imports(block.source, files)
    if session:
        yield page.slug, _with_imports("".join(session), files)


def _file(page: Page, title: str) -> str:
    return f"{page.slug}__{title.removesuffix('.py').replace('/', '_')}"


def _files(page: Page | None) -> dict[str, str]:
    """The modules that a page can import, its own and those of the pages before it, by the name that it imports."""
    if page is None:
        return {}
    blocks = [block for block in page.blocks() if block.language == "python" and not block.is_end]
    titles = [block.title for block in blocks if block.title is not None]
    names = {title.removesuffix(".py").replace("/", "."): _file(page, title) for title in titles}
    return _files(page.continues) | names


def _with_imports(source: str, files: Mapping[str, str]) -> str:
    """The source, its imports of files of the page turned into those of their modules."""

    def imported(found: re.Match[str]) -> str:
        package, name = found.groups()
        if package in files:
            return f"from of_pages.{files[package]} import {name}"
        module = files.get(f"{package}.{name}")
        return found[0] if module is None else f"from of_pages import {module} as {name}"

    return _IMPORT.sub(imported, source)


def _in_a_module(block: Block) -> str:
    """Its source; what awaits outside a function is put into one, as ``python -m asyncio`` does."""
    try:
        compile(block.source, "page", "exec", dont_inherit=True)
    except SyntaxError:
        compile(block.source, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        return f"async def line_{block.line}() -> None:\n{textwrap.indent(block.source, '    ')}\n"
    return block.source


if __name__ == "__main__":
    write()
