"""``ocpi-emsp rules``: every rule that payloads are checked against, with a document that breaks it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ocpi_emsp.check import CHAPTERS, EXAMPLES, RULES
from ocpi_emsp.cli import output
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.codec.rules import NOT_JSON, SCHEMA_RULES
from ocpi_emsp.findings import Rule

_SPECIFICATION = "https://github.com/ocpi/ocpi/blob/release-2.1.1-bugfixes/"

_HEAD = """# Rules

This page lists every rule that a payload is checked against. A finding of `check`, of a report or of an answer names
its rule: look it up here. [Check a partner's files](../how-to/check-files.md) shows how to get findings. The page is
generated from the registry of the rules:

    ocpi-emsp rules --format markdown > docs/reference/rules.md

An **error** leaves no usable value, and the tolerant policy refuses it. A **warning** deviates with one clear reading,
and the strict policy refuses it. A **note** is harmless. Each example is a valid document with one change: it breaks
its rule and no other. "The object's" clause is that of the object in which the finding lies.

A policy (`Policy.with_rule`, `party profile --set actions=`) changes the severity of a rule of this page, or ignores
the rule. Answers also name findings that depend on the request or on stored data, such as `url.id`, `cdr.conflict`,
`patch.members`, `credentials.party` (always errors), `body.wrapped`, `patch.evses`, `session.kwh.decreased`,
`session.invalidated`, `location.older` and `authorize.token.case`. No policy changes those, and a policy that names one
is refused. [Reason codes](reason-codes.md) lists the codes of audits.
"""
_OBJECTS = "the object's"
"""The clause of a schema rule that applies to every object."""


def run(arguments: Arguments) -> int:
    """Print the rules in the order of the specification; Markdown is the page of the documentation."""
    match arguments.format:
        case "json":
            output.write_json([_as_json(rule) for rule in RULES.values()])
        case "markdown":
            output.write(_page())
        case _:
            output.write("\n".join(_text(rule) for rule in RULES.values()))
    return 0


def _as_json(rule: Rule) -> dict[str, Any]:
    example = EXAMPLES[rule.id]
    return {
        "id": rule.id,
        "severity": rule.severity.value,
        "clause": rule.clause or None,
        "sentence": rule.sentence,
        "example": {
            "kind": example.kind.__name__,
            "breaks": str(example),
            # as text, since some examples are not JSON, or repeat a member
            "document": example.document.decode("utf-8", "backslashreplace"),
        },
    }


def _text(rule: Rule) -> str:
    return (
        f"{rule.id}  {rule.severity}  {rule.clause or _OBJECTS}\n"
        f"    {rule.sentence}\n"
        f"    example: {output.printable(_shortened(str(EXAMPLES[rule.id])))}\n"
    )


def _page() -> str:
    """Return the page of the documentation: one table per chapter, in the order of the specification."""
    parts = [_HEAD, *_table("JSON and the schema", "", (NOT_JSON, *SCHEMA_RULES))]
    for chapter in CHAPTERS:
        parts += _table(chapter.title, chapter.file, (object_rule.rule for object_rule in chapter.rules))
    return "\n".join(parts) + "\n"


def _table(title: str, file: str, rules: Iterable[Rule]) -> Iterator[str]:
    yield f"## {title}\n"
    if file:
        yield f"[{file}]({_SPECIFICATION}{file})\n"
    yield "| rule | severity | what it says | clause | example |"
    yield "|---|---|---|---|---|"
    for rule in rules:
        cells = (f"`{rule.id}`", rule.severity.value, rule.sentence, _clause(rule), _example_cell(rule))
        yield f"| {' | '.join(cells)} |"
    yield ""


def _clause(rule: Rule) -> str:
    return f"[{rule.clause}]({_SPECIFICATION}{rule.clause})" if rule.clause else _OBJECTS


def _example_cell(rule: Rule) -> str:
    return "`" + _shortened(str(EXAMPLES[rule.id])).replace("|", "\\|") + "`"


def _shortened(text: str) -> str:
    """Return a text with long runs of a repeated character shortened to three."""
    return re.sub(r"(.)\1{50,}", r"\1\1\1...", text)
