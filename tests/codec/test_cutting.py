"""A location is taken apart as msgspec does it, whatever of it is known already; repetitions are seen by the schema."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from ocpi_emsp.codec import dump
from ocpi_emsp.codec.cutting import Cut, cut
from ocpi_emsp.codec.patch import has_each_once, items, members
from ocpi_emsp.codec.repeated import _is_written_once, repetitions
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.models import Cdr, Location, Tariff
from ocpi_emsp.testing.strategies import documents


def outcome(read: Callable[[], Any]) -> Any:
    """What a function gives, or what it raises."""
    try:
        return read()
    except (NotJson, InvalidObject) as error:
        return type(error), str(error)


EVSES = [
    b'{"uid":"1","note":"],[\\"evses\\":["}',
    b'{"uid":"2","connectors":[{"id":"1"},{"id":"2"}]}',
    b'{"uid":"3","vendor":{"evses":[]},"name":"\xc3\xa9"}',
    b'{"uid":"4","of":[{"uid":"1","note":"],[\\"evses\\":["},{"uid":"2","connectors":[{"id":"1"},{"id":"2"}]}]}',
    b"5",
]
BEFORE = [b"", b'"id":"L",', b'"vendor":{"evses":[]},', b'"evses":[1],', b'"evses" :[],', b'"name":"\\"evses\\":[",']
BEHIND = [b"", b',"id":"L"', b',"vendor":{"evses":[1,2]}', b',"evses":[]', b',"\\u0065vses":null', b" ", b',"id":"M"']
evses = st.lists(st.sampled_from(EVSES), max_size=5)


def apart(cut_out: Cut, known: list[bytes]) -> tuple[Any, list[bytes], bool]:
    """What was cut, in bytes."""
    found = [known[each] if isinstance(each, int) else each for each in cut_out.items]
    return cut_out.parts, found, cut_out.is_plain


def as_a_whole(document: bytes) -> tuple[Any, list[bytes], bool]:
    """The same by msgspec alone."""
    parts = members(document)
    is_plain = has_each_once(document, parts)
    return parts, [bytes(each) for each in items(parts.pop("evses", b"null"))], is_plain


@settings(max_examples=150, deadline=None)
@given(
    known=evses,
    sent=evses,
    around=st.tuples(st.sampled_from(BEFORE), st.sampled_from(BEHIND), st.sampled_from([b",", b",", b", ", b",,"])),
    broken=st.none() | st.tuples(st.integers(0, 200), st.sampled_from([b"", b",", b"]", b"[", b"}", b"\xff"])),
)
def test_it_is_cut_as_it_is_read(
    known: list[bytes], sent: list[bytes], around: tuple[bytes, bytes, bytes], broken: tuple[int, bytes] | None
) -> None:
    before, behind, between = around
    document = b"{%b%b[%b]%b}" % (before, b'"evses":', between.join(sent), behind)
    if broken is not None:
        at, text = broken
        document = document[:at] + text + document[at + 1 :]
    assert outcome(lambda: apart(cut(document, "evses", known), known)) == outcome(lambda: as_a_whole(document))


A, B = EVSES[1], EVSES[2]


@pytest.mark.parametrize("listed", [b"%b," % A, b",%b" % B, b"%b,,%b" % (A, B), b"%b%b" % (A, B), b"%b]," % A, b","])
def test_commas_without_an_item_are_no_json(listed: bytes) -> None:
    document = b'{"evses":[%b],"id":"L"}' % listed
    expected = outcome(lambda: as_a_whole(document))
    assert expected[0] is NotJson
    assert outcome(lambda: cut(document, "evses", [A, B])) == expected


def test_what_is_known_is_told_by_its_place() -> None:
    known = EVSES[:4]
    sent = [known[0], b'{"uid":"9"}', known[2], known[3], b'{"uid":"8"}']
    found = cut(b'{"id":"L","evses":[%b]}' % b",".join(sent), "evses", known)
    assert found.items == [0, sent[1], 2, 3, sent[4]]


@pytest.mark.parametrize("kind", [Cdr, Location], ids=lambda kind: str(kind.__name__))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_document_is_seen_to_repeat_nothing_by_its_schema(kind: type[Any], data: st.DataObject) -> None:
    document = dump(data.draw(documents(kind)))
    assert _is_written_once(document, kind)
    spaced = json.dumps(json.loads(document)).encode()
    assert repetitions(spaced, kind) == repetitions(document, kind) == []


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (b'{"id":"1","id":"2","elements":[]}', "/id"),
        (
            b'{"id":"1","elements":[{"price_components":[{"price":1,"price":1}]}]}',
            "/elements/0/price_components/0/price",
        ),
        (b'{"id":"1","i\\u0064":"1","elements":[]}', "/id"),
        (b'{"id":"1","elements":null,"elements":[]}', "/elements"),
        (b'{"id":"1","vendor":{"a":1,"a":2}}', "/vendor/a"),
        (b'{"energy_mix":{"is_green_energy":true},"energy_mix":{"is_green_energy":true}}', "/energy_mix"),
    ],
)
def test_a_repetition_is_found_whatever_the_schema_says(document: bytes, place: str) -> None:
    assert repetitions(document, Tariff) == [place]
