"""Ids travel with what they caused: echoed, stored with the change, sent along."""

import os
import random
import signal
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flows.support import Peer, at, offline_emsp, peer, serve
from flows.telling import IDS, TOKEN, Seen, records
from ocpi_emsp import Emsp, Policy
from ocpi_emsp.findings import Severity
from ocpi_emsp.flows.inbound.evses import evses_in
from ocpi_emsp.ports import NAMES, Kind
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import CPO_TOKEN, credentials

# --- ids of a request -----------------------------------------------------------------------------------------------


def ids_of(cpo: Peer, headers: Mapping[str, str], path: str = "versions") -> tuple[str, str]:
    """The ids that a request is answered with."""
    answer = cpo.push("GET", path, headers=headers)
    return answer.headers["x-correlation-id"], answer.headers["x-request-id"]


def test_ids_are_echoed() -> None:
    assert ids_of(peer(), IDS) == ("c-1", "r-1")


def test_a_request_without_a_correlation_id_is_its_own_cause() -> None:
    assert ids_of(peer(), {"x-request-id": "r-1"}) == ("r-1", "r-1")


def test_a_request_id_is_made_beside_a_given_correlation_id() -> None:
    correlation_id, request_id = ids_of(peer(), {"x-correlation-id": "c-1"})
    assert correlation_id == "c-1"
    assert len(request_id) == 24


def test_ids_are_made_where_none_is_given_and_never_twice() -> None:
    cpo = peer()
    made = [each for _ in range(50) for each in ids_of(cpo, {})]
    assert len(set(made)) == 100


def made_ids() -> set[str]:
    """Ids that are made for a request."""
    return {*ids_of(peer(), {})}


def test_ids_differ_although_a_host_seeds_its_random_numbers() -> None:
    """Without numbers of our own: both requests have the ids of seed 7."""
    random.seed(7)
    one = made_ids()
    random.seed(7)
    assert not one & made_ids()


def test_a_process_that_is_forked_off_makes_other_ids() -> None:
    """Without a seed after the fork: both go on with the same numbers."""
    cpo = peer()
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork where threads are
        child = os.fork()
    if child == 0:
        signal.alarm(30)
        os.write(write, ids_of(cpo, {})[0].encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        theirs = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(theirs) == 24
    assert theirs not in ids_of(cpo, {})


@pytest.mark.parametrize("given", ["", "x" * 129, "a\r\nset-cookie: x", "a\x00", "Zür", "a\x7f", "\u2028"])
@pytest.mark.parametrize("name", ["x-correlation-id", "x-request-id"])
def test_an_id_that_could_break_a_line_or_a_header_is_replaced(name: str, given: str) -> None:
    for found in ids_of(peer(), {name: given}):
        assert len(found) == 24
        assert found.isalnum()


def test_the_longest_id_that_is_taken() -> None:
    longest = "x" * 128
    assert ids_of(peer(), {"x-correlation-id": longest, "x-request-id": longest}) == (longest, longest)


# --- ids of what is stored ------------------------------------------------------------------------------------------


def stored_ids(cpo: Peer) -> dict[str, str]:
    """Under which id each object was changed last."""
    kinds = [kind for kind in NAMES if kind not in (Kind.PARTY, Kind.CREDENTIAL)]
    return {f"{record.key.kind} {record.key.id}": record.correlation_id for record in records(cpo.store, *kinds)}


def test_each_change_is_stored_with_the_id_that_it_came_under() -> None:
    cpo = peer()

    def push(number: int, method: str, path: str, body: Any) -> None:
        assert cpo.push(method, path, body, headers={"x-correlation-id": f"c-{number}"}).code == 1000

    place = samples.location("LOC1", evses=2)
    first, second = (evse["uid"] for evse in place["evses"])
    push(1, "PUT", "locations/*/LOC1", place)
    push(2, "PATCH", f"locations/*/LOC1/{first}", {"status": "CHARGING", "last_updated": "2024-05-15T00:00:00Z"})
    push(3, "PUT", "sessions/*/SES1", {**samples.session("SES1"), "last_updated": at(1)})
    push(4, "POST", "cdrs", cdr := samples.cdr("CDR1"))
    push(5, "PUT", "tariffs/*/TAR1", samples.tariff("TAR1"))
    assert cpo.push("POST", "cdrs", {**cdr, "total_cost": 1}, headers={"x-correlation-id": "c-6"}).code != 1000
    stored = stored_ids(cpo)
    assert stored == {
        "location LOC1": "c-2",
        f"evse {first}": "c-2",
        f"evse {second}": "c-1",
        "session SES1": "c-3",
        "cdr CDR1": "c-4",
        "cdr_conflict CDR1": "c-6",
        "tariff TAR1": "c-5",
    }
    push(7, "PATCH", "sessions/*/SES1", {"status": "COMPLETED", "last_updated": at(2)})
    push(8, "PATCH", "tariffs/*/TAR1", {"currency": "USD", "last_updated": stamped_later(cpo, "tariffs/*/TAR1")})
    push(9, "PUT", "locations/*/LOC1", {**place, "evses": place["evses"][:1], "last_updated": "2024-05-20T00:00:00Z"})
    stored = stored_ids(cpo)
    assert (stored["session SES1"], stored["tariff TAR1"]) == ("c-7", "c-8")
    assert (stored["location LOC1"], stored[f"evse {second}"]) == ("c-9", "c-9"), "one that is left out is changed"


def stamped_later(cpo: Peer, path: str) -> str:
    return str(max(cpo.data(path)["last_updated"], "2024-05-31T00:00:00Z"))


def test_the_rejection_has_the_id() -> None:
    cpo = peer()
    cpo.push("PUT", "tariffs/*/TAR1", {}, headers=IDS)
    (rejection,) = cpo.emsp.rejections.list()
    assert rejection.correlation_id == "c-1"


CHANGES: dict[str, Callable[[Emsp], object]] = {
    "invite": lambda emsp: emsp.parties.invite("DE-NEW"),
    "matrix": lambda emsp: emsp.partner("NL-TNM").set_matrix(emsp.matrix),
    "pace": lambda emsp: emsp.partner("NL-TNM").set_profile(concurrent_requests=3),
    "policy": lambda emsp: emsp.partner("NL-TNM").set_policy(Policy(Severity.WARNING)),
    "profile": lambda emsp: emsp.partner("NL-TNM").set_profile(page_limit=7),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_what_we_change_of_a_party_ourselves_has_an_id_of_its_own(change: str) -> None:
    cpo = peer()
    before = {record.key: record.document for record in records(cpo.store, Kind.PARTY)}
    CHANGES[change](cpo.emsp)
    ids = {each.correlation_id for each in records(cpo.store, Kind.PARTY) if before.get(each.key) != each.document}
    assert [len(each) for each in ids] == [24]


# --- ids of calls ---------------------------------------------------------------------------------------------------


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def cpo(seen: Seen) -> Peer:
    """NL-TNM, registered, whose server is ``seen``."""
    registered = peer(http_client=serve(seen))
    seen.ids()
    return registered


def test_the_calls_during_a_handshake_go_on_with_the_id(seen: Seen) -> None:
    emsp = offline_emsp(http_client=serve(seen))
    invited = emsp.parties.invite("NL-TNM")
    headers = {"authorization": f"Token {invited.token_a.reveal()}", **IDS}
    emsp.handle(Request("POST", "/2.1.1/credentials", headers=headers, body=encode(credentials())))
    correlation, requests = seen.ids()
    assert correlation == ["c-1", "c-1"], "versions and details"
    assert len({*requests, "r-1"}) == 3


def test_the_calls_of_our_own_handshake_belong_together(seen: Seen) -> None:
    emsp = offline_emsp(http_client=serve(seen), store=(store := MemoryStore()))
    emsp.parties.register("https://tnm.test/cpo/versions", token_a=CPO_TOKEN)
    correlation, requests = seen.ids()
    assert len(correlation) == 3
    assert len(set(correlation)) == 1
    assert len(set(requests)) == 3
    (party,) = records(store, Kind.PARTY)
    assert party.correlation_id == correlation[0]


def test_each_call_of_a_client_is_on_its_own(cpo: Peer, seen: Seen) -> None:
    with cpo.emsp.partner("NL-TNM").client() as client:
        for _ in range(3):
            client.credentials()
    correlation, requests = seen.ids()
    assert len({*correlation, *requests}) == 6


def test_a_sync_of_a_module_is_one_id_which_its_objects_get(cpo: Peer, seen: Seen) -> None:
    cpo.emsp.partner("NL-TNM").sync(modules=["locations", "tariffs"])
    (locations, tariffs), _ = seen.ids()
    assert locations != tariffs
    stored = records(cpo.store, Kind.LOCATION)
    evses = [each for location in stored for each in evses_in(location)]
    assert len(evses) > 1
    assert {record.correlation_id for record in (*stored, *evses)} == {locations}
    checkpoints = {record.key.id: record.correlation_id for record in records(cpo.store, Kind.CHECKPOINT)}
    assert checkpoints["locations"] == locations
    assert checkpoints["tariffs"] == tariffs


def test_what_vanished_has_the_id_of_the_sync_that_missed_it(cpo: Peer, seen: Seen) -> None:
    for number in range(9):
        cpo.put(f"locations/*/L{number}", samples.location(f"L{number}", evses=0))
    cpo.put("locations/*/GONE", samples.location("GONE", evses=0))
    cpo.clock.advance(hours=1)
    listed = [samples.location(f"L{number}", evses=0) for number in range(9)]
    seen.lists["locations"] = listed
    seen.ids()
    report = cpo.emsp.partner("NL-TNM").sync(modules=["locations"], full=True)
    assert report.modules[0].missing == 1, report
    correlation, _ = seen.ids()
    gone = next(record for record in records(cpo.store, Kind.LOCATION) if record.key.id == "GONE")
    assert [gone.correlation_id] == list(dict.fromkeys(correlation))


def test_a_token_and_what_was_pushed_of_it(cpo: Peer, seen: Seen) -> None:
    cpo.emsp.tokens.put(TOKEN)
    (token,) = records(cpo.store, Kind.TOKEN)
    assert len(token.correlation_id) == 24
    cpo.emsp.partner("NL-TNM").push_tokens()
    correlation, _ = seen.ids()
    (pushed,) = records(cpo.store, Kind.PUSHED)
    assert [pushed.correlation_id] == list(dict.fromkeys(correlation))


def test_a_command_is_stored_with_the_id_that_it_was_sent_under(cpo: Peer, seen: Seen) -> None:
    cpo.put("locations/*/LOC1", samples.location("LOC1"))
    with cpo.emsp.partner("NL-TNM").client() as client:
        client.start_session(token=TOKEN, location_id="LOC1", force=True)
    correlation, _ = seen.ids()
    (command,) = records(cpo.store, Kind.COMMAND)
    assert [command.correlation_id] == correlation
