"""Reconciliation of any data: every CDR and session stands in one place."""

from typing import Any

from hypothesis import given, strategies as st

from flows.reconcile_desk import Stored, cdr, changed, place, record, session
from ocpi_emsp.models import SessionStatus
from ocpi_emsp.ports import Kind, Record
from ocpi_emsp.testing.cpo.wire import Document

IDS = [*"abcABC", "1", "2"]
STATUSES = [each.value for each in SessionStatus]


@st.composite
def session_documents(draw: st.DrawFn, session_id: str) -> Document:
    made = session(session_id, at=draw(st.integers(0, 8)) / 2, kwh=str(draw(st.integers(0, 3))))
    return changed(
        made,
        {
            "auth_id": draw(st.sampled_from(["ANN", "ann", "BOB"])),
            "location": draw(st.sampled_from(PLACES)),
            "status": draw(st.sampled_from(STATUSES)),
            **({"end_datetime": ...} if draw(st.booleans()) else {}),
        },
    )


PLACES = [place(), place(evse=1), place(evse=None), place("LOC2")]


@st.composite
def cdr_documents(draw: st.DrawFn, cdr_id: str) -> Document:
    of = draw(session_documents(cdr_id))
    return cdr(cdr_id, of={**session(), **of})


@st.composite
def stores(draw: st.DrawFn) -> list[Record]:
    records = []
    for each in draw(st.sets(st.sampled_from(IDS))):
        broken = draw(st.integers(0, 9)) == 0
        document = draw(session_documents(each))
        records.append(record(Kind.SESSION, b"{}" if broken else document, record_id=each))
    for each in draw(st.sets(st.sampled_from([each.upper() for each in IDS] + ["C7", "C8"]))):
        broken = draw(st.integers(0, 9)) == 0
        records.append(record(Kind.CDR, b"{}" if broken else draw(cdr_documents(each)), record_id=each))
    return records


@given(stores(), st.randoms(use_true_random=False))
def test_every_cdr_and_session_is_in_one_place_whatever_came_first(records: list[Record], random: Any) -> None:
    found = Stored.of(*records).reconciled(limit=None)
    unreadable = [(each.kind, each.id) for each in found.unreadable]
    cdrs = [each.cdr.id for each in found.matched] + [each.id for each in found.cdrs_without_session]
    sessions = [each.session.id for each in found.matched if each.how not in ("duplicate", "credit")]
    sessions += [each.id for each in (*found.sessions_without_cdr, *found.sessions_not_due)]
    placed = [(Kind.CDR, each) for each in cdrs] + [(Kind.SESSION, each) for each in sessions] + unreadable
    assert sorted(placed) == sorted((each.key.kind, each.key.id) for each in records)
    assert (found.cdrs, found.sessions) == (len(cdrs), len(sessions))
    assert found.matched_by_id + found.matched_by_score + found.matched_as_copies == found.matched.count
    assert all(0.6 <= each.score <= 1 for each in found.matched)
    shuffled = list(records)
    random.shuffle(shuffled)
    assert Stored.of(*shuffled).reconciled(limit=None) == found
