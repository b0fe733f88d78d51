"""Token A expires, and opens nothing after the registration but the GET for a party that lost the answer."""

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from flows.support import Peer, cpo_server, offline_emsp, serve
from ocpi_emsp import Limits
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.parties.party import find_party, put_party
from ocpi_emsp.routes import INCOMING
from ocpi_emsp.settings import CredentialLimits
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.wire import Request
from our_emsp import NOW, FakeClock, credentials

WEEK = timedelta(days=7)
POST = ("POST", "credentials", credentials("FR", "ABC"))


def invited(store: Any = None, expires: timedelta | None = None, **settings: Any) -> Peer:
    """A CPO that holds token A."""
    clock, kept = FakeClock(), store or MemoryStore()
    emsp = offline_emsp(clock=clock, store=kept, http_client=serve(cpo_server()), **settings)
    invitation = emsp.parties.invite("FR-ABC", expires=expires)
    return Peer(emsp, clock, kept, invitation.token_a.reveal(), "FR", "ABC")


def with_token(cpo: Peer, token: str) -> Peer:
    return evolve(cpo, token=token)


# --- before the registration ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expires", "lifetime"),
    [
        ({}, None, WEEK),
        ({}, timedelta(hours=1), timedelta(hours=1)),
        (
            {"limits": Limits(credentials=CredentialLimits(invitation_lifetime=timedelta(days=1)))},
            None,
            timedelta(days=1),
        ),
    ],
)
def test_token_a_expires(
    settings: dict[str, Any], expires: timedelta | None, lifetime: timedelta, any_store: MemoryStore | SqlStore
) -> None:
    """Without the check: a token A from a mail of last year registers whoever found it."""
    cpo = invited(any_store, expires, **settings)
    party = cpo.emsp.parties.get("FR-ABC")
    assert party is not None
    assert [party.expires_at, *(each.expires_at for each in cpo.emsp.parties.list())] == [NOW + lifetime] * 2
    cpo.clock.time = NOW + lifetime
    assert cpo.push("GET", "credentials").status == 200
    cpo.clock.advance(seconds=1)
    for method, path, body in (POST, ("GET", "credentials", None), ("PUT", "credentials", POST[2])):
        answer = cpo.push(method, path, body)
        assert (answer.status, answer.message) == (401, "the invitation expired: a registration needs a new token A")
    again = with_token(cpo, cpo.emsp.parties.invite("FR-ABC").token_a.reveal())
    assert again.push(*POST).status == 201
    party = cpo.emsp.parties.get("FR-ABC")
    assert party is not None
    assert party.expires_at is None


def test_an_invitation_of_an_earlier_version_expires_too() -> None:
    cpo = invited()

    async def as_before() -> None:
        async with lift_store(cpo.store, in_place).transaction() as tx:
            party = await find_party(tx, "FR", "ABC")
            assert party is not None
            await put_party(tx, evolve(party, expires_at=None), NOW)

    run(as_before())
    assert [each.expires_at for each in cpo.emsp.parties.list()] == [NOW + WEEK]
    cpo.clock.time = NOW + WEEK + timedelta(seconds=1)
    assert cpo.push(*POST).status == 401


@pytest.mark.parametrize(
    ("expires", "error"),
    [(timedelta(0), ValueError), (timedelta(days=-1), ValueError), (timedelta.max, ValueError), (7, TypeError)],
)
def test_a_time_that_cannot_be_is_refused(expires: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="invalid expires '"):
        invited(expires=expires)


# --- after it -------------------------------------------------------------------------------------------------------


def test_after_the_registration_token_a_opens_our_credentials_alone() -> None:
    """Without the check: whoever read the mail with token A pushes, renews and withdraws for a day as the partner."""
    cpo = invited()
    assert cpo.push(*POST).status == 201
    ids = {"country_code": "FR", "party_id": "ABC"}
    opened = {}
    for route in INCOMING:
        path = "/".join(ids.get(part[1:-1], "X") if part.startswith("{") else part for part in route.path)
        below = "/".join(filter(None, (route.module, path)))
        if route.module not in ("versions", "2.1.1"):
            opened[route.name] = cpo.push(route.method, below, {} if route.method != "GET" else None).status
    assert {name: status for name, status in opened.items() if status != 401} == {
        "credentials.get": 200,
        "credentials.post": 405,
    }
    assert len(opened) > 20
    headers = {"authorization": f"Token {cpo.token}"}
    assert [cpo.emsp.handle(Request("GET", path, "", headers)).status for path in ("/versions", "/2.1.1")] == [401, 401]


def test_the_get_gives_a_token_that_works_to_a_party_that_lost_the_answer(any_store: MemoryStore | SqlStore) -> None:
    """With the token of the request in it, as GET answers else: the party would go on with one that opens nothing."""
    cpo = invited(any_store)
    lost = with_token(cpo, cpo.push(*POST).data["token"])
    given = [with_token(cpo, cpo.push("GET", "credentials").data["token"]) for _ in range(12)]
    assert len({each.token for each in (cpo, lost, *given)}) == 14
    assert given[-1].push("GET", "tokens").status == 200
    assert [each.push("GET", "credentials").status for each in (cpo, lost, *given[:-1])] == [401] * 13
    assert given[-1].push("GET", "credentials").data["token"] == given[-1].token


def test_the_grace_of_token_a_counts_from_the_registration() -> None:
    """Counted from the last token that was given: each GET would give it another day, for ever."""
    cpo = invited()
    assert cpo.push(*POST).status == 201
    for _ in range(3):
        cpo.clock.advance(hours=8)
        assert cpo.push("GET", "credentials").status == 200
    cpo.clock.advance(seconds=1)
    assert cpo.push("GET", "credentials").status == 401
    assert cpo.push(*POST).status == 401


@pytest.mark.parametrize("with_first", [True, False])
def test_a_party_that_ends_its_registration_registers_anew_with_the_token_it_had(with_first: bool) -> None:
    cpo = invited()
    registered = with_token(cpo, cpo.push(*POST).data["token"])
    cpo.clock.advance(days=30)  # an invitation that is used does not expire
    assert registered.push("DELETE", "credentials").status == 200
    begins = cpo if with_first else registered
    cpo.clock.advance(days=6)
    answer = begins.push(*POST)
    assert answer.status == 201
    assert begins.push("GET", "tokens").status == 401
    assert begins.push("GET", "credentials").status == 200
    assert with_token(cpo, answer.data["token"]).push("GET", "tokens").status == 200
