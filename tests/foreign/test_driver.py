"""A driver waits: authorizations and results as foreign CPOs ask and send them (issue 11, numbers 19 to 21)."""

from typing import Any

import pytest

from client.support import BASE, MODES, ORIGIN, Mode, call, facing, register_tnm
from flows.authorize_desk import ask, desk, last, listening, location, token
from flows.commands_desk import CommandServer, callback, known, start
from flows.support import Answer, Peer, offline_emsp, peer
from foreign.cases import cases
from foreign.ways import PATCHED, PLACE, PUSHED
from ocpi_emsp.findings import Severity
from ocpi_emsp.models import TokenType
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import credentials
from scripted_cpo import ScriptedCpo, reply

Case = dict[str, Any]


def driver_desk(store: Any, **settings: Any) -> Peer:
    """LOC1: two EVSEs share an evse_id, E3 is removed, and the uid of the last one is no evse_id but looks like one."""
    cpo = desk(store=store, **settings)
    place = location(E1="1", E2="1", E3="1:REMOVED", E4="1", E5="1")
    ids = {"E1": "NL*TNM*E1", "E2": "NL*TNM*E2", "E3": "NL*TNM*E3", "E4": "NL*TNM*TWO", "E5": "NL*TNM*TWO"}
    place["evses"] = [{**each, "evse_id": ids[each["uid"]]} for each in place["evses"]]
    odd = {**place["evses"][0], "uid": "NL*TNM*E9", "evse_id": "NL*TNM*E8"}
    cpo.put("locations/*/LOC1", {**place, "evses": [*place["evses"], odd]})
    return cpo


# --- 19: nowhere, and an EVSE by another name -----------------------------------------------------------------------


@pytest.mark.stores_in_turn
@cases("driver", "nowhere-*")
@pytest.mark.parametrize("refuses", [Severity.ERROR, Severity.WARNING, Severity.NOTE])
@pytest.mark.parametrize("hook", [True, False])
def test_whatever_says_no_location_asks_without_one(case: Case, any_store: Any, refuses: Severity, hook: bool) -> None:
    cpo = desk(store=any_store)
    cpo.emsp.partner("NL-TNM").set_profile(refuses=refuses)
    asked = listening(cpo) if hook else []
    answer = ask(cpo, case["input"].encode())
    assert answer.both == (200, 1000)
    assert answer.data == case["outcome"]
    assert [each.references for each in asked] == [None] * hook
    assert (last(cpo.emsp).outcome, last(cpo.emsp).location_id) == ("ALLOWED", "")


@pytest.mark.stores_in_turn
@cases("driver", "somewhere-*")
@pytest.mark.parametrize("refuses", [Severity.ERROR, Severity.NOTE])
def test_names_that_say_nothing_are_none(case: Case, store: Any, refuses: Severity) -> None:
    cpo = driver_desk(store)
    cpo.emsp.partner("NL-TNM").set_profile(refuses=refuses)
    asked = listening(cpo)
    answer = ask(cpo, case["input"])
    assert answer.both == (200, 1000), answer.text
    assert [each.references and each.references.evse_uids for each in asked] == [()]
    assert answer.data["location"]["location_id"] == "LOC1"


@cases("driver", "evse-*")
def test_an_evse_by_another_name_is_that_evse(case: Case, any_store: Any) -> None:
    cpo = driver_desk(any_store)
    asked = listening(cpo)
    answer = ask(cpo, case["input"])
    assert answer.both == (200, 1000), answer.text
    [request] = asked
    assert [evse.uid for evse in request.evses] == case["outcome"]["asked"]
    assert request.references is not None
    assert set(case["outcome"]["asked"]) <= set(request.references.evse_uids)
    # A CPO gets its own names back: it looks for what it asked about.
    assert answer.data["location"]["evse_uids"] == case["outcome"]["answered"]
    assert last(cpo.emsp).allowed_evse_uids == tuple(case["outcome"]["answered"])
    renamed = case["outcome"]["asked"] != case["outcome"]["answered"]
    assert ("is read as the EVSE with uid" in last(cpo.emsp).reason) is (renamed or "NL*TNM*E1" in str(case["input"]))


@cases("driver", "evse-*")
def test_a_hook_may_allow_by_uid_what_was_asked_by_another_name(case: Case) -> None:
    cpo = driver_desk(None)
    cpo.emsp.authorize(lambda request: request.allow([request.evses[0].uid]))
    answer = ask(cpo, case["input"])
    assert answer.data["allowed"] == "ALLOWED"
    assert answer.data["location"]["evse_uids"] == case["outcome"]["answered"][:1]


@pytest.mark.stores_in_turn
@cases("driver", "no-evse-*")
def test_a_name_of_no_evse_or_of_several_is_refused(case: Case, any_store: Any) -> None:
    cpo = driver_desk(any_store)
    answer = ask(cpo, case["input"])
    assert answer.both == (200, case["outcome"]["status_code"])
    assert answer.findings
    assert [each.route for each in cpo.emsp.rejections.list()] == ["tokens.authorize"]


def test_as_many_names_as_a_body_holds_are_noted_in_a_moment() -> None:
    cpo = driver_desk(None)
    names = [f"NL{'*' * (number % 17)}TNM{'*' * (number // 17)}E1" for number in range(289)]
    answer = ask(cpo, {"location_id": "LOC1", "evse_uids": names})
    assert answer.data["location"]["evse_uids"] == names[:1]
    assert "(99 more)" in answer.message


# --- 20: a uid in another case --------------------------------------------------------------------------------------


@cases("driver", "uid-*")
@pytest.mark.parametrize("place", [None, {"location_id": "LOC1", "evse_uids": ["E1"]}])
def test_a_uid_in_another_case_is_that_token(case: Case, any_store: Any, place: Any) -> None:
    cpo = desk(store=any_store)
    cpo.emsp.tokens.put_many(token(uid) for uid in ("04ABCDEF", "deadbeef", "Twin", "twin", "04ABCDEX"))
    cpo.emsp.tokens.put(token("appone", type=TokenType.OTHER))
    cpo.emsp.tokens.put(token("DeadBeef", type=TokenType.OTHER))
    asked = listening(cpo)
    answer = cpo.push("POST", f"tokens/{case['input']}/authorize", place)
    assert [*answer.both] == case["outcome"]["both"], answer.text
    said = case["outcome"]["said"]
    assert said in answer.message
    assert said in last(cpo.emsp).reason
    assert last(cpo.emsp).token_uid == case["input"]
    if answer.code == 1000:
        assert [each.token.uid for each in asked] == [said or case["input"]]
        assert ("by case alone" in answer.message) is bool(said)
    else:
        assert asked == []


def test_a_token_that_was_changed_or_is_not_valid_is_found_in_another_case_too(any_store: Any) -> None:
    cpo = desk(store=any_store)
    cpo.emsp.tokens.put(token("ABC"))
    cpo.emsp.tokens.patch("ABC", issuer="Another")
    cpo.emsp.tokens.invalidate("ABC")
    assert cpo.push("POST", "tokens/abc/authorize").data == {"allowed": "BLOCKED"}


# --- 21: what is wrapped --------------------------------------------------------------------------------------------


@pytest.mark.stores_in_turn
@cases("driver", "result-*")
@pytest.mark.parametrize("path", ["result", "acknowledgement"])
def test_a_result_is_read_in_whatever_it_is_wrapped(case: Case, any_store: Any, path: str) -> None:
    server = CommandServer(data=case["input"] if path == "acknowledgement" else {"result": "ACCEPTED"})
    cpo = known(server, store=any_store)
    pending = start(cpo.emsp)
    assert pending.acknowledgement == case["outcome"]["result"]
    if path == "result":
        answer = cpo.push("POST", callback(pending), case["input"])
        assert answer.both == (200, 1000)
        assert ("[body.wrapped]" in answer.message) is case["outcome"]["note"]
        assert pending.result(timeout=1) == case["outcome"]["result"]
        # The same again is answered alike.
        assert cpo.push("POST", callback(pending), case["input"]).both == (200, 1000)


@pytest.mark.stores_in_turn
@cases("driver", "no-result-*")
def test_a_wrapping_without_one_result_in_it_is_refused(case: Case, any_store: Any) -> None:
    cpo = known(CommandServer(), store=any_store)
    pending = start(cpo.emsp)
    assert cpo.push("POST", callback(pending), case["input"]).both == (200, case["outcome"]["status_code"])
    [rejection] = cpo.emsp.rejections.list()
    assert rejection.body == encode(case["input"])
    assert pending.refresh().result is None


ENVELOPE = {"status_code": 1000, "timestamp": "2024-05-01T00:00:00Z"}


def wrapped(body: Any, wrapping: str) -> Any:
    return {"list": [body], "envelope": {"data": body, **ENVELOPE}, "both": {"data": [body], **ENVELOPE}}[wrapping]


def without_times(document: Any) -> Any:
    """A location moves with its EVSEs."""
    return {name: value for name, value in document.items() if name != "last_updated"}


@pytest.mark.parametrize("wrapping", ["list", "envelope", "both"])
def test_one_object_is_taken_in_whatever_it_is_wrapped(any_store: Any, wrapping: str) -> None:
    cpo = peer(store=any_store)
    for method, path, body in PUSHED:
        answer = cpo.push(method, path, wrapped(body, wrapping))
        assert answer.code == 1000, (path, answer.text)
        assert "expected one object, found it in" in answer.message
        assert "[body.wrapped]" in answer.message
        stored = cpo.data("cdrs/CDR1" if path == "cdrs" else path)
        assert without_times(stored) == without_times(body if path != "locations/*/LOC1" else PLACE)
    if wrapping == "list":
        for path, changes in PATCHED:
            answer = cpo.push("PATCH", path, [changes])
            assert "[body.wrapped]" in answer.message
            assert changes.items() <= cpo.data(path).items()


@pytest.mark.parametrize("bodies", [[], [PLACE, PLACE], [[[[PLACE]]]], {"data": PLACE, "vendor": 1}])
def test_what_is_not_one_object_is_refused_as_it_came(any_store: Any, bodies: Any) -> None:
    cpo = peer(store=any_store)
    assert cpo.push("PUT", "locations/*/LOC1", bodies).code == 2001
    [rejection] = cpo.emsp.rejections.list()
    assert rejection.body == encode(bodies)


def test_a_rejection_of_what_was_wrapped_is_replayed_from_what_came(any_store: Any) -> None:
    cpo = peer(store=any_store)
    body = wrapped(without_times(PLACE) | {"id": 5}, "both")
    assert cpo.push("PUT", "locations/*/LOC1", body).code == 2001
    [rejection] = cpo.emsp.rejections.list()
    assert rejection.body == encode(body)


PULLED: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = [
    ("location", ("LOC1",), "locations/LOC1", PLACE),
    ("evse", ("LOC1", "E1"), "locations/LOC1/E1", PLACE["evses"][0]),
    ("connector", ("LOC1", "E1", "1"), "locations/LOC1/E1/1", PLACE["evses"][0]["connectors"][0]),
    ("token", ("T0",), "tokens/IT/BEC/T0", samples.token("T0")),
    ("credentials", (), "credentials", credentials()),
    ("version_details", (), "", {"version": "2.1.1", "endpoints": []}),
]
"""Every single object that is read from a CPO: method of a client, arguments, path, what is answered."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "ids", "path", "document"), PULLED, ids=[each[0] for each in PULLED])
def test_one_object_that_is_pulled_in_a_list_is_that_object(
    mode: Mode, name: str, ids: tuple[str, ...], path: str, document: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [reply(document), reply([document])]
    server = ScriptedCpo()
    emsp = facing(server)
    register_tnm(emsp)
    server.script[f"/2.1.1/{path}".removesuffix("/")] = lambda _: answers.pop(0)
    caplog.set_level("INFO", "ocpi_emsp")
    plain = call(emsp, mode, name, *ids)
    assert "answer.unwrapped" not in caplog.text
    assert call(emsp, mode, name, *ids) == plain
    assert "answer.unwrapped" in caplog.text


@pytest.mark.parametrize("wrapping", ["list", "envelope", "both"])
def test_a_cpo_registers_with_credentials_that_are_wrapped(any_store: Any, wrapping: str) -> None:
    emsp = offline_emsp(store=any_store)
    headers = {"authorization": f"Token {emsp.parties.invite('NL-TNM').token_a.reveal()}"}
    for method in ("POST", "PUT"):
        body = encode(wrapped(credentials(), wrapping))
        answer = Answer.of(emsp.handle(Request(method, "/2.1.1/credentials", "", headers, body)))
        assert answer.code == 1000, answer.text
        headers = {"authorization": f"Token {answer.data['token']}"}


def test_we_register_with_a_cpo_that_answers_lists_of_one() -> None:
    details = {"version": "2.1.1", "endpoints": [{"identifier": "credentials", "url": f"{BASE}/credentials"}]}
    server = ScriptedCpo(
        script={"/2.1.1": lambda _: reply([details]), "POST /2.1.1/credentials": lambda _: reply([credentials()])}
    )
    emsp = facing(server, required_modules=())
    assert str(emsp.parties.register(f"{ORIGIN}/cpo/versions", token_a="A").id) == "NL-TNM"
