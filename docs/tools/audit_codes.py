"""docs/how-to/audit-bills.md, between its marks, drawn from the reasons: ``python docs/tools/audit_codes.py``.

Rules of this module: it says what :data:`REASONS` says, in its order, and nothing of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ocpi_emsp.pricing import REASONS, ReasonCode

BEGIN: Final = "<!-- drawn from REASONS: python docs/tools/audit_codes.py -->"
PAGE: Final = Path(__file__).parents[1] / "how-to" / "audit-bills.md"
END: Final = "<!-- end of what is drawn -->"


def with_tables(page: str) -> str:
    """The page with the tables as they are now."""
    return page[: page.index(BEGIN)] + drawing() + page[page.index(END) + len(END) :]


def drawing() -> str:
    """Both tables, between their marks."""
    return "\n".join((BEGIN, "", *of_prices(), "", *of_plausibility(), "", END))


def of_prices() -> Iterator[str]:
    """The table of the codes of prices."""
    yield "| code | what it means |"
    yield "|---|---|"
    for each in REASONS.values():
        if not each.plausibility:
            yield f"| `{each.code}` | {each.sentence} |"


def of_plausibility() -> Iterator[str]:
    """The table of the codes of what is looked at beside the price."""
    yield "| code | what it means | default |"
    yield "|---|---|---|"
    for each in REASONS.values():
        if each.plausibility:
            yield f"| `{each.code}` | {each.sentence} | {_default(each)} |"


def _default(code: ReasonCode) -> str:
    """``on``, ``off``, or the limit with what it is in; a limit that is off by default says it, too."""
    if not code.unit:
        return code.default
    return f"{code.default} ({code.unit})" if code.default == "off" else f"{code.default} {code.unit}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
