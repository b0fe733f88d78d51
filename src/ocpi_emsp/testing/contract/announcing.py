"""The rules of a store that announces written commands (:class:`ocpi_emsp.ports.Announcing`).

Rules of this module: a notification is awaited, with a timeout; a write that must not notify precedes one that must.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ocpi_emsp.ports import NAMES, Announcing, AnyStore, Key, Kind, Record, Transaction
from ocpi_emsp.testing.contract.tools import SECONDS, ContractTools, Undo, record

_TRIES = 100


def command(uid: str, document: bytes = b"{}") -> Record:
    """Return a command's record."""
    return record(Key(Kind.COMMAND, "NL", "TNM", uid), document)


class Heard:
    """A listener that records notifications."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, uid: str) -> None:
        with self._changed:
            self._said.append(uid)
            self._changed.notify_all()

    @property
    def said(self) -> list[str]:
        """Return the notifications since the last clear."""
        with self._changed:
            return list(self._said)

    def clear(self) -> None:
        """Drop the notifications."""
        with self._changed:
            self._said.clear()

    def hears(self, uid: str, seconds: float | None = None) -> bool:
        """Return whether the notification arrives within this time (default: the general timeout)."""
        with self._changed:
            return self._changed.wait_for(lambda: uid in self._said, SECONDS if seconds is None else seconds)


class AnnouncingContract(ContractTools):
    """The tests of a store that announces. ``store`` is empty at the start of each test."""

    @pytest.fixture
    def other(self, store: AnyStore) -> AnyStore:
        """Another store object on the same data, if possible."""
        return store

    def test_a_command_is_announced_to_every_listener(self, store: AnyStore, other: AnyStore) -> None:
        here, too, there = Heard(), Heard(), Heard()
        ends = [self.begun(store, here, store), self.begun(store, too, store), self.begun(other, there, store)]
        self.put(store, command("1"))
        self.put(other, command("2"))
        self.put(store, command("1", b"[]"))
        for heard in (here, too, there):
            assert heard.hears("1")
            assert heard.hears("2")
        end_all(ends)

    def test_nothing_else_is_announced(self, store: AnyStore, other: AnyStore) -> None:
        heard = Heard()
        end = self.begun(store, heard, other)
        for kind in sorted(set(NAMES) - {Kind.COMMAND, Kind.EVSE, Kind.PARTY}):
            self.put(other, record(Key(kind, "NL", "TNM", f"of {kind}")))
        self.run(other, lambda tx: tx.get(command("marker").key))
        self.run(other, lambda tx: tx.delete(command("marker").key))
        self.put(other, command("last"))
        assert heard.hears("last")
        assert heard.said == ["last"]
        end()

    def test_what_is_rolled_back_is_not_announced(self, store: AnyStore, other: AnyStore) -> None:
        heard = Heard()
        end = self.begun(store, heard, other)

        async def work(tx: Transaction) -> None:
            await tx.put(command("undone"))
            await tx.get(command("undone").key)  # by now a store that delays writes has sent it
            raise Undo

        with pytest.raises(Undo):
            self.run(other, work)
        self.put(other, command("last"))
        assert heard.hears("last")
        assert heard.said == ["last"]
        end()

    def test_it_is_announced_after_the_commit(self, store: AnyStore, other: AnyStore) -> None:
        found, looked = list[object](), threading.Event()

        def look(uid: str) -> None:
            if uid == "1":  # in a thread of its own: this one may be in the event loop
                threading.Thread(target=read).start()

        def read() -> None:
            found.append(self.get(store, command("1").key))
            looked.set()

        heard = Heard()
        ends = [self.begun(store, heard, other), announcing(store).announce(look)]
        self.put(other, command("1"))
        assert looked.wait(SECONDS)
        assert found == [command("1")]
        end_all(ends)

    def test_who_ended_hears_nothing_more(self, store: AnyStore, other: AnyStore) -> None:
        gone, heard = Heard(), Heard()
        ends = [self.begun(store, gone, other), self.begun(store, heard, other)]
        ends[0]()
        ends[0]()
        gone.clear()
        self.put(other, command("1"))
        assert heard.hears("1")
        assert gone.said == []
        ends[1]()
        again = Heard()
        end = self.begun(store, again, other)
        self.put(other, command("2"))
        assert again.hears("2")
        assert "2" not in heard.said
        end()

    def test_a_listener_that_raises_disturbs_nobody(self, store: AnyStore, other: AnyStore) -> None:
        def broken(uid: str) -> None:
            raise ValueError(uid)

        ends = [announcing(store).announce(broken)]
        heard = Heard()
        ends.append(self.begun(store, heard, other))
        for uid in ("1", "2"):
            self.put(other, command(uid))
            assert heard.hears(uid)
            assert self.got(other, command(uid).key) == command(uid)
        end_all(ends)

    def begun(self, store: AnyStore, heard: Heard, other: AnyStore) -> Callable[[], None]:
        """Start listening; return once notifications arrive, and clear those received until then."""
        end = announcing(store).announce(heard)
        for _ in range(_TRIES):
            self.put(other, command("marker"))
            if heard.hears("marker", SECONDS / _TRIES):
                break
        else:
            raise AssertionError("no notification arrives")
        self.put(other, command("begun"))
        assert heard.hears("begun")  # in order: no marker arrives after it
        heard.clear()
        return end


def announcing(store: AnyStore) -> Announcing:
    """Return the store, which must announce."""
    assert isinstance(store, Announcing)
    return store


def end_all(ends: list[Callable[[], None]]) -> None:
    """End all listeners."""
    for end in ends:
        end()
