"""The report as Markdown (GitHub's, which has tables), for a ticket or a mail.

Rules of this module: external text stands in a code span that it cannot leave, or is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator

from ocpi_emsp.report import words
from ocpi_emsp.report.aggregate import PartnerReport, RuleCount
from ocpi_emsp.report.escapes import as_code, in_markdown


def to_markdown(report: PartnerReport, *, title: str | None = None) -> str:
    """Return the report as one Markdown document."""
    title = title or words.title(report)
    lines = [f"# {in_markdown(title)}", "", *(f"* {in_markdown(line)}" for line in words.summary(report)), ""]
    if not report.rules:
        return "\n".join([*lines, words.NOTHING, ""])
    lines += ["| severity | count | rule | first at | sample | clause |", "|---|---:|---|---|---|---|"]
    lines += [_row(each) for each in report.rules]
    for each in report.rules:
        lines += ["", *_details(each)]
    return "\n".join([*lines, ""])


def _row(each: RuleCount) -> str:
    sample = "*(none)*" if each.sample is None else as_code(each.sample)
    cells = (
        each.severity.value,
        str(each.count),
        as_code(each.rule),
        as_code(words.pointer(each.pointer)),
        sample,
        as_code(each.clause),
    )
    return f"| {' | '.join(cells)} |"


def _details(each: RuleCount) -> Iterator[str]:
    yield f"## {in_markdown(each.rule)}"
    yield ""
    if each.sentence:
        yield f"{in_markdown(each.sentence)} ({each.severity}, {as_code(each.clause)})"
        yield ""
    yield f"* first in {as_code(each.source)}"
    if words.seen(each):
        yield f"* seen {words.seen(each)}"
    for place in each.places:
        where = f"{in_markdown(place.kind)} {as_code(words.pointer(place.pointer))}"
        clause = "" if place.clause == each.clause else f" ({as_code(place.clause)})"
        yield f"* {place.count} x {where}{clause}"
    if each.elsewhere:
        yield f"* {each.elsewhere} x elsewhere"
