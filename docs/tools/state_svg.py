"""State diagrams of the site: the blocks ``stateDiagram-v2`` of the pages as SVG, so that no page loads a script.

Rules of this module: a column for each state, in the order of the diagram, and below it a row for each change, an arrow
from the state before to the state after; the colours are those of the text around it.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final

COLUMN: Final = 124
"""Pixels between two states."""
ROW: Final = 34
_HEAD: Final = 44
_BLOCK: Final = re.compile(r"^```mermaid\nstateDiagram-v2\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CHANGE: Final = re.compile(r"^ *(\S+) --> (\S+?)(?:: (.+))?$")
_NONE: Final = {"[*]": "(none)"}


def with_diagrams(markdown: str) -> str:
    """The text of a page with its state diagrams drawn."""
    return _BLOCK.sub(lambda found: drawn(found[1]), markdown)


def drawn(diagram: str) -> str:
    """The SVG of the lines of a diagram. Raises ValueError for a line that is no change."""
    changes = [_change(line) for line in diagram.splitlines() if line.strip()]
    states = list(dict.fromkeys(state for before, after, _ in changes for state in (before, after)))
    width, height = COLUMN * len(states), _HEAD + ROW * len(changes) + 12
    columns = {state: COLUMN // 2 + COLUMN * number for number, state in enumerate(states)}
    parts = [_state(state, x, height) for state, x in columns.items()]
    for number, (before, after, label) in enumerate(changes, start=1):
        parts.append(_arrow(columns[before], columns[after], _HEAD + ROW * number, label, width))
    return (
        f'<div style="overflow-x: auto"><svg role="img" aria-label="States" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-size="12" fill="currentColor" style="max-width: none">'
        f"{''.join(parts)}</svg></div>"
    )


def _change(line: str) -> tuple[str, str, str]:
    found = _CHANGE.match(line)
    if found is None:
        raise ValueError(f"invalid line of a state diagram '{line}': expected A --> B: what happens")
    before, after, label = found.groups()
    return _NONE.get(before, before), _NONE.get(after, after), label or "it ends"


def _state(name: str, x: int, height: int) -> str:
    return (
        f'<rect x="{x - COLUMN // 2 + 6}" y="4" width="{COLUMN - 12}" height="26" rx="5" fill="none" '
        f'stroke="currentColor"/><text x="{x}" y="21" text-anchor="middle">{escape(name)}</text>'
        f'<line x1="{x}" y1="30" x2="{x}" y2="{height}" stroke="currentColor" stroke-opacity="0.3"/>'
    )


def _arrow(start: int, end: int, y: int, label: str, width: int) -> str:
    """An arrow with its label above; one to the same state is a loop to its right."""
    step = 1 if end >= start else -1
    line = f"M{start} {y}H{end - step * 6}" if end != start else f"M{start} {y - 10}h18v10h-12"
    point = end - step * 7 if end != start else start + 7
    back = step * 6 if end != start else -6
    head = f"M{point + back} {y}l{-back} -4v8z"
    middle = min(max((start + end) // 2, 3 * len(label) + 4), width - 3 * len(label) - 4)
    return (
        f'<path d="{line}" fill="none" stroke="currentColor"/><path d="{head}"/>'
        f'<text x="{middle}" y="{y - 6}" text-anchor="middle">{escape(label)}</text>'
    )
