"""Members that OCPI 2.1.1 does not know, in everything that we send (issue 11, number 22).

`PATHS` is the table of the ways in which they are given and sent.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from cli.conftest import Command, command  # noqa: F401 # a fixture
from foreign.cases import cases
from foreign.test_absent_as_null import World, made
from ocpi_emsp import encode
from ocpi_emsp.errors import InvalidObject
from our_emsp import CPO_TOKEN, NOW, credentials, token

Case: TypeAlias = dict[str, Any]
Given: TypeAlias = Mapping[str, Any]
Send: TypeAlias = Callable[[Any, Given], Any]
URL = "https://cpo.test/cpo/versions"
MEMBER = {"credentials": "url", "token": "issuer", "command": "response_url"}
"""One member of each kind of object, for collisions."""


def by_settings(send: Callable[[World], Any]) -> Send:
    return lambda store, given: send(made(store, absent_as_null=False, credentials_extensions=given))


def by_profile(store: Any, given: Given) -> Any:
    world = made(store, absent_as_null=False, credentials_extensions={"vendor": "of all", "of_all": 1})
    world.emsp.partner("NL-TNM").set_profile(credentials_extensions=given)
    return without("of_all", world.sent("PUT", world.emsp.partner("NL-TNM").rotate), "vendor" not in given)


def by_register(store: Any, given: Given) -> Any:
    world = made(store, absent_as_null=False)
    world.emsp.partner("NL-TNM").unregister(tell=False)
    posted = world.sent("POST", lambda: world.emsp.parties.register(URL, token_a=CPO_TOKEN, extensions=given))
    renewed = world.sent("PUT", world.emsp.partner("NL-TNM").rotate)
    assert beside(posted) == beside(renewed)
    return posted


def by_invite(store: Any, given: Given) -> Any:
    world = made(store, absent_as_null=False)
    world.emsp.partner("NL-TNM").unregister(tell=False)
    token_a = world.emsp.parties.invite("NL-TNM", extensions=given).token_a.reveal()
    return World(world.emsp, world.cpo, token_a).answer("POST", "credentials", credentials(url=URL))


def their_put(world: World) -> Any:
    return world.answer("PUT", "credentials", credentials(url=URL))


def by_put(store: Any, given: Given) -> Any:
    world = made(store, absent_as_null=False)
    world.emsp.tokens.put(token(issuer="Other"), extensions=given)
    return pushed_and_listed(world)


def by_put_many(store: Any, given: Given) -> Any:
    world = made(store, absent_as_null=False)
    world.emsp.tokens.put_many([token("T1"), (token(issuer="Other"), given)])
    assert "vendor" not in world.answer("GET", "tokens")[1]
    world.emsp.partner("NL-TNM").push_tokens()
    return world.answer("GET", "tokens")[0]


def by_client(store: Any, given: Given) -> Any:
    return made(store, absent_as_null=False).send_by_client("put_token", token=token(), extensions=given)


def pushed_and_listed(world: World) -> Any:
    pushed = world.sent("PUT", world.emsp.partner("NL-TNM").push_tokens)
    assert pushed == world.answer("GET", "tokens")[0]
    return pushed


def by_command(name: str, **members: Any) -> Send:
    return lambda store, given: made(store, absent_as_null=False).send_by_client(
        name, force=True, extensions=given, **members
    )


def without(name: str, document: Any, also: bool) -> Any:
    names = {name, "vendor"} if also else {name}
    return {name: value for name, value in document.items() if name not in names}


def beside(document: Any) -> Any:
    return {name: value for name, value in document.items() if name != "token"}


_RESERVED = {"expiry_date": NOW + timedelta(hours=1), "reservation_id": 7}
PATHS: dict[str, tuple[str, Send]] = {
    "Emsp, our PUT": ("credentials", by_settings(lambda it: it.sent("PUT", it.emsp.partner("NL-TNM").rotate))),
    "Emsp, our update": ("credentials", by_settings(lambda it: it.sent("PUT", it.emsp.partner("NL-TNM").update))),
    "Emsp, our PATCH": ("credentials", by_settings(lambda it: it.renew_by_client("PATCH"))),
    "Emsp, their PUT": ("credentials", by_settings(their_put)),
    "Emsp, their GET": ("credentials", by_settings(lambda it: it.answer("GET", "credentials"))),
    "profile": ("credentials", by_profile),
    "register": ("credentials", by_register),
    "invite": ("credentials", by_invite),
    "tokens.put": ("token", by_put),
    "tokens.put_many": ("token", by_put_many),
    "put_token": ("token", by_client),
    "START_SESSION": ("command", by_command("start_session", token=token(), location_id="LOC1")),
    "RESERVE_NOW": ("command", by_command("reserve_now", token=token(), location_id="LOC1", **_RESERVED)),
    "STOP_SESSION": ("command", by_command("stop_session", session_id="S")),
    "UNLOCK_CONNECTOR": (
        "command",
        by_command("unlock_connector", location_id="LOC1", evse_uid="E", connector_id="1"),
    ),
}


@cases("extensions")
@pytest.mark.parametrize("path", PATHS)
def test_what_we_send_carries_what_the_specification_does_not_know(path: str, case: Case) -> None:
    kind, send = PATHS[path]
    given = for_kind(kind, case)
    if "refused" in case["outcome"]:
        with pytest.raises((InvalidObject, ValueError)) as caught:
            send(None, given)
        assert case["outcome"]["refused"] in str(caught.value)
        return
    sent = send(None, given)
    plain = send(None, {})
    assert {name: sent[name] for name in given} == given
    assert set(sent) - set(given) == set(plain), "and nothing else"


@pytest.mark.parametrize("path", ["profile", "register", "invite", "tokens.put", "tokens.put_many"])
def test_every_store_keeps_them(path: str, any_store: Any) -> None:
    given = {"vendor": {"id": 7, "tags": ["a", {"b": None}]}}
    sent = PATHS[path][1](any_store, given)
    assert sent["vendor"] == given["vendor"]


def for_kind(kind: str, case: Case) -> dict[str, Any]:
    """The extensions of a case, MEMBER being one that the object has, member being it in another case."""
    names = {"MEMBER": MEMBER[kind], "member": MEMBER[kind].title()}
    return {names.get(name, name): value for name, value in case["input"]["extensions"].items()}


def test_of_a_name_that_both_have_the_partners_counts() -> None:
    world = made(credentials_extensions={"vendor": "of all", "of_all": 1})
    world.emsp.partner("NL-TNM").set_profile(credentials_extensions={"vendor": "its own"})
    sent = world.sent("PUT", world.emsp.partner("NL-TNM").rotate)
    assert (sent["vendor"], sent["of_all"]) == ("its own", 1)


def test_one_bad_token_of_a_batch_stores_none_of_it() -> None:
    world = made()
    with pytest.raises(InvalidObject, match="Issuer is a member of Token"):
        world.emsp.tokens.put_many([token("T1"), (token("T2"), {"Issuer": 1})])
    assert [each.uid for each in world.emsp.tokens.list()] == ["T0"]


# --- the command ------------------------------------------------------------------------------------------------------

WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge")


@cases("extensions")
@pytest.mark.parametrize("form", ["lines", "envelope"])
def test_a_file_of_tokens_carries_them(
    form: str,
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,  # noqa: F811 # the fixture
    sqlite_with_schema: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    for database in ("ocpi-emsp.db", "again.db"):  # to make both anew takes longer than the rest
        shutil.copy(sqlite_with_schema, database)
    given = {name.replace("issuer", "ISSUER"): value for name, value in for_kind("token", case).items()}
    document = {**json.loads(encode(token("A"))), **given}
    if form == "envelope":
        document = {"data": [document], "status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"}
    text = json.dumps(document)
    name = Path("tokens.jsonl" if form == "lines" else "tokens.json")
    name.write_text(text, "utf-8")
    ended = command("tokens", "put", str(name), *WHO)
    listed = command("tokens", "list", "--json").out
    if "refused" in case["outcome"]:
        assert ended.status == 1
        assert case["outcome"]["refused"] in ended.err
        assert listed == ""
        return
    assert (ended.status, ended.err.count("A")) == (0, 0)
    assert {name: json.loads(listed)[name] for name in given} == given
    command("export", "--output", "all.jsonl")
    again = ("--store", "sqlite:///again.db")
    assert command("import", "all.jsonl", *again).status == 0
    assert command("tokens", "list", "--json", *again).out == listed
