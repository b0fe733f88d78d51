"""Which session a CDR belongs to where their ids differ: driver, place, time and energy (PARTNER-QUIRKS.md row 9)."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from flows.reconcile_desk import START, at_zone, cdr, differing, pairs, place, reconciled, session
from flows.support import stamp
from ocpi_emsp.flows.cdrs import matching as reconcile_match
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document


def test_other_ids_match_by_driver_evse_and_time() -> None:
    found = reconciled([session()], [cdr()])
    assert pairs(found) == [("C1", "S1", "score")]
    assert next(iter(found.matched)).score == 1.0
    assert found.ok


def test_two_sessions_of_one_driver_at_one_evse_are_told_apart() -> None:
    morning, noon = session("S1"), session("S2", at=1.5)
    found = reconciled([noon, morning], [cdr("C1", of=noon), cdr("C2", of=morning)])
    assert pairs(found) == [("C2", "S1", "score"), ("C1", "S2", "score")]
    assert found.ok


def test_of_overlapping_sessions_each_gets_its_own() -> None:
    long = session("LONG", kwh="30", end_datetime=stamp(START + timedelta(hours=3)))
    short = session("SHORT", at=0.5)
    cdrs = [cdr("C-SHORT", of=short), cdr("C-LONG", of=long)]
    found = reconciled([short, long], cdrs)
    assert pairs(found) == [("C-LONG", "LONG", "score"), ("C-SHORT", "SHORT", "score")]


def test_a_session_is_taken_by_one_cdr_only() -> None:
    found = reconciled([session()], [cdr("C1"), cdr("C2", total_energy=Decimal(12))])
    assert pairs(found) == [("C1", "S1", "score")]
    assert [each.id for each in found.cdrs_without_session] == ["C2"]


def test_equal_scores_are_decided_by_the_ids() -> None:
    sessions, cdrs = [session("S2"), session("S1")], [cdr("C2"), cdr("C1")]
    expected = [("C1", "S1", "score"), ("C2", "S2", "score")]
    assert pairs(reconciled(sessions, cdrs)) == pairs(reconciled(sessions[::-1], cdrs[::-1])) == expected


def test_equal_scores_are_decided_by_the_distance_of_the_starts() -> None:
    """Both overlap by half: the one starts an hour and a half before, the other one 15 minutes after."""
    end = timedelta(hours=1)
    early = session("A", at=-1, end_datetime=stamp(START + end))
    late = session("B", at=0.5, end_datetime=stamp(START + end))
    found = reconciled([early, late], [cdr(of=session(end_datetime=stamp(START + end)))])
    assert pairs(found) == [("C1", "B", "score")]


def test_another_driver_has_no_part_in_it() -> None:
    found = reconciled([session()], [cdr(auth_id="NOBODY")])
    assert pairs(found) == []
    assert [each.id for each in found.cdrs_without_session] == ["C1"]
    assert [each.id for each in found.sessions_without_cdr] == ["S1"]
    assert not found.ok


def test_a_drivers_auth_id_compares_without_case() -> None:
    assert pairs(reconciled([session()], [cdr(auth_id="de8acc12e46l89")])) == [("C1", "S1", "score")]


@pytest.mark.parametrize("hours", [-9.5, -1, 1, 2, 5.5, 14])
def test_times_that_a_zone_shifted_are_recognised_and_named(hours: float) -> None:
    found = reconciled([session()], [at_zone(cdr(), hours)])
    assert pairs(found) == [("C1", "S1", "score")]
    assert [each.what for each in found.differences] == ["time"]


@pytest.mark.parametrize(
    ("shifted", "of"),
    [
        (2.2, session()),
        (15, session()),
        (2, session(kwh="0.5")),
        (-2, session(end_datetime=...)),
    ],
    ids=["no zone", "no zone is so far", "any session has that little energy", "no end"],
)
def test_times_that_no_zone_explains_are_no_match(shifted: float, of: Document) -> None:
    ended = {**of, "end_datetime": session()["end_datetime"]}
    found = reconciled([of], [at_zone(cdr(of=ended), shifted)])
    assert pairs(found) == []


def test_the_session_whose_times_fit_goes_before_one_that_a_zone_would_explain() -> None:
    sessions = [session("EARLIER", at=-2), session("RIGHT")]
    assert pairs(reconciled(sessions, [cdr()])) == [("C1", "RIGHT", "score")]


def test_an_offset_is_only_another_way_to_write_a_time() -> None:
    local = cdr(start_date_time="2024-05-20T10:00:00+02:00", stop_date_time="2024-05-20T11:15:00+02:00")
    found = reconciled([session()], [local])
    assert (pairs(found), found.ok) == ([("C1", "S1", "score")], True)


@pytest.mark.parametrize(
    ("one", "other", "agreement"),
    [
        (place(), place(), 1.0),
        (place(), place(connectors=[samples.connector("2")]), 0.7),
        (place(), place(connectors=[samples.connector("1"), samples.connector("2")]), 0.9),
        (place(), place("loc1", evse_id="nltnme0000011", uid="other"), 1.0),
        (place(evse_id=...), place(evse_id=...), 1.0),
        (place(), place(evse_id="NL*TNM*ERENAMED"), 1.0),
        (place(), place(evse=None), 0.5),
        (place(evse=None), place(evse=None), 0.5),
        (place(), {**place(), "evses": samples.location()["evses"]}, 0.5),
        (place(), place("LOC2", evse=None), 0.0),
        (place(), place(evse=1), 0.0),
        (place(evse_id=...), place("LOC2", evse_id=..., uid="LOC1-E1"), 0.0),
    ],
    ids=[
        "same", "another connector", "two connectors", "the EVSE id alone", "the uid alone", "another EVSE id",
        "no EVSE", "no EVSEs", "two EVSEs", "no EVSE elsewhere", "another EVSE", "the uid of another location",
    ],
)  # fmt: skip
@pytest.mark.parametrize("turned", [False, True])
def test_the_score_counts_how_far_the_places_agree(
    one: Document, other: Document, agreement: float, turned: bool
) -> None:
    one, other = (other, one) if turned else (one, other)
    found = reconciled([session(location=one)], [cdr(location=other)])
    scores = [each.score for each in found.matched]
    assert scores == ([round(0.7 + 0.3 * agreement, 3)] if agreement else [])


@pytest.mark.parametrize(
    ("changes", "score"),
    [
        ({"total_energy": Decimal("12.6")}, 1.0),
        ({"total_energy": Decimal(25)}, 0.85),
        ({"total_energy": Decimal(0)}, 0.7),
        ({"total_energy": Decimal(-1)}, 0.7),
        ({"total_energy": Decimal("1e999999")}, 0.7),
        ({"total_energy": Decimal("1e-999999")}, 0.7),
        ({"start_date_time": "2024-05-20T08:01:00Z"}, 1.0),
        ({"stop_date_time": "2024-05-20T10:30:00Z"}, 0.8),
        ({"start_date_time": "2024-05-20T09:15:00Z", "stop_date_time": "2024-05-20T08:00:00Z"}, 1.0),
    ],
    ids=str,
)
def test_the_score_counts_how_far_energy_and_time_agree(changes: Document, score: float) -> None:
    found = reconciled([session()], [cdr(**changes)])
    assert [each.score for each in found.matched] == [score]


def test_what_reaches_no_threshold_is_no_match() -> None:
    """Half of the time, half of the energy, and the location alone: 0.15 + 0.2 + 0.15."""
    half: Document = {
        "stop_date_time": "2024-05-20T10:30:00Z",
        "total_energy": Decimal(25),
        "location": place(evse=None),
    }
    assert pairs(reconciled([session()], [cdr(**half)])) == []


def test_a_session_that_is_not_over_matches_by_its_start_and_its_energy_says_nothing() -> None:
    active = session(status="ACTIVE", end_datetime=..., total_cost=..., kwh="0")
    found = reconciled([active], [cdr()])
    assert [each.score for each in found.matched] == [round(0.3 + 0.4 * 0.8 + 0.3 * 0.5, 3)]
    assert differing(found) == [("kwh", Decimal("12.5"), Decimal(0))]
    assert pairs(reconciled([session(status="ACTIVE", end_datetime=..., at=30)], [cdr()])) == []


def test_many_sessions_of_one_driver_at_one_evse_cost_a_bounded_number_of_comparisons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred hostile CDRs that each overlap with every session."""
    monkeypatch.setattr(reconcile_match, "NEIGHBOURS", 2)
    compared: Counter[str] = Counter()
    real = reconcile_match.score_of

    def counted(one: Any, other: Any) -> float:
        compared[one.id] += 1
        return real(one, other)

    monkeypatch.setattr(reconcile_match, "score_of", counted)
    sessions = [session(f"S{number:03}", at=number / 10) for number in range(40)]
    cdrs = [cdr(f"C{number:03}", of=sessions[number], stop_date_time="2024-06-20T08:00:00Z") for number in range(40)]
    reconciled(sessions, cdrs)
    assert len(compared) == 40
    assert max(compared.values()) == 4


def test_many_sessions_of_one_authorization_cost_a_bounded_number_of_comparisons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile_match, "NEIGHBOURS", 2)
    compared: Counter[str] = Counter()
    real = reconcile_match._Matching._farness

    def counted(self: Any, one: Any, other: int) -> Any:
        compared[one.id] += 1
        return real(self, one, other)

    monkeypatch.setattr(reconcile_match._Matching, "_farness", counted)
    sessions = [session(f"S{number:03}", at=2 * number, authorization_id="A1") for number in range(40)]
    cdrs = [cdr(f"X{number:03}", of=sessions[number], authorization_id="a1") for number in range(40)]
    found = reconciled(sessions, [*cdrs, cdr("s007", of=sessions[30], authorization_id="A1")])
    made = {one: other for one, other, how in pairs(found) if how == "authorization_id"}
    assert (len(made), made["s007"], made["X006"], made["X007"]) == (40, "S007", "S006", "S008")
    assert max(compared.values()) <= 4
