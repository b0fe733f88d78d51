"""The rules of finding CDRs and sessions by driver, place and time of the charge."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ocpi_emsp.ports import AnyStore, Key, Kind, Query, Record, Transaction
from ocpi_emsp.testing.contract.tools import BASE, ContractTools, ids, record, token
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode

_HOUR = timedelta(hours=1)


def _session(name: str, hour: float, auth_id: str = "D1", country_code: str = "NL") -> Record:
    document = samples.session(name, start=BASE + hour * _HOUR, auth_id=auth_id)
    return record(Key(Kind.SESSION, country_code, "TNM", name), encode(document))


def _cdr(name: str, hour: float, auth_id: str = "D1", location: str = "L1", country_code: str = "NL") -> Record:
    at = samples.relevant(samples.location(location))
    of = samples.session(start=BASE + hour * _HOUR, auth_id=auth_id, at=at)
    return record(Key(Kind.CDR, country_code, "TNM", name), encode(samples.cdr(name, of=of)))


class ChargeRules(ContractTools):
    """Records by driver, location and start."""

    def test_a_page_selects_by_driver_location_and_start(self, store: AnyStore) -> None:
        self.put(
            store,
            _cdr("C3", 3),
            _cdr("C1", 1, location="L2"),
            _cdr("C2", 2, auth_id="D2"),
            _cdr("C4", 4, country_code="DE"),
            record(Key(Kind.CDR, "NL", "TNM", "BAD")),
        )
        assert self.page(store, Kind.CDR, auth_id="D1") == (["C3", "C1", "C4"], 3)
        assert self.page(store, Kind.CDR, auth_id="d1") == ([], 0)
        assert self.page(store, Kind.CDR, location_id="L1") == (["C3", "C2", "C4"], 3)
        assert self.page(store, Kind.CDR, location_id="L1", auth_id="D2") == (["C2"], 1)
        start, end = BASE + 2 * _HOUR, BASE + 4 * _HOUR
        assert self.page(store, Kind.CDR, start_from=start) == (["C3", "C2", "C4"], 3)
        assert self.page(store, Kind.CDR, start_to=start) == (["C1"], 1)
        assert self.page(store, Kind.CDR, auth_id="D1", start_from=start, start_to=end) == (["C3"], 1)
        assert self.page(store, Kind.CDR, location_id="L1", start_from=start, start_to=end) == (["C3", "C2"], 2)
        assert self.page(store, Kind.CDR, location_id="L1", start_from=end, start_to=start) == ([], 0)
        assert self.page(store, Kind.CDR, auth_id="D1", country_code="nl", limit=1, offset=1) == (["C1"], 2)
        assert self.page(store, Kind.CDR, location_id="L1", limit=2, count=False) == (["C3", "C2"], 0)
        first = self.records(store, Kind.CDR, limit=1).records[0].sequence
        assert self.page(store, Kind.CDR, auth_id="D1", after=first) == (["C1", "C4"], 2)
        assert self.page(store, Kind.CDR, auth_id="D1", id="C4") == (["C4"], 1)
        assert self.page(store, Kind.TOKEN, auth_id="D1") == ([], 0)
        assert self.page(store, Kind.TARIFF, auth_id="D1") == ([], 0)

    def test_sessions_are_selected_by_driver_and_start(self, store: AnyStore) -> None:
        self.put(store, _session("S2", 2), _session("S1", 1), _session("S3", 2, "D2"), _session("S4", 2, "D1", "DE"))
        assert self.page(store, auth_id="D1") == (["S2", "S1", "S4"], 3)
        assert self.page(store, auth_id="D1", start_from=BASE + 2 * _HOUR) == (["S2", "S4"], 2)
        assert self.page(store, start_to=BASE + 2 * _HOUR, country_code="NL") == (["S1"], 1)
        assert self.page(store, location_id="LOC1") == ([], 0)

    def test_a_page_has_those_that_start_first_or_last(self, store: AnyStore) -> None:
        self.put(store, _cdr("C3", 3), _cdr("C1", 1), _cdr("C2", 2, location="L2"), _cdr("C4", 4, country_code="DE"))
        self.put(store, _cdr("D2", 2, auth_id="D2"), record(Key(Kind.CDR, "NL", "TNM", "BAD")), _session("S1", 1))
        self.put(store, _session("S2", 2))
        first: dict[str, Any] = {"by_start": "first", "auth_id": "D1", "limit": 2}
        last = first | {"by_start": "last"}
        assert self.page(store, Kind.CDR, **first) == (["C1", "C2"], 4)
        assert self.page(store, Kind.CDR, **last) == (["C4", "C3"], 4)
        assert self.page(store, Kind.CDR, **last, country_code="nl", party_id="TNM") == (["C3", "C2"], 3)
        assert self.page(store, Kind.CDR, **last, start_to=BASE + 3 * _HOUR, count=False) == (["C2", "C1"], 0)
        assert self.page(store, Kind.CDR, **first, start_from=BASE + 3 * _HOUR) == (["C3", "C4"], 2)
        assert self.page(store, Kind.CDR, by_start="last", location_id="L1", limit=1) == (["C4"], 4)
        assert self.page(store, by_start="last", auth_id="D1") == (["S2", "S1"], 2)
        assert self.page(store, Kind.TOKEN, by_start="last") == ([], 0)

        async def work(tx: Transaction) -> tuple[list[str], list[str]]:
            await tx.delete(Key(Kind.CDR, "DE", "TNM", "C4"))
            await tx.put(_cdr("C1", 9))
            await tx.put(_cdr("C5", 0))
            pages = [await tx.page(Query(kind=Kind.CDR, count=False, **each)) for each in (first, last)]
            return ids(pages[0].records), ids(pages[1].records)

        assert self.run(store, work) == (["C5", "C2"], ["C1", "C3"])
        self.put(store, *(_cdr(f"SAME{number}", 5, auth_id="D3") for number in range(4)))
        same, _ = self.page(store, Kind.CDR, by_start="last", auth_id="D3", limit=3)
        assert len(set(same)) == 3

    def test_what_changes_or_goes_is_selected_by_what_it_is_now(self, store: AnyStore) -> None:
        self.put(store, _cdr("C1", 1), _cdr("C2", 2), _cdr("C3", 3))
        self.put(store, _cdr("C1", 5, "D2"), _cdr("C2", 2, location="L2"))
        query: dict[str, Any] = {"start_to": BASE + 9 * _HOUR}
        assert self.page(store, Kind.CDR, auth_id="D1", **query) == (["C2", "C3"], 2)
        assert self.page(store, Kind.CDR, auth_id="D2", **query) == (["C1"], 1)
        assert self.page(store, Kind.CDR, location_id="L1", **query) == (["C1", "C3"], 2)

        async def work(tx: Transaction) -> list[str]:
            await tx.delete(Key(Kind.CDR, "NL", "TNM", "C3"))
            await tx.put(_cdr("C1", 1))
            await tx.put(_cdr("C4", 1))
            return ids((await tx.page(Query(kind=Kind.CDR, auth_id="D1"))).records)

        assert self.run(store, work) == ["C1", "C2", "C4"]
        assert self.page(store, Kind.CDR, auth_id="D1") == (["C1", "C2", "C4"], 3)
        assert self.page(store, Kind.CDR, auth_id="D2") == ([], 0)

    def test_tokens_are_selected_by_their_auth_id(self, store: AnyStore) -> None:
        made = {uid: samples.token(uid, auth_id=auth_id) for uid, auth_id in (("T1", "D1"), ("T2", "D2"), ("T3", "D1"))}
        self.put(store, *(record(token(uid).key, encode(document)) for uid, document in made.items()))
        assert self.page(store, Kind.TOKEN, auth_id="D1") == (["T1", "T3"], 2)
        assert self.page(store, Kind.TOKEN, auth_id="D1", country_code="IT", party_id="BEC", limit=1) == (["T1"], 2)
        assert self.page(store, Kind.TOKEN, auth_id="D1", start_from=BASE) == ([], 0)
