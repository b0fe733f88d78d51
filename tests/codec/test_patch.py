"""Merge-patch: the test cases of RFC 7396, keyed lists, and bytes that stay what they were."""

import json
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from codec.strategies import JSON, TEXT
from ocpi_emsp.codec import dump, merge_patch
from ocpi_emsp.codec.patch import identity, items, members, merge_items
from ocpi_emsp.errors import InvalidObject, NotJson

KEYED = {"evses": "uid", "connectors": "id"}

RFC_7396_APPENDIX_A = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]
"""The cases whose document and patch are objects; OCPI has no others."""

RFC_7396_SECTION_3 = (
    """{"title": "Goodbye!", "author": {"givenName": "John", "familyName": "Doe"}, "tags": ["example", "sample"],
        "content": "This will be unchanged"}""",
    '{"title": "Hello!", "phoneNumber": "+01-123-456-7890", "author": {"familyName": null}, "tags": ["example"]}',
    """{"title": "Hello!", "author": {"givenName": "John"}, "tags": ["example"],
        "content": "This will be unchanged", "phoneNumber": "+01-123-456-7890"}""",
)


@pytest.mark.parametrize(("document", "patch", "result"), [*RFC_7396_APPENDIX_A, RFC_7396_SECTION_3])
def test_rfc_7396(document: str, patch: str, result: str) -> None:
    assert json.loads(merge_patch(document.encode(), patch.encode())) == json.loads(result)


@pytest.mark.parametrize(
    ("document", "patch"),
    [
        ("[1,2]", '{"a":"b","c":null}'),
        ('["a","b"]', '["c","d"]'),
        ('{"a":"b"}', '["c"]'),
        ('{"a":"foo"}', "null"),
        ('{"a":"foo"}', '"bar"'),
        ("1", "{}"),
        ("null", "{}"),
    ],
)
def test_what_is_no_object_is_refused(document: str, patch: str) -> None:
    with pytest.raises(InvalidObject):
        merge_patch(document.encode(), patch.encode())


def test_an_object_replaces_what_is_no_object_without_its_nulls() -> None:
    assert merge_patch(b'{"a":[1]}', b'{"a":{"b":1,"c":null}}') == b'{"a":{"b":1}}'
    assert merge_patch(b'{"a":null}', b'{"a":{"b":{"c":null}}}') == b'{"a":{"b":{}}}'


def test_untouched_members_keep_their_bytes() -> None:
    document = rb'{ "price" : 1.10, "x-vendor":{"a" : 1E+2 , "b":"\u00fc"}, "list":[ 1 , 2.50 ],"name":"a" , "n":null}'
    merged = members(merge_patch(document, b'{"name": "b", "more": 1.000}'))
    assert {name: bytes(value) for name, value in merged.items()} == {
        "price": b"1.10",
        "x-vendor": rb'{"a" : 1E+2 , "b":"\u00fc"}',
        "list": b"[ 1 , 2.50 ]",
        "name": b'"b"',
        "n": b"null",
        "more": b"1.000",
    }
    assert list(merged) == ["price", "x-vendor", "list", "name", "n", "more"]


LOCATION = b"""{"id": "LOC1", "evses": [
    {"uid": "3256", "status": "AVAILABLE", "x": 1.10, "connectors": [{"id": "1", "voltage": 220}, {"id": "2", "v": 1}]},
    {"uid": "3257", "status": "RESERVED", "connectors": [{"id": "1", "voltage": 230.0}]}]}"""


class Keyed(NamedTuple):
    patch: str
    evses: str
    """The EVSEs after it, all of them."""


FIRST = """{"uid": "3256", "status": "AVAILABLE", "x": 1.10,
    "connectors": [{"id": "1", "voltage": 220}, {"id": "2", "v": 1}]}"""
SECOND = '{"uid": "3257", "status": "RESERVED", "connectors": [{"id": "1", "voltage": 230.0}]}'
KEYED_CASES = {
    "an EVSE by its uid, wherever it stands": Keyed(
        '{"evses": [{"uid": "3257", "status": "CHARGING"}]}',
        f'[{FIRST}, {{"uid": "3257", "status": "CHARGING", "connectors": [{{"id": "1", "voltage": 230.0}}]}}]',
    ),
    "a connector within an EVSE; null removes a member": Keyed(
        '{"evses": [{"uid": "3256", "x": null, "connectors": [{"id": "2", "v": null, "amperage": 16}]}]}',
        f"""[{{"uid": "3256", "status": "AVAILABLE",
            "connectors": [{{"id": "1", "voltage": 220}}, {{"id": "2", "amperage": 16}}]}}, {SECOND}]""",
    ),
    "a new connector goes to the end": Keyed(
        '{"evses": [{"uid": "3257", "connectors": [{"id": "2"}]}]}',
        f"""[{FIRST}, {{"uid": "3257", "status": "RESERVED",
            "connectors": [{{"id": "1", "voltage": 230.0}}, {{"id": "2"}}]}}]""",
    ),
    "a new EVSE goes to the end, without nulls": Keyed(
        '{"evses": [{"uid": "1", "connectors": [{"id": "1", "x": null}], "y": null}]}',
        f'[{FIRST}, {SECOND}, {{"uid": "1", "connectors": [{{"id": "1"}}]}}]',
    ),
    "twice in one patch": Keyed(
        '{"evses": [{"uid": "9", "s": 1}, {"uid": "9", "s": 2, "t": 3}]}',
        f'[{FIRST}, {SECOND}, {{"uid": "9", "s": 2, "t": 3}}]',
    ),
    "none": Keyed('{"evses": []}', f"[{FIRST}, {SECOND}]"),
}


@pytest.mark.parametrize("name", KEYED_CASES)
def test_keyed_lists_merge(name: str) -> None:
    patch, evses = KEYED_CASES[name]
    merged = merge_patch(LOCATION, patch.encode(), KEYED)
    assert exactly(merged) == exactly(f'{{"id": "LOC1", "evses": {evses}}}')
    assert merge_patch(merged, patch.encode(), KEYED) == merged


def exactly(data: str | bytes) -> Any:
    """The document with every fraction as the text that it has."""
    return json.loads(data, parse_float=lambda text: ("number", text))


def test_lists_that_are_not_keyed_are_replaced() -> None:
    assert json.loads(merge_patch(LOCATION, b'{"evses": [{"uid": "1"}]}'))["evses"] == [{"uid": "1"}]
    assert merge_patch(b'{"images":[1,2]}', b'{"images":[3]}', KEYED) == b'{"images":[3]}'


@pytest.mark.parametrize("old", ["", '"evses": null', '"evses": "none"', '"evses": []'])
def test_a_keyed_list_where_there_was_none(old: str) -> None:
    patch = b'{"evses": [{"uid": "1", "x": null}, {"uid": "1", "y": 2}]}'
    merged = merge_patch(b"{%s}" % old.encode(), patch, KEYED)
    assert json.loads(merged) == {"evses": [{"uid": "1", "y": 2}]}


@pytest.mark.parametrize("value", ["null", '"none"', "1"])
def test_a_keyed_list_can_be_removed_and_replaced(value: str) -> None:
    merged = json.loads(merge_patch(LOCATION, f'{{"evses": {value}}}'.encode(), KEYED))
    assert merged == {"id": "LOC1"} | ({} if value == "null" else {"evses": json.loads(value)})


def test_no_item_is_lost_where_a_key_is_repeated() -> None:
    document = b'{"evses": [{"uid": "1", "a": 1}, {"uid": "1", "b": 2}]}'
    merged = merge_patch(document, b'{"evses": [{"uid": "2"}, {"uid": "1", "b": 3}]}', KEYED)
    assert json.loads(merged)["evses"] == [{"uid": "1", "a": 1}, {"uid": "1", "b": 3}, {"uid": "2"}]


def test_merge_items_alone() -> None:
    assert merge_items(b'[{"id":1,"v":1.0}]', b'[{"id":"1","w":2},{"id":2}]', "id") == (
        b'[{"id":"1","v":1.0,"w":2},{"id":2}]'
    )
    assert merge_items(b"null", b'[{"id":"1"}]', "id") == b'[{"id":"1"}]'
    assert merge_items(b'[{"id":"1"}]', b" null ", "id") == b'[{"id":"1"}]'


@pytest.mark.parametrize(
    ("item", "text"), [('{"id": "a"}', "a"), ('{"id": "\\u00fc/"}', "ü/"), ('{"id": 17}', "17"), ('{"id": 1.0}', "1.0")]
)
def test_identity(item: str, text: str) -> None:
    assert identity(item.encode(), "id") == text


@pytest.mark.parametrize("item", ["{}", '{"id": null}', '{"id": true}', '{"id": false}', '{"id": {}}', '{"id": []}'])
def test_an_item_without_identity_is_refused(item: str) -> None:
    for document, patch in ((LOCATION, f'{{"evses": [{item}]}}'), (b"{}", f'{{"evses": [{item}]}}')):
        with pytest.raises(InvalidObject, match="without uid"):
            merge_patch(document, patch.encode().replace(b'"id"', b'"uid"'), KEYED)


@pytest.mark.parametrize("item", ["1", "null", '"3256"', "[]"])
def test_an_item_that_is_no_object_is_refused(item: str) -> None:
    with pytest.raises(InvalidObject):
        merge_patch(LOCATION, f'{{"evses": [{item}]}}'.encode(), KEYED)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{",
        b"[",
        b"[]x",
        b"[" * 100_000,
        b'{"a":1}x',
        b"{'a':1}",
        b'{"a":NaN}',
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
        b'{"\xff":1}',
        b'{"evses":[{"uid":"\xff"}]}',
        rb'{"evses":[{"uid":"\ud83d"}]}',
    ],
)
def test_bad_bytes_are_no_json(bad: bytes) -> None:
    for document, patch in ((LOCATION, bad), (bad, b"{}")):
        with pytest.raises(NotJson):
            merge_patch(document, patch, KEYED)
    with pytest.raises(NotJson):
        members(bad)


@pytest.mark.parametrize("bad", [b"", b"[", b"[1,]", b'["\xff"]', b"[NaN]", b"[1]]"])
def test_items_of_bad_bytes(bad: bytes) -> None:
    with pytest.raises(NotJson):
        items(bad)


@pytest.mark.parametrize("bad", [b"{}", b"1", b'"x"'])
def test_items_of_no_array(bad: bytes) -> None:
    with pytest.raises(InvalidObject):
        items(bad)


@pytest.mark.parametrize("depth", [10, 300])
def test_deep_nesting_is_merged(depth: int) -> None:
    document, patch = b'{"a":' * depth + b"1.10" + b"}" * depth, b'{"a":' * depth + b'{"b":null}' + b"}" * depth
    assert merge_patch(document, patch) == b'{"a":' * depth + b"{}" + b"}" * depth


def test_nesting_that_no_object_has_is_refused_and_nothing_else_happens() -> None:
    for depth in (*range(900, 1010), 10_000, 100_000):
        plain = b'{"a":' * depth + b"1" + b"}" * depth
        keyed = b'{"a":[{"i":1,"a":' * (depth // 2) + b"1" + b"}]}" * (depth // 2)
        for document, patch in ((plain, plain), (b"{}", plain), (keyed, keyed), (b"{}", keyed)):
            try:
                merged = merge_patch(document, patch, {"a": "i"})
            except NotJson:
                continue
            assert depth < 1010
            assert merged.startswith(b'{"a":')


PATCHES = st.dictionaries(TEXT | st.sampled_from(["a", "b", "evses", "connectors"]), JSON, max_size=5)
KEYED_ITEMS = st.lists(
    st.fixed_dictionaries({"uid": st.sampled_from("123")}, optional={"a": JSON, "b": JSON}), max_size=4
)


@settings(deadline=None)
@given(document=PATCHES, patch=PATCHES)
def test_twice_is_once(document: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge_patch(dump(document), dump(patch))
    assert merge_patch(once, dump(patch)) == once
    assert merge_patch(once, b"{}") == once
    assert json.loads(once) == by_the_rfc(json.loads(dump(document)), json.loads(dump(patch)))


def by_the_rfc(target: Any, patch: Any) -> Any:
    """RFC 7396 section 2, as it is printed there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = by_the_rfc(result.get(name), value)
    return result


@settings(deadline=None)
@given(document=KEYED_ITEMS, patch=KEYED_ITEMS)
def test_twice_is_once_for_keyed_lists(document: list[dict[str, Any]], patch: list[dict[str, Any]]) -> None:
    once = merge_patch(dump({"evses": document}), dump({"evses": patch}), KEYED)
    assert merge_patch(once, dump({"evses": patch}), KEYED) == once
    uids = [evse["uid"] for evse in json.loads(once)["evses"]]
    assert uids[: len(document)] == [evse["uid"] for evse in document]
    assert set(uids) == {evse["uid"] for evse in document + patch}


def test_raw_documents_are_taken_as_well() -> None:
    assert bytes(members(msgspec.Raw(b'{"a": 1.10}'))["a"]) == b"1.10"
    assert [bytes(item) for item in items(msgspec.Raw(b"[1.10, 2]"))] == [b"1.10", b"2"]
