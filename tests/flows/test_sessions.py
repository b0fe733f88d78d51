"""Sessions from a CPO (mod_sessions.md 2.2; PARTNER-QUIRKS.md rows 4 to 6, 15, 18)."""

import json
from decimal import Decimal
from typing import Any

import pytest

from flows.support import Peer, at, peer
from ocpi_emsp._bridge import run
from ocpi_emsp.events import SessionReceived
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document
from our_emsp import NOW

SESSION = "sessions/*/SES1"


def session(minute: int = 0, status: str = "ACTIVE", **changes: Any) -> Document:
    return {**samples.session(status=status), "last_updated": at(minute), **changes}


@pytest.fixture
def cpo() -> Peer:
    """A CPO whose ACTIVE session SES1 is known; nothing has happened since."""
    known = peer()
    known.put(SESSION, session())
    known.taken()
    return known


def test_a_refusal_names_its_error_and_not_an_earlier_note(caplog: pytest.LogCaptureFixture) -> None:
    answer = peer().push(
        "PUT", SESSION, {**session(), "auth_id": "\u00e4", "start_datetime": "2024-05-01T10:00:00", "status": 7}
    )
    assert answer.code == 2001
    assert [each["severity"] for each in answer.data] != ["error"]
    assert "/status" in answer.message
    assert "rule=value.type pointer=/status" in caplog.text


def test_a_session_is_returned_byte_for_byte(cpo: Peer) -> None:
    received = (
        json.dumps(session(1), default=str, indent=1).replace('"12.5000"', "12.500000000000000000000001").encode()
    )
    cpo.put(SESSION, received)
    assert cpo.push("GET", SESSION).raw == received


def test_a_stored_session_that_cannot_be_read_holds_up_no_later_one(cpo: Peer) -> None:
    async def spoil() -> None:
        async with cpo.store.transaction() as tx:
            await tx.put(Record(Key(Kind.SESSION, "NL", "TNM", "SES1"), b'{"status":"ACTIVE","kwh":2}', NOW, NOW))

    run(spoil())
    answer = cpo.push("PUT", SESSION, session(9, kwh=Decimal(1)))
    assert answer.both == (200, 1000)
    assert "[session.kwh.decreased]" in answer.message


@pytest.mark.parametrize("final", ["COMPLETED", "INVALID"])
@pytest.mark.parametrize("later", ["ACTIVE", "PENDING", "COMPLETED", "INVALID", "VENDOR"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_final_status_stays(cpo: Peer, final: str, later: str, method: str) -> None:
    cpo.put(SESSION, session(1, final))
    stored = cpo.data(SESSION)
    cpo.taken()
    change: dict[str, Any] = {"status": later, "kwh": Decimal("99.9"), "last_updated": at(9)}
    answer = cpo.push(method, SESSION, session(9, **change) if method == "PUT" else change)
    assert answer.both == (200, 1000)
    if (final, later) == ("COMPLETED", "INVALID"):
        assert cpo.data(SESSION)["status"] == "INVALID"
        assert "[session.invalidated]" in answer.message
        assert cpo.taken() == ["SessionReceived", "SessionInvalidated"]
    elif later == final:
        assert cpo.data(SESSION) == (session(9, **change) if method == "PUT" else stored | change)
        assert cpo.taken() == ["SessionReceived"]
    else:
        assert answer.message == f"Not stored: the session is {final}, which is final"
        assert cpo.data(SESSION) == stored
        assert cpo.taken() == []


def test_a_late_cost_reaches_a_completed_session(cpo: Peer) -> None:
    cpo.put(SESSION, session(1, "COMPLETED"))
    assert cpo.push("PATCH", SESSION, {"total_cost": Decimal("0.60")}).message == "Success"
    assert cpo.data(SESSION)["total_cost"] == Decimal("0.60")


@pytest.mark.parametrize(("append", "count"), [(False, 1), (True, 2)])
def test_charging_periods_are_replaced_or_added_as_the_profile_says(cpo: Peer, append: bool, count: int) -> None:
    cpo.set_profile(append_charging_periods=append)
    stored = session()["charging_periods"]
    assert len(stored) == 1
    period = stored[0] | {"start_date_time": at(30)}
    assert cpo.push("PATCH", SESSION, {"charging_periods": [period]}).message == "Success"
    assert cpo.data(SESSION)["charging_periods"] == [*stored, period][-count:]


def test_appending_leaves_a_patch_without_periods_alone(cpo: Peer) -> None:
    cpo.set_profile(append_charging_periods=True)
    cpo.push("PATCH", SESSION, {"kwh": 20})
    assert cpo.data(SESSION)["charging_periods"] == session()["charging_periods"]


def test_appending_to_a_session_without_periods_starts_the_list() -> None:
    cpo = peer()
    cpo.set_profile(append_charging_periods=True)
    cpo.put(SESSION, samples.started_session("SES1", at=session()["location"], auth_id="A", start=samples.BASE))
    cpo.push("PATCH", SESSION, {"charging_periods": session()["charging_periods"]})
    assert cpo.data(SESSION)["charging_periods"] == session()["charging_periods"]


def test_what_the_specification_writes_as_text_is_accepted_and_kept_as_received(cpo: Peer) -> None:
    """Row 14: numbers as strings, country alpha-2; the view is normal, the document is as received."""
    loose = session(1, kwh="12.60", location=session()["location"] | {"country": "NL"})
    assert cpo.push("PUT", SESSION, loose).both == (200, 1000)
    assert cpo.data(SESSION) == loose
    (event,) = cpo.events
    assert isinstance(event, SessionReceived)
    assert (event.session.kwh, event.session.location.country) == (Decimal("12.60"), "NLD")


def test_a_strict_profile_refuses_what_deviates(cpo: Peer) -> None:
    cpo.set_profile(refuses="warning")
    loose = session(1, location=session()["location"] | {"country": "NL"})
    answer = cpo.push("PUT", SESSION, loose)
    assert answer.both == (200, 2001)
    assert [(each["pointer"], each["severity"]) for each in answer.data] == [("/location/country", "warning")]
    assert cpo.data(SESSION) == session()
