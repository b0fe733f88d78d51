"""Nothing that identifies survives; what is the same stays the same, and what is not does not become so."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from ocpi_emsp import Cdr, Location, Session
from ocpi_emsp.codec import encode, parse
from ocpi_emsp.codec.documents import dump
from ocpi_emsp.models import Credentials, StartSession, Token
from ocpi_emsp.redact import Redactor
from ocpi_emsp.redact.words import WORDS
from ocpi_emsp.testing.strategies import full

EXAMPLES = Path(__file__).parents[1] / "vectors" / "examples"
KINDS: list[type[Any]] = [Location, Session, Cdr, Token, Credentials, StartSession]
KEY = b"a key of the tests"
"""Of a random one, a short name would be in a stand-in once in thousands of runs."""
IDENTIFYING = {
    *("id", "uid", "evse_id", "auth_id", "tariff_id", "meter_id", "visual_number", "issuer", "name", "address", "city"),
    *("postal_code", "physical_reference", "text", "url", "thumbnail", "website", "terms_and_conditions", "remark"),
    *("tariff_alt_url", "response_url", "token", "location_id", "evse_uid", "evse_uids", "connector_id", "session_id"),
    *("connector_ids", "supplier_name", "energy_product_name", "contract_id"),
}
"""Members whose texts identify a driver, a place or a party."""
HARMLESS = re.compile(r"(?:[^A-Za-z0-9]*[A-Za-z0-9]){0,2}[^A-Za-z0-9]*")
PRIVATE = [
    "Jane Doe",
    "jane.doe@server.org",
    "+49 171 1234567",
    "04A2B3C4D5E6F7",
    "Иван Петров",
    "王小明",
    "王伟",
    "1980-05-17",
]


def texts(document: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every text and number with the name of its member."""
    if isinstance(document, dict):
        for each, value in document.items():
            yield from texts(value, each)
    elif isinstance(document, list):
        for value in document:
            yield from texts(value, name)
    else:
        yield name, document


def redact(document: Any, **options: Any) -> Any:
    return parse(Redactor(KEY, **options).document(dump(document)))


def require_gone(before: Any, after: Any) -> None:
    """Each identifying text has a stand-in, and no long part of it is anywhere."""
    everything = dump(after).decode().lower()
    for (name, value), (_, stand_in) in zip(texts(before), texts(after), strict=True):
        if (
            name in IDENTIFYING
            and isinstance(value, str)
            and value.lower() not in WORDS
            and not HARMLESS.fullmatch(value)
        ):
            assert stand_in != value, name
            parts = {part.lower() for part in re.findall(r"[A-Za-z0-9]{10,}", value)} - WORDS
            assert not any(part in everything for part in parts), name


WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""A whole object shrinks slowly, and its message names the member."""


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=WITHOUT_SHRINKING)
@given(st.sampled_from(KINDS).flatmap(full))
def test_no_identifying_text_survives(model: Any) -> None:
    document = parse(encode(model))
    require_gone(document, redact(document, parties=True))


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.rglob("*/*.json")), ids=lambda path: path.relative_to(EXAMPLES).as_posix()
)
def test_no_identifying_text_of_the_specifications_examples_survives(path: Path) -> None:
    document = parse(path.read_bytes())
    require_gone(document, redact(document))


HIDING: dict[str, Any] = {
    "an unknown member": {"x_driver": PRIVATE},
    "deep in it": {"x_meta": [{"a": {"b": PRIVATE}}]},
    "names in it": {"x_drivers": dict.fromkeys([*PRIVATE, "Jane"], True)},
    "the name of an unknown member": dict.fromkeys(["jane.doe@server.org", "04A2B3C4D5E6F7", "+49 171 1234567"], 1),
    "a nested document": {"x_raw": json.dumps({"uid": PRIVATE, "status": "AVAILABLE"})},
    "a nested document of escapes": {"x_raw": json.dumps(json.dumps({"uid": PRIVATE}))},
    "a URL": {"x_link": "https://jane:04A2B3C4D5E6F7@server.org/Jane%20Doe/%2B49%20171%201234567?q=04A2B3C4D5E6F7#Jane"},
    "a URL in escapes": {"operator": {"website": "https://h.io/%6A%61%6E%65.%64oe@server.org/%D0%98%D0%B2%D0%B0%D0%BD"}},
    "beside names that a check knows": {"city": "Singapore", "name": "Europe/Brussels", "x": "1e0000000000012"},
    "what looks like an owner": {"url": "https://h.io/no/Doe/no/jane.doe/jo/Doe", "uid": "NO-Doe-Jane1"},
    "a wrong place": {"last_updated": PRIVATE[:3], "status": PRIVATE, "coordinates": PRIVATE, "evses": PRIVATE},
    "a place for a number": {"kwh": "Jane Doe", "total_cost": {"jane.doe@server.org": "1980-05-17"}, "x": 491711234567},
    "an object for a text": {"name": {"Jane Doe": {"name": "Jane Doe", "type": "jane.doe@server.org"}}},
    "a number": {"id": 491711234567, "last_updated": 491711234567, "x_n": {"total_cost": 491711234567}},
    "what a header says": {"x_headers": ["Token 04A2B3C4D5E6F7", "Basic " + base64.b64encode(b"Jane Doe").decode()]},
}  # fmt: skip


@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "escaped"])
@pytest.mark.parametrize("hidden", HIDING.values(), ids=HIDING)
def test_what_hides_is_found(hidden: dict[str, Any], escaped: bool) -> None:
    data = json.dumps({"id": "LOC1", **hidden}, ensure_ascii=escaped).encode()
    redacted = json.dumps(json.loads(Redactor(KEY).document(data)), ensure_ascii=False)
    for private in (*PRIVATE, "Jane", "Doe", "server", "1711234567", "171 1234567", "04A2B3C4", "Иван", "王", "SmFuZ"):
        assert private.lower() not in redacted.lower(), redacted


TAGS = "".join(chr(0xE0000 + ord(each)) for each in "Jane")
ODD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "circled letters": ({"name": "Ⓙⓐⓝⓔ", "city": "🅹🅰🅽🅴"}, ["Ⓙⓐⓝⓔ", "🅹🅰🅽🅴"]),
    "letters of flags, Braille": ({"name": "🇯🇦🇳🇪", "city": "⠚⠁⠝⠑"}, ["🇯🇦🇳🇪", "⠚⠁⠝⠑"]),
    "letters of mathematics, wide ones": (
        {"name": "\U0001d4a5\U0001d4b6\U0001d4c3\U0001d452", "city": "\uff2a\uff41\uff4e\uff45"},
        ["\U0001d4a5\U0001d4b6\U0001d4c3\U0001d452", "\uff2a\uff41\uff4e\uff45"],
    ),
    "tags, which nobody sees": ({"name": f"LOC{TAGS}"}, [TAGS]),
    "private use": ({"name": "\ue001\ue002\ue003"}, ["\ue001\ue002\ue003"]),
    "scripts": (
        {"name": "محمد علي", "city": "김철수", "address": "สมชาย", "x": ["मोहन दास", "١٢٣٤٥"]},
        ["محمد", "김철수", "สมชาย", "मोहन", "١٢٣٤٥"],
    ),
    "a telephone number for degrees": (
        {"coordinates": {"latitude": "491711234567", "longitude": "-491711234567.25"}},
        ["1711234567"],
    ),
    "a telephone number as degrees": (
        {"coordinates": {"latitude": 491711234567, "longitude": -1711234567.5}},
        ["171123"],
    ),
    "words behind degrees": ({"coordinates": {"latitude": "51°02'51\" Jane", "longitude": "3.7 Jane"}}, ["Jane"]),
    "a telephone number for a day": ({"last_updated": "0171-12-3456", "x": "171.12.3456"}, ["12-3456", "12.3456"]),
    "a telephone number for days": (
        {"opening_times": {"exceptional_openings": [{"period_begin": "171/12/3456", "period_end": "0171-12-34"}]}},
        ["171/12", "171-12"],
    ),
    "a telephone number for a version": ({"url": "https://h.io/01.71.12/34.56"}, ["01.71", "34.56"]),
    "a telephone number as an exponent": ({"x_n": "1e491711234567", "id": "1.5E+4917112"}, ["491711"]),
    "ids as names of members": (
        dict.fromkeys(["C12E46L", "deadbeefcafe", "04A2B3C4", "Иван"], 1),
        ["12E46", "beef", "A2B3", "Иван"],
    ),
}


@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "escaped"])
@pytest.mark.parametrize(("hidden", "private"), ODD.values(), ids=ODD)
def test_what_hides_in_odd_characters_and_numbers_is_found(
    hidden: dict[str, Any], private: list[str], escaped: bool
) -> None:
    data = json.dumps({"id": "LOC1", **hidden}, ensure_ascii=escaped).encode()
    redacted = json.dumps(json.loads(Redactor(KEY).document(data)), ensure_ascii=False)
    for each in private:
        assert each.lower() not in redacted.lower(), redacted


def test_the_names_of_unknown_members_that_stay_are_known() -> None:
    redactor = Redactor(KEY)
    redactor.document(b'{"id": "LOC1", "x_vendor": {"b": 1}, "jane.doe": 1, "Jane Doe": 2, "name": "x"}')
    assert list(redactor.unknown_names) == ["x_vendor", "jane.doe"]


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "utf-16", "utf-32"])
def test_no_name_survives_in_another_encoding(encoding: str) -> None:
    name = "\u0418\u0432\u0430\u043d"
    redacted = Redactor(KEY).document(f'{{"name": "{name}"}}'.encode(encoding))
    assert name not in redacted.decode(encoding)


def test_a_broken_line_does_not_reveal_the_others() -> None:
    lines = "\n".join([json.dumps({"x_driver": PRIVATE}), '{"name": "Jane Doe', "Jane Doe", json.dumps(PRIVATE)])
    redacted = Redactor(KEY).document(lines.encode()).decode()
    assert redacted.count("\n") == 3
    assert "Jane" not in redacted
    assert json.loads(redacted.split("\n")[0])["x_driver"]


def test_one_text_has_one_stand_in_wherever_it_stands() -> None:
    uid = "NL-TNM-04A2B3C4D5"
    redacted = redact({
        "id": uid, "evses": [{"uid": uid}], "x_list": [uid, "0815-1234"], "meter_id": "0815-1234",
        "tariff_id": uid.lower(),
        "url": f"https://server.org/ocpi/emsp/2.1.1/tokens/NL/TNM/{uid}?offset=50&date_from=2024-05-01",
    })  # fmt: skip
    stand_in = redacted["id"]
    assert stand_in.startswith("NL-TNM-")
    assert redacted["evses"][0]["uid"] == redacted["x_list"][0] == stand_in
    assert redacted["meter_id"] == redacted["x_list"][1]
    assert redacted["url"].endswith(f".example/ocpi/emsp/2.1.1/tokens/NL/TNM/{stand_in}?offset=50&date_from=2024-05-01")
    assert re.fullmatch(r"[a-z]{2}-[a-z]{3}-\d\d[a-z]\d[a-z]\d[a-z]\d[a-z]\d", redacted["tariff_id"])


def test_ids_that_differ_in_case_alone_do_so_afterwards() -> None:
    redacted = redact({"uid": "04a2b3c4", "id": "04A2B3C4"})
    assert redacted["uid"] != redacted["id"]
    assert redacted["uid"].upper() == redacted["id"]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.from_regex(r"[0-9]{3}|[A-Za-z]{2}[0-9]|[a-zé]{3}", fullmatch=True), unique=True, max_size=30))
def test_two_texts_have_two_stand_ins(ids: list[str]) -> None:
    ids = [each for each in ids if each.lower() != "nan"]
    redacted = redact({"evse_uids": ids})["evse_uids"]
    assert len(set(redacted)) == len(ids)
    assert not any(before == after for before, after in zip(ids, redacted, strict=True))


def test_every_id_of_a_form_has_a_stand_in_of_its_own() -> None:
    ids = [f"{number:03}" for number in range(1000)]
    redacted = redact({"evse_uids": ids})["evse_uids"]
    assert sorted(redacted) == ids
    assert all(before != after for before, after in zip(ids, redacted, strict=True))


def test_a_key_decides() -> None:
    document = dump({"uid": "04A2B3C4D5E6F7", "name": "Jane Doe"})
    assert Redactor(b"one").document(document) == Redactor(b"one").document(document)
    assert len({Redactor(key).document(document) for key in (b"one", b"two", None, None)}) == 4


def test_parties_are_replaced_where_that_is_asked() -> None:
    document = {
        "party_id": "TNM", "country_code": "NL", "evses": [{"evse_id": "NL*TNM*E041503001"}],
        "url": "https://server.org/ocpi/cpo/2.1.1/locations/NL/TNM/LOC17",
    }  # fmt: skip
    kept, replaced = redact(document), redact(document, parties=True)
    assert kept["party_id"] == "TNM"
    assert kept["evses"][0]["evse_id"].startswith("NL*TNM*E")
    party = replaced["party_id"]
    assert "TNM" not in dump(replaced).decode()
    assert replaced["country_code"] == "NL"
    assert replaced["evses"][0]["evse_id"].startswith(f"NL*{party}*E")
    assert f"/locations/NL/{party}/" in replaced["url"]


def test_what_is_to_stay_stays() -> None:
    redacted = redact(
        {"status": "JAMMED", "x_meta": {"Jane": [1234, "Jane"]}, "name": "Jane"}, keep=["status", "x_meta"]
    )
    assert redacted["status"] == "JAMMED"
    assert redacted["x_meta"] == {"Jane": [1234, "Jane"]}
    assert redacted["name"] != "Jane"


def test_words_of_ocpi_times_numbers_and_codes_stay() -> None:
    document = {
        "status": "OUTOFORDER", "facilities": ["HOTEL", "airport"], "last_updated": "2015-06-29T20:39:09.123+02:00",
        "opening_times": {"regular_hours": [{"weekday": 1, "period_begin": "8:00", "period_end": "20:00"}]},
        "kwh": 15.342,
        "country": "BEL", "language": "nl", "currency": "EUR", "time_zone": "Europe/Brussels", "version": "2.1.1",
        "voltage": "230", "total_cost": {"excl_vat": 4.00}, "capabilities": ["TOKEN_GROUP_CAPABLE"], "valid": "true",
    }  # fmt: skip
    data = json.dumps(document, indent=3).encode()
    assert Redactor().document(data) == data


def test_coordinates_stay_within_their_degree() -> None:
    redacted = redact({"coordinates": {"latitude": "51.047599", "longitude": "-3.729944"}, "latitude": 48.1234})
    assert redacted["coordinates"] == {"latitude": "51.500000", "longitude": "-3.500000"}
    assert str(redacted["latitude"]) == "48.5000"
