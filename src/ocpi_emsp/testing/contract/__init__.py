"""The behaviour of every store, as tests: subclass, provide the fixture ``store``, and run pytest.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self) -> MyStore:
            return MyStore(...)          # an empty store, a new one for every test

    class TestMyStoreUnderLoad(ConcurrencyContract):
        @pytest.fixture
        def store(self) -> MyStore:
            return MyStore(...)

Rules of this package:
- each test is one rule of :class:`ocpi_emsp.ports.Transaction`, or of an eMSP that uses it; its name says which;
- a store is only used through its port: no test depends on how it stores a record;
- nothing sleeps; a wait for another thread is a wait for an event, with a timeout.

A store that announces (:class:`ocpi_emsp.ports.Announcing`) must also pass :class:`AnnouncingContract`; its fixture
``other`` returns a second store object on the same data. A store that watches parties
(:class:`ocpi_emsp.ports.PartyWatching`) must also pass :class:`PartyWatchContract`.

A store with two drivers is tested twice, with ``mode = "sync"`` and ``mode = "async"``; one whose driver is bound to an
event loop sets ``one_loop = True``: then a whole test runs in one loop, in its own thread, and the fixture uses
:meth:`~ocpi_emsp.testing.contract.tools.ContractTools.call` to open and close the store in that loop. The other
settings are class attributes of the two classes as well. For pytest's detailed failures, a conftest.py calls
``pytest.register_assert_rewrite("ocpi_emsp.testing.contract")`` before the import.
"""

from __future__ import annotations

from typing import ClassVar

from ocpi_emsp._extras import extra
from ocpi_emsp.ports import AnyStore

with extra("testing"):
    from ocpi_emsp.testing.contract.announcing import AnnouncingContract, Heard, command
    from ocpi_emsp.testing.contract.charges import ChargeRules
    from ocpi_emsp.testing.contract.concurrency import ConcurrencyContract
    from ocpi_emsp.testing.contract.journal import JournalRules
    from ocpi_emsp.testing.contract.pages import PageRules
    from ocpi_emsp.testing.contract.party_watch import PartyWatchContract
    from ocpi_emsp.testing.contract.prefetching import PrefetchRules
    from ocpi_emsp.testing.contract.records import RecordRules
    from ocpi_emsp.testing.contract.tools import (
        BASE,
        LOCATION,
        ContractTools,
        Undo,
        Work,
        entry,
        evse,
        ids,
        pushed,
        record,
        session,
        token,
    )
    from ocpi_emsp.testing.contract.transactions import TransactionRules
    from ocpi_emsp.testing.contract.usage import UsageRules

__all__ = [
    "BASE",
    "LOCATION",
    "AnnouncingContract",
    "ConcurrencyContract",
    "ContractTools",
    "Heard",
    "PartyWatchContract",
    "StoreContract",
    "Undo",
    "Work",
    "command",
    "entry",
    "evse",
    "ids",
    "pushed",
    "record",
    "session",
    "token",
]


class StoreContract(RecordRules, PageRules, ChargeRules, JournalRules, UsageRules, TransactionRules, PrefetchRules):
    """The tests of a store. ``store`` is empty at the start of each test."""

    examples: ClassVar[int] = 30
    """Sequences of operations that are compared with a dict."""
    steps: ClassVar[int] = 30
    """Operations of each sequence."""

    def test_any_sequence_of_operations_matches_a_plain_dict(self, store: AnyStore) -> None:
        from ocpi_emsp.testing.contract.machine import compare  # only this test needs hypothesis

        compare(self, store, examples=self.examples, steps=self.steps)
