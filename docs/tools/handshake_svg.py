"""The sequence diagrams of docs/start/ocpi-in-ten-minutes.md: ``python docs/tools/handshake_svg.py`` draws them.

Rules of this module:
- the state of the CPO in our store after a step is what :data:`TRANSITIONS` says; a change that it refuses ends the
  drawing with an error;
- the picture loads nothing, has its own background for a light and a dark page, and can be read at 400 px.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from attrs import frozen

from ocpi_emsp.flows.credentials.states import TRANSITIONS, UNKNOWN, PartyChange, Refused, Standing

FOLDER: Final = Path(__file__).parents[2] / "docs" / "start"
_WIDTH, _LEFT, _RIGHT, _STEP = 480, 60, 420, 46
_STYLE: Final = (
    "text{font:13px sans-serif;fill:#222;text-anchor:middle}.who{font-weight:bold}.state{font-size:12px;fill:#00695c}"
    "line{stroke:#555}.life{stroke-dasharray:4 4}.answer{stroke-dasharray:6 3}"
)


@frozen
class Step:
    """A message: from us or to us, and the change that it is in the table."""

    from_us: bool
    says: str
    change: PartyChange | None = None
    is_answer: bool = False


INVITING: Final = (
    Step(True, "versions URL and token A, not by OCPI", PartyChange.INVITED),
    Step(False, "GET versions, GET 2.1.1, with token A"),
    Step(False, "POST credentials: token B, its versions URL"),
    Step(True, "GET versions, GET 2.1.1, with token B"),
    Step(True, "the answer: token C, our versions URL", PartyChange.THEIR_POST, is_answer=True),
)
"""We invite the CPO."""
INVITED: Final = (
    Step(False, "versions URL and token A, not by OCPI"),
    Step(True, "GET versions, GET 2.1.1, with token A"),
    Step(True, "POST credentials: token B, our versions URL", PartyChange.OUR_POST),
    Step(False, "GET versions, GET 2.1.1, with token B"),
    Step(False, "the answer: token C, its versions URL", PartyChange.OUR_POST_ANSWERED, is_answer=True),
)
"""The CPO invites us."""
PICTURES: Final = {FOLDER / "handshake-inviting.svg": INVITING, FOLDER / "handshake-invited.svg": INVITED}


def drawing(steps: Sequence[Step]) -> str:
    """The picture of a handshake."""
    return "\n".join(_lines(steps)) + "\n"


def _lines(steps: Sequence[Step]) -> Iterator[str]:
    height = 60 + _STEP * len(steps)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">'
    yield f"<style>{_STYLE}</style>"
    yield f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#fff"/>'
    for x, who in ((_LEFT, "CPO"), (_RIGHT, "you (eMSP)")):
        yield f'<text class="who" x="{x}" y="24">{who}</text>'
        yield f'<line class="life" x1="{x}" y1="32" x2="{x}" y2="{height - 12}"/>'
    standing: Standing = UNKNOWN
    for number, step in enumerate(steps):
        y = 64 + _STEP * number
        yield from _arrow(step, y)
        if step.change is not None:
            standing = _after(standing, step.change)
            yield f'<text class="state" x="{_WIDTH // 2}" y="{y + 17}">in your store: {standing.name}</text>'
    yield "</svg>"


def _arrow(step: Step, y: int) -> Iterator[str]:
    start, end = (_RIGHT, _LEFT) if step.from_us else (_LEFT, _RIGHT)
    tip = 9 if step.from_us else -9
    kind = ' class="answer"' if step.is_answer else ""
    yield f'<text x="{_WIDTH // 2}" y="{y - 6}">{escape(step.says)}</text>'
    yield f'<line{kind} x1="{start}" y1="{y}" x2="{end}" y2="{y}"/>'
    yield f'<path d="M{end} {y}l{tip} -5v10z" fill="#555"/>'


def _after(standing: Standing, change: PartyChange) -> Standing:
    reached = TRANSITIONS[standing][change]
    assert not isinstance(reached, Refused), f"{standing.name}, {change.value}: {reached.value}"
    return reached


if __name__ == "__main__":
    for file, steps in PICTURES.items():
        file.write_text(drawing(steps), "utf-8")
