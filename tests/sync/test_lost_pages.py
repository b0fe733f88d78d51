"""A page that is pulled again with its place need not be on the disk before the next one."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.flows.parties.party import checkpoint_key
from ocpi_emsp.flows.sync import page, pull
from ocpi_emsp.ports import Key, Kind, Record, Store, repeatable
from ocpi_emsp.resources import SyncEnded
from sync.support import NOW, OWNER, Synced, synced, tariff

PLACE = checkpoint_key(*OWNER, "tariffs")


@pytest.fixture
def pair() -> Iterator[Synced]:
    """With three pages of tariffs."""
    with synced() as found:
        found.cpo.lists["tariffs"] = [tariff(number) for number in range(25)]
        yield found


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each page, whether it is repeated where it is lost."""
    store_page, found = page.store_page, list[bool]()

    async def storing(*args: Any, **named: Any) -> None:
        found.append(False)
        await store_page(*args, **named)

    def opening(store: Store) -> Any:
        found[-1] = True
        return repeatable(store)

    monkeypatch.setattr(pull, "store_page", storing)
    monkeypatch.setattr(page, "repeatable", opening)
    return found


def test_the_last_page_is_on_the_disk_and_so_are_those_before_it(pair: Synced, opened: list[bool]) -> None:
    assert pair.pull("tariffs").created == 25
    assert opened == [True, True, False]


def test_each_phase_of_a_full_sync_ends_on_the_disk(pair: Synced, opened: list[bool]) -> None:
    pair.cpo.lists["tariffs"] += [tariff(number, NOW + timedelta(seconds=1)) for number in range(25, 40)]
    assert pair.pull("tariffs", full=True).ended is SyncEnded.DONE
    listed, caught_up = opened[: opened.index(False) + 1], opened[opened.index(False) + 1 :]
    assert listed == [True] * (len(listed) - 1) + [False]
    assert caught_up == [True] * (len(caught_up) - 1) + [False]
    assert len(listed) > 1


def test_a_window_without_a_place_is_not_repeated(pair: Synced, opened: list[bool]) -> None:
    pair.pull("tariffs")
    opened.clear()
    pair.cpo.lists["tariffs"] = [tariff(number, NOW + timedelta(days=6)) for number in range(25)]
    pair.clock.advance(days=10)
    assert pair.pull("tariffs", since=NOW + timedelta(days=5)).unchanged == 25
    assert opened == [False, False, False]


@pytest.mark.parametrize("lost", [1, 2])
def test_a_sync_does_not_go_on_behind_what_the_database_lost(
    lost: int, pair: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was restarted on another machine, while this process goes on."""
    store_page, before = page.store_page, list[Record]()

    async def losing(*args: Any, **named: Any) -> None:
        before.append(place(pair))
        await store_page(*args, **named)
        if len(before) == 2:
            forget(pair, before[-lost], range(10 * (2 - lost), 20))

    monkeypatch.setattr(pull, "store_page", losing)
    with pytest.raises(StoreFailed, match="lost"):
        pair.pull("tariffs")
    assert len(pair.ids(Kind.TARIFF)) == 10 * (2 - lost)
    monkeypatch.setattr(pull, "store_page", store_page)
    again = pair.pull("tariffs")
    assert (again.ended, again.created) == (SyncEnded.DONE, 25 - 10 * (2 - lost))
    assert len(pair.ids(Kind.TARIFF)) == 25


def place(pair: Synced) -> Record:
    async def read(store: Store) -> Record | None:
        async with store.transaction(read_only=True) as tx:
            return await tx.get(PLACE)

    found = run(read(lift_store(pair.store, in_place)))
    assert found is not None
    return found


def forget(pair: Synced, was: Record, tariffs: range) -> None:
    """Have the place as it was, and none of these tariffs."""

    async def write(store: Store) -> None:
        async with store.transaction() as tx:
            await tx.put(was)
            for number in tariffs:
                await tx.delete(Key(Kind.TARIFF, *OWNER, f"TAR{number}"))

    run(write(lift_store(pair.store, in_place)))
