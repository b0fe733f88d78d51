"""A ready-made test class: how a backend's own mounted application answers generated payloads.

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def ocpi_backend(self, ocpi_simulated_cpo):
            cpo = ocpi_simulated_cpo.register_with(emsp)
            return Backend(app=app, token=cpo.token, country_code="NL", party_id="TNM", base="/ocpi/emsp")

Rules of this module:
- payloads of every object that a CPO pushes are sent as a CPO sends them, from registered parties;
- each response must be an OCPI envelope and never a 5xx; a payload that the policy accepts is answered with 1000, one
  that it rejects is not, and the response names the broken field;
- paths that the backend does not serve (405 or 404 for every method) are skipped.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import quote

from attrs import define, field, frozen

from ocpi_emsp._extras import extra
from ocpi_emsp.check import Policy
from ocpi_emsp.codec import dump, parse
from ocpi_emsp.errors import NotJson
from ocpi_emsp.models import Cdr, Connector, Evse, Location, Session, Tariff

with extra("testing"):
    import pytest
    from hypothesis import HealthCheck, Phase, given, settings, strategies as st

    from ocpi_emsp.testing.backend.calls import Call, base_of, calling
    from ocpi_emsp.testing.payloads import PUSHED, SORTS, Payload, Sort, examples, payloads
    from ocpi_emsp.testing.strategies import JSON
    from ocpi_emsp.testing.strategies.scalars import together
    from ocpi_emsp.transports.library import http

__all__ = ["Answer", "Backend", "BackendContract", "Connection", "connected"]


@frozen(kw_only=True)
class Backend:
    """A mounted application, and a CPO that is registered with it."""

    app: Any
    """An ASGI callable, a WSGI callable, or the public base URL of a running server."""
    token: str = field(repr=False)
    """The token with which the CPO calls the backend."""
    country_code: str
    party_id: str
    base: str = ""
    """The path below which ``/2.1.1`` lies, such as ``/ocpi/emsp``; for a URL it is part of it."""
    policy: Policy = field(factory=Policy.tolerant)
    """The policy of the backend for this CPO."""
    examples: int = 25
    """Number of payloads of every kind and sort."""


@frozen
class Answer:
    """A response with an OCPI envelope and without a 5xx status."""

    http_status: int
    envelope: Mapping[str, Any]
    text: str

    @classmethod
    def of(cls, response: http.Response) -> Answer:
        """Return the response. Raises AssertionError if a partner cannot read it."""
        text = response.text
        assert response.status_code < 500, f"HTTP {response.status_code}: {text[:500]}"
        try:
            envelope = json.loads(response.content, parse_float=Decimal)
        except ValueError:
            envelope = None
        assert isinstance(envelope, dict), f"HTTP {response.status_code} without an OCPI envelope: {text[:500]}"
        assert type(envelope.get("status_code")) is int, f"no status_code in {text[:500]}"
        assert isinstance(envelope.get("timestamp"), str), f"no timestamp in {text[:500]}"
        assert response.is_success or envelope["status_code"] >= 2000, f"HTTP {response.status_code} with {text[:500]}"
        return cls(response.status_code, envelope, text)

    @property
    def accepted(self) -> bool:
        """True for a success of both layers."""
        return self.http_status < 300 and 1000 <= self.envelope["status_code"] < 2000

    @property
    def unserved(self) -> bool:
        """True if the backend does not have this path or method."""
        return self.http_status in (404, 405)

    @property
    def pointers(self) -> list[str]:
        """The pointers of the findings in ``data``."""
        data = self.envelope.get("data")
        found = [each.get("pointer") for each in data if isinstance(each, dict)] if isinstance(data, list) else []
        return [pointer for pointer in found if isinstance(pointer, str)]

    def names(self, pointer: str) -> bool:
        """Return True if the response names the field: in a finding, or in its text."""
        field_name = next((step for step in reversed(pointer.split("/")) if step and not step.isdigit()), "")
        return pointer in self.pointers or (field_name != "" and field_name in self.text)


@define
class Connection:
    """Requests from the CPO to the backend."""

    backend: Backend
    call: Call
    # The backend's database may still have the CDRs of the previous test, or of the last run.
    _numbers: Iterator[int] = field(factory=lambda: count(secrets.randbelow(10**14)))

    def send(self, method: str, path: str, body: bytes) -> Answer:
        """Send one request; ``path`` is below ``/2.1.1``."""
        headers = {"authorization": f"Token {self.backend.token}", "content-type": "application/json"}
        url = f"{base_of(self.backend.app)}{self.backend.base}/2.1.1/{path}"
        response = self.call(http.Request(method, url, headers=headers, content=body))
        if response.status_code == 401:
            pytest.fail(f"the backend rejects the token: {response.text[:300]}")
        return Answer.of(response)

    def push(self, payload: Payload) -> Answer:
        """Push the payload as a CPO pushes its kind; its parents are pushed before."""
        document = payload.document
        if payload.kind is Cdr:
            return self.send("POST", "cdrs", self.renewed(document))
        if payload.kind in (Evse, Connector):
            _require(self.send("PUT", self.owned("locations", "L"), _PARENT))
        *path, name = _PLACES_OF_KINDS[payload.kind]
        return self.send("PUT", self.owned(*path, _id(document, name)), document)

    def owned(self, module: str, *ids: str) -> str:
        """Return the path of an object of this CPO."""
        parts = (module, self.backend.country_code, self.backend.party_id, *ids)
        return "/".join(quote(part, safe="") for part in parts)

    def renewed(self, document: bytes) -> bytes:
        """Return the document with a new id: a CDR cannot be replaced."""
        try:
            parsed = parse(document)
        except NotJson:
            return document
        old = parsed.get("id") if isinstance(parsed, dict) else None
        if isinstance(old, bool) or not isinstance(old, str | int):
            return document
        number = next(self._numbers)
        return dump({**parsed, "id": number if isinstance(old, int) else f"{number:0{len(old)}}"})


def _id(document: bytes, name: str) -> str:
    """Return the id for the URL; ``1`` for an object without a readable id."""
    try:
        found = parse(document)[name]
    except (NotJson, KeyError, TypeError, IndexError):
        return "1"
    return str(found) if isinstance(found, str | int | Decimal) and str(found) else "1"


_PARENT = b"""{"id":"L","type":"ON_STREET","address":"F.Rooseveltlaan 3A","city":"Gent","postal_code":"9000",
"country":"BEL","coordinates":{"latitude":"51.047599","longitude":"3.729944"},"evses":[{"uid":"E","status":"AVAILABLE",
"connectors":[{"id":"1","standard":"IEC_62196_T2","format":"SOCKET","power_type":"AC_3_PHASE","voltage":230,
"amperage":16,"last_updated":"2015-06-29T20:39:09Z"}],"last_updated":"2015-06-29T20:39:09Z"}],
"last_updated":"2015-06-29T20:39:09Z"}"""
"""The location to which pushed EVSEs and connectors belong: the specification's own."""


_PLACES: st.SearchStrategy[bytes] = st.just(b"") | together(
    st.text(max_size=45), st.lists(st.text(max_size=45), max_size=3), st.lists(st.text(max_size=45), max_size=3)
).map(lambda ids: dump({"location_id": ids[0], "evse_uids": ids[1], "connector_ids": ids[2]}))
"""LocationReferences (mod_tokens.md 4.2), mostly of locations that do not exist."""


def _skip_unless_served(answer: Answer, *unserved: int) -> None:
    if answer.http_status in unserved:
        pytest.skip(f"not supported by the backend: {answer.text[:200]}")


def _require(answer: Answer) -> None:
    _skip_unless_served(answer, 404, 405)
    assert answer.accepted, answer.text[:500]


_PLACES_OF_KINDS: Mapping[type[Any], tuple[str, ...]] = {
    Location: ("locations", "id"),
    Evse: ("locations", "L", "uid"),
    Connector: ("locations", "L", "E", "id"),
    Session: ("sessions", "id"),
    Tariff: ("tariffs", "id"),
}
"""Module and parents of an object that is PUT, and the member with its id."""

each_kind = pytest.mark.parametrize("kind", PUSHED, ids=lambda kind: str(kind.__name__))
each_sort = pytest.mark.parametrize("sort", SORTS)


def _judge(payload: Payload, answer: Answer, policy: Policy) -> None:
    if not payload.refused_by(policy):
        assert answer.accepted, _shown(f"{payload}: expected to be accepted", payload, answer)
        return
    assert not answer.accepted, _shown(f"{payload}: expected to be rejected", payload, answer)
    for pointer in payload.pointers - {""}:
        assert answer.names(pointer), _shown(f"{payload}: {pointer} is not named in the answer", payload, answer)


def _shown(message: str, payload: Payload, answer: Answer) -> str:
    return f"{message}\n{payload.marked}\nHTTP {answer.http_status}: {answer.text[:1000]}"


_MISSING = """{name} does not say which backend it tests. Write:

    class {name}(BackendContract):
        @pytest.fixture
        def ocpi_backend(self, ocpi_simulated_cpo):
            cpo = ocpi_simulated_cpo.register_with(emsp)  # your Emsp
            return Backend(app=app, token=cpo.token, country_code="NL", party_id="TNM", base="/ocpi/emsp")"""


class BackendContract:
    """Tests of a backend: subclass it and set ``backend``, or override the fixture ``ocpi_backend``."""

    backend: Backend

    @pytest.fixture
    def ocpi_backend(self) -> Backend:
        """The backend under test; a subclass may return one that was created for the test."""
        if not hasattr(self, "backend"):
            pytest.fail(_MISSING.format(name=type(self).__name__), pytrace=False)
        return self.backend

    @pytest.fixture
    def ocpi_connection(self, ocpi_backend: Backend) -> Iterator[Connection]:
        """The CPO's requests to it."""
        with connected(ocpi_backend) as connection:
            yield connection

    @each_sort
    @each_kind
    def test_payloads(self, ocpi_connection: Connection, kind: type[Any], sort: Sort) -> None:
        """Valid and quirky payloads are stored, invalid ones are rejected with the name of the field."""
        backend = ocpi_connection.backend

        def push(payload: Payload) -> None:
            answer = ocpi_connection.push(payload)
            _skip_unless_served(answer, 405)
            _judge(payload, answer, backend.policy)

        # Listed examples come first: a fault that always occurs is reported at once, with a small payload.
        for payload in examples(kind, sort, policy=backend.policy)[: backend.examples]:
            push(payload)
        self._settings(ocpi_connection)(given(payloads(kind, sort, policy=backend.policy))(push))()

    @each_kind
    def test_anything(self, ocpi_connection: Connection, kind: type[Any]) -> None:
        """Any request is answered with an envelope."""

        @self._settings(ocpi_connection)
        @given(JSON.map(dump) | st.binary(max_size=50))
        def push(body: bytes) -> None:
            answer = ocpi_connection.push(Payload(kind=kind, sort="invalid", name="anything", document=body))
            _skip_unless_served(answer, 405)
            assert not answer.accepted, answer.text[:500]

        push()

    def test_authorize(self, ocpi_connection: Connection) -> None:
        """An authorization request for an unknown driver returns an envelope that does not allow charging."""

        @self._settings(ocpi_connection)
        @given(st.sampled_from(("", "?type=OTHER", "?type=FOO", "?type=rfid&type=RFID")), _PLACES | JSON.map(dump))
        def ask(query: str, body: bytes) -> None:
            answer = ocpi_connection.send("POST", f"tokens/unknown-token/authorize{query}", body)
            _skip_unless_served(answer, 405)
            assert not answer.accepted, answer.text[:500]

        ask()

    @staticmethod
    def _settings(connection: Connection) -> settings:
        """Return settings that accept slow backends, and write no database of examples."""
        return settings(
            max_examples=connection.backend.examples,
            phases=[phase for phase in Phase if phase is not Phase.explain],  # it takes longer than all others
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )


@contextmanager
def connected(backend: Backend) -> Iterator[Connection]:
    """Return the connection to a backend, for your own tests."""
    with calling(backend.app) as call:
        yield Connection(backend, call)
