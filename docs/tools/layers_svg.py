"""The picture of docs/explanation/architecture.md: ``python docs/tools/layers_svg.py`` draws it.

Rules of this module:
- the layers are those that tests/test_imports.py holds, read from its source, so that the picture cannot differ;
- a layer is drawn in the band that begins at it or before it, once, under its name at the top level;
- the picture loads nothing, has its own background for a light and a dark page, and can be read at 400 px.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
PICTURE: Final = _ROOT / "docs" / "explanation" / "layers.svg"
BANDS: Final[Mapping[str, str]] = {
    "_version": "Foundations: plain data, errors, types",
    "models": "Documents: decode, check, price, report",
    "wire": "Messages, routes, records; ports to the outside",
    "_bridge": "Runners of flows, and the stores",
    "flows.core": "Behaviour: flows/, written once for sync and async",
    "openapi": "Settings, HTTP clients, background work",
    "resources": "What a backend calls",
    "testing": "Test doubles, the command, integrations",
}
"""The first layer of each band, and what stands above the band."""
_WIDTH, _PAD, _BOX, _CHARACTER = 480, 12, 24, 7.2
_STYLE: Final = (
    "text{font:12px sans-serif;fill:#222}.band{font-weight:bold}.name{font-family:monospace;text-anchor:middle}"
    ".field{fill:#e0f2f1}.box{fill:#fff;stroke:#00695c}.side{fill:#00695c;text-anchor:middle}"
)


def layers() -> tuple[str, ...]:
    """The layers of tests/test_imports.py, from the top down. Raises ValueError if they are not found there."""
    for node in ast.parse((_ROOT / "tests" / "test_imports.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LAYERS":
            found: tuple[str, ...] = ast.literal_eval(node.value)
            return found
    raise ValueError("tests/test_imports.py has no LAYERS")


def names(found: Sequence[str]) -> list[str]:
    """The layers at the top level, and the folders of flows, each once, in their order."""
    shown = (each.removeprefix("flows.") if each.startswith("flows.") else each.partition(".")[0] for each in found)
    return [name for name in dict.fromkeys(shown) if name not in {"flows", "__main__"}]


def bands(found: Sequence[str]) -> dict[str, list[str]]:
    """The names of each band. Raises ValueError if a band begins at a layer that does not exist."""
    starts = [found.index(first) for first in BANDS]
    ends = [*starts[1:], len(found)]
    if starts != sorted(starts) or starts[0] != 0:
        raise ValueError("the bands are not in the order of the layers")
    return {caption: names(found[start:end]) for caption, start, end in zip(BANDS.values(), starts, ends, strict=True)}


def drawing(found: Sequence[str]) -> str:
    """The picture of the layers."""
    parts: list[str] = []
    y = 12
    for caption, inside in bands(found).items():
        rows = list(_rows([name or "ocpi_emsp" for name in inside]))
        height = 30 + len(rows) * (_BOX + 6)
        parts += _band(caption, rows, y, height)
        y += height + 8
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 4}" width="{_WIDTH}" role="img">'
    side = (
        f'<path d="M{_WIDTH - 22} {y - 8}V24" stroke="#00695c"/>'
        f'<path d="M{_WIDTH - 22} 14l-5 11h10z" fill="#00695c"/>'
        f'<text class="side" transform="translate({_WIDTH - 8} {y // 2}) rotate(-90)">imports point upwards</text>'
    )
    background = f'<rect width="{_WIDTH}" height="{y + 4}" rx="8" fill="#fff"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", background, *parts, side, "</svg>"]) + "\n"


def _rows(inside: Sequence[str]) -> Iterator[list[tuple[str, float]]]:
    """The names line by line, each with the width of its box."""
    row: list[tuple[str, float]] = []
    for name in inside:
        width = len(name) * _CHARACTER + 14
        if row and sum(each + 6 for _, each in row) + width > _WIDTH - 64:
            yield row
            row = []
        row.append((name, width))
    yield row


def _band(caption: str, rows: Sequence[Sequence[tuple[str, float]]], y: int, height: int) -> Iterator[str]:
    yield f'<rect class="field" x="{_PAD}" y="{y}" width="{_WIDTH - 52}" height="{height}" rx="6"/>'
    yield f'<text class="band" x="{_PAD + 8}" y="{y + 19}">{escape(caption)}</text>'
    for number, row in enumerate(rows):
        x, top = _PAD + 8.0, y + 28 + number * (_BOX + 6)
        for name, width in row:
            yield f'<rect class="box" x="{x:.1f}" y="{top}" width="{width:.1f}" height="{_BOX}" rx="4"/>'
            yield f'<text class="name" x="{x + width / 2:.1f}" y="{top + 16}">{escape(name)}</text>'
            x += width + 6


if __name__ == "__main__":
    PICTURE.write_text(drawing(layers()), "utf-8")
