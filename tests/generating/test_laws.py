"""Laws of the library itself, over generated payloads: round trip, two lanes, merge-patch, check, pointers."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from generating.support import emsp_and_token
from ocpi_emsp import Emsp, Evse, Location, Report, Session, Tariff, check, decode, encode
from ocpi_emsp.check import RULES
from ocpi_emsp.codec import decode_strict, diagnose, dump, parse
from ocpi_emsp.errors import NotJson
from ocpi_emsp.findings import Severity
from ocpi_emsp.testing.payloads import Payload, mutations, payloads
from ocpi_emsp.testing.strategies import JSON, KINDS, documents, from_model
from ocpi_emsp.wire import Request

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
few = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
some = settings(few, max_examples=20)
any_kind = st.sampled_from(KINDS)


def anything(kind: type[Any]) -> st.SearchStrategy[Payload]:
    """A payload of any sort."""
    return payloads(kind) | payloads(kind, "quirky") | payloads(kind, "invalid")


# --- round trip and lanes -------------------------------------------------------------------------------------------


@each_kind
@few
@given(data=st.data())
def test_a_valid_document_survives(kind: type[Any], data: st.DataObject) -> None:
    payload = data.draw(payloads(kind))
    model = decode(kind, payload.document)
    written = encode(model)
    assert parse(written) == without_absent(payload.json)
    assert decode(kind, written) == model
    assert encode(decode(kind, written)) == written


def without_absent(document: Any) -> Any:
    """Without the members that say the same when they are absent; what an envelope carries is not looked into."""
    if not isinstance(document, dict):
        return document
    return {name: value for name, value in document.items() if name == "data" or (value is not None and value != [])}


@each_kind
@few
@given(data=st.data())
def test_the_meaning_of_a_quirky_document_survives(kind: type[Any], data: st.DataObject) -> None:
    payload = data.draw(payloads(kind, "quirky"))
    model = decode(kind, payload.document)
    again = decode(kind, encode(model))
    if any(rule == "restrictions.unknown" for _, rule in payload.places):  # what has no field is not written
        assert encode(again) == encode(model)
    else:
        assert again == model


@each_kind
@few
@given(data=st.data())
def test_the_two_lanes_agree(kind: type[Any], data: st.DataObject) -> None:
    payload = data.draw(anything(kind))
    try:
        strict = decode_strict(kind, payload.document)
    except NotJson:
        with pytest.raises(NotJson):
            parse(payload.document)
        return
    diagnosis = diagnose(kind, payload.json)
    if strict is not None:
        assert diagnosis.value == strict
        assert all(finding.severity is Severity.NOTE for finding in diagnosis.findings)
    else:  # null for a list that may be empty is valid, and read by the diagnosing lane alone
        assert diagnosis.findings or decode_strict(kind, dump(without_null(payload.json))) == diagnosis.value


def without_null(document: Any) -> Any:
    """Without the members that are null, at every depth."""
    if isinstance(document, list):
        return [without_null(each) for each in document]
    if not isinstance(document, dict):
        return document
    return {name: without_null(value) for name, value in document.items() if value is not None}


# --- check ----------------------------------------------------------------------------------------------------------

HOSTILE: dict[str, Any] = {
    "NaN": float("nan"),
    "infinite": [float("inf")],
    "large": {"id": 10**5000},
    "deep": b"[" * 5000 + b"]" * 5000,
    "deeper": b'{"location":' * 100_000,
    "deep in a member": b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "lone surrogate": {"id": "\ud800"},
    "escaped surrogate": rb'{"id":"\ud800"}',
    "surrogate in a name": rb'{"\udfff":1}',
    "exponent": b'{"kwh":1e999999999999,"voltage":-1e400,"price":1E-999999}',
    "many digits": b'{"amperage":' + b"9" * 10_000 + b"}",
    "zero byte": b'{"id":"\x00"}',
    "byte order mark alone": b"\xef\xbb\xbf",
    "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "a word": "nul",
    "nothing": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_check_never_raises_on_what_is_hostile(name: str) -> None:
    for kind in KINDS:
        assert check(HOSTILE[name], kind).findings


@each_kind
def test_a_byte_order_mark_says_nothing(kind: type[Any]) -> None:
    assert check(b"\xef\xbb\xbf{}", kind) == check(b"{}", kind)


@some
@given(st.data())
def test_check_never_raises(data: st.DataObject) -> None:
    kind = data.draw(any_kind)
    document = data.draw(JSON | documents(kind))
    for _ in range(data.draw(st.integers(0, 3))):
        possible = mutations(kind, document)
        if possible:
            document = data.draw(st.sampled_from(possible)).apply(document)
    body = dump(document)
    assert_resolves(check(body, kind), parse(body))


@each_kind
@few
@given(data=st.data())
def test_every_pointer_resolves(kind: type[Any], data: st.DataObject) -> None:
    payload = data.draw(anything(kind))
    report = check(payload.document, kind)
    try:
        document = payload.json
    except NotJson:
        assert [finding.pointer for finding in report] == [""]
    else:
        assert_resolves(report, document)


def assert_resolves(report: Report, document: Any) -> None:
    """Every pointer leads to a value, or to a member that its object lacks."""
    for finding in report:
        assert finding.rule in RULES
        *parents, last = [step.replace("~1", "/").replace("~0", "~") for step in ("x" + finding.pointer).split("/")]
        value = document
        for step in parents[1:]:
            value = value[int(step)] if isinstance(value, list) else value[step]
        if parents:
            assert isinstance(value, dict) or int(last) < len(value), finding


# --- merge-patch ----------------------------------------------------------------------------------------------------

KEYED = {"evses": "uid", "connectors": "id"}
PATHS = {Location: "locations/NL/TNM/1", Evse: "locations/NL/TNM/1/1", Session: "sessions/NL/TNM/1"}
PATHS[Tariff] = "tariffs/NL/TNM/1"


def push(emsp: Emsp, token: str, method: str, path: str, document: Any) -> Any:
    """What the eMSP answers; the data of a GET, the statuses of anything else."""
    headers = {"authorization": f"Token {token}"}
    body = b"" if document is None else dump(document)
    answer = emsp.handle(Request(method, f"/2.1.1/{path}", headers=headers, body=body))
    envelope = parse(answer.body)
    return envelope["data"] if method == "GET" else (answer.status, envelope["status_code"], envelope)


def merged(document: Mapping[str, Any], patch: Mapping[str, Any], keyed: Mapping[str, str]) -> dict[str, Any]:
    """RFC 7396, and lists whose items have a key (docs/spec-choices.md row 6)."""
    result = dict(document)
    for name, change in patch.items():
        old = result.get(name)
        if change is None:
            result.pop(name, None)
        elif isinstance(change, dict):
            result[name] = merged(old if isinstance(old, dict) else {}, change, keyed)
        elif name in keyed:
            items = {item[keyed[name]]: item for item in old or []}
            for item in change:
                items[item[keyed[name]]] = merged(items.get(item[keyed[name]], {}), item, keyed)
            result[name] = list(items.values())
        else:
            result[name] = change
    return result


@pytest.mark.parametrize("kind", PATHS, ids=lambda kind: str(kind.__name__))
@settings(few, max_examples=20)
@given(data=st.data())
def test_a_patch_is_the_put_of_the_merged_document(kind: type[Any], data: st.DataObject) -> None:
    member = "uid" if kind is Evse else "id"
    models = from_model(kind, **{member: "1"})
    first, second = parse(encode(data.draw(models))), parse(encode(data.draw(models)))
    names = data.draw(st.lists(st.sampled_from(sorted(second)), unique=True))
    # A timestamp that moves: what is older is kept as it is stored.
    patch = {name: second[name] for name in names} | {
        "last_updated": max(first["last_updated"], second["last_updated"])
    }
    optional = sorted(first.keys() - second.keys() - {"evses"})  # null removes no EVSE (docs/spec-choices.md, row 5)
    patch |= dict.fromkeys(data.draw(st.lists(st.sampled_from(optional), unique=True)) if optional else [])
    keyed = KEYED if kind in (Location, Evse) else {}

    stored = []
    for method, change in (("PATCH", patch), ("PUT", merged(first, patch, keyed))):
        emsp, token = emsp_and_token()
        if kind is Evse:
            place = parse(encode(data.draw(st.just(_PLACE))))
            assert push(emsp, token, "PUT", PATHS[Location], place)[:2] == (201, 1000)
        assert push(emsp, token, "PUT", PATHS[kind], first)[1] == 1000
        assert push(emsp, token, method, PATHS[kind], change)[:2] == (200, 1000)
        stored.append(push(emsp, token, "GET", PATHS[kind], None))
        assert push(emsp, token, method, PATHS[kind], change)[:2] == (200, 1000)
        stored.append(push(emsp, token, "GET", PATHS[kind], None))
    once_patched, twice_patched, once_put, twice_put = stored
    assert once_patched == twice_patched
    assert once_put == twice_put
    assert once_patched == once_put


_PLACE = decode(
    Location,
    {
        "id": "1",
        "type": "OTHER",
        "address": "F.Rooseveltlaan 3A",
        "city": "Gent",
        "postal_code": "9000",
        "country": "BEL",
        "coordinates": {"latitude": "51.047599", "longitude": "3.729944"},
        "last_updated": "2015-06-29T20:39:09Z",
    },
)
