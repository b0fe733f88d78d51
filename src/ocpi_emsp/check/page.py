"""docs/rules.md, generated from the registry: ``python -m ocpi_emsp.check.page > docs/rules.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from ocpi_emsp.check import CHAPTERS, EXAMPLES
from ocpi_emsp.check.schema import NOT_JSON
from ocpi_emsp.codec.rules import SCHEMA_RULES
from ocpi_emsp.findings import Rule

SPECIFICATION = "https://github.com/ocpi/ocpi/blob/release-2.1.1-bugfixes/"

_HEAD = """# Rules

Every finding names its rule. This page is generated from the registry of the rules:

    python -m ocpi_emsp.check.page > docs/rules.md

An **error** leaves no usable value and is refused by the tolerant policy; a **warning** deviates with one clear reading
and is refused by the strict policy; a **note** is harmless. An example is a valid document with one change; it breaks
its rule and no other. Where no clause is named, it is that of the object in which the finding lies.
"""


def rules_page() -> str:
    """The page: one table per chapter, in the order of the specification."""
    parts = [_HEAD, *_table("JSON and the schema", "", (NOT_JSON, *SCHEMA_RULES))]
    for chapter in CHAPTERS:
        parts += _table(chapter.title, chapter.file, (object_rule.rule for object_rule in chapter.rules))
    return "\n".join(parts) + "\n"


def _table(title: str, file: str, rules: Iterable[Rule]) -> Iterator[str]:
    yield f"## {title}\n"
    if file:
        yield f"[{file}]({SPECIFICATION}{file})\n"
    yield "| rule | severity | what it says | clause | example |"
    yield "|---|---|---|---|---|"
    for rule in rules:
        cells = (f"`{rule.id}`", rule.severity.value, rule.sentence, _clause(rule), _example(rule))
        yield f"| {' | '.join(cells)} |"
    yield ""


def _clause(rule: Rule) -> str:
    return f"[{rule.clause}]({SPECIFICATION}{rule.clause})" if rule.clause else "the object's"


def _example(rule: Rule) -> str:
    return "`" + str(EXAMPLES[rule.id]).replace("|", "\\|") + "`"


if __name__ == "__main__":
    sys.stdout.write(rules_page())
