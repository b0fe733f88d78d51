"""Who is known is read once, and what the time decides is decided at each request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from ocpi_emsp import Emsp
from ocpi_emsp.flows.core import known
from ocpi_emsp.flows.core.known import Known
from ocpi_emsp.ports import AnyStore, Key, Kind
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request, to_base64
from our_emsp import CPO_TOKEN, FakeClock, make_emsp, register
from scripted_cpo import ScriptedCpo, clients
from store.support import BlockingMemoryStore


class Counting(MemoryStore):
    """Counts its transactions."""

    count = 0

    def transaction(self, *, read_only: bool = False) -> Any:
        self.count += 1
        return super().transaction(read_only=read_only)


class Racing(MemoryStore):
    """Has something done right after the next transaction, before its reader goes on."""

    then: Callable[[], object] | None = None

    @asynccontextmanager
    async def _followed(self, inner: Any) -> AsyncIterator[Any]:
        async with inner as tx:
            yield tx
        then, self.then = self.then, None
        if then is not None:
            then()

    def transaction(self, *, read_only: bool = False) -> Any:
        return self._followed(super().transaction(read_only=read_only))


def serving(**settings: Any) -> Emsp:
    """An eMSP whose partner can be called."""
    return make_emsp(**clients(ScriptedCpo(token=CPO_TOKEN)), **settings)


def asked(emsp: Emsp, token: str, path: str = "versions") -> int:
    """The status of a GET."""
    return emsp.handle(Request("GET", f"/{path}", headers={"authorization": f"Token {token}"})).status


@pytest.mark.parametrize("presented", [str, to_base64], ids=["as it is", "in base64"])
def test_a_known_caller_opens_no_transaction(presented: Any) -> None:
    store = Counting()
    emsp = serving(store=store)
    token = presented(register(emsp))
    assert [asked(emsp, token) for _ in range(2)] == [200, 200]  # the first one stores that it was used
    before = store.count
    assert [asked(emsp, token) for _ in range(3)] == [200] * 3
    assert store.count == before
    emsp.partner("NL-TNM").set_profile(page_limit=10)
    before = store.count
    assert [asked(emsp, token) for _ in range(3)] == [200] * 3
    assert store.count == before + 1


def test_what_ends_while_it_is_read_is_not_remembered() -> None:
    store = Racing()
    emsp = serving(store=store)
    token = register(emsp)
    assert asked(emsp, token, "2.1.1/credentials") == 200
    store.then = lambda: emsp.partner("NL-TNM").unregister(tell=False)
    assert [asked(emsp, token, "2.1.1/credentials") for _ in range(2)] == [200, 401]


def test_an_owner_that_registers_while_it_is_looked_for_is_not_remembered() -> None:
    store = Racing()
    emsp = serving(store=store)
    token, path = register(emsp), "2.1.1/sessions/DE/ABC/1"
    emsp.partner("NL-TNM").set_profile(allowed_parties=["DE-ABC"])
    body = encode(samples.session("1"))
    put = Request("PUT", f"/{path}", headers={"authorization": f"Token {token}"}, body=body)
    assert emsp.handle(put).status == 201
    emsp.partner("NL-TNM").set_profile(page_limit=10)  # what was read before is old
    assert asked(emsp, token) == 200
    store.then = lambda: register(emsp, "DE", "ABC")
    assert [emsp.handle(put).status for _ in range(2)] == [200, 404]


def test_an_unknown_token_is_looked_up_each_time() -> None:
    store = Counting()
    emsp = serving(store=store)
    assert [asked(emsp, "unknown") for _ in range(3)] == [401] * 3
    assert store.count == 3


@pytest.mark.parametrize("store", [BlockingMemoryStore(MemoryStore())], ids=["blocking"])
def test_a_store_that_does_not_watch_parties_is_read_each_time(store: AnyStore) -> None:
    emsp = serving(store=store)
    token = register(emsp)
    assert [asked(emsp, token, "2.1.1/credentials") for _ in range(3)] == [200] * 3
    emsp.partner("NL-TNM").unregister(tell=False)
    assert asked(emsp, token, "2.1.1/credentials") == 401


def test_an_invitation_that_is_known_expires() -> None:
    clock = FakeClock()
    emsp = serving(clock=clock)
    token = emsp.parties.invite("NL-TNM", expires=timedelta(days=2)).token_a.reveal()
    assert [asked(emsp, token) for _ in range(3)] == [200] * 3
    clock.advance(days=2, seconds=1)
    assert asked(emsp, token) == 401


def test_a_registration_that_ended_may_begin_anew_for_a_time() -> None:
    clock = FakeClock()
    emsp = serving(clock=clock)
    token = register(emsp)
    assert [asked(emsp, token) for _ in range(3)] == [200] * 3
    ended = Request("DELETE", "/2.1.1/credentials", headers={"authorization": f"Token {token}"})
    assert emsp.handle(ended).status == 200
    assert [asked(emsp, token) for _ in range(3)] == [200] * 3
    clock.advance(seconds=emsp.limits.credentials.renewal_window.total_seconds() + 1)
    assert asked(emsp, token) == 401


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_MOST", 3)
    answers = Known(MemoryStore())
    watched, key = answers.watch(), Key(Kind.PARTY, "NL", "TNM", "")
    for number in range(10):
        answers.remember(number, watched, [(key, None)], number)
    assert [answers.find(number) for number in range(10)] == [None] * 9 + [9]


def test_nothing_is_remembered_of_what_was_not_watched() -> None:
    answers = Known(MemoryStore())
    answers.remember("token", None, [], "caller")
    assert answers.find("token") is None
    assert Known().watch() is None
