"""A refusal names the worst of its findings, and how many there are: in the answer, the log line, the exception."""

import logging
import re
from typing import Any

import pytest

from foreign.cases import named
from foreign.ways import WAYS, Way, changed_by, desk
from ocpi_emsp import Location, decode
from ocpi_emsp.check.examples import base
from ocpi_emsp.codec import dump
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject

CASES = named("reasons")
TRIED = [pytest.param(case, way, id=f"{name}-{way}") for name, case in CASES.items() for way in WAYS[case["kind"]]]
_REPR = re.compile(r"Decimal\(|\bNone\b|\bTrue\b|\bFalse\b|\{'|\\x")


@pytest.mark.parametrize(("case", "way"), TRIED)
def test_the_worst_finding_is_the_reason(case: dict[str, Any], way: Way, caplog: pytest.LogCaptureFixture) -> None:
    with desk(way) as sent, caplog.at_level(logging.WARNING, "ocpi_emsp"):
        said = sent.send(changed_by(case))
        pointer, _, sentence = case["reason"].partition(" ")
        assert said.code == 2001
        assert said.message.endswith(f": {sent.pointer(pointer)} {sentence} ({case['more']} more)")
        assert len(said.findings) == case["more"] + 1
        assert not _REPR.search(said.message)
        if way.method:
            [line] = [each for each in caplog.messages if each.startswith("request.refused")]
            worst = next(rule for where, rule, _ in said.findings if where == sent.pointer(pointer))
            assert f"rule={worst} pointer={sent.pointer(pointer)} findings={case['more'] + 1}" in line
        # As a backend reads it.
        [rejection] = sent.pair.emsp.rejections.list()
        assert said.message.startswith(rejection.message + ": ")


def test_the_exception_lists_the_worst_first_and_counts_the_rest() -> None:
    document = base(Location) | {"city": "Malmö"} | {f"vendor{number:02}": 1 for number in range(40)}
    del document["type"]
    with pytest.raises(InvalidObject) as raised:
        decode(Location, dump(document))
    assert raised.value.reason == "Location is not usable: /type type is required (41 more)"
    lines = str(raised.value).splitlines()
    assert lines[1].startswith("  error at /type: type is required")
    assert (len(lines), lines[-1]) == (22, "  and 22 more findings")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("L'été", "'L'été'"),
        ("a\nb\x1b[2J\u200b", r"'a\nb\u001b[2J\u200b'"),
        (None, "null"),
        (True, "true"),
        ({"a": [1.5, None, "x"]}, '{"a":[1.5,null,"x"]}'),
        (10**30, "1" + 30 * "0"),
        ("x" * 99, "'" + 56 * "x" + "..."),
        (object(), "a Python object of type object"),
    ],
)
def test_a_value_is_quoted_without_python(value: Any, text: str) -> None:
    assert shown(value) == text
