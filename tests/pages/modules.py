"""The Python of the pages as modules, for mypy and basedpyright: ``python tests/pages/modules.py`` (make types).

A module holds the blocks of a page in their order, or a file that the page shows; a reader runs them like that.
"""

from __future__ import annotations

import ast
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pages.blocks import ROOT, Block, Page, pages

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
    session = list[str]()
    for block in page.blocks():
        if block.language != "python" or block.skipped is not None:
            continue
        if block.title is None:
            session.append(_in_a_module(block))
        else:
            yield f"{page.slug}__{block.title.removesuffix('.py').replace('/', '_')}", block.source
    if session:
        yield page.slug, "".join(session)


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
