"""An eMSP on a store with many requests at once: nothing is lost, nothing is doubled, nothing moves back.

Rules of this module: everything goes through the public API (partners.py); the updates are drawn with a fixed seed,
their order among the workers depends on the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from random import Random
from typing import Any, ClassVar

import pytest

from ocpi_emsp.flows.parties.party import PartyState
from ocpi_emsp.ports import AnyStore, Key, Kind, Record
from ocpi_emsp.testing.contract.partners import CREDENTIALS, NOW, Answer, Partner
from ocpi_emsp.testing.contract.tools import ContractTools
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document, timestamp

_LOCATIONS, _EVSES = 10, 100
_BEGIN = NOW - timedelta(days=30)
_STATUS = ["AVAILABLE", "CHARGING", "BLOCKED", "OUTOFORDER"]


def _at(second: int) -> str:
    return timestamp(_BEGIN + timedelta(seconds=second))


def _location(location_id: str, evses: int) -> Document:
    uids = [f"E{number}" for number in range(evses)]
    parts = [samples.evse(uid, evse_id=f"NL*TNM*{uid}", status="AVAILABLE", last_updated=_BEGIN) for uid in uids]
    return samples.location(location_id, evses=0, last_updated=_BEGIN) | {"evses": parts}


def _session(status: str, second: int) -> Document:
    session = samples.session("SES1", at=samples.relevant(_location("L0", 1)), start=_BEGIN, status=status)
    return session | {"last_updated": _at(second)}


def _cdr(cost: float = 4.5) -> Document:
    return samples.cdr("CDR1", of=_session("COMPLETED", 3600)) | {"total_cost": cost}


class ConcurrencyContract(ContractTools):
    """The tests of an eMSP on a store. ``store`` is empty at the start of each test."""

    workers: ClassVar[int] = 32
    """Threads of a sync host, or tasks of an async one."""
    patches: ClassVar[int] = 4000
    """Updates of EVSEs; a tenth of them are sent twice."""
    at_once: ClassVar[int] = 50
    """How often one CDR is posted at once."""

    @pytest.fixture
    def partner(self, store: AnyStore) -> Partner:
        """A CPO that is registered with an eMSP on the store."""
        return Partner.of(self, store).register()

    @pytest.fixture
    def newcomer(self, store: AnyStore) -> Partner:
        """A CPO that has token A."""
        return Partner.of(self, store)

    # --- locations ----------------------------------------------------------------------------------------------

    def test_evses_patched_at_random_end_with_the_newest_update_of_each(
        self, store: AnyStore, partner: Partner
    ) -> None:
        puts = [
            partner.request("PUT", f"locations/*/L{number}", _location(f"L{number}", _EVSES))
            for number in range(_LOCATIONS)
        ]
        for (created,) in partner.at_once(*[[each] for each in puts]):
            assert (created.http_status, created.status_code) == (201, 1000), created
        random = Random(2_1_1)
        newest: dict[str, dict[str, Any]] = {}
        updates: list[tuple[str, dict[str, Any]]] = []
        for second in range(1, self.patches + 1):
            path = f"L{random.randrange(_LOCATIONS)}/E{random.randrange(_EVSES)}"
            # `floor_level` makes each update unique.
            newest[path] = {"status": random.choice(_STATUS), "floor_level": str(second), "last_updated": _at(second)}
            updates.append((path, newest[path]))
        updates += random.sample(updates, self.patches // 10)
        random.shuffle(updates)
        requests = [partner.request("PATCH", f"locations/*/{path}", update) for path, update in updates]
        stored = dict.fromkeys((path for path, _ in updates), 0)
        answers = partner.at_once(*(requests[worker :: self.workers] for worker in range(self.workers)))
        for worker, those in enumerate(answers):
            for (path, _), answer in zip(updates[worker :: self.workers], those, strict=True):
                assert (answer.http_status, answer.status_code) == (200, 1000), answer
                stored[path] += answer.is_stored
        for number in range(_LOCATIONS):
            self._check_location(store, partner, f"L{number}", newest, stored)

    def _check_location(
        self,
        store: AnyStore,
        partner: Partner,
        location_id: str,
        newest: dict[str, dict[str, Any]],
        stored: dict[str, int],
    ) -> None:
        key = Key(Kind.LOCATION, "NL", "TNM", location_id)
        records: Sequence[Record] = self.run(store, lambda tx: tx.children(key))
        document = partner.send(partner.request("GET", f"locations/*/{location_id}")).data
        assert len(records) == len(document["evses"]) == _EVSES
        for record, evse in zip(records, document["evses"], strict=True):
            path = f"{location_id}/{evse['uid']}"
            update = newest.get(path, {"status": "AVAILABLE", "last_updated": _at(0)})
            assert {name: evse.get(name) for name in update} == update, path
            assert (record.key.id, timestamp(record.last_updated)) == (evse["uid"], update["last_updated"])
            assert record.revision == 1 + stored.get(path, 0), f"{path}: a revision is missing, or one is too many"
        latest = max(evse["last_updated"] for evse in document["evses"])
        assert document["last_updated"] == latest
        assert timestamp(self.got(store, key).last_updated) == latest

    # --- CDRs ---------------------------------------------------------------------------------------------------

    def test_one_cdr_posted_many_times_at_once_is_stored_once_and_answered_alike(
        self, store: AnyStore, partner: Partner
    ) -> None:
        request = partner.request("POST", "cdrs", _cdr())
        first, *others = [answer for (answer,) in partner.at_once(*[[request]] * self.at_once)]
        assert (first.http_status, first.status_code) == (201, 1000), first
        assert first.location == "https://emsp.test/ocpi/emsp/2.1.1/cdrs/CDR1"
        assert others == [first] * (self.at_once - 1)
        (record,) = self.records(store, Kind.CDR).records
        assert (record.document, record.revision) == (request.body, 1)
        assert self.page(store, Kind.CDR_CONFLICT) == ([], 0)

    def test_of_two_cdrs_under_one_id_the_first_stands(self, store: AnyStore, partner: Partner) -> None:
        requests = [partner.request("POST", "cdrs", _cdr(cost)) for cost in (4.5, 5.5)]
        answers = partner.at_once(*[[requests[number % 2]] for number in range(self.workers)])
        (record,) = self.records(store, Kind.CDR).records
        for number, (answer,) in enumerate(answers):
            wanted = (201, 1000) if requests[number % 2].body == record.document else (200, 2001)
            assert (answer.http_status, answer.status_code) == wanted, answer
        (beside,) = self.records(store, Kind.CDR_CONFLICT).records
        assert {record.document, beside.document} == {request.body for request in requests}

    # --- sessions -----------------------------------------------------------------------------------------------

    def test_a_session_that_is_completed_stays_so(self, partner: Partner) -> None:
        path = "sessions/*/SES1"
        last, seen = 1000, partner.request("GET", path)
        assert partner.send(partner.request("PUT", path, _session("ACTIVE", 0))).http_status == 201
        completing = partner.request("PATCH", path, {"status": "COMPLETED", "last_updated": _at(last)})
        random = Random(2_1_1)
        queues = []
        for worker in range(self.workers):
            seconds = random.sample(range(1, last), 5)
            changes = [{"status": "ACTIVE", "kwh": worker, "last_updated": _at(second)} for second in seconds]
            requests = [partner.request("PATCH", path, change) for change in changes]
            requests.insert(2, partner.request("PUT", path, _session("PENDING", seconds[0])))
            if worker == self.workers // 2:
                requests.insert(3, completing)
            queues.append([each for request in requests for each in (request, seen)])
        for answers in partner.at_once(*queues):
            self._stays_completed(answers)
        assert partner.send(seen).data["status"] == "COMPLETED"
        self._nothing_moves(partner, "COMPLETED", last + 1)
        invalid = partner.request("PATCH", path, {"status": "INVALID", "last_updated": _at(last + 3)})
        for (answer,) in partner.at_once(*[[invalid] for _ in range(self.workers)]):
            assert answer.status_code == 1000
        self._nothing_moves(partner, "INVALID", last + 4)

    def _nothing_moves(self, partner: Partner, status: str, second: int) -> None:
        path = "sessions/*/SES1"
        late = [
            partner.request("PUT", path, _session("ACTIVE", second)),
            partner.request("PATCH", path, {"status": "PENDING", "last_updated": _at(second + 1)}),
            partner.request("PATCH", path, {"status": "ACTIVE"}),
        ]
        seen = partner.request("GET", path)
        for answers in partner.at_once(*[[late[worker % 3], seen] for worker in range(self.workers)]):
            assert not answers[0].is_stored
            assert answers[1].data["status"] == status

    @staticmethod
    def _stays_completed(answers: Sequence[Answer]) -> None:
        assert {answer.status_code for answer in answers} == {1000}
        seen = [answer.data["status"] for answer in answers[1::2]]
        first = seen.index("COMPLETED") if "COMPLETED" in seen else len(seen)
        assert set(seen[first:]) <= {"COMPLETED"}

    # --- credentials --------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("parties", [2, 8])
    def test_handshakes_of_one_party_at_once_leave_one_valid_token(self, newcomer: Partner, parties: int) -> None:
        token_a, request = newcomer.token, newcomer.request("POST", "credentials", CREDENTIALS)
        first, *others = sorted(
            (answer for (answer,) in newcomer.meeting(request, times=parties)), key=lambda answer: answer.http_status
        )
        assert (first.http_status, first.status_code) == (201, 1000), first
        assert [answer.http_status for answer in others] == [405] * (parties - 1), others
        token = first.data["token"]
        assert newcomer.knows(token)
        assert not newcomer.knows(token_a)
        assert newcomer.knows(token)
        self._is_the_only_token(newcomer, token)

    @pytest.mark.parametrize("times", [2, 8])
    def test_renewals_at_once_leave_one_valid_token(self, partner: Partner, times: int) -> None:
        old, request = partner.token, partner.request("PUT", "credentials", CREDENTIALS)
        answers = [answer for (answer,) in partner.meeting(request, times=times)]
        assert {(answer.http_status, answer.status_code) for answer in answers} == {(200, 1000)}, answers
        party = partner.party()
        assert party is not None
        tokens = {sha256(answer.data["token"].encode()).hexdigest(): answer.data["token"] for answer in answers}
        token = tokens.pop(party.issued[-1].sha256)
        assert len(tokens) == times - 1
        assert partner.knows(token)
        assert not any(map(partner.knows, [old, *tokens.values()]))
        assert partner.knows(token)
        self._is_the_only_token(partner, token)

    def test_a_renewal_and_an_end_at_once_leave_a_whole_party(self, partner: Partner) -> None:
        renewals = [[partner.request("PUT", "credentials", CREDENTIALS)]] * 6
        ends = [[partner.request("DELETE", "credentials")]] * 2
        answers = partner.at_once(*renewals, *ends)
        *renewed, ended, again = [answer.http_status for (answer,) in answers]
        assert 200 in (ended, again), answers
        assert {*renewed, ended, again} <= {200, 401, 405}, answers
        party = partner.party()
        assert party is not None
        assert (party.state, party.token) == (PartyState.UNREGISTERED, None)
        assert partner.tokens_stored() == len(party.issued)

    def _is_the_only_token(self, partner: Partner, token: str) -> None:
        party = partner.party()
        assert party is not None
        assert [issued.sha256 for issued in party.issued] == [sha256(token.encode()).hexdigest()]
        assert partner.tokens_stored() == 1
