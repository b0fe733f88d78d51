"""Whose the objects of a hub are, and how they get to their owner (docs/reference/profiles.md, Hubs)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import pytest
from attrs import evolve

from foreign.cases import cases, named
from ocpi_emsp import PartyId
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.events import Event, EvseRemoved, ObjectMoved
from ocpi_emsp.flows.parties.party import find_party
from ocpi_emsp.ports import Key, Kind, Query, Store
from ocpi_emsp.storage import MemoryStore, memory
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import register
from sync.support import NOW, OWNER, Synced, cdr, location, moved, session, synced, tariff

HUB, AAA = OWNER, ("ES", "AAA")
Document = dict[str, Any]
MADE: Mapping[str, Any] = {
    "locations": lambda: location(1),
    "sessions": lambda: session(1),
    "cdrs": lambda: cdr(1),
    "tariffs": lambda: tariff(1),
}
KINDS = {"locations": Kind.LOCATION, "sessions": Kind.SESSION, "cdrs": Kind.CDR, "tariffs": Kind.TARIFF}
IDS = {"locations": "LOC1", "sessions": "SES1", "cdrs": "CDR1", "tariffs": "TAR1"}


def set_profile(pair: Synced, **changes: Any) -> None:
    pair.emsp.partner(PartyId(*HUB)).set_profile(**changes)


def place_in(document: Document) -> Document:
    """The location, or the copy of it."""
    found: Document = document.get("location", document)
    return found


def said(criterion: str, document: Document, value: Any) -> Document:
    """The document that names its owner so."""
    document = deepcopy(document)
    place = place_in(document)
    if criterion == "operator.name":
        place.pop("operator", None)
        if value is not None:
            place["operator"] = {"name": value}
    elif criterion == "evse_id":
        evse = place["evses"][0]
        evse.pop("evse_id")
        given = [evse | {"uid": f"E{n}"} | ({"evse_id": each} if each else {}) for n, each in enumerate(value)]
        place["evses"] = given
    else:
        names = dict(zip(("country_code", "party_id"), value, strict=True))
        document |= {name: each for name, each in names.items() if each is not None}
    return document


def owners(pair: Synced, kind: str, object_id: str) -> list[str]:
    """Who has an object with this id."""

    async def read(store: Store) -> list[str]:
        async with store.transaction(read_only=True) as tx:
            found = (await tx.page(Query(kind=kind, id=object_id))).records
            return sorted("-".join(record.key[1:3]) for record in found)

    return run(read(lift_store(pair.store, in_place)))


def send(pair: Synced, method: str, path: str, body: Any) -> Any:
    headers = {"authorization": f"Token {pair.token}"}
    answer = pair.emsp.handle(Request(method, f"/2.1.1/{path}", "", headers, encode(body)))
    return json.loads(answer.body)


# --- reading --------------------------------------------------------------------------------------------------------

READINGS = [
    pytest.param(case, way, value, owner, id=f"{name}-{way}-{value}")
    for name, case in named("hubs", "reads-*").items()
    for value, owner in case["readings"]
    for way in ("locations", "sessions", "cdrs", "tariffs", "post")
    if way != "tariffs" or case["owner_from"] == "country_code/party_id"
]


@pytest.mark.parametrize(("case", "way", "value", "owner"), READINGS)
def test_an_owner_is_read_as_the_profile_says(case: Document, way: str, value: Any, owner: str | None) -> None:
    criterion = case["owner_from"]
    module = "cdrs" if way == "post" else way
    with synced() as pair:
        set_profile(pair, allowed_parties=case.get("allowed_parties", ["*"]), owner_from=criterion)
        document = said(criterion, MADE[module](), value)
        if way == "post":
            note = send(pair, "POST", "cdrs", document)["status_message"]
        else:
            pair.cpo.lists[module] = [document]
            report = pair.pull(module)
            assert (report.created, report.rejected) == (1, 0), report
            note = " ".join(report.notes)
        assert owners(pair, KINDS[module], IDS[module]) == [owner or "NL-TNM"]
        assert ("the owner is not known" in note) == (owner is None), note


def test_an_owner_that_is_not_allowed_is_said_and_the_object_is_the_hubs() -> None:
    with synced() as pair:
        set_profile(pair, allowed_parties=["FR-*"], owner_from="operator.name")
        pair.cpo.lists["locations"] = [
            said("operator.name", location(n), name) for n, name in enumerate(("ES*AAA", "FR*B1B"))
        ]
        report = pair.pull()
        assert report.created == 2
        (note,) = report.notes
        assert "operator.name names ES-AAA, which is not among the allowed_parties" in note
        assert owners(pair, Kind.LOCATION, "LOC0") == ["NL-TNM"]
        assert owners(pair, Kind.LOCATION, "LOC1") == ["FR-B1B"]


def test_a_name_without_a_separator_is_a_party_that_was_seen() -> None:
    with synced() as pair:
        set_profile(pair, allowed_parties=["*"], owner_from="operator.name")
        pair.cpo.lists["locations"] = [said("operator.name", location(1), "FRB1B")]
        (note,) = pair.pull().notes
        assert "expected a code such as ES*AAA, or a party that the allowed_parties name" in note
        assert owners(pair, Kind.LOCATION, "LOC1") == ["NL-TNM"]
        assert pair.push("PUT", "locations/FR/B1B/LOC9", location(9)) == 201
        pair.cpo.lists["locations"] = [said("operator.name", location(2), "FRB1B")]
        pair.pull(full=True)
        assert owners(pair, Kind.LOCATION, "LOC2") == ["FR-B1B"]


@pytest.mark.parametrize("module", ["locations", "sessions"])
def test_an_owner_that_a_hub_corrects_is_said(module: str, store: Any) -> None:
    with synced(store=store) as pair:
        set_profile(pair, allowed_parties=["*"], owner_from="operator.name")
        for name, notes in (("ES*AAA", 0), ("ES*BBB", 1), ("ES*BBB", 0)):
            pair.cpo.lists[module] = [said("operator.name", MADE[module](), name)]
            report = pair.pull(module, full=True)
            found = [each for each in report.notes if "stays stored as one of ES-AAA as well" in each]
            assert len(found) == notes, report.notes
        assert owners(pair, KINDS[module], IDS[module]) == ["ES-AAA", "ES-BBB"]


def test_a_registered_owner_and_the_emsp_itself_get_nothing_over_a_hub() -> None:
    with synced() as pair:
        set_profile(pair, allowed_parties=["*"], owner_from="operator.name")
        register(pair.emsp, *AAA, url="https://cpo.test/cpo/versions")
        listed = [said("operator.name", location(1), "ES*AAA"), said("operator.name", location(2), "IT*BEC")]
        pair.cpo.lists["locations"] = listed
        notes = " ".join(pair.pull().notes)
        assert "ES-AAA, which has a registration of its own" in notes
        assert owners(pair, Kind.LOCATION, "LOC1") == owners(pair, Kind.LOCATION, "LOC2") == ["NL-TNM"]
        assert pair.push("PUT", "locations/ES/AAA/LOC3", location(3)) == 404
        assert pair.push("PUT", "locations/IT/BEC/LOC3", location(3)) == 404


def test_a_tariff_has_no_operator_which_is_said_once() -> None:
    with synced() as pair:
        set_profile(pair, allowed_parties=["*"], owner_from="operator.name")
        pair.cpo.lists["tariffs"] = [tariff(n) for n in range(12)]
        (note,) = pair.pull("tariffs").notes
        assert note == "a tariff has no operator.name: whose it is, is looked for as without owner_from"


def test_what_the_profile_names_comes_before_what_a_22_object_says() -> None:
    with synced() as pair:
        set_profile(pair, allowed_parties=["*"], owner_from="operator.name")
        pair.cpo.lists["locations"] = [
            {**said("operator.name", location(1), "ES*AAA"), "country_code": "FR", "party_id": "HUB"}
        ]
        assert pair.pull().rejected == 0
        assert owners(pair, Kind.LOCATION, "LOC1") == ["ES-AAA"]


# --- moving ---------------------------------------------------------------------------------------------------------


def learn(pair: Synced, case: Mapping[str, Any], document: Document) -> None:
    """What tells whose the object is."""
    word = case["learned"]
    later = moved(document, NOW)
    if "pull" in word:
        pair.cpo.lists[word["pull"]] = [document]
        report = pair.pull(word["pull"], full=True)
        assert (report.created, report.rejected, report.moved) == (0, 0, 1), report
        return
    if "post" in word:
        assert "[owner.moved]" in send(pair, "POST", "cdrs", document)["status_message"]
        return
    path = word.get("put") or word["patch"]
    body = word.get("changes", {}) | {"last_updated": "2024-06-01T11:00:00Z"}
    if "put" in word:
        depth = path.count("/")
        whole = later if depth == 3 else later["evses"][0] if depth == 4 else later["evses"][0]["connectors"][0]
        body = whole | word.get("changes", {})
        if word.get("elsewhere"):
            body |= {
                "coordinates": {"latitude": "40.400000", "longitude": "-3.700000"},
                "address": "Gran Via 1",
                "city": "Madrid",
            }
            body["evses"] = [evse | {"evse_id": f"ES*AAA*E{n}"} for n, evse in enumerate(body["evses"])]
    answer = send(pair, "PUT" if "put" in word else "PATCH", path, body)
    assert answer["status_code"] == 1000, answer
    assert f"[owner.{'same_id' if case.get('stays') else 'moved'}]" in answer["status_message"], answer


@cases("hubs", "[ms][ot]*")
def test_what_was_stored_as_the_hubs_moves_to_its_owner(case: Mapping[str, Any], store: Any) -> None:
    module = f"{case['kind']}s"
    heard: list[Event] = []
    with synced(store=store, listen=heard) as pair:
        document = MADE[module]()
        if "operator" in case:
            document = said("operator.name", document, case["operator"])
        pair.cpo.lists[module] = [document]
        assert pair.pull(module).created == 1
        set_profile(pair, allowed_parties=["*"], owner_from=case.get("owner_from"))
        heard.clear()
        pair.clock.advance(minutes=1)
        learn(pair, case, document)
        stays = case.get("stays", False)
        assert owners(pair, case["kind"], IDS[module]) == (["ES-AAA", "NL-TNM"] if stays else ["ES-AAA"])
        told = [each for each in heard if isinstance(each, ObjectMoved)]
        said_so = [(each.party, each.module, each.id, each.previous_party) for each in told]
        assert said_so == ([] if stays else [(PartyId(*AAA), module, IDS[module], PartyId(*HUB))])
        assert not [each for each in heard if isinstance(each, EvseRemoved)]
        if module == "locations":
            found = pair.emsp.locations.get("ES-AAA", "LOC1")
            assert found is not None
            assert [evse.uid for evse in found.evses] == [evse["uid"] for evse in document["evses"]]
            assert (pair.emsp.locations.get("NL-TNM", "LOC1") is None) is not stays


def test_static_data_by_pull_and_statuses_by_push_are_one_location(store: Any) -> None:
    """The hub's guide: the list has operator.name, the push has the owner in its URL."""
    with synced(store=store) as pair:
        set_profile(pair, allowed_parties=["ES-*"], owner_from="operator.name")
        pair.cpo.lists["locations"] = [said("operator.name", location(1), "ES*AAA")]
        pair.pull()
        status = {"status": "CHARGING", "last_updated": "2024-06-01T11:00:00Z"}
        assert pair.push("PATCH", "locations/ES/AAA/LOC1/LOC1-E1", status) == 200
        assert owners(pair, Kind.LOCATION, "LOC1") == ["ES-AAA"]
        report = pair.pull(full=True)
        assert (report.created, report.missing) == (0, 0)
        evse = pair.emsp.evses.get("ES-AAA", "LOC1", "LOC1-E1")
        assert evse is not None
        assert evse.status.value == "CHARGING", "the pull is older than the push"


def test_a_location_that_is_stored_twice_becomes_one_with_the_newest_of_each_part(store: Any) -> None:
    with synced(store=store) as pair:
        document = said("operator.name", location(1), "ES*AAA")
        document["evses"].append(document["evses"][0] | {"uid": "LOC1-E9"})
        pair.cpo.lists["locations"] = [document]
        pair.pull()  # an earlier version: nothing is known of owners
        set_profile(pair, allowed_parties=["*"])
        own = {**said("operator.name", location(1), "Brand"), "evses": []}

        async def put() -> None:  # ... and pushed
            async with lift_store(pair.store, in_place).transaction() as tx:
                record = await tx.get(Key(Kind.LOCATION, *HUB, "LOC1"))
                assert record is not None
                own_document = encode({name: value for name, value in moved(own, NOW).items() if name != "evses"})
                await tx.put(evolve(record, key=Key(Kind.LOCATION, *AAA, "LOC1"), document=own_document))

        run(put())
        assert pair.push("PATCH", "locations/ES/AAA/LOC1", {"name": "Left"}) == 200
        assert owners(pair, Kind.LOCATION, "LOC1") == ["ES-AAA"]
        found = pair.emsp.locations.get("ES-AAA", "LOC1")
        assert found is not None
        assert found.operator is not None
        assert (found.operator.name, found.name) == ("Brand", "Left")
        assert sorted(evse.uid for evse in found.evses) == sorted(evse["uid"] for evse in document["evses"])


def test_a_conflicting_cdr_moves_with_the_first() -> None:
    with synced() as pair:
        document = said("operator.name", cdr(1), "ES*AAA")
        assert send(pair, "POST", "cdrs", document)["status_code"] == 1000
        assert send(pair, "POST", "cdrs", {**document, "remark": "again"})["status_code"] == 2001
        set_profile(pair, allowed_parties=["*"], owner_from="operator.name")
        assert send(pair, "POST", "cdrs", document)["status_code"] == 1000
        assert owners(pair, Kind.CDR, "CDR1") == owners(pair, Kind.CDR_CONFLICT, "CDR1") == ["ES-AAA"]


def test_an_audit_moves_with_its_cdr_and_so_does_a_request_for_one() -> None:
    with synced(audit=True) as pair:
        documents = [said("operator.name", cdr(number), "ES*AAA") for number in (1, 2)]
        for document in documents:
            assert send(pair, "POST", "cdrs", document)["status_code"] == 1000
        pair.emsp.audits.renew("NL-TNM", "CDR1")
        pair.emsp.partner("NL-TNM").set_profile(readings={"vat": 21})
        set_profile(pair, allowed_parties=["*"], owner_from="operator.name")
        for document in documents:
            assert send(pair, "POST", "cdrs", document)["status_code"] == 1000
        assert owners(pair, Kind.CDR, "CDR1") == owners(pair, Kind.AUDIT, "CDR1") == ["ES-AAA"]
        assert pair.emsp.audits.make_pending() == 2
        assert owners(pair, Kind.AUDIT, "CDR2") == ["ES-AAA"]
        stored = pair.emsp.audits.get("ES-AAA", "CDR2")
        assert stored is not None
        assert stored.audit.readings.vat == 21, "the hub's, over whose connection it came"
        assert [str(each.party) for each in pair.emsp.audits.list()] == ["ES-AAA"] * 2


def test_what_is_refused_moves_nothing() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [said("operator.name", location(1), "ES*AAA")]
        pair.pull()
        set_profile(pair, allowed_parties=["*"])
        assert pair.push("PUT", "locations/ES/AAA/LOC1", {**location(1), "coordinates": None}) == 200
        assert owners(pair, Kind.LOCATION, "LOC1") == ["NL-TNM"]


def test_a_hub_that_pushes_its_own_objects_loses_none_by_content() -> None:
    with synced() as pair:
        set_profile(pair, allowed_parties=["*"])
        assert pair.push("PUT", "locations/*/LOC1", location(1)) == 201
        assert pair.push("PUT", "locations/ES/AAA/LOC1", location(1)) == 201
        assert owners(pair, Kind.LOCATION, "LOC1") == ["ES-AAA", "NL-TNM"]


# --- what goes missing ----------------------------------------------------------------------------------------------


def test_what_a_hub_lists_no_more_is_missing_for_its_owner(store: Any) -> None:
    with synced(store=store) as pair:
        set_profile(pair, allowed_parties=["*"], owner_from="operator.name")
        names = ("ES*AAA", "ES*AAA", "FR*BBB", "NL*TNM", *["PT*CCC"] * 9)
        listed = [said("operator.name", location(n), name) for n, name in enumerate(names)]
        pair.cpo.lists["locations"] = listed
        pair.pull(full=True)
        pair.cpo.lists["locations"] = listed[1:]
        pair.clock.advance(hours=2)
        report = pair.pull(full=True)
        assert (report.ended.value, report.missing) == ("done", 1)
        assert missing(pair) == [("ES-AAA", "LOC0")]


def missing(pair: Synced) -> list[tuple[str, str]]:
    async def read(store: Store) -> list[tuple[str, str]]:
        async with store.transaction(read_only=True) as tx:
            found = (await tx.page(Query(kind=Kind.LOCATION, limit=1000))).records
            return [("-".join(each.key[1:3]), each.key.id) for each in found if each.missing_since is not None]

    return run(read(lift_store(pair.store, in_place)))


def test_nothing_of_an_owner_that_another_hub_brings_too_goes_missing() -> None:
    with synced() as pair:
        set_profile(pair, allowed_parties=["*"], owner_from="operator.name")
        pair.cpo.lists["locations"] = [
            said("operator.name", location(n), "ES*AAA" if n else "FR*BBB") for n in range(20)
        ]
        pair.pull(full=True)
        other = register(pair.emsp, "BE", "HUB", url="https://cpo.test/cpo/versions")
        pair.emsp.partner("BE-HUB").set_profile(allowed_parties=["ES-AAA"])
        headers = {"authorization": f"Token {other}"}
        pushed = Request("PUT", "/2.1.1/locations/ES/AAA/LOC99", "", headers, encode(location(99)))
        assert pair.emsp.handle(pushed).status == 201
        pair.cpo.lists["locations"] = pair.cpo.lists["locations"][:-1]
        pair.clock.advance(hours=2)
        assert pair.pull(full=True).missing == 0
        assert missing(pair) == []


# --- how many -------------------------------------------------------------------------------------------------------


def test_thousands_of_allowed_parties_cost_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for allowed in (["ES-AAA"], [f"{c}{d}-{n:03}" for c in "ABC" for d in "XYZ" for n in range(1000)] + ["ES-AAA"]):
        with synced(store=MemoryStore()) as pair:
            set_profile(pair, allowed_parties=allowed)
            pair.cpo.lists["locations"] = [location(n) for n in range(30)]
            assert pair.push("PUT", "locations/ES/AAA/LOC1", location(1)) == 201
            reads = counted_reads(monkeypatch)
            report = pair.pull()
            assert (report.created, report.unchanged) == (29, 1)
            counts.append(reads[0])
    assert counts[0] == counts[1]


def counted_reads(patch: pytest.MonkeyPatch) -> list[int]:
    reads, get = [0], memory._MemoryTransaction.get

    async def counting(self: Any, key: Key) -> Any:
        reads[0] += 1
        return await get(self, key)

    patch.setattr(memory._MemoryTransaction, "get", counting)
    return reads


def test_the_owners_that_came_are_recorded_with_the_hub(store: Any) -> None:
    with synced(store=store) as pair:
        set_profile(pair, allowed_parties=["*"], owner_from="operator.name")
        pair.cpo.lists["locations"] = [said("operator.name", location(1), "ES*AAA")]
        pair.pull()
        pair.push("PUT", "locations/FR/BBB/LOC2", location(2))

        async def read(store: Store) -> tuple[str, ...]:
            async with store.transaction(read_only=True) as tx:
                party = await find_party(tx, *HUB)
                return party.seen_owners if party is not None else ()

        assert run(read(lift_store(pair.store, in_place))) == ("ES-AAA", "FR-BBB")


# --- suggested ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("criterion", "values"),
    [
        ("operator.name", ["ES*AAA"]),
        ("evse_id", [["ES*AAA*E1"], ["FR*BBB*E1"]]),
        ("country_code/party_id", [["NL", "TNM"]]),
    ],
)
def test_a_diagnosis_suggests_what_names_the_owners(criterion: str, values: list[Any]) -> None:
    with synced() as pair:
        listed = [said(criterion, location(n), values[n % len(values)]) for n in range(10)]
        pair.cpo.lists["locations"] = listed
        pair.pull()
        is_hub = criterion != "country_code/party_id"
        expected = [criterion] if is_hub else []
        partner = pair.emsp.partner(PartyId(*HUB))
        assert [each.value for each in partner.suggestions() if each.name == "owner_from"] == expected
        diagnosis = partner.diagnose()
        assert [each.value for each in diagnosis.suggestions if each.name == "owner_from"] == expected
        set_profile(pair, owner_from=criterion)
        assert not [each for each in partner.suggestions() if each.name == "owner_from"]


def test_a_plain_cpo_is_no_hub() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(10)]
        pair.pull()
        partner = pair.emsp.partner(PartyId(*HUB))
        assert not [
            each for each in [*partner.suggestions(), *partner.diagnose().suggestions] if each.name == "owner_from"
        ]


# --- without any evidence, and at once ------------------------------------------------------------------------------


def test_a_status_of_a_location_that_names_nobody_is_pulled_and_moves_it(store: Any) -> None:
    with synced(store=store) as pair:
        document = said("operator.name", location(1), None)
        pair.cpo.lists["locations"] = [document]
        pair.pull()
        set_profile(pair, allowed_parties=["ES-*"])
        status = {"status": "CHARGING", "last_updated": "2024-06-01T11:00:00Z"}
        assert pair.push("PATCH", "locations/ES/AAA/LOC1/LOC1-E1", status) == 404
        pair.clock.advance(minutes=1)
        assert pair.pull().moved == 1
        assert owners(pair, Kind.LOCATION, "LOC1") == ["ES-AAA"]
        assert pair.push("PATCH", "locations/ES/AAA/LOC1/LOC1-E1", status) == 200


def test_pushes_and_a_pull_at_once_leave_one_location(store: Any) -> None:
    with synced(store=store) as pair:
        pair.cpo.lists["locations"] = [said("operator.name", location(n), "ES*AAA") for n in range(1, 6)]
        pair.pull()
        set_profile(pair, allowed_parties=["*"], owner_from="operator.name")
        status = {"status": "CHARGING", "last_updated": "2024-06-01T11:00:00Z"}

        def push(number: int) -> int:
            return pair.push("PATCH", f"locations/ES/AAA/LOC{number}/LOC{number}-E1", status)

        with ThreadPoolExecutor(4) as pool:
            pushed = [pool.submit(push, number) for number in range(1, 6) for _ in range(3)]
            pulled = pool.submit(pair.pull, full=True)
            assert {each.result() for each in pushed} == {200}
            assert pulled.result().rejected == 0
        for number in range(1, 6):
            assert owners(pair, Kind.LOCATION, f"LOC{number}") == ["ES-AAA"]
            evse = pair.emsp.evses.get("ES-AAA", f"LOC{number}", f"LOC{number}-E1")
            assert evse is not None
            assert evse.status.value == "CHARGING"
