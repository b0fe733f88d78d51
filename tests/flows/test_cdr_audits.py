"""Audits of stored CDRs through the doors of an eMSP: one, a partner's, and the readings that fit (docs/audit.md)."""

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
