"""A rejection stores no secret: headers of a list, known parameters, no token (docs/explanation/security.md)."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, strategies as st

from flows.support import offline_emsp
from ocpi_emsp import Emsp
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.cli.portable import entry_line
from ocpi_emsp.ports import REJECTION, Entry
from ocpi_emsp.resources import Rejection
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.wire import Request
from ocpi_emsp.wire.redaction import stored_body, stored_headers, stored_query
from our_emsp import NOW, credentials, register

COOKIE, PROXY, KEY, QUERY = (
    "session-cookie-1234567",
    "Basic cHJveHk6c2VjcmV0",
    "api-key-of-a-gateway",
    "query-token-8901",
)
SENT = {
    "cookie": f"id={COOKIE}",
    "proxy-authorization": PROXY,
    "x-api-key": KEY,
    "x-forwarded-for": "192.0.2.7",
    "content-type": "application/json",
    "user-agent": "cpo/1.0",
    "x-request-id": "request-1",
    "ocpi-to-party-id": "BEC",
}
STORED = {name: SENT[name] for name in ("content-type", "user-agent", "x-request-id", "ocpi-to-party-id")}


def rejected(emsp: Emsp, token: str, body: bytes = b'{"id": "LOC1"}', **changes: Any) -> Rejection:
    """What is stored of a PUT that is refused for its findings."""
    values = {"path": "/2.1.1/locations/NL/TNM/LOC1", "query": "", "headers": SENT} | changes
    headers = {"authorization": f"Token {token}", **values["headers"]}
    answer = emsp.handle(Request("PUT", values["path"], values["query"], headers, body))
    assert json.loads(answer.body)["status_code"] in (2000, 2001)
    *_, last = emsp.rejections.list()
    return last


async def stored(store: MemoryStore | SqlStore, more: Entry | None = None) -> Sequence[Entry]:
    """The rejections as the store has them; only ``more`` where that is to be stored first."""
    async with lift_store(store, in_place).transaction() as tx:
        if more is not None:
            await tx.append(more)
        return [each for each in await tx.entries(REJECTION, limit=10) if more is None or each.id == more.id]


def test_headers_and_queries_are_stored_without_secrets(any_store: MemoryStore | SqlStore) -> None:
    """Without the list of headers: the cookie and both keys are in the database, in `show` and in the export."""
    emsp = offline_emsp(store=any_store)
    token = register(emsp)
    query = f"limit=5&token={QUERY}&date_from=2024-01-01T00:00:00Z&{QUERY}&type=RFID"
    found = rejected(emsp, token, query=query)
    assert found.headers == STORED
    assert found.query == "limit=5&token=***&date_from=2024-01-01T00:00:00Z&***&type=RFID"
    (entry,) = run(stored(any_store))
    assert [each for each in (COOKIE, PROXY, KEY, QUERY, token) if each in repr(entry)] == []


def test_a_token_is_hidden_wherever_the_request_repeats_it() -> None:
    """Without the caller's token among the secrets: it stands in the path, the header and the body that are stored."""
    emsp = offline_emsp()
    token = register(emsp)
    encoded = base64.b64encode(token.encode()).decode()
    found = rejected(
        emsp,
        token,
        b'{"id": "' + token.encode() + b'"}',
        path=f"/2.1.1/locations/NL/TNM/{token}",
        headers={"x-request-id": token, "ocpi-token": encoded},
    )
    assert found.path == "/2.1.1/locations/NL/TNM/***"
    assert found.headers == {"x-request-id": "***", "ocpi-token": "***"}
    assert found.body == b'{"id": "***"}'
    assert token not in str(found)


@pytest.mark.parametrize("around", ["%s", "[%s]", '{"data": %s, "status_code": 1000}', "%s,"])
def test_credentials_sent_where_an_object_belongs_are_stored_without_their_token(around: str) -> None:
    """Without the mask: the token with which we call the partner is readable there, and sealed in its party."""
    emsp = offline_emsp()
    body = (around % json.dumps(credentials(token='new "token" of theirs'))).encode()
    found = rejected(emsp, register(emsp), body)
    assert found.body == body.replace(rb"new \"token\" of theirs", b"***")


def test_other_bodies_are_stored_byte_for_byte() -> None:
    body = b'{"token": {"uid": "a driver\'s"}, "a_token": "x", "url": "https://x.test", "id": "LOC\\u00311"}\xff'
    assert stored_body(body, ("secret",)) == body


def percent(text: str) -> str:
    return "".join(f"%{ord(each):02X}" for each in text)


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(each):04x}" for each in text)


@pytest.mark.parametrize(
    "encode",
    [
        percent,
        lambda text: percent(text).lower(),
        lambda text: percent(percent(text)),
        lambda text: text[:9] + percent(text[9:]),
        lambda text: percent(base64.b64encode(text.encode()).decode()),
    ],
)
def test_a_token_in_the_path_is_hidden_however_it_is_encoded(encode: Any, caplog: pytest.LogCaptureFixture) -> None:
    """With the token looked for as it is: "%41%42..." stands whole in the rejection and in both lines of the log."""
    caplog.set_level("INFO", "ocpi_emsp")
    emsp = offline_emsp()
    token = register(emsp)
    spelled = encode(token)
    found = rejected(emsp, token, b"{}", path=f"/2.1.1/locations/NL/TNM/{spelled}", query=f"limit={spelled}")
    assert (found.path, found.query) == ("/2.1.1/locations/NL/TNM/***", "limit=***")
    emsp.handle(Request("GET", f"/{spelled}/x", headers={"authorization": f"Token {token}"}))
    assert [each for each in (token, spelled, spelled[:30]) if each in caplog.text or each in str(found)] == []


@pytest.mark.parametrize("encode", [escaped, lambda text: escaped(text).upper().replace("U", "u"), percent])
def test_a_token_in_a_body_is_hidden_however_it_is_encoded(encode: Any, caplog: pytest.LogCaptureFixture) -> None:
    """With the token looked for as it is: the body has it as "\\u0041\\u0042...", and a pointer as it is."""
    emsp = offline_emsp()
    token = register(emsp)
    found = rejected(emsp, token, f'{{"id": "{encode(token)}", "{encode(token)}": 1, "{token}": 1}}'.encode())
    assert found.body == b'{"id": "***", "***": 1, "***": 1}'
    assert token not in caplog.text
    assert token not in str(found)


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        ('{"token": "theirs", "url": "https://x.test"}', '{"token": "***", "url": "https://x.test"}'),
        (r'{"\u0074oken" : "th\"eirs"}', r'{"\u0074oken" : "***"}'),
        (r'{"id": 1, "tok\u0065n":"\u0074heirs", "x": "y"}', r'{"id": 1, "tok\u0065n":"***", "x": "y"}'),
        ('[{"a": {"token": "theirs', '[{"a": {"token": "***"'),
    ],
)
def test_a_text_that_is_named_token_is_hidden(body: str, stored: str) -> None:
    """With credentials known by their business_details, and the name as it is: each stands there whole."""
    assert stored_body(body.encode()) == stored.encode()


def test_what_an_earlier_version_stored_is_read_and_exported_without_secrets() -> None:
    """Without the redaction where it is read: 'sid=...' is shown and exported."""
    store = MemoryStore()
    emsp = offline_emsp(store=store)
    rejected(emsp, register(emsp))
    (entry,) = run(stored(store))
    old = {**entry.details, "headers": SENT, "query": f"token={QUERY}"}
    raw = Entry(id="OLD", topic=REJECTION, name=entry.name, key=None, at=NOW, body=entry.body, details=old)
    assert run(stored(store, raw)) == [raw]
    found = emsp.rejections.get("OLD")
    assert found is not None
    assert (found.headers, found.query) == (STORED, "token=***")
    line = entry_line(raw).decode()
    assert [each for each in (COOKIE, PROXY, KEY, QUERY) if each in line] == []


@given(st.dictionaries(st.text(st.characters(codec="ascii"), min_size=1), st.just("a secret")))
def test_a_header_is_stored_only_if_it_is_on_the_list(headers: dict[str, str]) -> None:
    known = ("content-type", "user-agent", "x-request-id", "x-correlation-id")
    assert all(name in known or name.startswith("ocpi-") for name in stored_headers(headers))


@pytest.mark.parametrize(
    ("query", "stored"),
    [
        ("", ""),
        ("offset=0&limit=100", "offset=0&limit=100"),
        ("date_to=2024-01-01T00:00:00%2B02:00", "date_to=2024-01-01T00:00:00%2B02:00"),
        ("c2VjcmV0IHNlY3JldA==", "***"),
        ("limit=5;token=secret", "limit=***"),
        ("limit=3q2-7wABCsecretsecret", "limit=***"),
        ("offset=3q2_7wABCse&date_from=3q2_7wABCse&type=3q2-7wABCse", "offset=***&date_from=***&type=***"),
        ("offset=-1&date_from=yesterday&type=3q2-7", "offset=-1&date_from=yesterday&type=3q2-7"),
        ("date_from=2024-01-01+00:00:00.5Z&date_to=2024-01-01", "date_from=2024-01-01+00:00:00.5Z&date_to=2024-01-01"),
        ("limit=" + "9" * 41, "limit=***"),
        ("TOKEN=secret", "TOKEN=***"),
        ("secret/with+signs=x", "***"),
        ("a=b=c", "a=***"),
        ("&&", "***&***&***"),
    ],
)
def test_a_query_keeps_what_ocpi_knows(query: str, stored: str) -> None:
    assert stored_query(query) == stored
