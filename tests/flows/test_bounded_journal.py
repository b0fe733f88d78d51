"""What a partner makes grow in the journal: rejections and decisions, bounded for each party and in all."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from attrs import define, field

from flows.support import Peer, offline_emsp, peer
from ocpi_emsp import Emsp, Limits
from ocpi_emsp._bridge import run
from ocpi_emsp.flows.events.newest import level_of
from ocpi_emsp.ports import AUTHORIZATION, REJECTION, Owner, Transaction, Usage
from ocpi_emsp.settings import AuthorizeLimits, RejectionLimits
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.storage.sql.transaction import SqlTransaction
from ocpi_emsp.wire import Request
from our_emsp import register
from store.broken import AlteredStore

BAD = b'{"id":"S1","note":"%s"}'


def limits(**rejections: int) -> Limits:
    return Limits(rejections=RejectionLimits(**rejections))


def push_bad(cpo: Peer, count: int, size: int = 0) -> None:
    for number in range(count):
        body = BAD % (f"{number} " + "x" * size).encode()
        assert cpo.push("PUT", "sessions/*/S1", body).code == 2001


def notes(emsp: Emsp, party: str) -> list[str]:
    """The number in each rejection of a party."""
    return [each.body.split(b'"')[7].split()[0].decode() for each in emsp.rejections.list(party)]


def test_the_oldest_rejections_of_the_same_party_go_first() -> None:
    """Without the bound: 10 rejections. With the bound of all parties together: none of DE-ABC."""
    cpo = peer(limits=limits(count=3))
    push_bad(cpo.other(), 2)
    push_bad(cpo, 10)
    assert notes(cpo.emsp, "NL-TNM") == ["7", "8", "9"]
    assert notes(cpo.emsp, "DE-ABC") == ["0", "1"]


def test_rejections_of_a_party_have_a_size() -> None:
    """Without the bound: 30 rejections of 1,000 bytes and more."""
    cpo = peer(limits=limits(bytes=40_000))
    push_bad(cpo, 30, 1000)
    stored = used(cpo.store)["NL", "TNM"]
    assert 3 < stored.count < 20
    assert stored.bytes <= 40_000
    assert notes(cpo.emsp, "NL-TNM")[-1] == "29"
    push_bad(cpo, 1, 40_000)
    assert notes(cpo.emsp, "NL-TNM") == [], "one that is larger than all may be is none"


def test_the_parties_that_have_the_most_give_way_where_all_together_have_too_much() -> None:
    """Without the bound: 33 rejections, 100 KB and more."""
    cpo = peer(limits=limits(total_bytes=60_000))
    one, two = cpo.other(), cpo.other("FR", "XYZ")
    push_bad(one, 2, 500)
    push_bad(cpo, 30, 1000)
    push_bad(two, 1, 500)
    found = used(cpo.store)
    assert (found["DE", "ABC"].count, found["FR", "XYZ"].count) == (2, 1), "they have little"
    assert found["NL", "TNM"].count > 5
    assert sum(each.bytes for each in found.values()) <= 60_000


@pytest.mark.parametrize(
    ("sizes", "total", "level"),
    [([], 10, 0), ([3, 4], 10, 4), ([1, 20, 30], 21, 10), ([50], 10, 10), ([5, 5, 5], 15, 5), ([9, 1, 1], 5, 3)],
)
def test_the_level_that_all_fit_below(sizes: list[int], total: int, level: int) -> None:
    assert level_of(sizes, total) == level
    assert sum(min(each, level) for each in sizes) <= total


def used(store: Any, topic: str = REJECTION) -> Mapping[Owner, Usage]:
    async def read() -> Mapping[Owner, Usage]:
        async with store.transaction(read_only=True) as tx:
            found: Mapping[Owner, Usage] = await tx.usage(topic)
            return found

    return run(read())


def test_of_a_large_body_the_head_is_stored_and_a_replay_needs_the_whole() -> None:
    """Without the bound: 5,000 bytes are stored of each."""
    cpo = peer(limits=limits(body=100))
    push_bad(cpo, 1, 5000)
    push_bad(cpo, 1, 20)
    cut, whole = cpo.emsp.rejections.list()
    body = BAD % b"0 %s" % (b"x" * 5000)
    assert (cut.body, cut.cut_from) == (body[:100], len(body))
    assert whole.cut_from is None
    answer = cpo.emsp.rejections.replay(cut)
    assert b"100 of 5023 bytes of the body are stored (RejectionLimits.body)" in answer.body
    assert len(list(cpo.emsp.rejections.list())) == 2, "it stays"
    assert b"an id" not in cpo.emsp.rejections.replay(whole).body
    assert b"required" in cpo.emsp.rejections.replay(cut, body=body).body, "a body that is given is looked at"


def test_decisions_on_authorizations_are_bounded_for_each_party() -> None:
    """Without the bound: 10 decisions. With the bound of all parties together: none of DE-ABC."""
    cpo = peer(limits=Limits(authorize=AuthorizeLimits(decisions=4)))
    for party, count in ((cpo.other(), 2), (cpo, 10)):
        for number in range(count):
            party.push("POST", f"tokens/T{number}/authorize")
    found = [each.token_uid for each in cpo.emsp.authorizations.list("NL-TNM")]
    assert found == ["T6", "T7", "T8", "T9"]
    assert used(cpo.store, AUTHORIZATION)["DE", "ABC"].count == 2


# --- what it costs --------------------------------------------------------------------------------------------------


@define
class Counting:
    """Counts the looks at everything that a party has."""

    looks: list[str] = field(factory=list)

    async def usage(self, tx: Transaction, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        self.looks.append(name)
        return await tx.usage(name, owner)


def test_a_rejection_reads_no_other_ones() -> None:
    """Looking at each rejection: 200 looks and more."""
    counting = Counting()
    emsp = offline_emsp(store=AlteredStore({"usage": counting.usage}))
    cpo = Peer(emsp, clock=None, store=None, token=register(emsp))  # type: ignore[arg-type] # neither is used
    push_bad(cpo, 200)
    assert counting.looks == [REJECTION, REJECTION], "of the party, and of all, once"


# --- several processes ----------------------------------------------------------------------------------------------


def test_processes_on_one_database_leave_the_newest(postgres_with_schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock of the name: none, since both remove the same excess."""
    stores = [SqlStore(postgres_with_schema) for _ in range(2)]
    filling = offline_emsp(store=stores[0])
    token = register(filling)

    def push(emsp: Emsp, number: int) -> None:
        request = Request(
            "PUT", "/2.1.1/sessions/NL/TNM/S1", "", {"authorization": f"Token {token}"}, BAD % b"%d" % number
        )
        assert b"2001" in emsp.handle(request).body

    for number in range(20):
        push(filling, number)
    both, usage = threading.Barrier(2), SqlTransaction.usage

    def usage_of_both(tx: SqlTransaction, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        found = usage(tx, name, owner)
        if owner is not None:
            with suppress(threading.BrokenBarrierError):
                both.wait(0.3)  # the other one waits for the lock, or has read the same
        return found

    monkeypatch.setattr(SqlTransaction, "usage", usage_of_both)
    with ThreadPoolExecutor(2) as pool:
        emsps = [offline_emsp(store=store, limits=limits(count=10)) for store in stores]
        for done in [pool.submit(push, emsp, 20 + number) for number, emsp in enumerate(emsps)]:
            done.result(60)
    left = notes(filling, "NL-TNM")
    for store in stores:
        store.close()
    assert sorted(map(int, left)) == list(range(12, 22))


def test_a_store_that_fails_while_it_is_bounded_changes_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_tx: Transaction, _name: str, _owner: Owner | None = None) -> Mapping[Owner, Usage]:
        raise OSError("the disk")

    emsp = offline_emsp(store=AlteredStore({"usage": broken}))
    cpo = Peer(emsp, clock=None, store=None, token=register(emsp))  # type: ignore[arg-type] # neither is used
    push_bad(cpo, 2)
    assert len(list(emsp.rejections.list())) == 2
    assert "journal.not_bounded topic=rejection party=NL-TNM" in caplog.text


def test_nothing_is_lost_below_the_bounds() -> None:
    cpo = peer(store=MemoryStore())
    push_bad(cpo, 50, 100)
    assert notes(cpo.emsp, "NL-TNM") == [str(number) for number in range(50)]
