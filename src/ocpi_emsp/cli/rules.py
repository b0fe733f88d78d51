"""``ocpi-emsp rules``: every rule that payloads are checked against, with a document that breaks it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from ocpi_emsp.check import EXAMPLES, RULES
from ocpi_emsp.check.page import rules_page
from ocpi_emsp.cli import output
from ocpi_emsp.findings import Rule

_OBJECTS = "the object's"
"""The clause of a rule of the schema, which holds for every object."""


def run(arguments: Namespace) -> int:
    """Print the rules in the order of the specification; Markdown is the page of the documentation."""
    match arguments.format:
        case "json":
            output.write_json([_as_json(rule) for rule in RULES.values()])
        case "markdown":
            output.write(rules_page())
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
            # a text, since some examples are no JSON, or repeat a member
            "document": example.document.decode("utf-8", "backslashreplace"),
        },
    }


def _text(rule: Rule) -> str:
    return "".join(f"{line}\n" for line in _lines(rule))


def _lines(rule: Rule) -> Iterator[str]:
    yield f"{rule.id}  {rule.severity}  {rule.clause or _OBJECTS}"
    yield f"    {rule.sentence}"
    yield f"    example: {output.printable(str(EXAMPLES[rule.id]))}"
