"""Objects and lists inside each other: one bound of ours on every Python, whatever its parsers go through."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from ocpi_emsp import Cdr, Location, Session, check
from ocpi_emsp.check.examples import base
from ocpi_emsp.codec import decode, decode_strict, dump, merge_patch, parse, untyped
from ocpi_emsp.codec.repeated import repetitions
from ocpi_emsp.codec.weight import require_shallow, weigh
from ocpi_emsp.errors import InvalidObject, NotJson

MOST = 256
MOST_OF_LARGE = 32
DEPTHS = [MOST + 1, 450, 700, 980, 3000, 10_000, 100_000]
"""Beyond what a function of ours that calls itself goes through on 3.11, the parsers of 3.11, of 3.13, and of 3.14."""
OPENS = {
    "lists": (b"[", b"]"),
    "objects": (b'{"x":', b"}"),
    "both": (b'[{"id":"E1","x":[],"connectors":', b"}]"),
    "beside others": (b"[[],1,", b',{"a":[]}]'),
    "with brackets in texts": (b'["]}",', b',"[{"]'),
}
MESSAGE = f"more than {MOST} objects and lists inside each other, at most {MOST} are read"


def deep(depth: int, name: str = "lists") -> bytes:
    """Objects and lists inside each other, so many or a few more."""
    opens, closes = OPENS[name]
    return opens * depth + b"1" + closes * depth


def depth_of(value: Any) -> int:
    """Counted in the slow way."""
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if below is None else 1 + max(map(depth_of, below), default=0)


NESTED = st.recursive(
    st.none() | st.text(alphabet='[]{},"\\a', max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(alphabet='[{"\\', max_size=2), inner, max_size=2)
        | st.tuples(inner, st.integers(1, 60)).map(lambda each: json.loads(wrapped(each[0], each[1])))
    ),
    max_leaves=9,
)


def wrapped(value: Any, depth: int) -> str:
    """A value in so many lists and objects."""
    return '[{"a":' * depth + json.dumps(value) + "}]" * depth


@settings(deadline=None)
@given(document=NESTED)
@example(document=json.loads(deep(MOST)))
@example(document=json.loads(deep(MOST + 1)))
@example(document=json.loads(b'["' + b"[" * 99 + b'",' + deep(MOST - 1) + b"]"))
@example(document=[[[]] * 40] * 40)
def test_what_is_refused_is_too_deep_and_nothing_else_is(document: Any) -> None:
    data = json.dumps(document).encode()
    if depth_of(document) > MOST:
        with pytest.raises(InvalidObject) as refused:
            require_shallow(data)
        assert [(each.rule, each.message) for each in refused.value.findings] == [("document.bounds", MESSAGE)]
    else:
        require_shallow(data)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", OPENS)
def test_a_document_that_is_too_deep_is_refused_on_every_python(name: str, depth: int) -> None:
    """Without the bound: NotJson on 3.11, other findings on 3.14, and a RecursionError in between."""
    data = b'{"operator":' + deep(depth, name) + b"}"
    for read in (untyped, lambda data: decode(Location, data), repetitions_of):
        with pytest.raises(InvalidObject, match="too much to read") as refused:
            read(data)
        assert [each.rule for each in refused.value.findings] == ["document.bounds"]
    assert [each.rule for each in check(data, Location)] == ["document.bounds"]


def repetitions_of(data: bytes) -> list[str]:
    """The repeated members of a document that has one."""
    return repetitions(b'{"a":1,"a":%b}' % data)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("member", ["evses", "operator", "vendor"])
@pytest.mark.parametrize("name", ["lists", "objects"])
def test_a_deep_document_is_read_or_refused(name: str, member: str, depth: int) -> None:
    """Through the doors where Python's own limit counts: what is too deep for one is no other error."""
    data = b'{"id":"LOC1","%s":%b}' % (member.encode(), deep(depth, name))
    doors: list[Callable[[bytes], Any]] = [
        parse,
        partial(decode_strict, Location),
        lambda data: merge_patch(data, b"{}"),
        lambda data: merge_patch(b"{}", data),
    ]
    for read in doors:
        with contextlib.suppress(NotJson, InvalidObject):
            read(data)


@pytest.mark.parametrize("depth", DEPTHS)
def test_parsed_values_that_are_too_deep_are_refused(depth: int) -> None:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    with pytest.raises((NotJson, InvalidObject)):  # Python itself may be unable to write it
        untyped(value)
    [finding] = check(value, Location)
    assert finding.rule in ("document.bounds", "json.syntax")


@pytest.mark.parametrize("kind", [Location, Session, Cdr])
def test_an_unknown_member_may_be_deep_and_is_read_or_refused(kind: type[Any]) -> None:
    document = dump(base(kind))
    for depth in (1, MOST - 1, *DEPTHS):
        data = document[:-1] + b',"x-vendor":' + deep(depth) + b"}"
        if depth < 800:  # every Python goes through it
            assert decode(kind, data) == decode(kind, document)
        else:
            report = check(data, kind)
            assert report.ok or [each.rule for each in report] == ["document.bounds"]


@pytest.mark.parametrize("data", [b"[" * 5000, b"]" * 5000, b'{"a":' * 5000, b"[" * 300 + b"x" + b"]" * 300])
def test_what_is_deep_and_no_json_is_no_json(data: bytes) -> None:
    for read in (untyped, lambda data: decode(Location, data)):
        with pytest.raises(NotJson):
            read(data)


@pytest.mark.parametrize("depth", [MOST_OF_LARGE + 1, *DEPTHS])
def test_a_large_document_that_is_too_deep_is_refused_alike(depth: int) -> None:
    with pytest.raises(InvalidObject, match=f"inside each other, at most ({MOST_OF_LARGE}|{MOST}) are read"):
        weigh(b"[" + b",".join([deep(depth)] * max(1, 10_000 // depth)) + b"," + b"0," * 12_000 + b"0]")
