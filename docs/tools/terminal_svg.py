"""docs/start/terminal.svg, the picture of a terminal: ``python docs/tools/terminal_svg.py`` draws it.

Rules of this module:
- it shows commands of pages with what the pages say that they print; tests/pages runs these commands and compares that,
  and tests/test_docs.py compares the picture with the pages, so it shows nothing that did not happen;
- the picture loads no font: that of the reader's machine is taken.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

ROOT: Final = Path(__file__).parents[2]
PICTURE: Final = ROOT / "docs" / "start" / "terminal.svg"
SHOWN: Final = (
    ("docs/start/first-partner.md", "ocpi-emsp check "),
    ("docs/start/first-partner.md", "ocpi-emsp register --invitation"),
    ("README.md", "ocpi-emsp tokens put "),
    ("README.md", "ocpi-emsp command start-session "),
    ("docs/start/first-charge.md", "ocpi-emsp command stop-session "),
)
"""The commands, by page and first words."""
_WIDTH: Final = 112
_FORMAT: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def shown() -> Iterator[tuple[str, str]]:
    """Each command and what it prints."""
    for page, words in SHOWN:
        found = re.search(
            rf"^\$ ({re.escape(words)}.*)\n((?:(?!\$ |```).*\n)*)", (ROOT / page).read_text("utf-8"), re.M
        )
        assert found is not None, f"{page} has no command {words}"
        yield found[1], found[2]


def drawing() -> str:
    """The picture."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for command, prints in shown():
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text(prints))
    return console.export_svg(title="ocpi-emsp", code_format=_FORMAT)


def text_of(picture: str) -> str:
    """The text in a picture, without blanks: lines are folded in it."""
    cells = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    return "".join(unescape("".join(cells)).split())


if __name__ == "__main__":
    PICTURE.write_text(drawing(), "utf-8")
