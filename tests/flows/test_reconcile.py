"""Which CDR belongs to which session, and what is found where they do not fit (PARTNER-QUIRKS.md row 9)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest

from flows.reconcile_desk import (
    START,
    Stored,
    at_zone,
    cdr,
    changed,
    differing,
    ended,
    pairs,
    place,
    reconciled,
    record,
    session,
)
from flows.support import Peer, offline_emsp, peer, stamp
from ocpi_emsp.flows.cdrs import reconcile as flow
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.resources import Reconciliation
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document
from our_emsp import NOW

# --- by id ----------------------------------------------------------------------------------------------------------


def test_equal_ids_match_whatever_their_case() -> None:
    found = reconciled([session("abc-1")], [cdr("ABC-1")])
    assert pairs(found) == [("ABC-1", "abc-1", "id")]
    assert (found.ok, found.matched_by_id, found.matched_by_score) == (True, 1, 0)
    assert next(iter(found.matched)).score == 1.0


@pytest.mark.parametrize(("taken", "left"), [("X", "x"), ("x", "X")])
def test_of_sessions_whose_ids_differ_in_case_the_one_of_the_same_case_is_taken(taken: str, left: str) -> None:
    found = reconciled([session("x"), session("X")], [cdr(taken)])
    assert pairs(found) == [(taken, taken, "id")]
    assert [each.id for each in found.sessions_without_cdr] == [left]


def test_ids_come_first_although_another_session_fits_better() -> None:
    its_own = session("A", kwh="20")
    found = reconciled([its_own, session("B")], [cdr("A", of=session())])
    assert pairs(found) == [("A", "A", "id")]
    assert ("kwh", Decimal("12.5"), Decimal(20)) in differing(found)


def test_a_cpo_that_numbers_both_from_1_upwards_is_not_misread() -> None:
    """The support matrix: "CDR and Session can have different ids". Equal ones may be an accident."""
    sessions = [session(str(number), at=3 * number) for number in range(1, 5)]
    cdrs = [cdr(str(number), of=sessions[(number + 1) % 4]) for number in range(1, 5)]
    found = reconciled(sessions, cdrs)
    assert {(each.cdr.id, each.session.id) for each in found.matched} == {
        ("1", "3"),
        ("2", "4"),
        ("3", "1"),
        ("4", "2"),
    }
    assert (found.ok, found.matched_by_score) == (True, 4)


def test_equal_ids_decide_between_times_that_a_zone_shifted() -> None:
    """The CDR's times lie between those of two equal sessions."""
    sessions = [session("A"), session("B", at=4)]
    shifted = at_zone(cdr("b"), 2)
    found = reconciled(sessions, [shifted])
    assert pairs(found) == [("b", "B", "id")]


def test_equal_ids_hold_although_a_clock_was_wrong_and_the_times_are_named() -> None:
    found = reconciled([session("A")], [cdr("a", of=session(at=100.2))])
    assert pairs(found) == [("a", "A", "id")]
    assert differing(found) == [("time", "2024-05-24T12:12:00Z", "2024-05-20T08:00:00Z")]


def test_equal_ids_of_another_driver_at_another_place_are_no_match() -> None:
    other = cdr("A", of=session(auth_id="OTHER", location=place(evse=1)))
    found = reconciled([session("A")], [other])
    assert pairs(found) == []
    assert [each.id for each in found.cdrs_without_session] == ["A"]
    assert [each.id for each in found.sessions_without_cdr] == ["A"]


def test_another_driver_or_place_under_equal_ids_is_a_difference() -> None:
    assert differing(reconciled([session("A")], [cdr("A", auth_id="OTHER")])) == [
        ("auth_id", "OTHER", "DE8ACC12E46L89")
    ]
    assert differing(reconciled([session("A")], [cdr("A", location=place(evse=1))])) == [
        ("evse", "LOC1/LOC1-E2", "LOC1/LOC1-E1")
    ]


# --- what is missing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"end_datetime": stamp(NOW - timedelta(hours=24))}, True),
        ({"end_datetime": stamp(NOW - timedelta(hours=23))}, False),
        ({"end_datetime": ..., "last_updated": stamp(NOW - timedelta(hours=25))}, True),
        ({"end_datetime": ..., "last_updated": stamp(NOW - timedelta(hours=1))}, False),
        ({"end_datetime": "2099-01-01T00:00:00Z"}, True),
        ({"status": "ACTIVE"}, False),
        ({"status": "INVALID"}, False),
        ({"status": "PENDING"}, False),
        ({"status": "PAUSED"}, False),
    ],
    ids=str,
)
def test_a_session_is_missing_its_cdr_once_it_is_completed_for_so_long(changes: Document, due: bool) -> None:
    found = reconciled([session(**changes)], [])
    assert [each.id for each in found.sessions_without_cdr] == (["S1"] if due else [])
    assert [each.id for each in found.sessions_not_due] == ([] if due else ["S1"])
    assert found.ok is not due


def test_how_long_is_the_callers_choice() -> None:
    recent = session(end_datetime=stamp(NOW - timedelta(hours=2)))
    assert reconciled([recent], []).sessions_without_cdr.count == 0
    assert reconciled([recent], [], completed_for=timedelta(hours=2)).sessions_without_cdr.count == 1
    assert reconciled([session()], [], completed_for=timedelta.max).sessions_without_cdr.count == 0


def test_a_missing_cost_is_no_cost_of_0() -> None:
    silent = session(total_cost=...)
    assert reconciled([silent], [cdr()]).ok
    free = session(total_cost=Decimal(0))
    assert differing(reconciled([free], [cdr()])) == [("cost", Decimal("4.25"), Decimal(0))]


# --- differences ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"total_energy": Decimal("12.6")}, []),
        ({"total_energy": Decimal("12.6001")}, [("kwh", Decimal("12.6001"), Decimal("12.5"))]),
        ({"total_energy": Decimal("12.3999")}, [("kwh", Decimal("12.3999"), Decimal("12.5"))]),
        ({"total_cost": Decimal("4.26")}, []),
        ({"total_cost": Decimal("4.261")}, [("cost", Decimal("4.261"), Decimal("4.25"))]),
        ({"currency": "SEK"}, [("currency", "SEK", "EUR")]),
        ({"currency": "eur"}, []),
        ({"total_cost": Decimal("9e99999")}, [("cost", Decimal("9e99999"), Decimal("4.25"))]),
    ],
    ids=str,
)
def test_energy_and_cost_that_differ_are_named_with_both_values(
    changes: Document, expected: list[tuple[str, Any, Any]]
) -> None:
    found = reconciled([session()], [cdr(**changes)])
    assert differing(found) == expected
    assert found.ok is not bool(expected)
    assert all(
        isinstance(each.cdr_value, type(value)) for each, (_, value, _) in zip(found.differences, expected, strict=True)
    )


def test_another_currency_is_a_difference_where_the_session_tells_no_cost() -> None:
    assert differing(reconciled([session(total_cost=...)], [cdr(currency="SEK")])) == [("currency", "SEK", "EUR")]


def test_tolerances_are_the_callers_choice() -> None:
    more = cdr(total_energy=Decimal("12.6"), total_cost=Decimal("4.26"))
    found = reconciled([session()], [more], kwh_tolerance=Decimal(0), cost_tolerance=Decimal("0.001"))
    assert [each.what for each in found.differences] == ["kwh", "cost"]
    assert reconciled([session()], [cdr(total_energy=Decimal(9))], kwh_tolerance=Decimal(9)).ok


def test_a_cdr_of_an_invalid_session_is_a_difference() -> None:
    """mod_sessions.md 4.1: INVALID "will not be billed"."""
    assert differing(reconciled([session(status="INVALID")], [cdr()])) == [("status", "billed", "INVALID")]


@pytest.fixture
def cpo() -> Peer:
    return peer()


# --- what is suspicious ---------------------------------------------------------------------------------------------


def suspicious(found: Reconciliation) -> list[tuple[str, str]]:
    return [(each.cdr.id, each.code) for each in found.suspicious]


def test_ends_that_differ_by_more_than_a_minute_are_a_difference() -> None:
    def ends(minutes: float) -> list[tuple[str, Any, Any]]:
        other = stamp(START + timedelta(hours=1.25, minutes=minutes))
        return differing(reconciled([session(end_datetime=other)], [cdr()]))

    assert ends(1) == ends(-1) == []
    assert ends(2) == [("time", "2024-05-20T09:15:00Z", "2024-05-20T09:17:00Z")]
    late: Document = {"start_datetime": stamp(START + timedelta(minutes=2))}
    assert differing(reconciled([session(**late)], [cdr()])) == [
        ("time", "2024-05-20T08:00:00Z", "2024-05-20T08:02:00Z")
    ]


def test_how_far_ends_may_be_apart_is_a_setting_of_the_party(cpo: Peer) -> None:
    assert cpo.push("PUT", "sessions/*/S1", session(end_datetime=stamp(START + timedelta(hours=1)))).code == 1000
    assert cpo.push("POST", "cdrs", cdr()).code == 1000
    partner = cpo.emsp.partner("NL-TNM")
    for apart, expected in ((900, []), (899, ["time"]), ("off", [])):
        partner.set_profile(plausibility={"session.times": apart})
        assert [what for what, *_ in differing(partner.reconcile())] == expected


def test_a_cdr_that_is_billed_twice_is_paired_and_named() -> None:
    found = reconciled([session("A")], [cdr("A"), cdr("B"), cdr("C", total_cost=Decimal("5.00"))])
    assert pairs(found) == [("A", "A", "id"), ("B", "A", "duplicate"), ("C", "A", "duplicate")]
    assert suspicious(found) == [("A", "duplicate"), ("B", "duplicate"), ("C", "duplicate")]
    assert (found.cdrs_without_session.count, found.matched_as_copies, found.ok) == (0, 2, False)
    assert [(each.what, each.match.cdr.id) for each in found.differences] == [("cost", "C")]


def test_a_credit_is_paired_with_the_session_of_its_cdr_and_is_no_difference() -> None:
    found = reconciled([session("A")], [cdr("A"), cdr("0", total_cost=Decimal("-4.25"))])
    assert pairs(found) == [("0", "A", "credit"), ("A", "A", "id")]
    assert (found.ok, suspicious(found)) == (True, [])
    alone = reconciled([session("A")], [cdr("0", total_cost=Decimal("-4.25"))])
    assert (suspicious(alone), pairs(alone)) == ([("0", "credit.without_original")], [])


def test_the_next_session_of_a_driver_with_the_same_energy_is_no_copy() -> None:
    found = reconciled([session("A")], [cdr("A"), cdr("B", of=session(at=1.25))])
    assert (pairs(found), suspicious(found)) == ([("A", "A", "id")], [])
    assert [each.id for each in found.cdrs_without_session] == ["B"]


def test_what_is_suspicious_is_looked_for_under_review_alone() -> None:
    day = timedelta(days=1)
    old, new = cdr("A"), cdr("B", last_updated=stamp(START + 10 * day))
    found = reconciled([session("A")], [old, new], date_from=START + 5 * day)
    assert suspicious(found) == [("B", "duplicate")]


def test_a_total_of_0_is_suspicious_unless_the_tariff_gives_it(cpo: Peer) -> None:
    free = samples.tariff("FREE", energy_price=Decimal(0), parking_price=Decimal(0))
    for name, tariffs in (("PRICED", [samples.tariff()]), ("FREE", [free]), ("UNKNOWN", [])):
        body = {**cdr(name), "auth_id": name, "total_cost": Decimal(0), "tariffs": tariffs}
        at = changed(body, {} if tariffs else {"tariffs": ...})
        assert cpo.push("POST", "cdrs", at).code == 1000
    cpo.emsp.partner("NL-TNM").set_profile(plausibility={"connector.shared": "off"})
    assert suspicious(cpo.emsp.partner("NL-TNM").reconcile()) == [
        ("PRICED", "energy.without_cost"),
        ("PRICED", "cost.zero"),
        ("UNKNOWN", "energy.without_cost"),
    ]


def test_a_tariff_that_is_dearer_than_the_published_one_is_suspicious(cpo: Peer) -> None:
    """12.5 kWh at 0.30 and a quarter of an hour at 2.00: 4.25; at 0.25 and 2.00: 3.625."""
    published = samples.tariff(energy_price=Decimal("0.25"))
    later = samples.tariff(energy_price=Decimal("0.40"), last_updated=START + timedelta(hours=1))
    assert [cpo.push("PUT", "tariffs/*/TAR1", each).code for each in (published, later)] == [1000, 1000]
    assert cpo.push("POST", "cdrs", cdr(tariffs=[samples.tariff()])).code == 1000
    found = cpo.emsp.partner("NL-TNM").reconcile()
    assert [(each.code, each.message) for each in found.suspicious] == [
        (
            "tariff.dearer",
            "under its own tariff the session costs 4.25 EUR, under the published tariff 'TAR1' 3.625",
        )
    ]


def test_a_code_that_is_off_is_not_looked_for(cpo: Peer) -> None:
    for name in ("A", "B"):
        assert cpo.push("POST", "cdrs", cdr(name)).code == 1000
    partner = cpo.emsp.partner("NL-TNM")
    assert [each.code for each in partner.reconcile().suspicious] == ["duplicate", "duplicate"]
    partner.set_profile(plausibility={"duplicate": "off"})
    assert partner.reconcile().suspicious.count == 0


# --- duplicates, and what cannot be read ----------------------------------------------------------------------------


def test_a_conflicting_duplicate_is_listed_beside_the_first_one(cpo: Peer) -> None:
    assert cpo.push("PUT", "sessions/*/S1", session()).code == 1000
    assert cpo.push("POST", "cdrs", cdr()).code == 1000
    assert cpo.push("POST", "cdrs", cdr(total_cost=Decimal("9.99"))).code == 2001
    found = cpo.emsp.partner("nl-tnm").reconcile()
    (conflict,) = found.conflicts
    assert conflict.first is not None
    assert (conflict.first.total_cost, conflict.other.total_cost) == (Decimal("4.25"), Decimal("9.99"))
    assert (pairs(found), found.cdrs, found.ok) == ([("C1", "S1", "score")], 1, False)
    assert [each.cdr.total_cost for each in found.matched] == [Decimal("4.25")]


@pytest.mark.parametrize("first", [None, b"{}"])
def test_a_conflict_whose_first_one_is_gone_or_unreadable_stays_one(first: bytes | None) -> None:
    stored = Stored.of(record(Kind.CDR_CONFLICT, cdr(), parent="hash"))
    if first is not None:
        stored.put(record(Kind.CDR, first, record_id="C1"))
    found = stored.reconciled()
    assert [(each.other.id, each.first, each.content_hash) for each in found.conflicts] == [("C1", None, "hash")]
    assert found.unreadable.count == (0 if first is None else 1)


def test_what_cannot_be_decoded_any_more_is_listed_as_such() -> None:
    outside = NOW - flow.PERIOD - timedelta(days=1)
    found = Stored.of(
        record(Kind.SESSION, b"no JSON \xff", record_id="S9"),
        record(Kind.CDR, b'{"id": "C9"}', record_id="C9"),
        record(Kind.CDR_CONFLICT, b"[]", record_id="C9", parent="hash"),
        Record(Key(Kind.CDR, "NL", "TNM", "OLD"), b"{}", outside, NOW),
        record(Kind.SESSION, session()),
        record(Kind.CDR, cdr()),
    ).reconciled()
    assert [(each.kind, each.id) for each in found.unreadable] == [
        ("cdr", "C9"),
        ("cdr_conflict", "C9"),
        ("session", "S9"),
    ]
    assert all(each.problem for each in found.unreadable)
    assert next(iter(found.unreadable)).problem.startswith("error at /auth_id: auth_id is required")
    assert (pairs(found), found.ok) == ([("C1", "S1", "score")], False)


# --- the period -----------------------------------------------------------------------------------------------------


def test_the_last_35_days_are_reviewed_unless_told() -> None:
    edge = NOW - timedelta(days=35)
    found = reconciled([ended(edge, "IN"), ended(edge - timedelta(seconds=1), "OUT")], [])
    assert [each.id for each in found.sessions_without_cdr] == ["IN"]
    assert (found.date_from, found.date_to, found.sessions) == (edge, None, 1)
    before = reconciled([ended(edge, "IN")], [], date_to=edge)
    assert (before.date_from, before.sessions) == (edge - timedelta(days=35), 0)


def test_the_other_side_of_a_pair_may_lie_outside_of_the_period() -> None:
    day = timedelta(days=1)
    here = cdr(last_updated=stamp(START + 10 * day))
    for date_from, date_to in ((START + 5 * day, None), (START - day, START + day)):
        found = reconciled([session()], [here], date_from=date_from, date_to=date_to)
        assert (pairs(found), found.ok, found.cdrs + found.sessions) == ([("C1", "S1", "score")], True, 1)
    neither = reconciled([session()], [here], date_from=START + 20 * day)
    assert (pairs(neither), neither.ok) == ([], True)
    assert reconciled([session()], [], date_from=START + day).ok, "a session outside of the period misses nothing"


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"date_from": datetime(2024, 1, 1)}, "invalid date_from '2024-01-01 00:00:00': expected a time with a zone"),
        ({"date_to": datetime(2024, 1, 1)}, "invalid date_to '2024-01-01 00:00:00': expected a time with a zone"),
        ({"date_from": NOW, "date_to": NOW}, "expected a time after date_from"),
        ({"completed_for": timedelta(hours=-1)}, "invalid completed_for '-1 day, 23:00:00': expected 0 or more"),
        ({"kwh_tolerance": Decimal(-1)}, "invalid kwh_tolerance '-1'"),
        ({"cost_tolerance": Decimal("NaN")}, "invalid cost_tolerance 'NaN'"),
        ({"limit": -1}, "invalid limit '-1': expected 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        reconciled([], [], **asked)


def test_a_period_may_be_all_of_time() -> None:
    earliest, latest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert reconciled([session()], [cdr()], date_from=earliest, date_to=latest).matched.count == 1
    assert reconciled([session()], [cdr()], date_to=earliest + timedelta(days=1)).matched.count == 0


# --- the result -----------------------------------------------------------------------------------------------------


def test_nothing_is_found_in_nothing() -> None:
    found = reconciled([], [])
    assert found.ok
    assert set(found.summary()["counts"].values()) == {0}


def test_lists_are_bounded_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "_PAGE", 2)
    found = reconciled([session(f"S{number}", at=2 * number) for number in range(7)], [], limit=3)
    assert ([each.id for each in found.sessions_without_cdr], found.sessions_without_cdr.more) == (
        ["S0", "S1", "S2"],
        4,
    )
    assert (found.sessions_without_cdr.count, found.sessions) == (7, 7)
    assert found.summary()["not_listed"]["sessions_without_cdr"] == 4
    assert reconciled([session()], [], limit=0).sessions_without_cdr.items == ()


def test_the_json_keeps_amounts_exact() -> None:
    odd = Decimal("12.500000000000000000000000000001")
    found = reconciled([session()], [cdr(total_energy=odd, total_cost=Decimal("5.10"))])
    document = found.as_json()
    assert document["summary"]["counts"]["differences"] == 1
    (difference,) = document["differences"]
    assert (difference["what"], str(difference["cdr_value"]), str(difference["session_value"])) == (
        "cost",
        "5.10",
        "4.25",
    )
    (match,) = document["matched"]
    assert match["cdr"]["total_energy"] == odd
    assert match["session"] == {
        "id": "S1",
        "status": "COMPLETED",
        "auth_id": "DE8ACC12E46L89",
        "location_id": "LOC1",
        "evse_uid": "LOC1-E1",
        "evse_id": "NL*TNM*E000001*1",
        "connector_id": "1",
        "start_datetime": "2024-05-20T08:00:00Z",
        "end_datetime": "2024-05-20T09:15:00Z",
        "kwh": Decimal("12.5"),
        "total_cost": Decimal("4.25"),
        "currency": "EUR",
        "last_updated": "2024-05-20T09:15:00Z",
    }


def test_the_json_names_conflicts_and_what_cannot_be_read() -> None:
    document = (
        Stored.of(record(Kind.CDR_CONFLICT, cdr(), parent="hash"), record(Kind.SESSION, b"{}", record_id="S9"))
        .reconciled()
        .as_json()
    )
    assert document["conflicts"][0]["first"] is None
    assert document["conflicts"][0]["other"]["stop_date_time"] == "2024-05-20T09:15:00Z"
    assert document["unreadable"][0]["kind"] == "session"
    assert document["summary"]["ok"] is False


def test_other_parties_have_no_part_in_it(cpo: Peer) -> None:
    other = cpo.other()
    assert cpo.push("POST", "cdrs", cdr()).code == 1000
    assert other.push("PUT", "sessions/*/S1", session()).code == 1000
    assert pairs(cpo.emsp.partner("NL-TNM").reconcile()) == []
    assert [each.id for each in cpo.emsp.partner("DE-ABC").reconcile().sessions_without_cdr] == ["S1"]


def test_nothing_is_written() -> None:
    stored = Stored.of(record(Kind.SESSION, session()), record(Kind.CDR, cdr()))

    class ReadOnly(MemoryStore):
        def transaction(self, *, read_only: bool = False) -> Any:
            assert read_only
            return stored.store.transaction(read_only=True)

    assert offline_emsp(store=ReadOnly()).partner("NL-TNM").reconcile().matched.count == 1


def test_the_awaited_twin_says_the_same() -> None:
    stored = Stored.of(record(Kind.SESSION, session()), record(Kind.CDR, cdr(total_energy=Decimal(1))))

    async def awaited() -> Reconciliation:
        return await stored.emsp.aio.partner("NL-TNM").reconcile(completed_for=timedelta(hours=1), limit=5)

    found = anyio.run(awaited)
    assert found == stored.reconciled(completed_for=timedelta(hours=1), limit=5)
    assert found.differences.count == 1
