"""``ocpi-emsp rules``."""

from __future__ import annotations

import json
from pathlib import Path

from cli.conftest import Command
from ocpi_emsp.check import EXAMPLES, RULES, check
from ocpi_emsp.cli.kinds import KINDS

ROOT = Path(__file__).parents[2]


def test_json_has_every_rule_with_an_example_that_breaks_it(command: Command) -> None:
    ended = command("rules", "--format", "json")
    rows = json.loads(ended.out)
    assert (ended.status, ended.err) == (0, "")
    assert [row["id"] for row in rows] == list(RULES)
    for row in rows:
        rule, example = RULES[row["id"]], row["example"]
        assert set(row) == {"id", "severity", "clause", "sentence", "example"}
        assert (row["severity"], row["clause"], row["sentence"]) == (rule.severity, rule.clause or None, rule.sentence)
        assert example["breaks"] == str(EXAMPLES[rule.id])
        assert rule.id in {each.rule for each in check(example["document"], KINDS[example["kind"]])}


def test_text_has_three_lines_for_every_rule(command: Command) -> None:
    blocks = command("rules").out.strip().split("\n\n")
    assert [block.split()[0] for block in blocks] == list(RULES)
    for block, rule in zip(blocks, RULES.values(), strict=True):
        first, sentence, example = block.splitlines()
        assert first.split("  ")[1:] == [rule.severity.value, rule.clause or "the object's"]
        assert sentence.strip() == rule.sentence
        assert example.strip().startswith(f"example: {EXAMPLES[rule.id].kind.__name__} ")


def test_markdown_is_the_page_of_the_documentation(command: Command) -> None:
    page = (ROOT / "docs/reference/rules.md").read_text(encoding="utf-8")
    assert command("rules", "--format", "markdown").out == page, (
        "ocpi-emsp rules --format markdown > docs/reference/rules.md"
    )
    for id_ in RULES:
        assert page.count(f"| `{id_}` |") == 1
