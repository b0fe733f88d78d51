"""Registrations that are killed in the middle, endpoints that are odd, and the table of what may happen."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve

from flows.lifecycle_desk import Scene, all_parties, opens, scene
from flows.support import Peer
from ocpi_emsp import OcpiError
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import (
    AlreadyRegistered,
    CannotUseApi,
    InvalidObject,
    MissingEndpoints,
    StoreFailed,
    UnsupportedVersion,
)
from ocpi_emsp.events import HandshakeFailed, PartyRegistered, PartyUpdated
from ocpi_emsp.flows.credentials.endpoints import MOST_ENDPOINTS
from ocpi_emsp.flows.credentials.states import TRANSITIONS, UNKNOWN, PartyChange, Refused, UnknownParty
from ocpi_emsp.flows.parties.party import PartyState, put_party
from processes import Killed
from scripted_cpo import reply

DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "credentials.md"


# --- killed in the middle -------------------------------------------------------------------------------------------


@contextmanager
def killed_at(here: Scene, name: str, *, after_it_took: bool = False) -> Iterator[None]:
    """The process dies when this request comes to the CPO, or once the CPO has done what it asks for."""

    def kill(request: httpx.Request) -> httpx.Response | None:
        if after_it_took:
            here.cpo.take(request)
        here.store.dead = True
        raise Killed

    here.cpo.script[name] = kill
    with pytest.raises((Killed, StoreFailed)):
        yield
    here.cpo.script.clear()
    here.restart()


@pytest.mark.parametrize(
    ("name", "after_it_took"),
    [
        ("GET /versions", False),
        ("GET /2.1.1", False),
        ("POST /2.1.1/credentials", False),
        ("POST /2.1.1/credentials", True),
    ],
)
def test_a_registration_that_is_killed_can_be_run_again(name: str, after_it_took: bool) -> None:
    here = scene(registered=False)
    here.cpo.keeps = 9
    with killed_at(here, name, after_it_took=after_it_took):
        here.register()
    posted = name.startswith("POST")
    assert len(here.stored(PartyState.REGISTERING)) == posted
    assert list(here.emsp.parties.list()) == []
    here.cpo.taken.append("token-a-of-the-cpo")
    here.clock.advance(minutes=30)
    assert str(here.register()) == "NL-TNM"
    assert here.reaches_it()
    # What the killed one left is no longer than a handshake lasts, so it may still be one that is under way.
    assert len(here.stored(PartyState.REGISTERING)) == posted
    here.clock.advance(hours=2)
    here.emsp.parties.invite("FR-ABC")
    assert here.stored(PartyState.REGISTERING) == []
    if after_it_took:
        assert not opens(here.emsp, here.cpo.ours[0], "/versions")
    assert here.reaches_it()


def test_the_next_registration_sweeps_too() -> None:
    here = scene(registered=False)
    with killed_at(here, "POST /2.1.1/credentials"):
        here.register()
    here.clock.advance(hours=2)
    here.register()
    assert here.stored(PartyState.REGISTERING) == []


@pytest.mark.parametrize("after_it_took", [False, True])
def test_a_rotation_that_is_killed_can_be_run_again(after_it_took: bool) -> None:
    here = scene()
    here.cpo.keeps = 3
    old = here.cpo.ours[-1]
    with killed_at(here, "PUT /2.1.1/credentials", after_it_took=after_it_took):
        here.emsp.partner("NL-TNM").rotate()
    assert here.party().state is PartyState.REGISTERED
    assert opens(here.emsp, old)
    assert opens(here.emsp, here.cpo.ours[-1])
    here.clock.advance(days=2)
    assert opens(here.emsp, here.cpo.ours[-1])
    here.emsp.partner("NL-TNM").rotate()
    assert here.reaches_it()
    assert opens(here.emsp, here.cpo.ours[-1])


@pytest.mark.parametrize("name", ["GET /2.1.1", "GET /versions"])
@pytest.mark.parametrize("method", ["PATCH", "POST", "PUT"])
def test_we_die_while_the_cpo_waits_for_our_answer(name: str, method: str) -> None:
    """What was there before is there, and the CPO can send it again."""
    here = scene(registered=method != "POST")
    token = here.cpo.ours[-1] if method != "POST" else here.emsp.parties.invite("NL-TNM").token_a.reveal()
    before = all_parties(here.store)
    body = here.cpo.credentials()
    cpo = Peer(here.emsp, here.clock, here.store.kept, token)
    with killed_at(here, name):
        cpo.push(method, "credentials", body)
    assert all_parties(here.store) == before
    answer = Peer(here.emsp, here.clock, here.store.kept, token).push(method, "credentials", body)
    assert answer.code == 1000
    assert opens(here.emsp, answer.data["token"])
    assert here.reaches_it()


@pytest.mark.parametrize("name", ["GET /2.1.1", "GET /versions"])
@pytest.mark.parametrize("method", ["PATCH", "POST", "PUT"])
def test_a_cpo_that_fails_at_a_request_of_ours_hears_one_sentence_and_we_hear_why(
    name: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the reason in the answer, it told a closed port from a service of another kind and an unknown name."""
    here = scene(registered=method != "POST")
    token = here.cpo.ours[-1] if method != "POST" else here.emsp.parties.invite("NL-TNM").token_a.reveal()
    before = all_parties(here.store)

    def fail(request: httpx.Request) -> httpx.Response | None:
        raise httpx.ConnectError("connection refused", request=request)

    here.cpo.script[name] = fail
    cpo = Peer(here.emsp, here.clock, here.store.kept, token)
    answer = cpo.push(method, "credentials", here.cpo.credentials())
    assert answer.both == (200, 3001)
    assert answer.message == f"cannot use your API; correlation id {answer.headers['x-correlation-id']}"
    [event] = here.events
    assert isinstance(event, HandshakeFailed)
    assert event.correlation_id == answer.headers["x-correlation-id"]
    for said in (event.reason, next(line for line in caplog.messages if line.startswith("party.unusable"))):
        assert name.removeprefix("GET ") in said
        assert "connection refused" in said
    assert all_parties(here.store) == before


# --- what is odd about endpoints ------------------------------------------------------------------------------------


def offers(*pairs: tuple[str, str], version: str = "2.1.1") -> dict[str, Any]:
    return {"version": version, "endpoints": [{"identifier": name, "url": url} for name, url in pairs]}


BASE = "https://tnm.test/cpo/2.1.1"
CREDENTIALS = ("credentials", f"{BASE}/credentials")


@pytest.mark.parametrize(
    ("details", "notes"),
    [
        (offers(CREDENTIALS, CREDENTIALS), []),
        (
            offers(CREDENTIALS, ("Credentials", "https://tnm.test/other")),
            [f"credentials is listed with 2 URLs, the first one is used: {BASE}/credentials"],
        ),
        (
            offers(CREDENTIALS, ("locations", "https://cdn.test/l"), ("CDRs", "https://cdn.test/c")),
            ["locations, cdrs on another server than the versions: cdn.test"],
        ),
    ],
)
def test_what_is_odd_and_harmless_is_said(details: Any, notes: list[str], caplog: pytest.LogCaptureFixture) -> None:
    here = scene(registered=False)
    here.cpo.script["GET /2.1.1"] = lambda _: reply(details)
    party = here.register(hosts=["cdn.test"])
    assert party.endpoint("credentials") == f"{BASE}/credentials"
    [event] = here.events
    assert isinstance(event, PartyRegistered)
    assert list(event.notes) == notes
    assert all(note in caplog.text for note in notes)


def test_an_event_says_the_same_after_a_renewal_of_the_cpo() -> None:
    here = scene()
    here.emsp.partner("NL-TNM").set_profile(hosts=["tnm.test", "cdn.test"])
    here.cpo.script["GET /2.1.1"] = lambda _: reply(offers(CREDENTIALS, ("locations", "https://cdn.test/l")))
    here.cpo.renew()
    [event] = here.events
    assert isinstance(event, PartyUpdated)
    assert event.notes == ("locations on another server than the versions: cdn.test",)


@pytest.mark.parametrize(
    ("details", "error", "says"),
    [
        (offers(CREDENTIALS, version="2.2"), UnsupportedVersion, "name version 2.2"),
        (offers(("credentials", "/cpo/2.1.1/credentials")), CannotUseApi, "not absolute: '/cpo/2.1.1/credentials'"),
        (offers(("credentials", "https://emsp.test/ocpi/emsp/2.1.1/credentials")), CannotUseApi, "our own URL"),
        (offers(CREDENTIALS, *[("tokens", f"https://t.test/{n}") for n in range(MOST_ENDPOINTS)]), CannotUseApi, "201"),
        (offers(("locations", "https://tnm.test/l")), MissingEndpoints, "credentials"),
    ],
    ids=["another-version", "relative", "ours", "too-many", "missing"],
)
def test_endpoints_that_cannot_be_taken(details: Any, error: type[OcpiError], says: str) -> None:
    here = scene(registered=False)
    here.cpo.script["GET /2.1.1"] = lambda _: reply(details)
    with pytest.raises(error, match=says):
        here.register()
    assert all_parties(here.store) == []
    assert not [each for each in here.cpo.calls if each.startswith("POST")]


@pytest.mark.parametrize(
    ("versions", "notes"),
    [
        ([("2.1.1", BASE), ("2.1.1", BASE)], []),
        (
            [("2.1.1", BASE), ("2.1.1", "https://x.test/")],
            ["version 2.1.1 is listed with 2 URLs, the first one is used"],
        ),
        ([(None, "x"), ("2.1.1", BASE)], ["1 listed version cannot be read"]),
        ([(f"9.{n}", "https://x.test/") for n in range(99)] + [("2.1.1", BASE)], []),
    ],
    ids=["twice", "two-urls", "unreadable", "many"],
)
def test_versions_that_are_odd(versions: list[tuple[Any, str]], notes: list[str]) -> None:
    here = scene(registered=False)
    listed = [{"version": version, "url": url} for version, url in versions]
    here.cpo.script["GET /versions"] = lambda _: reply(listed)
    here.register()
    [event] = here.events
    assert isinstance(event, PartyRegistered)
    assert list(event.notes) == notes


def test_a_long_list_of_other_versions_is_not_repeated() -> None:
    here = scene(registered=False)
    here.cpo.versions = [f"9.{number}" for number in range(100)]
    with pytest.raises(UnsupportedVersion, match=r"9\.0, .*9\.9 and 90 more$"):
        here.register()


def test_we_are_not_invited_and_not_answered_as_ourselves() -> None:
    here = scene(registered=False)
    with pytest.raises(InvalidObject, match="IT-BEC is our own party"):
        here.emsp.parties.invite("it-bec")
    token_a = here.emsp.parties.invite("NL-TNM").token_a.reveal()
    body = here.cpo.credentials(url="https://emsp.test/ocpi/emsp/versions")
    answer = Peer(here.emsp, here.clock, here.store.kept, token_a).push("POST", "credentials", body)
    assert answer.both == (200, 3001)
    assert answer.message.startswith("a URL of yours is our own; correlation id ")
    assert here.cpo.calls == []


# --- the table ------------------------------------------------------------------------------------------------------

THEIRS = {
    PartyChange.THEIR_DELETE: "DELETE",
    PartyChange.THEIR_PATCH: "PATCH",
    PartyChange.THEIR_POST: "POST",
    PartyChange.THEIR_PUT: "PUT",
}


def test_every_change_is_in_every_row() -> None:
    assert set(TRANSITIONS) == {UNKNOWN, *PartyState}
    assert all(set(row) == set(PartyChange) for row in TRANSITIONS.values())


@pytest.mark.parametrize("change", THEIRS)
@pytest.mark.parametrize("state", [UNKNOWN, *PartyState], ids=lambda state: state.name)
def test_what_a_partner_asks_is_answered_as_the_table_says(
    state: PartyState | UnknownParty, change: PartyChange
) -> None:
    here = scene(registered=state is PartyState.REGISTERED)
    token = here.cpo.ours[-1] if here.cpo.ours else here.emsp.parties.invite("NL-TNM").token_a.reveal()
    if state is UNKNOWN:
        here.emsp.partner("NL-TNM").unregister(tell=False)
    if state in (PartyState.REGISTERING, PartyState.UNREGISTERED):
        set_state(here, state)
    expected = TRANSITIONS[state][change]
    answer = Peer(here.emsp, here.clock, here.store.kept, token).push(
        THEIRS[change], "credentials", here.cpo.credentials()
    )
    found = here.emsp.parties.get("NL-TNM")
    if isinstance(expected, Refused):
        assert str(answer.status) == expected.value[:3]
        assert (UNKNOWN if found is None else found.state) is state
    else:
        assert answer.code == 1000
        assert (UNKNOWN if found is None else found.state) is expected


def set_state(here: Scene, state: PartyState) -> None:
    party = here.party()

    async def write() -> None:
        async with here.store.kept.transaction() as tx:
            changed = evolve(party, state=state, unregistered_at=here.clock.now())
            await put_party(tx, changed, here.clock.now())

    run(write())


def test_a_registration_is_not_replaced_by_an_invitation_or_a_handshake() -> None:
    here = scene()
    with pytest.raises(AlreadyRegistered, match=r"NL-TNM is registered already: partner\.update\(\) or"):
        here.emsp.parties.invite("NL-TNM")
    here.cpo.taken.append("token-a-of-the-cpo")
    before = here.party()
    with pytest.raises(AlreadyRegistered):
        here.register()
    assert here.party() == before


def named(outcome: object) -> str:
    return outcome.value if isinstance(outcome, Refused) else getattr(outcome, "name", "")


def drawn() -> str:
    """The table as markdown, and as a diagram of what changes the state."""
    states = list(TRANSITIONS)
    lines = ["| what happens | " + " | ".join(named(state) for state in states) + " |"]
    lines.append("|---" * (len(states) + 1) + "|")
    for change in PartyChange:
        cells = (named(TRANSITIONS[state][change]) for state in states)
        lines.append(f"| {change.value} | " + " | ".join(cells) + " |")
    lines += ["", "```mermaid", "stateDiagram-v2"]
    for state in states:
        for change, outcome in TRANSITIONS[state].items():
            if not isinstance(outcome, Refused) and outcome is not state:
                ends = ("[*]" if each is UNKNOWN else named(each) for each in (state, outcome))
                lines.append(f"    {' --> '.join(ends)}: {change.value}")
    return "\n".join([*lines, "```", ""])


def test_the_table_in_the_docs_is_the_one_that_the_code_goes_through() -> None:
    assert drawn() in DOCS.read_text("utf-8")
