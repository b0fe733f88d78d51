"""authorization_id, and whatever else OCPI 2.1.1 does not know (issue 11, number 22)."""

import json
from datetime import timedelta
from typing import Any

import pytest

from flows.authorize_desk import EVSE_1, ask, desk, last
from flows.commands_desk import CommandServer, known, start
from flows.support import Peer, at, peer
from foreign.cases import cases
from ocpi_emsp import AuthorizationInfo, AuthorizationRequest
from ocpi_emsp.codec.extensions import authorization_id_of
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.models import Allowed
from ocpi_emsp.resources import ExtendedAuthorizationInfo
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import NOW, token
from scripted_cpo import ScriptedCpo, clients, reply

Case = dict[str, Any]
BAD: list[dict[str, Any]] = [
    {"allowed": "BLOCKED"},
    {"Allowed": 1},
    {"response_URL": 1},
    {"token": 1},
    {"": 1},
    {"n\u00e4me": 1},
    {"when": object()},
    {"number": float("nan")},
    {"authorization_id": 5},
    {"authorization_id": ""},
    {"authorization_id": "x" * 37},
    {"authorization_id": " x"},
]


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [None, EVSE_1])
@pytest.mark.parametrize("by", ["allow", "info"])
def test_a_hook_says_what_its_authorization_is_called(any_store: Any, place: Any, by: str) -> None:
    cpo = desk(store=any_store)

    @cpo.emsp.authorize
    def decide(request: AuthorizationRequest) -> AuthorizationInfo:
        if by == "allow":
            return request.allow(authorization_id="A-1", extensions={"vendor": [1, {"x": None}]})
        return ExtendedAuthorizationInfo(
            allowed=Allowed.ALLOWED, authorization_id="A-1", extensions={"vendor": [1, {"x": None}]}
        )

    answer = ask(cpo, place)
    where = {"location": place} if place else {}
    assert answer.data == {"allowed": "ALLOWED", **where, "authorization_id": "A-1", "vendor": [1, {"x": None}]}
    assert last(cpo.emsp).authorization_id == "A-1"


def test_a_refusal_may_carry_members_too() -> None:
    cpo = desk()
    cpo.emsp.authorize(lambda request: request.refuse(Allowed.NO_CREDIT, extensions={"vendor": 1}))
    assert ask(cpo).data == {"allowed": "NO_CREDIT", "vendor": 1}
    assert last(cpo.emsp).authorization_id == ""


@pytest.mark.parametrize("decided_by", ["hook", "token", "fallback"])
@pytest.mark.parametrize("valid", [True, False])
def test_one_is_made_where_the_profile_asks_for_it(any_store: Any, decided_by: str, valid: bool) -> None:
    cpo = desk(store=any_store)
    cpo.emsp.tokens.put(token(valid=valid, whitelist="ALLOWED"))
    if decided_by != "token":

        @cpo.emsp.authorize
        def decide(request: AuthorizationRequest) -> AuthorizationInfo:
            if decided_by == "fallback":
                raise ZeroDivisionError
            return request.allow() if valid else request.refuse()

    assert "authorization_id" not in ask(cpo).data
    cpo.emsp.partner("NL-TNM").set_profile(authorization_ids=True)
    made = [ask(cpo, EVSE_1).data.get("authorization_id") for _ in range(2)]
    assert last(cpo.emsp).decided_by == decided_by
    assert last(cpo.emsp).authorization_id == (made[-1] or "")
    assert (len(set(made)), None in made) == ((2, False) if valid else (1, True))
    assert all(each is None or 0 < len(each) <= 36 for each in made)


@pytest.mark.parametrize("bad", BAD[:2] + BAD[4:])
def test_what_cannot_be_an_extension_is_an_answer_that_cannot_be_sent(bad: dict[str, Any]) -> None:
    cpo = desk(authorize_fallback=Allowed.NO_CREDIT)
    cpo.emsp.authorize(lambda request: request.allow(extensions=bad))
    assert ask(cpo).data == {"allowed": "NO_CREDIT"}
    assert last(cpo.emsp).decided_by == "fallback"
    assert "it returned what cannot be sent" in last(cpo.emsp).reason


# --- commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [False, True])
def test_a_command_carries_its_authorization_id(any_store: Any, profile: bool) -> None:
    server = CommandServer()
    cpo = known(server, store=any_store)
    cpo.emsp.partner("NL-TNM").set_profile(authorization_ids=profile)
    start(cpo.emsp)
    start(cpo.emsp, authorization_id="A-1")
    start(cpo.emsp, extensions={"authorization_id": "A-2", "vendor": {"n": 1}})
    with cpo.emsp.partner("NL-TNM").client() as client:
        ends = NOW + timedelta(hours=1)
        client.reserve_now(token=_token(cpo), location_id="LOC1", expiry_date=ends, authorization_id="A-3", force=True)
        client.stop_session(session_id="SES1", extensions={"vendor": 2})
    made, first, second, third, stop = server.bodies
    assert ("authorization_id" in made) is profile
    assert first["authorization_id"] == "A-1"
    assert (second["authorization_id"], second["vendor"]) == ("A-2", {"n": 1})
    assert third["authorization_id"] == "A-3"
    assert (stop.get("authorization_id"), stop["vendor"]) == (None, 2)
    stored = [each.authorization_id for each in cpo.emsp.commands.list()]
    assert stored == [made.get("authorization_id"), "A-1", "A-2", "A-3", None]


def _token(cpo: Peer) -> Any:
    return next(iter(cpo.emsp.tokens.list()))


@pytest.mark.parametrize("bad", BAD[2:])
def test_a_command_with_what_cannot_be_an_extension_is_not_sent(bad: dict[str, Any]) -> None:
    server = CommandServer()
    cpo = known(server)
    with pytest.raises(InvalidObject):
        start(cpo.emsp, extensions=bad)
    with pytest.raises(InvalidObject, match="given twice"):
        start(cpo.emsp, extensions={"authorization_id": "A"}, authorization_id="B")
    assert server.commands == []
    assert list(cpo.emsp.commands.list()) == []


@pytest.mark.parametrize("bad", ["x", "", [1], [], 5, [("a", 1)]])
def test_extensions_that_are_no_mapping_are_named(bad: Any, store: Any) -> None:
    cpo = known(CommandServer(), store=store)
    words = f"invalid extensions {bad!r}: expected a mapping of names to values, for example".replace(
        "('a', 1)", '["a",1]'
    )
    with cpo.emsp.partner("NL-TNM").client() as client:
        for send in (
            lambda: start(cpo.emsp, extensions=bad),
            lambda: client.stop_session(session_id="SES1", extensions=bad),
            lambda: client.put_token(token("B"), extensions=bad),
            lambda: cpo.emsp.tokens.put(token("B"), extensions=bad),
        ):
            with pytest.raises(TypeError) as caught:
                send()
            assert str(caught.value).startswith(words)
    cpo.emsp.authorize(lambda request: request.allow(extensions=bad))
    ask(cpo)
    assert words in last(cpo.emsp).reason


def test_an_authorization_id_is_named_on_one_line() -> None:
    cpo = known(CommandServer())
    with pytest.raises(InvalidObject) as caught:
        start(cpo.emsp, authorization_id="a\nb\x1b")
    assert "invalid authorization_id 'a\\nb\\u001b': expected" in str(caught.value)
    assert caught.value.message.isprintable()


# --- what belongs together ------------------------------------------------------------------------------------------


def new_session(cpo: Peer, session_id: str, at_id: str = "LOC1", **changes: Any) -> dict[str, Any]:
    """A session of the token of the commands, right now."""
    place = samples.location(at_id)
    session = samples.session(session_id, at=place, start=NOW, auth_id=_token(cpo).auth_id, status="ACTIVE")
    return {**session, **changes}


@pytest.mark.stores_in_turn
@cases("driver", "session-*")
@pytest.mark.parametrize("path", ["pushed", "pulled"])
def test_a_session_is_linked_by_its_authorization_id(case: Case, any_store: Any, path: str) -> None:
    server = CommandServer()
    cpo = known(server, store=any_store)
    plain, named = start(cpo.emsp), start(cpo.emsp, authorization_id=case["input"]["sent"])
    session = new_session(cpo, "NEW", **case["input"]["session"])
    if path == "pushed":
        cpo.put("sessions/*/NEW", session)
    else:
        server.lists["sessions"] = [session]
        assert not cpo.emsp.partner("NL-TNM").sync(modules=["sessions"]).rejected
    linked = {"named": named, "plain": plain, "none": None}
    for name, pending in linked.items():
        if pending is not None:
            assert (pending.refresh().session_id == "NEW") is (name == case["outcome"]["linked"]), name


@pytest.mark.stores_in_turn
@cases("driver", "late-*")
@pytest.mark.parametrize("path", ["PATCH", "PUT", "pulled"])
def test_a_session_that_gets_its_authorization_id_later_is_linked(case: Case, store: Any, path: str) -> None:
    server = CommandServer()
    cpo = known(server, store=store)
    plain = start(cpo.emsp) if case["input"]["plain"] else None
    named = start(cpo.emsp, authorization_id=case["input"]["sent"])
    first = new_session(cpo, "NEW", case["input"]["at"], last_updated=at(0))
    cpo.put("sessions/*/NEW", first)
    assert plain is None or plain.refresh().session_id == "NEW"
    assert named.refresh().session_id is None
    later = {**first, **case["input"]["later"], "last_updated": at(1)}
    if path == "PATCH":
        assert cpo.push("PATCH", "sessions/NL/TNM/NEW", case["input"]["later"]).code == 1000
    elif path == "PUT":
        cpo.put("sessions/*/NEW", later)
    else:
        server.lists["sessions"] = [later]
        assert not cpo.emsp.partner("NL-TNM").sync(modules=["sessions"]).rejected
    assert (named.refresh().session_id == "NEW") is case["outcome"]["linked"]
    assert plain is None or (plain.refresh().session_id == "NEW") is not case["outcome"]["linked"]


@cases("driver", "cdr-*")
def test_a_cdr_and_a_session_of_one_authorization_are_a_pair(case: Case, any_store: Any) -> None:
    cpo = peer(store=any_store)
    for number, named in enumerate(case["input"]["sessions"]):
        start_of = NOW - timedelta(hours=3 * number + 3)
        session = samples.session(f"S{number}", at=samples.location("LOC1"), start=start_of)
        cpo.put(f"sessions/*/S{number}", {**session, "last_updated": at(1), **named})
    of_first = samples.session("S0", at=samples.location("LOC1"), start=NOW - timedelta(hours=3))
    cdr = {**samples.cdr("C", of=of_first), "last_updated": at(2), **case["input"]["cdr"]}
    assert cpo.push("POST", "cdrs", cdr).code == 1000
    found = cpo.emsp.partner("NL-TNM").reconcile()
    [match] = found.matched
    assert [match.session.id, match.how] == case["outcome"]["pair"]
    assert [each.what for each in found.differences if each.what == "authorization_id"] == case["outcome"]["differs"]
    assert match.cdr.authorization_id == authorization_id_of(encode(case["input"]["cdr"]))


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_is_stored_listed_and_pushed_with_its_extensions(any_store: Any) -> None:
    server = ScriptedCpo(answer=lambda _: reply(), modules=("credentials", "tokens"))
    cpo = peer(store=any_store, listen=False, **clients(server))
    emsp, partner = cpo.emsp, cpo.emsp.partner("NL-TNM")

    def listed() -> dict[str, Any]:
        [only] = cpo.data("tokens")
        return {name: value for name, value in only.items() if name in ("vendor", "contract", "valid")}

    def pushed() -> list[tuple[str, Any]]:
        before = len(server.asked)
        partner.push_tokens()
        bodies = [(each.method, json.loads(each.content)) for each in server.asked[before:]]
        return [(method, body.get("vendor")) for method, body in bodies]

    emsp.tokens.put(token("A"), extensions={"vendor": {"n": 1}, "contract": "C"})
    assert listed() == {"vendor": {"n": 1}, "contract": "C", "valid": True}
    assert pushed() == [("PUT", {"n": 1})]
    assert pushed() == []
    emsp.tokens.put(token("A"), extensions={"vendor": {"n": 2}})
    assert listed() == {"vendor": {"n": 2}, "valid": True}
    assert pushed() == [("PUT", {"n": 2})]
    emsp.tokens.invalidate("A")
    assert listed() == {"vendor": {"n": 2}, "valid": False}
    assert [method for method, _ in pushed()] == ["PATCH"]
    emsp.tokens.put(token("A", valid=False))
    assert listed() == {"valid": False}
    assert pushed() == [("PUT", None)]
    with partner.client() as client:
        client.put_token(token("B"), extensions={"vendor": 3})
    assert json.loads(server.asked[-1].content)["vendor"] == 3
    with pytest.raises(InvalidObject, match="is a member of Token"):
        emsp.tokens.put(token("A"), extensions={"issuer": "x"})
