"""Audits of stored CDRs: one, a partner's, and the readings that fit (docs/how-to/audit-bills.md)."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest

from flows.audits_desk import START, cdr, post
from flows.support import Peer, peer
from ocpi_emsp.errors import InvalidObject, UnknownObject
from ocpi_emsp.events import CdrAudited, Event
from ocpi_emsp.flows.cdrs import known_tokens, neighbours, surroundings
from ocpi_emsp.pricing import Audit, Readings, Verdict
from ocpi_emsp.report.audits import AuditTally
from sync.support import synced

RIGHT, WRONG, UNDECIDABLE = Verdict.RIGHT, Verdict.WRONG, Verdict.UNDECIDABLE


@pytest.fixture
def cpo() -> Peer:
    return peer(listen=False)


def sent(cpo: Peer, *documents: bytes) -> None:
    for document in documents:
        post(cpo.emsp, cpo.token, document)


def test_a_stored_cdr_is_audited_by_its_id_in_any_case(cpo: Peer) -> None:
    sent(cpo, cdr(1), cdr(2, "7.00"))
    right, wrong = (cpo.emsp.cdrs.audit("nl-tnm", cdr_id) for cdr_id in ("cdr1", "CDR2"))
    assert (right.verdict, right.cdr, right.claimed, right.expected) == (RIGHT, "CDR1", Decimal(4), Decimal(4))
    assert (wrong.verdict, wrong.difference, wrong.at_least) == (WRONG, Decimal(3), False)
    assert right.readings == Readings()

    async def twin() -> Audit:
        return await cpo.emsp.aio.cdrs.audit("NL-TNM", "CDR2")

    assert anyio.run(twin) == wrong


def test_a_cdr_that_is_not_known(cpo: Peer) -> None:
    for party in ("NL-TNM", "DE-XYZ"):
        with pytest.raises(UnknownObject, match=rf"cdr 'CDR1' of {party} is not known"):
            cpo.emsp.cdrs.audit(party, "CDR1")
    with pytest.raises(ValueError, match="invalid party 'TNM'"):
        cpo.emsp.cdrs.audit("TNM", "CDR1")


def test_the_profile_says_how_prices_are_read_and_an_argument_overrides_it(cpo: Peer) -> None:
    # 2.00 per hour for 1.973 h without blocks: 3.9461 (7103 s); 4.00 with blocks of 300 s. With 21 % on top: 4.84.
    sent(cpo, cdr(1, "4.84"))
    audit = cpo.emsp.cdrs.audit
    assert audit("NL-TNM", "CDR1").verdict is WRONG
    cpo.emsp.partner("NL-TNM").set_profile(readings={"vat": 21})
    by_profile = audit("NL-TNM", "CDR1")
    assert (by_profile.verdict, by_profile.readings) == (RIGHT, Readings(vat=Decimal(21)))
    assert audit("NL-TNM", "CDR1", readings=Readings()).verdict is WRONG
    changed = audit("NL-TNM", "CDR1", readings={"step": "none"})
    assert (changed.verdict, changed.readings) == (WRONG, Readings(vat=Decimal(21), step="none"))
    wrong: list[tuple[Any, type[Exception], str]] = [
        ({"steps": "none"}, ValueError, "invalid reading 'steps'"),
        ({"step": "never"}, ValueError, "invalid reading step 'never'"),
        ("step=none", TypeError, "invalid readings 'step=none': expected Readings or a mapping"),
    ]
    for bad, error, why in wrong:
        with pytest.raises(error, match=why):
            audit("NL-TNM", "CDR1", readings=bad)
        with pytest.raises(error, match=why):
            cpo.emsp.partner("NL-TNM").audit(readings=bad)


TARIFF = json.loads(cdr())["tariffs"][0]


def priced(price: str, hour: int, **changes: Any) -> dict[str, Any]:
    """A tariff with a price per hour, changed at an hour of the day of the sessions, which begin at 21:39."""
    component = {"type": "TIME", "price": float(price), "step_size": 300}
    stamp = f"2015-06-29T{hour:02}:00:00Z"
    return {**TARIFF, "id": "11", "elements": [{"price_components": [component]}], "last_updated": stamp, **changes}


def test_a_cdr_without_a_tariff_has_the_one_that_was_stored_when_its_session_began(cpo: Peer) -> None:
    # The connector names tariff 11. 2 h (1.973 h in blocks of 300 s) at 3.00 are 6.00, at 2.00 are 4.00.
    sent(cpo, cdr(1, "6.00", tariffs=[]))
    assert codes(cpo) == ["tariff.missing"]
    cpo.put("tariffs/*/11", priced("2.00", 22))
    assert codes(cpo) == ["tariff.not_yet"]
    for price, hour in (("9.00", 1), ("3.00", 12), ("2.00", 23)):
        cpo.put("tariffs/*/12", priced(price, hour, id="12"))
    sent(cpo, cdr(2, "6.00", tariffs=[], location=located("12")))
    found = cpo.emsp.cdrs.audit("NL-TNM", "CDR2")
    assert (found.verdict, found.expected) == (RIGHT, Decimal(6))
    assert any("stored" in each or "store" in each for each in found.assumptions), found.assumptions
    assert not any("min_price" in each for each in found.assumptions)
    cpo.put("tariffs/*/13", priced("3.00", 1, id="13", min_price=0.5))
    sent(cpo, cdr(4, "6.00", tariffs=[], location=located("13")), cdr(5, "6.00", total_fixed_cost=7))
    for cdr_id, member in (("CDR4", "min_price"), ("CDR5", "total_fixed_cost")):
        assert any(member in each for each in cpo.emsp.cdrs.audit("NL-TNM", cdr_id).assumptions), "it is said"
    cpo.push("DELETE", "tariffs/*/13")
    sent(cpo, cdr(3, "6.00", tariffs=[], location=located(None)))
    assert cpo.emsp.cdrs.audit("NL-TNM", "CDR3").verdict is RIGHT, "12 and 13 held then, and both give 6.00"


def codes(cpo: Peer, cdr_id: str = "CDR1") -> list[str]:
    return [each.code for each in cpo.emsp.cdrs.audit("NL-TNM", cdr_id).reasons if each.code.startswith("tariff.")]


def located(tariff_id: str | None, **changes: Any) -> dict[str, Any]:
    location: dict[str, Any] = json.loads(cdr())["location"]
    (connector,) = location["evses"][0]["connectors"]
    connector["tariff_id"] = tariff_id
    return location | changes


NIGHT = {"start_time": "22:00", "end_time": "05:00"}
EVENING = [
    {"price_components": [{"type": "TIME", "price": 3.0, "step_size": 300}], "restrictions": NIGHT},
    {"price_components": [{"type": "TIME", "price": 2.0, "step_size": 300}]},
]
"""3.00 per hour at night. The session begins at 21:39 UTC, 23:39 in Brussels, 17:39 in New York; it takes 2 h."""


def test_the_zone_is_that_of_the_cdr_the_stored_location_or_the_profile(cpo: Peer) -> None:
    tariffs = [{**TARIFF, "elements": EVENING}]
    place = located(None, country="USA")  # a country of several zones, which leaves the zone open
    sent(cpo, cdr(1, "6.00", tariffs=tariffs, location=place))
    assert cpo.emsp.cdrs.audit("NL-TNM", "CDR1").verdict is not RIGHT
    cpo.emsp.partner("NL-TNM").set_profile(time_zone="Europe/Brussels")
    assert cpo.emsp.cdrs.audit("NL-TNM", "CDR1").verdict is RIGHT
    stored = {**place, "time_zone": "America/New_York", "last_updated": "2024-05-01T00:00:00Z"}
    cpo.put("locations/*/LOC1", stored)
    found = cpo.emsp.cdrs.audit("NL-TNM", "CDR1")
    assert (found.verdict, found.expected) == (WRONG, Decimal(4)), "the stored location counts before the profile"
    sent(cpo, cdr(2, "6.00", tariffs=tariffs, location=located(None, country="USA", time_zone="Europe/Brussels")))
    assert cpo.emsp.cdrs.audit("NL-TNM", "CDR2").verdict is RIGHT, "the CDR counts before the stored location"


def test_what_is_suspicious_beside_the_price_is_among_the_reasons(cpo: Peer) -> None:
    sent(cpo, cdr(1), cdr(2))
    for cdr_id, other in (("CDR1", "CDR2"), ("CDR2", "CDR1")):
        found = cpo.emsp.cdrs.audit("NL-TNM", cdr_id)
        (reason,) = [each for each in found.reasons if each.code == "duplicate"]
        assert other in reason.message
        assert found.verdict is RIGHT
    report = cpo.emsp.partner("NL-TNM").audit()
    assert [[each.code for each in audit.reasons].count("duplicate") for audit in report] == [1, 1]
    cpo.emsp.partner("NL-TNM").set_profile(plausibility={"duplicate": "off"})
    assert "duplicate" not in [each.code for each in cpo.emsp.cdrs.audit("NL-TNM", "CDR1").reasons]


@pytest.mark.parametrize(
    "changes",
    [
        {"start_date_time": "0001-01-01T00:00:00Z"},
        {"stop_date_time": "9999-12-31T23:59:59Z"},
        {"start_date_time": "9999-12-31T23:59:59Z", "stop_date_time": "0001-01-01T00:00:00Z"},
        {"location": located("x" * 36, id="", time_zone="Mars/Olympus", country="ZZZ")},
        {"total_energy": 1e300, "total_time": -5, "charging_periods": [json.loads(cdr())["charging_periods"][0]] * 500},
        {"auth_id": "", "currency": "XXX"},
    ],
    ids=["early", "late", "reversed", "nowhere", "absurd", "empty"],
)
def test_whatever_was_stored_is_audited(cpo: Peer, changes: dict[str, Any]) -> None:
    for number, tariffs in ((1, [TARIFF]), (2, [])):
        sent(cpo, cdr(number, "4.00", **{"tariffs": tariffs, **changes}))
        assert cpo.emsp.audits.renew("NL-TNM", f"CDR{number}").audit.cdr == f"CDR{number}"
    assert cpo.emsp.partner("NL-TNM").audit().total == 2
    assert cpo.emsp.partner("NL-TNM").fit_readings().cdrs == 2


def test_cdrs_that_are_pulled_are_audited_too() -> None:
    found = list[Event]()
    with synced(audit=True, listen=found) as pair:
        pair.cpo.lists["cdrs"] = [json.loads(cdr(number, "7.00")) for number in range(3)]
        assert pair.pull("cdrs").created == 3
        assert pair.pull("cdrs", full=True).unchanged == 3
        assert pair.emsp.audits.make_pending() == 3
        assert [each.verdict for each in found if isinstance(each, CdrAudited)] == [WRONG] * 3


# --- a partner's ----------------------------------------------------------------------------------------------------


def test_a_report_is_lazy_and_adds_up(cpo: Peer) -> None:
    sent(cpo, *(cdr(number, total) for number, total in enumerate(["4.00", "7.00", "3.50", "4.00"])))
    sent(cpo, cdr(9, "5.00", currency="GBP", tariffs=_in("GBP")))
    report = cpo.emsp.partner("NL-TNM").audit()
    first, *others = (each.cdr for each in report)
    assert [first, *others] == ["CDR0", "CDR1", "CDR2", "CDR3", "CDR9"]
    assert report.counts == {RIGHT: 2, WRONG: 3, UNDECIDABLE: 0}
    assert (report.total, report.failed, report.all_right) == (5, 0, False)
    worst = [(each.cdr, each.difference) for each in report.worst]
    assert worst == [("CDR1", 3), ("CDR9", 1), ("CDR2", Decimal("-0.5"))]
    euros = report.sums["EUR"]
    assert list(report.sums) == ["EUR", "GBP"]
    assert (euros.cdrs, euros.claimed, euros.expected, euros.difference) == (
        4,
        Decimal("18.5"),
        Decimal(16),
        Decimal("2.5"),
    )
    assert (euros.overcharged, euros.undercharged) == (Decimal(3), Decimal("0.5"))
    assert list(report) == []
    again = cpo.emsp.partner("NL-TNM").audit(worst=1)
    assert next(iter(again)).cdr == "CDR0"
    assert again.counts == report.counts  # those that are left are read
    assert [each.cdr for each in again.worst] == ["CDR1"]


def _in(currency: str) -> list[Any]:
    document = json.loads(cdr())["tariffs"][0]
    return [{**document, "currency": currency}]


def test_a_report_of_a_time(cpo: Peer) -> None:
    sent(cpo, *(cdr(number) for number in range(60)))  # more than two pages
    partner = cpo.emsp.partner("NL-TNM")
    report = partner.audit(date_from=START + timedelta(minutes=10), date_to=START + timedelta(minutes=50))
    assert [each.cdr for each in report] == [f"CDR{number}" for number in range(10, 50)]
    assert partner.audit().counts[RIGHT] == 60
    assert cpo.emsp.partner("DE-XYZ").audit().total == 0
    naive = datetime(2024, 1, 1)  # that is what is tried
    windows: list[dict[str, Any]] = [{"date_from": naive}, {"date_to": naive}]
    for window in windows:
        with pytest.raises(ValueError, match="expected a datetime with a time zone"):
            partner.audit(**window)
    with pytest.raises(ValueError, match="invalid worst '-1': expected a whole number of 0 or more"):
        partner.audit(worst=-1)


def test_the_awaited_report(cpo: Peer) -> None:
    sent(cpo, cdr(1), cdr(2, "7.00"))

    async def work() -> tuple[list[str], AuditTally, list[Audit]]:
        partner = cpo.emsp.aio.partner("NL-TNM")
        report = partner.audit()
        with pytest.raises(RuntimeError, match=r"not complete: await report.summary\(\) first"):
            _ = report.counts
        seen = [each.cdr async for each in report]
        assert report.counts[WRONG] == 1
        return seen, await partner.audit().summary(), report.worst

    seen, tally, worst = anyio.run(work)
    assert seen == ["CDR1", "CDR2"]
    assert (tally.total, tally.counts[WRONG]) == (2, 1)
    assert worst == [cpo.emsp.cdrs.audit("NL-TNM", "CDR2")]


def test_a_cdr_that_cannot_be_read_is_named_and_the_others_are_audited(cpo: Peer) -> None:
    sent(cpo, cdr(1), cdr(2))
    _spoil(cpo, "CDR1")
    with pytest.raises(InvalidObject):
        cpo.emsp.cdrs.audit("NL-TNM", "CDR1")
    report = cpo.emsp.partner("NL-TNM").audit()
    assert [each.cdr for each in report] == ["CDR2"]
    assert (report.failed, report.all_right) == (1, False)
    (failure,) = report.failures
    assert failure.source == "NL-TNM CDR1"
    assert "auth_id is required" in failure.message


def _spoil(cpo: Peer, cdr_id: str) -> None:
    """Make a stored CDR unreadable, as a version of before, or a hand in the database, may have left it."""
    from attrs import evolve

    from ocpi_emsp._bridge import run
    from ocpi_emsp.ports import Key, Kind

    async def spoil() -> None:
        async with cpo.store.transaction() as tx:
            record = await tx.get(Key(Kind.CDR, "NL", "TNM", cdr_id))
            assert record is not None
            await tx.put(evolve(record, document=b'{"id":"CDR1"}', view=None))

    run(spoil())


# --- readings that fit ----------------------------------------------------------------------------------------------


def test_readings_that_make_most_cdrs_right_are_suggested_and_not_applied(cpo: Peer) -> None:
    # Without blocks 1.973 h are 7103 s: 2.00 * 7103 / 3600 = 3.946111..., rounded 3.95.
    sent(cpo, *(cdr(number, "3.95") for number in range(12)), cdr(20, "4.00"), cdr(21, "9.99"))
    partner = cpo.emsp.partner("NL-TNM")
    suggestion = partner.fit_readings()
    assert suggestion.before == {RIGHT: 1, WRONG: 13}
    assert suggestion.after == {RIGHT: 12, WRONG: 2}
    assert (suggestion.improves, suggestion.cdrs, suggestion.is_complete) == (True, 14, True)
    assert suggestion.settings == {"step": "none"}
    assert suggestion.call == 'set_profile(readings={"step": "none"})'
    assert [(each.name, each.value, each.right) for each in suggestion.steps] == [("step", "none", 12)]
    assert partner.profile().readings is None
    assert json.loads(json.dumps(suggestion.as_json()))["after"] == {"right": 12, "wrong": 2, "undecidable": 0}
    partner.set_profile(readings=suggestion.settings)
    again = partner.fit_readings()
    assert (again.improves, again.current, again.suggested) == (False, suggestion.suggested, suggestion.suggested)

    async def twin() -> Any:
        return await cpo.emsp.aio.partner("NL-TNM").fit_readings()

    assert anyio.run(twin) == again


def test_a_vat_rate_is_suggested(cpo: Peer) -> None:
    sent(cpo, *(cdr(number, "4.84") for number in range(4)))  # 4.00 and 21 %
    suggestion = cpo.emsp.partner("NL-TNM").fit_readings()
    assert suggestion.settings == {"vat": "21"}
    assert suggestion.after == {RIGHT: 4}


def test_no_cdrs_no_suggestion(cpo: Peer) -> None:
    sent(cpo, cdr(1))
    partner = cpo.emsp.partner("NL-TNM")
    suggestion = partner.fit_readings(date_from=datetime(2030, 1, 1, tzinfo=UTC))
    assert (suggestion.cdrs, suggestion.improves, suggestion.call) == (0, False, "set_profile(readings=None)")
    with pytest.raises(ValueError, match="expected a datetime with a time zone"):
        partner.fit_readings(date_to=datetime(2024, 1, 1))  # that is what is tried


def test_a_sample_is_audited_a_bounded_number_of_times(cpo: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    sent(cpo, *(cdr(number, "9.99") for number in range(30)))
    module = "ocpi_emsp.flows.cdrs.fit_readings"
    monkeypatch.setattr(f"{module}.SAMPLE", 20)
    suggestion = cpo.emsp.partner("NL-TNM").fit_readings()
    assert (suggestion.cdrs, suggestion.is_complete) == (20, True)
    monkeypatch.setattr(f"{module}.MAX_AUDITS", 50)
    suggestion = cpo.emsp.partner("NL-TNM").fit_readings()
    assert (suggestion.audits, suggestion.is_complete, suggestion.improves) == (50, False, False)


def test_of_a_crowded_location_the_nearest_are_looked_at_and_that_is_said(
    cpo: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 4)
    sent(cpo, *(cdr(number, auth_id=f"D{number}") for number in range(5)))
    said = "more than 100 CDRs at the location lie around it: the nearest were compared"
    audit = cpo.emsp.cdrs.audit("NL-TNM", "CDR0")
    assert said in audit.assumptions
    assert "neighbours.limit" not in {reason.code for reason in audit.reasons}
    sent(cpo, *(cdr(number, auth_id="d0") for number in range(5, 10)))
    audit = cpo.emsp.cdrs.audit("NL-TNM", "CDR5")
    (reason,) = [reason for reason in audit.reasons if reason.code == "neighbours.limit"]
    assert reason.message == "the driver has more than 100 CDRs around this one: the nearest are compared"


def test_what_is_around_the_cdrs_of_a_batch_is_looked_up_once(cpo: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, real = list[str](), known_tokens.known_token

    async def counted(tx: Any, us: Any, auth_id: str) -> Any:
        looked.append(auth_id)
        return await real(tx, us, auth_id)

    monkeypatch.setattr(surroundings, "known_token", counted)
    sent(cpo, *(cdr(number) for number in range(11)))  # ten are leased together
    cpo.emsp.audits.request()
    assert (cpo.emsp.audits.make_pending(), len(looked)) == (11, 2)
