"""The journal of decisions: what is in it, how it is read, on every store."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from flows.authorize_desk import AUTHORIZE, PLACE, location, token
from flows.support import Answer, drained, offline_emsp
from ocpi_emsp import Allowed, AuthorizationInfo, AuthorizationRequest, Emsp, Limits
from ocpi_emsp.errors import NotEnoughInformation
from ocpi_emsp.models import TokenType
from ocpi_emsp.resources import Decision
from ocpi_emsp.settings import AuthorizeLimits
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import NOW, FakeClock, register


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    """The event loop of an async host."""
    with start_blocking_portal() as running:
        yield running


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, portal: BlockingPortal) -> Iterator[Any]:
    """Each of the stores in turn."""
    if request.param == "memory":
        yield MemoryStore()
        return
    url = (
        f"sqlite:///{request.getfixturevalue('sqlite_with_schema')}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_with_schema")
    )
    sql = SqlStore(url)
    yield sql
    portal.call(sql.aclose)
    sql.close()


class Asking:
    """CPOs that ask an eMSP, under a sync host or, with a portal, an async one."""

    def __init__(self, store: Any, portal: BlockingPortal | None = None, **settings: Any) -> None:
        self.portal = portal
        self.clock = FakeClock()
        self.emsp = offline_emsp(store=store, clock=self.clock, **settings)
        self.emsp.tokens.put(token())
        self.tokens = {party: register(self.emsp, *party.split("-")) for party in ("NL-TNM", "DE-ABC")}
        self("PUT", "locations/NL/TNM/LOC1", location(E1="1,2", E2="1"))

    def __call__(self, method: str, path: str, body: Any = None, *, party: str = "NL-TNM", query: str = "") -> Answer:
        headers = {"authorization": f"Token {self.tokens[party]}", "x-correlation-id": f"c-{party}"}
        request = Request(method, f"/2.1.1/{path}", query, headers, b"" if body is None else encode(body))
        if self.portal is None:
            return Answer.of(self.emsp.handle(request))
        return Answer.of(self.portal.call(self.emsp.aio.handle, request))

    def ask(self, place: Any = None, **kwargs: Any) -> Answer:
        return self("POST", AUTHORIZE, place, **kwargs)


def outcomes(decisions: list[Decision]) -> list[str]:
    return [decision.outcome for decision in decisions]


@pytest.mark.parametrize("host", ["sync", "async"])
def test_every_request_leaves_a_decision(store: Any, portal: BlockingPortal, host: str) -> None:
    asking = Asking(store, portal if host == "async" else None, authorize_fallback=Allowed.BLOCKED)

    @asking.emsp.authorize
    def decide(request: AuthorizationRequest) -> Any:
        asking.clock.advance(milliseconds=12.5)
        if request.references is None:
            raise NotEnoughInformation("say where")
        return request.allow(["E2"]) if request.references.connector_ids != ("2",) else None

    begun = asking.clock.now()
    asking.ask(PLACE)
    asking.ask(PLACE | {"connector_ids": ["2"]})
    asking.ask()
    asking.ask({"location_id": "LOC1", "evse_uids": ["E9"]})
    asking.ask({"location_id": "LOC9"})
    asking.ask(PLACE, query="type=OTHER")
    asking.ask({"evse_uids": ["E1"]})
    decisions = list(asking.emsp.authorizations.list())
    assert decisions == portal.call(drained, asking.emsp.aio.authorizations.list())
    assert [(each.outcome, each.decided_by) for each in decisions] == [
        ("ALLOWED", "hook"),
        ("BLOCKED", "fallback"),
        ("200/2002", "hook"),
        ("200/2001", "request"),
        ("404/2003", "request"),
        ("404/2000", "request"),
        ("200/2001", "request"),
    ]
    first, *_, other_type, unreadable = decisions
    assert first.id
    assert first == Decision(
        id=first.id,
        at=begun,
        outcome="ALLOWED",
        country_code="NL",
        party_id="TNM",
        correlation_id="c-NL-TNM",
        token_uid="T0",
        token_type="RFID",
        location_id="LOC1",
        evse_uids=("E1", "E2"),
        allowed_evse_uids=("E2",),
        decided_by="hook",
        reason="",
        latency_ms=12.5,
    )
    assert first.allowed is Allowed.ALLOWED
    assert (other_type.token_type, other_type.latency_ms) == (TokenType.OTHER, 0.0)
    assert (unreadable.location_id, unreadable.evse_uids) == ("", ())
    assert len({each.id for each in decisions}) == 7


def test_decisions_are_listed_by_party_and_page_by_page(store: Any) -> None:
    asking = Asking(store)
    for party, times in (("NL-TNM", 3), ("DE-ABC", 2)):
        for _ in range(times):
            asking.ask(party=party)
    kept = asking.emsp.authorizations
    assert [each.party_id for each in kept.list()] == ["TNM"] * 3 + ["ABC"] * 2
    assert len(list(kept.list("nl-tnm"))) == 3
    assert len(list(kept.list("DE-ABC", limit=1))) == 1
    assert list(kept.list("FR-XYZ")) == []
    pages = [list(kept.list(limit=2))]
    while following := list(kept.list(limit=2, after=pages[-1][-1].sequence)):
        pages.append(following)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [each for page in pages for each in page] == list(kept.list())


@pytest.mark.parametrize("uid", ["%00", "%F0%9F%94%8B", "x" * 5000, "%22%5C"])
def test_whatever_a_partner_asks_for_is_noted(store: Any, uid: str) -> None:
    asking = Asking(store)
    place = {"location_id": "LOC1", "evse_uids": ["E1", *[f"\x00{number}\U0001f50b" for number in range(300)]]}
    assert asking("POST", f"tokens/{uid}/authorize", place, query="type=%00").both == (404, 2000)
    asking.ask(place)
    unknown, known = asking.emsp.authorizations.list()
    assert (unknown.outcome, len(unknown.token_uid) <= 128, unknown.token_type) == ("404/2000", True, "\x00")
    assert (known.outcome, known.allowed_evse_uids, len(known.evse_uids)) == ("ALLOWED", ("E1",), 100)
    assert len(known.reason) <= 500


def test_what_no_database_holds_is_not_known(store: Any) -> None:
    """A NUL, which PostgreSQL refuses to look for; the partner hears nothing of that."""
    asking = Asking(store)
    assert asking("POST", "tokens/T%000/authorize").both == (404, 2000)
    assert asking.ask({"location_id": "LOC1\0"}).both == (404, 2003)
    assert outcomes(list(asking.emsp.authorizations.list())) == ["404/2000", "404/2003"]


def test_a_clock_that_was_put_back_makes_no_answer_that_came_before_its_question(store: Any) -> None:
    asking = Asking(store)

    @asking.emsp.authorize
    def decide(request: AuthorizationRequest) -> AuthorizationInfo:
        asking.clock.time = NOW - timedelta(hours=1)
        return request.refuse()

    asking.ask()
    assert next(iter(asking.emsp.authorizations.list())).latency_ms == 0.0


def test_the_newest_decisions_of_each_party_are_stored() -> None:
    """Without the bound: all six."""
    asking = Asking(MemoryStore(), limits=Limits(authorize=AuthorizeLimits(decisions=3)))
    for _ in range(5):
        asking.ask()
    asking.ask(query="type=OTHER")
    assert outcomes(list(asking.emsp.authorizations.list())) == ["ALLOWED", "ALLOWED", "404/2000"]


def test_decisions_outlive_the_process(sqlite_with_schema: Path) -> None:
    store = SqlStore(f"sqlite:///{sqlite_with_schema}")
    Asking(store).ask(PLACE)
    store.close()
    again = SqlStore(f"sqlite:///{sqlite_with_schema}")
    emsp: Emsp = offline_emsp(store=again)
    [decision] = emsp.authorizations.list()
    assert (decision.allowed, decision.evse_uids) == (Allowed.ALLOWED, ("E1", "E2"))
    again.close()
