"""Real-time authorization: what a hook is asked, and what of its answer a CPO gets (mod_tokens.md 2.2.2, 3.1)."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from flows.authorize_desk import AUTHORIZE, EVSE_1, PLACE, ask, desk, last, listening, location, token, wished
from ocpi_emsp import Allowed, AuthorizationInfo, AuthorizationRequest, Token
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.models import LocationReferences, TokenType, WhitelistType
from ocpi_emsp.ports import Entry, Key, Kind, Record, Transaction
from ocpi_emsp.settings import BodyLimits
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.storage.memory import _MemoryTransaction
from our_emsp import NOW


def places(request: AuthorizationRequest) -> tuple[list[str], list[str]]:
    """EVSEs and connectors in question."""
    return [evse.uid for evse in request.evses], [f"{uid}/{each.id}" for uid, each in request.connectors]


# --- the token ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [None, PLACE], ids=["anywhere", "there"])
@pytest.mark.parametrize(("valid", "allowed"), [(True, "ALLOWED"), (False, "BLOCKED")])
def test_without_a_hook_the_stored_token_decides(valid: bool, allowed: str, place: Any) -> None:
    """A location is answered only where it was asked for and the driver may charge there (mod_tokens.md 3.1)."""
    cpo = desk()
    cpo.emsp.tokens.put(token(valid=valid))
    answer = ask(cpo, place)
    assert answer.both == (200, 1000)
    assert answer.data == {"allowed": allowed} | ({"location": place} if valid and place else {})
    assert last(cpo.emsp).decided_by == "token"


@pytest.mark.parametrize(("hook", "both"), [(False, (200, 1000)), (True, (500, 3000))], ids=["token", "hook"])
def test_without_a_hook_only_what_is_asked_about_is_read(hook: bool, both: tuple[int, int]) -> None:
    cpo = desk()
    if hook:
        listening(cpo)

    async def spoil() -> None:
        async with cpo.store.transaction() as tx:
            key = Key(Kind.EVSE, "NL", "TNM", "E2", "LOC1")
            await tx.put(Record(key, b'{"uid":"E2"}', NOW, NOW))

    run(spoil())
    assert ask(cpo, EVSE_1).both == both
    assert ask(cpo, PLACE).both == (500, 3000)


@pytest.mark.parametrize("whitelist", list(WhitelistType))
def test_a_cpo_that_need_not_have_asked_is_answered(whitelist: WhitelistType) -> None:
    cpo = desk()
    cpo.emsp.tokens.put(token(whitelist=whitelist))
    assert ask(cpo).data == {"allowed": "ALLOWED"}
    assert ("should not have had to ask" in last(cpo.emsp).reason) == (whitelist is WhitelistType.ALWAYS)


@pytest.mark.parametrize(
    ("path", "query", "both"),
    [
        (AUTHORIZE, "", (200, 1000)),
        (AUTHORIZE, "type=RFID", (200, 1000)),
        (AUTHORIZE, "type=rfid", (200, 1000)),
        (AUTHORIZE, "TYPE=%20Rfid", (200, 1000)),
        (AUTHORIZE, "type=", (200, 1000)),
        (AUTHORIZE, "token_type=RFID", (200, 1000)),
        (AUTHORIZE, "token_type=OTHER&type=RFID", (200, 1000)),
        (AUTHORIZE, "type=RFID&type=OTHER&x=1&x", (200, 1000)),
        (AUTHORIZE, "&".join(["type=RFID"] * 5000), (200, 1000)),
        ("tokens/T0/authorize/", "", (200, 1000)),
        ("tokens/T0/AUTHORIZE", "", (200, 1000)),
        ("tokens/T1/authorize", "type=OTHER", (200, 1000)),
        ("tokens/T1/authorize", "token_type=other", (200, 1000)),
        (AUTHORIZE, "type=OTHER", (404, 2000)),
        (AUTHORIZE, "type=OTHER&type=RFID", (404, 2000)),
        ("tokens/T1/authorize", "", (404, 2000)),
        ("tokens/T9/authorize", "", (404, 2000)),
    ],
)
def test_uid_and_type_name_the_token(path: str, query: str, both: tuple[int, int]) -> None:
    cpo = desk()
    cpo.emsp.tokens.put(token("T1", type=TokenType.OTHER))
    assert cpo.push("POST", path, query=query).both == both


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        (AUTHORIZE, "type=FOO", "invalid token type 'FOO': expected OTHER or RFID"),
        (AUTHORIZE, "type=OTHER", "token 'T0' of type OTHER is not known, but one of type RFID is"),
        ("tokens/T9/authorize", "", "token 'T9' of type RFID is not known"),
        ("tokens/%00%ff/authorize", "", "of type RFID is not known"),
    ],
)
def test_an_unknown_token_is_404_and_says_what_is_not_known(path: str, query: str, said: str) -> None:
    cpo = desk()
    asked = listening(cpo)
    answer = cpo.push("POST", path, PLACE, query=query)
    assert answer.both == (404, 2000)
    assert said in answer.message
    assert asked == []
    decision = last(cpo.emsp)
    assert (decision.outcome, decision.allowed, decision.decided_by) == ("404/2000", None, "request")
    assert said in decision.reason


# --- what a hook is asked -------------------------------------------------------------------------------------------


def test_a_hook_is_asked_with_what_is_stored() -> None:
    cpo = desk()
    asked = listening(cpo)
    place = {"location_id": "LOC1", "evse_uids": ["E1"], "connector_ids": ["2"]}
    answer = ask(cpo, place, headers={"x-correlation-id": "c-1"})
    assert answer.data == {"allowed": "ALLOWED", "location": place}
    [request] = asked
    assert request.token == token()
    assert request.references == LocationReferences(location_id="LOC1", evse_uids=("E1",), connector_ids=("2",))
    assert request.location is not None
    assert (request.location.id, [evse.uid for evse in request.location.evses]) == ("LOC1", ["E1", "E2", "E3"])
    assert places(request) == (["E1"], ["E1/2"])
    assert (request.party, request.country_code, request.party_id, request.correlation_id) == (
        "NL-TNM",
        "NL",
        "TNM",
        "c-1",
    )


@pytest.mark.parametrize(
    ("place", "asked_about"),
    [
        (None, ([], [])),
        ({"location_id": "LOC1"}, (["E1", "E2"], ["E1/1", "E1/2", "E2/1"])),
        ({"location_id": "LOC1", "connector_ids": ["1"]}, (["E1", "E2"], ["E1/1", "E2/1"])),
        ({"location_id": "LOC1", "evse_uids": ["E2"]}, (["E2"], ["E2/1"])),
        ({"location_id": "LOC1", "evse_uids": ["E2", "E2", "E1"], "connector_ids": ["2"]}, (["E1", "E2"], ["E1/2"])),
        # What is not there is left out: EVSEs of another location, those that were removed, connectors elsewhere.
        ({"location_id": "LOC1", "evse_uids": ["X1", "E3", "E1"]}, (["E1"], ["E1/1", "E1/2"])),
        ({"location_id": "LOC1", "evse_uids": ["E2"], "connector_ids": ["9", "2", "1"]}, (["E2"], ["E2/1"])),
    ],
)
def test_references_are_resolved_to_what_is_there(place: Any, asked_about: tuple[list[str], list[str]]) -> None:
    cpo = desk()
    asked = listening(cpo)
    assert ask(cpo, place).both == (200, 1000)
    [request] = asked
    assert places(request) == asked_about
    assert (request.location is None) == (place is None)


def test_what_was_left_out_is_in_the_decision_and_not_in_the_answer() -> None:
    cpo = desk()
    place = {"location_id": "LOC1", "evse_uids": ["X1", "E3", "E1"], "connector_ids": ["7", "2"]}
    answer = ask(cpo, place)
    assert answer.data["location"] == {"location_id": "LOC1", "evse_uids": ["E1"], "connector_ids": ["2"]}
    decision = last(cpo.emsp)
    assert (decision.evse_uids, decision.allowed_evse_uids) == (("X1", "E3", "E1"), ("E1",))
    assert "EVSE 'X1' is not at location 'LOC1'" in decision.reason
    assert "EVSE 'E3' was removed from location 'LOC1'" in decision.reason
    assert "connector '7' is at none of these EVSEs" in decision.reason


@pytest.mark.parametrize(
    ("place", "findings"),
    [
        ({"evse_uids": ["X1"]}, [("/evse_uids/0", "authorize.evse")]),
        ({"evse_uids": ["X1", "E3"]}, [("/evse_uids/0", "authorize.evse"), ("/evse_uids/1", "authorize.evse")]),
        ({"evse_uids": ["E2"], "connector_ids": ["2"]}, [("/connector_ids/0", "authorize.connector")]),
        ({"connector_ids": ["9"]}, [("/connector_ids/0", "authorize.connector")]),
        ({"evse_uids": [f"Y{number}" for number in range(3000)]}, None),
    ],
)
def test_where_nothing_that_is_named_is_there_it_is_2001(place: Any, findings: Any) -> None:
    cpo = desk()
    asked = listening(cpo)
    answer = ask(cpo, {"location_id": "LOC1", **place})
    assert answer.both == (200, 2001)
    assert asked == []
    assert answer.findings == findings or (findings is None and len(answer.findings) == 100)
    decision = last(cpo.emsp)
    assert (decision.outcome, decision.location_id) == ("200/2001", "LOC1")
    assert len(decision.evse_uids) <= 100
    # As everything that is refused for its findings, it is kept.
    assert [rejection.route for rejection in cpo.emsp.rejections.list()] == ["tokens.authorize"]


@pytest.mark.parametrize(
    ("body", "both"),
    [
        (b"{", (400, 2000)),
        ({"evse_uids": ["E1"]}, (200, 2001)),
        ({"location_id": {}}, (200, 1000)),
        (b" \r\n", (200, 1000)),
    ],
)
def test_location_references_that_cannot_be_read_are_refused(body: Any, both: tuple[int, int]) -> None:
    cpo = desk()
    assert ask(cpo, body).both == both
    assert last(cpo.emsp).outcome == ("ALLOWED" if both == (200, 1000) else "{}/{}".format(*both))


def test_an_unknown_location_is_404_and_pulled_by_the_next_sync() -> None:
    cpo = desk()
    asked = listening(cpo)
    for _ in range(2):
        answer = ask(cpo, {"location_id": "LOC9"})
        assert answer.both == (404, 2003)
        assert "'LOC9'" in answer.message
    assert asked == []
    assert wished(cpo) == [("locations", "LOC9")]
    assert (last(cpo.emsp).outcome, last(cpo.emsp).location_id) == ("404/2003", "LOC9")


def test_the_location_of_another_party_is_unknown() -> None:
    cpo = desk()
    other = cpo.other()
    assert ask(other, PLACE).both == (404, 2003)
    assert wished(other) == [("locations", "LOC1")]


def test_a_location_behind_a_hub_is_known() -> None:
    cpo = desk()
    cpo.set_profile(allowed_parties=("DE-ABC", "FR-XYZ"))
    cpo.push("PUT", "locations/FR/XYZ/LOC7", location("LOC7", H1="1"))
    asked = listening(cpo)
    place = {"location_id": "LOC7", "evse_uids": ["H1"]}
    assert ask(cpo, place).data == {"allowed": "ALLOWED", "location": place}
    assert (asked[0].party, places(asked[0])) == ("FR-XYZ", (["H1"], ["H1/1"]))
    decision = last(cpo.emsp)
    assert (decision.country_code, decision.party_id) == ("NL", "TNM")


def test_a_party_without_locations_is_asked_about_all_the_same() -> None:
    cpo = desk()
    cpo.set_profile(without_locations=True)
    asked = listening(cpo)
    place = {"location_id": "LOC9", "evse_uids": ["E7"], "connector_ids": ["1"]}
    assert ask(cpo, place).data == {"allowed": "ALLOWED", "location": place}
    [request] = asked
    assert (request.location, request.evses, request.connectors) == (None, (), ())
    assert request.references == LocationReferences(location_id="LOC9", evse_uids=("E7",), connector_ids=("1",))
    assert wished(cpo) == []
    # What we know of it counts all the same.
    assert ask(cpo, {"location_id": "LOC1", "evse_uids": ["X1"]}).both == (200, 2001)


@pytest.mark.parametrize("without_locations", [False, True])
def test_what_is_named_twice_is_answered_once(without_locations: bool) -> None:
    cpo = desk()
    cpo.set_profile(without_locations=without_locations)
    place = {"location_id": "LOC9" if without_locations else "LOC1", "evse_uids": ["E1", "E2"], "connector_ids": ["1"]}
    twice = {"location_id": place["location_id"], "evse_uids": ["E1", "E2", "E1"], "connector_ids": ["1", "1"]}
    assert ask(cpo, twice).data == {"allowed": "ALLOWED", "location": place}


def test_as_many_evses_as_a_body_holds_are_answered_in_a_moment() -> None:
    """Where each is looked for among all of them, this takes longer than any test may."""
    cpo = desk()
    cpo.set_profile(without_locations=True)
    names = [f"{number:x}" for number in range(BodyLimits().items)]
    answer = ask(cpo, {"location_id": "LOC9", "evse_uids": names})
    assert answer.data == {"allowed": "ALLOWED", "location": {"location_id": "LOC9", "evse_uids": names}}
    assert len(last(cpo.emsp).evse_uids) == 100


def test_a_stored_token_that_cannot_be_read_is_our_fault() -> None:
    cpo = desk()

    async def spoil() -> None:
        async with cpo.store.transaction() as tx:
            await tx.put(Record(Key(Kind.TOKEN, "IT", "BEC", "T0", "RFID"), b'{"uid": "T0"}', NOW, NOW))

    run(spoil())
    assert ask(cpo, PLACE).both == (500, 3000)
    decision = last(cpo.emsp)
    assert (decision.outcome, decision.decided_by) == ("500/3000", "request")
    assert decision.reason == "the token as it is stored cannot be read"


def test_a_location_that_changes_is_asked_about_as_it_is() -> None:
    cpo = desk()
    asked = listening(cpo)
    ask(cpo, PLACE)
    cpo.push("PATCH", "locations/*/LOC1/E1", {"status": "REMOVED"})
    ask(cpo, PLACE)
    assert [places(request)[0] for request in asked] == [["E1", "E2"], ["E2"]]


class ReadOnlyStore(MemoryStore):
    """A store of which the disk is full."""

    full = False

    def transaction(self, *, read_only: bool = False) -> "_ReadOnly":
        return _ReadOnly(self, read_only)


class _ReadOnly(_MemoryTransaction):
    async def append(self, entry: Entry) -> None:
        if isinstance(self._store, ReadOnlyStore) and self._store.full:
            raise OSError("no space left on device")
        await super().append(entry)


def test_a_store_that_cannot_take_notes_keeps_no_driver_waiting(caplog: pytest.LogCaptureFixture) -> None:
    store = ReadOnlyStore()
    cpo = desk(store=store)
    store.full = True
    assert ask(cpo, PLACE, headers={"x-correlation-id": "c-1"}).data == {"allowed": "ALLOWED", "location": PLACE}
    [record] = [each for each in caplog.records if "authorization.not_recorded" in each.message]
    assert record.levelname == "ERROR"
    assert "correlation_id=c-1" in record.message
    assert list(cpo.emsp.authorizations.list()) == []
    assert ask(cpo, PLACE, query="type=OTHER").both == (404, 2000)


class OpenedStore(MemoryStore):
    """A store that says how it was opened; one that only reads where it shall."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[bool] = []
        self.only_reads = False

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        self.opened.append(read_only)
        if self.only_reads and not read_only:
            raise StoreFailed("another process has locked the database")
        return super().transaction(read_only=read_only)


class ApartStore(OpenedStore):
    """A store of a user, which has none of the methods that a store need not have."""

    recording = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("store", "hook", "opened"),
    [
        (OpenedStore(), False, [False]),
        (OpenedStore(), True, [True, False]),
        (ApartStore(), False, [True, False]),
        (ApartStore(), True, [True, False]),
    ],
    ids=["at once", "hook", "apart", "apart, hook"],
)
def test_what_no_hook_decides_is_read_and_recorded_at_once(store: OpenedStore, hook: bool, opened: list[bool]) -> None:
    cpo = desk(store=store)
    if hook:
        listening(cpo)
    for place, data in [(EVSE_1, {"location": EVSE_1}), (PLACE, {"location": PLACE}), (None, {})]:
        store.opened.clear()
        assert ask(cpo, place).data == {"allowed": "ALLOWED"} | data
        assert store.opened[: len(opened)] == opened
    assert [each.allowed_evse_uids for each in cpo.emsp.authorizations.list()] == [("E1",), ("E1", "E2"), ()]
    assert ask(cpo, {"location_id": "nowhere"}).both == (404, 2003)
    assert [each.outcome for each in cpo.emsp.authorizations.list()][3:] == ["404/2003"]


def test_a_store_that_cannot_be_written_keeps_no_driver_waiting(caplog: pytest.LogCaptureFixture) -> None:
    store = OpenedStore()
    cpo = desk(store=store)
    store.only_reads = True
    answer = cpo.push("POST", "tokens/t0/authorize", EVSE_1)
    assert answer.data == {"allowed": "ALLOWED", "location": EVSE_1}
    assert answer.message.count("differs by case alone") == 1
    assert [each.message.split()[0] for each in caplog.records if each.levelname == "ERROR"] == [
        "authorization.not_recorded"
    ]
    store.only_reads = False
    assert list(cpo.emsp.authorizations.list()) == []


# --- which functions are hooks --------------------------------------------------------------------------------------


def test_a_function_of_two_parameters_gets_the_token_and_the_references() -> None:
    cpo = desk()
    asked: list[tuple[Token, LocationReferences | None]] = []

    @cpo.emsp.authorize
    def decide(known: Token, references: LocationReferences | None = None) -> AuthorizationInfo:
        asked.append((known, references))
        return AuthorizationInfo(allowed=Allowed.ALLOWED, location=references)

    assert ask(cpo, PLACE | {"evse_uids": ["E1", "X1"]}).data["location"] == EVSE_1
    ask(cpo)
    references = LocationReferences(location_id="LOC1", evse_uids=("E1", "X1"))
    assert asked == [(token(), references), (token(), None)]


class Backend:
    """A hook among the methods of something."""

    def decide(self, request: AuthorizationRequest, *, strict: bool = True) -> AuthorizationInfo:
        return request.allow() if strict else request.refuse()

    def decide_pair(self, _known: Token, references: LocationReferences | None) -> AuthorizationInfo:
        return AuthorizationInfo(allowed=Allowed.ALLOWED, location=references)

    async def __call__(self, request: AuthorizationRequest, _log: object = None, _more: object = None) -> Any:
        return request.allow()


def anything(*args: Any, **_: Any) -> Any:
    [request] = args
    return request.allow()


@pytest.mark.parametrize("hook", [Backend().decide, Backend().decide_pair, Backend(), anything])
def test_a_method_is_a_hook_as_well(hook: Any) -> None:
    cpo = desk()
    assert cpo.emsp.authorize(hook) is hook
    assert ask(cpo, PLACE).data == {"allowed": "ALLOWED", "location": PLACE}
    assert last(cpo.emsp).decided_by == "hook"


@pytest.mark.parametrize(
    "hook",
    [
        lambda: None,
        lambda _a, _b, _c: None,
        lambda _a, *, _needed: None,
        lambda _a, _b, *, _needed: None,
        lambda *, _request: None,
        "no function",
        type,
    ],
    ids=range(7),
)
def test_a_function_that_cannot_be_asked_is_refused_at_once(hook: Any) -> None:
    with pytest.raises(TypeError):
        desk().emsp.authorize(hook)


def test_the_clock_of_the_answer_is_ours() -> None:
    assert ask(desk()).envelope["timestamp"] == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
