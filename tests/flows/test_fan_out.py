"""A change of our tokens reaches every party, by several processes at once."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from client.support import facing
from flows.fan_out_desk import TWO, entries, waits, while_pushing
from flows.tokens_desk import OFF, Sent, Town, made_store, passes, pushed, town
from ocpi_emsp import Emsp, Limits
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.flows.parties import pending_push as push_wanted
from ocpi_emsp.flows.parties.party import party_key
from ocpi_emsp.flows.tokens.push import fan_out
from ocpi_emsp.ports import FAN_OUT, Transaction
from our_emsp import token
from processes import Killed

SECONDS = 60.0
LEASE = Limits().delivery.lease


@pytest.fixture(params=["memory", "postgresql", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[Any]:
    with made_store(request) as made:
        yield made


# --- a change is noted ----------------------------------------------------------------------------------------------


def test_every_change_reaches_every_party(store: Any) -> None:
    it = town(*TWO, store=store)
    it.put("A")
    assert it.waiting() == ["NL-TNM", "DE-ABC"]
    assert pushed(it.emsp.tokens.push_pending()) == {"NL-TNM": (1, 0, 0, 0), "DE-ABC": (1, 0, 0, 0)}
    assert (it.waiting(), it.taken()) == ([], {name: [("PUT", "A")] for name in TWO})
    it.clock.advance(seconds=1)
    it.emsp.tokens.patch("A", issuer="Other")
    it.emsp.tokens.push_pending()
    it.clock.advance(seconds=1)
    it.emsp.tokens.invalidate("A")
    it.emsp.tokens.push_pending()
    assert it.taken() == {name: [("PUT", "A"), ("PATCH", "A")] for name in TWO}
    for desk in it.desks.values():
        assert (desk.tokens["A"]["issuer"], desk.tokens["A"]["valid"]) == ("Other", False)
    assert it.emsp.tokens.push_pending() == []


def test_a_thousand_changes_are_one_entry_for_each_party_and_written_once() -> None:
    it = town(*TWO)
    it.put("T0")
    first = entries(it)
    for number in range(999):
        it.put(f"T{number % 7}", issuer=f"Issuer {number}")
    assert entries(it) == first
    assert [(each.key, each.topic) for each in first] == [(party_key(name[:2], name[3:]), FAN_OUT) for name in TWO]


def test_what_is_rolled_back_or_refused_is_pushed_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    it = town("NL-TNM")

    async def failing_want(tx: Transaction, _now: Any) -> None:
        await push_wanted.request_pushes(tx, _now)
        raise StoreFailed("gone")

    monkeypatch.setattr("ocpi_emsp.flows.tokens.store.request_pushes", failing_want)
    with pytest.raises(StoreFailed):
        it.put("A")
    assert (it.emsp.tokens.get("A"), it.waiting()) == (None, [])


def test_parties_are_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_wanted, "_PAGE", 2)
    names = [f"NL-T{number}X" for number in range(5)]
    it = town(*names)
    it.put("A")
    it.put("B")
    assert it.waiting() == names
    assert list(pushed(it.emsp.tokens.push_pending())) == names


# --- something changes meanwhile ------------------------------------------------------------------------------------


def test_what_changes_during_a_push_is_pushed_by_the_next_although_the_clock_stands_still(store: Any) -> None:
    it = town("NL-TNM", store=store)
    it.put("A")
    it.put("B")
    while_pushing(it, "NL-TNM", lambda: it.emsp.tokens.invalidate("A"))
    it.emsp.tokens.push_pending()
    assert it.waiting() == ["NL-TNM"]
    it.emsp.tokens.push_pending()
    assert (it.waiting(), it.desks["NL-TNM"].tokens["A"]["valid"]) == ([], False)
    assert it.emsp.tokens.push_pending() == []


def test_an_old_state_that_arrives_last_is_overtaken_again() -> None:
    """A push that is no fan-out sends a token; while it does, the token is invalidated and fanned out."""
    it = town("NL-TNM")
    it.put("A")

    def overtaken(_: Sent) -> None:
        it.desks["NL-TNM"].obey()
        it.emsp.tokens.invalidate("A")
        it.worker().tokens.push_pending()
        assert not valid_at(it, "NL-TNM")

    it.desks["NL-TNM"].script = overtaken
    it.emsp.partner("NL-TNM").push_tokens()
    assert valid_at(it, "NL-TNM"), "the older request came last"
    it.emsp.tokens.push_pending()
    assert not valid_at(it, "NL-TNM")
    assert it.waiting() == []


def valid_at(it: Town, name: str) -> bool:
    return bool(it.desks[name].tokens["A"]["valid"])


# --- several processes ----------------------------------------------------------------------------------------------


def test_one_party_is_pushed_to_by_one_at_a_time_and_the_others_by_whoever_comes(store: Any) -> None:
    it = town(*TWO, store=store)
    it.put("A")
    it.put("B")
    seen = dict[str, tuple[int, int, int, int]]()
    other = it.worker()

    def beside() -> None:
        assert waits(it, "NL-TNM") == (0, "", True)
        assert other.partner("NL-TNM").push_pending(at_once=True) is None
        seen.update(pushed(other.tokens.push_pending(at_once=True)))

    while_pushing(it, "NL-TNM", beside)
    assert pushed(it.emsp.tokens.push_pending()) == {"NL-TNM": (2, 0, 0, 0)}
    assert seen == {"DE-ABC": (2, 0, 0, 0)}
    assert it.waiting() == []


def test_a_long_push_keeps_its_party_however_long_it_takes() -> None:
    it = town("NL-TNM")
    for number in range(10):
        it.put(f"T{number}")
    other = it.worker()

    def slow(_: Sent) -> None:
        it.clock.advance(seconds=LEASE.total_seconds() * 0.6)
        assert other.tokens.push_pending() == []

    it.desks["NL-TNM"].script = slow
    assert pushed(it.emsp.tokens.push_pending()) == {"NL-TNM": (10, 0, 0, 0)}
    assert it.waiting() == []


def test_whoever_was_silent_for_too_long_leaves_the_party_to_the_next(caplog: pytest.LogCaptureFixture) -> None:
    it = town("NL-TNM")
    for uid in ("A", "B", "C"):
        it.put(uid)
    other = it.worker()

    def stalled() -> None:
        it.clock.advance(seconds=LEASE.total_seconds())
        assert pushed(other.tokens.push_pending()) == {"NL-TNM": (3, 0, 0, 0)}

    while_pushing(it, "NL-TNM", stalled)
    assert it.emsp.tokens.push_pending() == [], "the other one reports"
    assert it.taken()["NL-TNM"] == [("PUT", "A"), ("PUT", "A"), ("PUT", "B"), ("PUT", "C")]
    assert "push.taken_over" in caplog.text
    assert it.waiting() == ["NL-TNM"], "nobody knows which A came last"
    assert pushed(it.emsp.tokens.push_pending()) == {"NL-TNM": (0, 0, 3, 0)}
    assert it.waiting() == []


def test_the_last_request_of_one_that_was_taken_over_is_not_the_last_word() -> None:
    """Its answer is lost, and what it says arrives after the invalidation that the next one sent."""
    it = town("NL-TNM")
    it.put("A")
    other = it.worker()

    def stalled(_: Sent) -> None:
        it.desks["NL-TNM"].obey()
        it.desks["NL-TNM"].lost = lambda _: OFF
        it.clock.advance(seconds=LEASE.total_seconds())
        it.emsp.tokens.invalidate("A")
        lost, it.desks["NL-TNM"].lost = it.desks["NL-TNM"].lost, passes
        other.tokens.push_pending()
        assert it.waiting() == []
        it.desks["NL-TNM"].lost = lost

    it.desks["NL-TNM"].script = stalled
    it.emsp.tokens.push_pending()
    it.desks["NL-TNM"].obey()
    assert valid_at(it, "NL-TNM"), "the older request came last"
    it.emsp.tokens.push_pending()
    assert not valid_at(it, "NL-TNM")
    assert it.waiting() == []


def test_an_invalidation_does_not_wait_for_the_end_of_a_long_push(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpi_emsp.flows.tokens.push.party_run._PAGE", 3)
    it = town("NL-TNM")
    for number in range(100):
        it.put(f"T{number}")

    def slow(sent: Sent) -> None:
        it.clock.advance(seconds=2)
        if sent == ("PUT", "T4"):
            for uid in ("T0", "T2", "T90", "T93"):
                it.emsp.tokens.invalidate(uid)

    it.desks["NL-TNM"].script = slow
    it.emsp.tokens.push_pending()
    log = it.taken()["NL-TNM"]
    first, then = log[:5], log[5:14]
    assert first == [("PUT", f"T{number}") for number in range(5)]
    assert {("PATCH", "T0"), ("PATCH", "T2"), ("PUT", "T90"), ("PUT", "T93")} <= {*then}
    assert len(log) == 102, "no token is sent twice in vain"
    it.emsp.tokens.push_pending()
    assert it.waiting() == []
    invalid = [uid for uid, each in it.desks["NL-TNM"].tokens.items() if not each["valid"]]
    assert invalid == ["T0", "T2", "T90", "T93"]


def test_of_a_process_that_died_another_goes_on_where_it_was(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    it = town("NL-TNM", store=store)
    for uid in ("A", "B", "C"):
        it.put(uid)

    async def gone(*_: object) -> None:
        """The process ends before it can give anything back."""

    monkeypatch.setattr(fan_out, "_let_go", gone)
    it.desks["NL-TNM"].script = lambda sent: Killed() if sent[1] == "B" else None
    with pytest.raises(Killed):
        it.emsp.tokens.push_pending()
    it.desks["NL-TNM"].obey()
    next_one = it.worker()
    it.clock.advance(seconds=LEASE.total_seconds() - 1)
    assert next_one.tokens.push_pending(at_once=True) == []
    it.clock.advance(seconds=1)
    it.taken()
    assert pushed(next_one.tokens.push_pending()) == {"NL-TNM": (2, 0, 1, 0)}
    assert (it.taken(), it.waiting()) == ({"NL-TNM": [("PUT", "B"), ("PUT", "C")]}, [])


def test_one_that_is_cancelled_or_stopped_gives_its_party_back_at_once() -> None:
    it = town("NL-TNM")
    for uid in ("A", "B", "C"):
        it.put(uid)
    it.desks["NL-TNM"].script = lambda sent: Killed() if sent[1] == "B" else None
    with pytest.raises(Killed):
        it.emsp.tokens.push_pending()
    it.desks["NL-TNM"].obey()
    asked = iter((False, False, True))
    (report,) = it.worker().tokens.push_pending(stop=lambda: next(asked, True))
    assert (report.ended, waits(it, "NL-TNM")) == ("stopped", (0, "", False))
    it.emsp.tokens.push_pending()
    assert (set(it.desks["NL-TNM"].tokens), it.waiting()) == ({"A", "B", "C"}, [])


def test_nothing_is_pushed_where_it_is_stopped_before() -> None:
    it = town("NL-TNM")
    it.put("A")
    assert it.emsp.tokens.push_pending(stop=lambda: True) == []
    assert it.waiting() == ["NL-TNM"]


def test_threads_that_put_and_push_at_once_end_with_every_party_having_everything(store: Any) -> None:
    """Real threads on a real store: two push, two change tokens; nobody is asked by two at once, nothing is lost."""
    names = (*TWO, "BE-XYZ")
    it = town(*names, store=store)
    busy, crossed, lock = Counter[str](), list[str](), threading.Lock()
    desks = dict(it.desks)

    def handle(request: httpx.Request) -> httpx.Response:
        name = request.url.host.removesuffix(".test").upper()
        with lock:
            busy[name] += 1
            crossed.extend([name] if busy[name] > 1 else [])
        try:
            return desks[name](request)
        finally:
            with lock:
                busy[name] -= 1

    def worker() -> Emsp:
        return facing(handle, store=it.store, clock=it.clock)

    begin, done = threading.Barrier(4), threading.Event()

    def change(issuer: str) -> None:
        emsp = worker()
        begin.wait(SECONDS)
        for number in range(12):
            emsp.tokens.put(token(f"T{number % 4}", issuer=f"{issuer} {number}"))
            emsp.tokens.patch(f"T{number % 4}", valid=number % 3 == 0)

    def push() -> None:
        emsp = worker()
        begin.wait(SECONDS)
        while not done.is_set() or list(emsp.tokens.waiting()):
            emsp.tokens.push_pending()

    with ThreadPoolExecutor(4) as threads:
        pushing = [threads.submit(push) for _ in range(2)]
        changing = [threads.submit(change, issuer) for issuer in ("One", "Other")]
        try:
            for each in changing:
                each.result(SECONDS)
        finally:
            done.set()
        for each in pushing:
            each.result(SECONDS)
    assert crossed == []
    ours = {each.uid: (each.issuer, each.valid) for each in it.emsp.tokens.list()}
    for name in names:
        theirs = desks[name].tokens.items()
        assert {uid: (each["issuer"], each["valid"]) for uid, each in theirs} == ours, name


# --- the loops ------------------------------------------------------------------------------------------------------


def test_the_loop_pushes_until_it_is_stopped() -> None:
    it = town("NL-TNM")
    arrived = threading.Event()
    it.desks["NL-TNM"].script = lambda sent: arrived.set() if sent == ("PUT", "B") else None
    with it.emsp.running(every=0.01):
        it.put("A")
        it.put("B")
        assert arrived.wait(SECONDS)
    assert not [each for each in threading.enumerate() if each.name.startswith("ocpi-emsp push")]
