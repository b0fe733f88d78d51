"""What we send is valid, or it is refused before it is stored (issue 11, number 28)."""

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from client.support import MODES, Mode, call, registered
from flows.commands_desk import CommandServer, known, start
from foreign.cases import cases
from ocpi_emsp import Emsp
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.findings import Severity
from our_emsp import make_emsp, token
from scripted_cpo import ScriptedCpo

Case = dict[str, Any]
STORING: dict[str, Callable[[Emsp, dict[str, Any]], object]] = {
    "put": lambda emsp, changes: emsp.tokens.put(evolve(token("A"), **changes)),
    "put_many": lambda emsp, changes: emsp.tokens.put_many([token("B"), evolve(token("A"), **changes)]),
    "patch": lambda emsp, changes: emsp.tokens.patch("KNOWN", **(_without_uid(changes) or {"auth_id": ""})),
}


@cases("driver", "token-*")
@pytest.mark.parametrize("way", STORING)
def test_a_token_without_an_id_or_with_such_a_text_is_refused_before_it_is_stored(
    case: Case, any_store: Any, way: str
) -> None:
    emsp = make_emsp(store=any_store)
    emsp.tokens.put(token("KNOWN"))
    with pytest.raises(InvalidObject) as refused:
        STORING[way](emsp, case["input"])
    named = case["outcome"]["named"]
    named = "auth_id" if (way, named) == ("patch", "uid") else named
    assert named in str(refused.value)
    assert refused.value.message.isprintable()
    assert [each.pointer for each in refused.value.findings if each.severity is Severity.ERROR] == [f"/{named}"]
    assert [each.uid for each in emsp.tokens.list()] == ["KNOWN"]
    assert emsp.tokens.get("KNOWN") == token("KNOWN")


@cases("driver", "token-*")
@pytest.mark.parametrize("mode", MODES)
def test_it_is_not_pushed_either(case: Case, mode: Mode) -> None:
    server = ScriptedCpo()
    emsp = registered(server)
    server.asked.clear()
    with pytest.raises(InvalidObject, match=case["outcome"]["named"]):
        call(emsp, mode, "put_token", evolve(token("A"), **case["input"]))
    with pytest.raises(InvalidObject):
        call(emsp, mode, "patch_token", case["input"].get("uid", "A"), **{"valid": True, **_without_uid(case["input"])})
    if "uid" in case["input"]:
        with pytest.raises(InvalidObject, match="uid"):
            call(emsp, mode, "token", case["input"]["uid"])
    assert server.asked == []


def _without_uid(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if name != "uid"}


@pytest.mark.parametrize("changes", [{"issuer": "x" * 65}, {"whitelist": None}, {"whitelist": "SOMETIMES"}])
def test_a_patch_that_no_valid_token_can_have_is_not_pushed(changes: dict[str, Any]) -> None:
    server = ScriptedCpo()
    emsp = registered(server)
    server.asked.clear()
    with pytest.raises(InvalidObject):
        call(emsp, "sync", "patch_token", "A", **changes)
    assert server.asked == []


@pytest.mark.parametrize("changes", [{"issuer": "Société"}, {"issuer": ""}, {"uid": "Ä1"}, {"language": None}])
def test_what_partners_read_is_taken(changes: dict[str, Any]) -> None:
    emsp = make_emsp()
    emsp.tokens.put(evolve(token("A"), **changes))
    assert len(list(emsp.tokens.list())) == 1


GETTERS = {"location": ("location_id",), "evse": ("location_id", "evse_uid")}
GETTERS |= {"connector": ("location_id", "evse_uid", "connector_id"), "token": ("uid",)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", ["", " ", "\n", ".", ".."])
@pytest.mark.parametrize("name", GETTERS)
def test_an_object_without_an_id_is_not_asked_for(name: str, bad: str, mode: Mode) -> None:
    server = ScriptedCpo()
    emsp = registered(server)
    server.asked.clear()
    for place, named in enumerate(GETTERS[name]):
        ids = [bad if place == at else "A" for at in range(len(GETTERS[name]))]
        with pytest.raises(InvalidObject, match=f"invalid {named} ") as refused:
            call(emsp, mode, name, *ids)
        assert str(refused.value).isprintable()
    assert server.asked == []


@cases("driver", "token-*")
def test_a_command_with_such_a_token_or_place_is_not_sent(case: Case) -> None:
    server = CommandServer()
    cpo = known(server)
    with cpo.emsp.partner("NL-TNM").client() as client:
        with pytest.raises(InvalidObject, match=case["outcome"]["named"]):
            client.start_session(token=evolve(token("A"), **case["input"]), location_id="LOC1", force=True)
        for bad in ("", " ", ".."):
            with pytest.raises(InvalidObject, match="location_id"):
                client.start_session(token=token("A"), location_id=bad, force=True)
            with pytest.raises(InvalidObject, match="session_id"):
                client.stop_session(session_id=bad, force=True)
    assert server.commands == []
    start(cpo.emsp)
    assert len(server.commands) == 1
