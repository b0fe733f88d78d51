"""The rules of a store that watches parties (:class:`ocpi_emsp.ports.PartyWatching`).

Rules of this module: commits of another store object may take a moment to become known, and are awaited by an event, if
the store has one (:meth:`PartyWatchContract.settle`); its own commits take none.
"""

from __future__ import annotations

import threading
from typing import TypeAlias

import pytest

from ocpi_emsp.ports import NAMES, PARTY_KINDS, AnyStore, Key, Kind, PartyWatching, Record, Transaction
from ocpi_emsp.testing.contract.tools import SECONDS, ContractTools, Undo, record

PARTY = Key(Kind.PARTY, "NL", "TNM", "")
CREDENTIAL = Key(Kind.CREDENTIAL, "", "", "0" * 64)
_CHANGED = b'{"state":"REGISTERED"}'
_TRIES = 1000

Read: TypeAlias = list[tuple[Key, Record | None]]


class PartyWatchContract(ContractTools):
    """The tests of a store that watches parties. ``store`` is empty at the start of each test."""

    @pytest.fixture
    def other(self, store: AnyStore) -> AnyStore:
        """Another store object on the same data, if possible."""
        return store

    def settle(self, store: AnyStore, other: AnyStore) -> None:
        """Return once ``store`` knows what ``other`` committed: at once, unless a subclass says how to wait for it."""

    def test_what_nobody_changed_is_unchanged(self, store: AnyStore, other: AnyStore) -> None:
        self.put(store, record(PARTY), record(CREDENTIAL))
        watched, read = self.read(store, other)
        for kind in sorted(set(NAMES) - PARTY_KINDS - {Kind.EVSE}):
            self.put(other, record(Key(kind, "NL", "TNM", f"of {kind}")))
        self.settle(store, other)
        assert watching(store).is_unchanged(watched, read)

    @pytest.mark.parametrize("key", [PARTY, CREDENTIAL], ids=["party", "credential"])
    def test_a_change_of_this_process_counts_at_once(self, store: AnyStore, other: AnyStore, key: Key) -> None:
        self.put(store, record(PARTY), record(CREDENTIAL))
        watched, read = self.read(store, other)
        self.put(store, record(key, _CHANGED))
        assert not watching(store).is_unchanged(watched, read)

    @pytest.mark.parametrize("key", [PARTY, CREDENTIAL], ids=["party", "credential"])
    def test_a_deletion_of_this_process_counts_at_once(self, store: AnyStore, other: AnyStore, key: Key) -> None:
        self.put(store, record(PARTY), record(CREDENTIAL))
        watched, read = self.read(store, other)
        self.run(store, lambda tx: tx.delete(key))
        assert not watching(store).is_unchanged(watched, read)

    @pytest.mark.parametrize("key", [PARTY, CREDENTIAL], ids=["party", "credential"])
    def test_a_change_of_another_counts(self, store: AnyStore, other: AnyStore, key: Key) -> None:
        self.put(store, record(PARTY), record(CREDENTIAL))
        watched, read = self.read(store, other)
        self.put(other, record(key, _CHANGED))
        self.settle(store, other)
        assert not watching(store).is_unchanged(watched, read)

    @pytest.mark.parametrize("key", [PARTY, CREDENTIAL], ids=["party", "credential"])
    def test_a_deletion_of_another_counts(self, store: AnyStore, other: AnyStore, key: Key) -> None:
        self.put(store, record(PARTY), record(CREDENTIAL))
        watched, read = self.read(store, other)
        self.run(other, lambda tx: tx.delete(key))
        self.settle(store, other)
        assert not watching(store).is_unchanged(watched, read)

    def test_what_was_deleted_and_put_again_is_another(self, store: AnyStore, other: AnyStore) -> None:
        self.put(store, record(PARTY), record(CREDENTIAL))
        watched, read = self.read(store, other)

        async def work(tx: Transaction) -> None:
            await tx.delete(PARTY)
            await tx.put(record(PARTY))

        self.run(other, work)
        self.settle(store, other)
        assert not watching(store).is_unchanged(watched, read)

    def test_what_was_missing_and_is_there_is_a_change(self, store: AnyStore, other: AnyStore) -> None:
        self.put(store, record(PARTY))
        watched, read = self.read(store, other)
        assert watching(store).is_unchanged(watched, read)
        self.put(other, record(CREDENTIAL))
        self.settle(store, other)
        assert not watching(store).is_unchanged(watched, read)

    def test_what_is_rolled_back_changes_nothing(self, store: AnyStore, other: AnyStore) -> None:
        self.put(store, record(PARTY), record(CREDENTIAL))
        watched, read = self.read(store, other)

        async def work(tx: Transaction) -> None:
            await tx.put(record(PARTY, _CHANGED))
            await tx.get(PARTY)  # by now a store that delays writes has sent it
            raise Undo

        with pytest.raises(Undo):
            self.run(other, work)
        self.settle(store, other)
        assert watching(store).is_unchanged(watched, read)

    def test_what_changed_while_it_was_read_is_not_unchanged(self, store: AnyStore, other: AnyStore) -> None:
        self.put(store, record(PARTY), record(CREDENTIAL))
        watched = self.watched(store, other)
        read = [(key, self.get(store, key)) for key in (PARTY, CREDENTIAL)]
        self.put(other, record(PARTY, _CHANGED))  # before it is cached
        self.settle(store, other)
        assert not watching(store).is_unchanged(watched, read)

    def test_what_is_read_after_a_change_is_unchanged(self, store: AnyStore, other: AnyStore) -> None:
        self.put(store, record(PARTY), record(CREDENTIAL))
        self.read(store, other)
        self.put(other, record(PARTY, _CHANGED))
        self.settle(store, other)
        watched, read = self.read(store, other)
        assert watching(store).is_unchanged(watched, read)
        assert [each and each.document for _, each in read] == [_CHANGED, b"{}"]

    def read(self, store: AnyStore, other: AnyStore) -> tuple[object, Read]:
        """Return the watched value, and the party and the credential, read after that."""
        watched = self.watched(store, other)
        return watched, [(key, self.get(store, key)) for key in (PARTY, CREDENTIAL)]

    def watched(self, store: AnyStore, other: AnyStore) -> object:
        """Return the value to compare later reads with; waits until the store knows of changes."""
        for _ in range(_TRIES):
            watched = watching(store).watch_parties()
            if watched is not None:
                self.settle(store, other)  # what was put before does not change later reads
                return watching(store).watch_parties()
            threading.Event().wait(SECONDS / _TRIES)
        raise AssertionError("changes are not known")


def watching(store: AnyStore) -> PartyWatching:
    """Return the store, which must watch parties."""
    assert isinstance(store, PartyWatching)
    return store
