"""How much a document holds, before it is read: what is counted, what is refused, and where."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from ocpi_emsp import Cdr, Location, check
from ocpi_emsp.check.examples import base
from ocpi_emsp.codec import decode, diagnose, readings, weight
from ocpi_emsp.codec.documents import dump, parse
from ocpi_emsp.codec.repeated import repetitions
from ocpi_emsp.codec.weight import DocumentBounds, weigh
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import MAX_DEVIATIONS, MAX_FINDINGS, Finding

SMALL = DocumentBounds(values=40, objects=12, items=8, members=6, digits=20)
TEXT = st.text(alphabet='[]{},"\\ax1:', max_size=6)
DOCUMENTS = st.recursive(
    st.none() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=11) | st.dictionaries(TEXT, inner, max_size=9),
    max_leaves=60,
)


def counted(value: Any) -> dict[str, int]:
    """What a document holds, counted in the slow way."""
    found = {"values": 0, "objects": 0, "items": 0, "members": 0}
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, dict | list):
            found["values"] += len(part)
            found["objects"] += isinstance(part, dict)
            name = "members" if isinstance(part, dict) else "items"
            found[name] = max(found[name], len(part))
            parts += part.values() if isinstance(part, dict) else part
    return found


@settings(max_examples=60)
@given(document=DOCUMENTS, spaced=st.booleans())
@example(document=["[{,", '"', "\\", '\\"'] * 2, spaced=False)
def test_what_is_refused_holds_too_much_and_nothing_else_is(document: Any, spaced: bool) -> None:
    """Without the texts taken out: refused for brackets in a text; without the escapes: for what follows a quote."""
    data = json.dumps(document, indent=1 if spaced else None).encode()
    over = [name for name, number in counted(document).items() if number > getattr(SMALL, name)]
    if over:
        with pytest.raises(InvalidObject) as refused:
            weigh(data, SMALL)
        assert [each.rule for each in refused.value.findings] == ["document.bounds"]
    else:
        weigh(data, SMALL)


PLACES = {
    "items": (b'{"evses":[%b]}' % b",".join([b"0"] * 9), "/evses", "9 items in one list, at most 8 are read"),
    "items below": (b'{"evses":[{"connectors":[%b]}]}' % b",".join([b"0"] * 9), "/evses/0/connectors", "9 items"),
    "members": (b'{"a":{%b}}' % b",".join([b'"b":1'] * 7), "/a", "7 members in one object, at most 6 are read"),
    "objects": (b'{"a":[%b],"b":1}' % b",".join([b"{}"] * 12), "/a", "12 objects, at most 12"),
    "values": (b'{"a":[%b]}' % b",".join([b"[0,0,0,0,0,0]"] * 7), "/a", "49 values, at most 40 are read"),
    "digits": (b'{"a":[0,{"b":%b}]}' % (b"1" * 21), "/a/1/b", "21 digits in one number, at most 20 are read"),
    "digits in a text": (b'{"a":"x%bx"}' % (b"1" * 21), "/a", "21 digits"),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_refusal_names_the_place_and_the_bound(name: str) -> None:
    data, place, message = PLACES[name]
    with pytest.raises(InvalidObject, match="too much to read") as refused:
        weigh(data, SMALL)
    [finding] = refused.value.findings
    assert (finding.pointer, finding.rule) == (place, "document.bounds")
    assert message in finding.message or name == "objects"


@pytest.mark.parametrize(
    "data", [b"[" * 5000, b'{"a":[' + b"0," * 40, b"[" + b"1" * 30 + b"]]", b"{}" + b" " * 30 + b"x"]
)
def test_what_is_no_json_comes_before_what_is_too_much(data: bytes) -> None:
    with pytest.raises(NotJson):
        weigh(data, SMALL)


HOSTILE = {
    "objects": b'{"evses":[' + b",".join([b"{}"] * 1_000_000) + b"]}",
    "numbers": b"[" + b",".join([b"0"] * 1_000_000) + b"]",
    "texts": b'["' + b'","'.join([b","] * 1_000_000) + b'"]',
    "members": b"{" + b",".join([b'"a":1'] * 500_000) + b"}",
    "digits": b'{"a":' + b"1" * 3_000_000 + b"}",
}


@pytest.mark.parametrize("opens", [b"[", b'{"a":'])
def test_what_is_too_deep_is_told_at_once(opens: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at its start: level by level, ten times 44 ms for 4 MiB of lists 900 deep."""
    monkeypatch.setattr(weight, "_own", lambda *_: pytest.fail("its levels were taken off"))
    closes = b"]" if opens == b"[" else b"}"
    deep = opens * 40 + b"1" + closes * 40
    with pytest.raises(InvalidObject) as refused:
        weigh(b"[" + b",".join([deep] * 9) + b"]", DocumentBounds(values=10_000, items=8, members=6, digits=20))
    [finding] = refused.value.findings
    message = "more than 32 objects and lists inside each other, at most 32 are read"
    assert (finding.rule, finding.message) == ("document.bounds", message)


@pytest.mark.parametrize("item", [b"[[]]", b'{"a":{}}', b"[{}]"])
def test_what_is_refused_takes_little_memory(item: bytes) -> None:
    """Without empty ones replaced first: a match for each of them, 40 times the document."""
    data = b'{"connectors":[' + b",".join([item] * 400_000) + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(InvalidObject, match="at most"):
            weigh(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(data)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("door", ["decode", "check"])
def test_what_holds_too_much_is_not_parsed(door: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the weighing: a million objects are parsed and diagnosed, 5 to 20 s and 300 MB."""
    monkeypatch.setattr("ocpi_emsp.codec.parse", lambda _: pytest.fail("it was parsed"))
    tracemalloc.start()
    try:
        if door == "check":
            [finding] = check(HOSTILE[name], Location)
        else:
            with pytest.raises(InvalidObject) as refused:
                decode(Location, HOSTILE[name])
            [finding] = refused.value.findings
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert finding.rule == "document.bounds"
    assert peak < 12 * len(HOSTILE[name])


def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rules of the findings that are made from now on."""
    found = list[str]()
    of = Finding.of.__func__  # type: ignore[attr-defined]

    def counting(kind: type[Finding], rule: Any, *more: Any) -> Any:
        found.append(rule.id)
        return of(kind, rule, *more)

    monkeypatch.setattr(Finding, "of", classmethod(counting))
    return found


def test_findings_stop_at_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the bound of Collector: 76,000 findings are made of 19,000 EVSEs."""
    document = base(Location) | {"evses": [{}] * 19_000}
    found = made(monkeypatch)
    with pytest.raises(InvalidObject) as refused:
        decode(Location, dump(document))
    assert MAX_FINDINGS <= len(found) < 2 * MAX_FINDINGS
    assert len(refused.value.findings) == MAX_FINDINGS
    assert {each.rule for each in refused.value.findings} == {"field.required"}


def test_findings_that_no_report_lists_are_counted_and_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``takes``: 15,000 findings are made."""
    document = base(Location) | {"facilities": ["X"] * 15_000}
    found = made(monkeypatch)
    report = check(dump(document), Location)
    assert len(found) < 3 * MAX_FINDINGS
    assert (report.ok, len(report) + report.more) == (True, 15_000)


def test_one_unlisted_value_in_each_of_many_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the memory of texts: a member and a message are made for each of 15,000."""
    texts = list[str]()

    def shown(text: str) -> str:
        texts.append(text)
        return text

    monkeypatch.setattr(readings, "shown", shown)
    value = decode(Location, dump(base(Location) | {"facilities": ["SAUNA"] * 15_000}))
    assert [each.value for each in value.facilities] == ["SAUNA"] * 15_000
    assert texts == ["SAUNA"]


def test_a_long_text_is_looked_at_to_a_bound() -> None:
    """Without the cut: what is not printable is looked for in 4 MiB, which takes longer than to parse them."""
    unprintable = [
        {each.rule for each in check(dump(base(Location) | {"city": "x" * length + "\x7f"}), Location)}
        for length in (100, 20_000)
    ]
    assert unprintable == [{"string.not_ascii", "string.length"}, {"string.length"}]


def test_a_document_of_deviations_is_refused() -> None:
    """Without the bound: it is read to its end, however many there are."""
    many = [{**base(Location)["evses"][0], "uid": str(number), "capabilities": ["X"] * 600} for number in range(50)]
    diagnosis = diagnose(Location, parse(dump(base(Location) | {"evses": many})))
    assert diagnosis.value is None
    assert [each.message for each in diagnosis.findings if each.rule == "document.bounds"] == [
        f"more than {MAX_DEVIATIONS} deviations: no more of them are read"
    ]


def test_a_copy_of_nothing_but_faults_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the bound: 76,000 faults of a copy are warnings, and all of them are read."""
    document = base(Cdr)
    document["location"] = {**document["location"], "evses": [{}] * 19_000}
    found = made(monkeypatch)
    report = check(dump(document), Cdr)
    assert [each.pointer for each in report if each.rule == "document.bounds"] == ["/location"]
    assert len(found) < 5 * MAX_FINDINGS


def test_repeated_members_below_a_long_name_have_short_places() -> None:
    """Without the cut in ``pointer``: 1000 places of 100,000 characters each."""
    inner = b"{" + b",".join(b'"m%d":1,"m%d":2' % (number, number) for number in range(2000)) + b"}"
    places = repetitions(b'{"%b":%b}' % (b"k" * 100_000, inner))
    assert len(places) == MAX_FINDINGS
    assert max(map(len, places)) < 300


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a":1,"a":2}', ["/a"]),
        (b'{"a":1,"\\u0061":2}', ["/a"]),
        (b'{"a" :1,"a":2}', ["/a"]),
        (b'{"a":"\\":","b":"\\":"}', []),
        (b'{"a":{"b":1},"b":[{"b":1},{"b":2,"b":%b}]}' % (b"1" * 400), ["/b/1/b"]),
        (b'{"a":1e999999999,"b":1}', []),
        (b'{"a":"%b","b":1,"b":2}' % (b"x" * 70_000), ["/b"]),
        (b'{"a":"%b","b":{"c":1,"c" :2}}' % (b"x" * 70_000), ["/b/c"]),
        (b'{"a":[%b,{"b":1,"b":2}]}' % (b'{"c":1,"d":{"c":2}},' * 9000)[:-1], ["/a/9000/b"]),
        (b'{"a":[{"b":[%b,{"c":1,"c":2}]}]}' % (b'{"c":1},' * 9000)[:-1], ["/a/0/b/9000/c"]),
        (b'[[[[[[%b,{"c":1,"c":2}]]]]]]' % (b'{"c":1},' * 9000)[:-1], ["/0/0/0/0/0/9000/c"]),
        (b'{"a":[%b],"b":{"a":"\\":"}}' % (b'{"a":1, "b":2},' * 9000)[:-1], []),
    ],
)
def test_repetitions_are_found_as_before(data: bytes, expected: list[str]) -> None:
    assert repetitions(data) == expected


def test_the_place_is_not_looked_for_for_ever() -> None:
    data = b"[" * 30 + b",".join([b"0"] * 9) + b"]" * 30
    with pytest.raises(InvalidObject) as refused:
        weigh(data, SMALL)
    assert refused.value.findings[0].pointer.count("/") <= weight._STEPS
