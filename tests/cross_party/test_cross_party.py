"""Nobody reaches another party's objects: whatever the route, the method, the spelling, the door and the store.

Each test makes its attempts in bulk, and compares all that is stored of the owner before and after: 0 reads, 0 writes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

import anyio
import pytest

from cross_party.attempts import (
    DOORS,
    Answer,
    Attempt,
    Door,
    awaited,
    by_body,
    by_id,
    by_owner,
    by_path,
    handle,
    wsgi,
    wsgi_raw,
)
from ocpi_emsp.storage import MemoryStore, SqlStore
from two_parties import SECRET, TwoParties, two_parties

pytestmark = pytest.mark.usefixtures("silent")

HELD = 6920
"""So many attempts were made by hand before there was this table."""


@pytest.fixture
def silent() -> Iterator[None]:
    """Without log lines, of which there would be thousands."""
    log = logging.getLogger("ocpi_emsp")
    level = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(level)


def all_of(world: TwoParties) -> list[Attempt]:
    return [*by_owner(), *by_path(), *by_body(), *by_id(world.command)]


def attack(world: TwoParties, who: str, tried: Iterable[tuple[Door, Attempt]]) -> list[int]:
    """Make the attempts; the statuses of the answers."""
    before, statuses = world.stored(), []
    for door, attempt in tried:
        answer = door(world.emsp, attempt, world.tokens[who])
        statuses.append(answer.status)
        check(attempt, answer)
    assert world.stored() == before
    assert world.push("owner", "GET", "credentials").status == 200
    return statuses


def check(attempt: Attempt, answer: Answer) -> None:
    assert answer.status < 500, (attempt, answer)
    assert SECRET.encode().lower() not in answer.text.lower(), (attempt, answer)


def through(attempts: Sequence[Attempt], times: int, doors: Sequence[Door] = DOORS) -> Iterator[tuple[Door, Attempt]]:
    """Each attempt so many times, each time through another door, and the first one through another one each."""
    for number, attempt in enumerate(attempts):
        for turn in range(times):
            yield doors[(number + turn) % len(doors)], attempt


def test_another_party_reaches_nothing() -> None:
    """Without the ownership check of dispatch the 1st attempt is answered with the owner's location."""
    world = two_parties(MemoryStore())
    statuses = attack(world, "other", through(all_of(world), len(DOORS)))
    assert len(statuses) >= HELD
    assert {200, 201, 404, 405} == set(statuses), "429 would say that most were not read"


def test_a_hub_that_may_write_for_everybody_reaches_nothing_of_a_registered_party() -> None:
    """With the look for a registration of the owner taken out of hub_owners.may_write, the 1st attempt reads it."""
    world = two_parties(MemoryStore())
    world.emsp.partner("DE-ABC").set_profile(allowed_parties=("*",))
    attack(world, "other", through(all_of(world), 1))


def test_an_invited_party_gets_its_versions_and_credentials_alone() -> None:
    """Without the look at the party's state in dispatch some are answered with 201: it stores objects."""
    world = two_parties(MemoryStore())
    attempts = [each for each in all_of(world) if "credentials" not in each.path.lower()]
    statuses = attack(world, "invited", through(attempts, 1))
    assert set(statuses) <= {200, 401, 404, 405}
    reached = [each for each, status in zip(attempts, statuses, strict=True) if status == 200]
    assert {each.path for each in reached} == {"/versions", "/2.1.1"}


def test_whoever_has_no_token_is_told_nothing() -> None:
    """With ``authenticate`` after the path in dispatch the first answers are 404 instead of 401."""
    world = two_parties(MemoryStore())
    world.tokens["nobody"] = "guessed"
    assert set(attack(world, "nobody", through(all_of(world), 1))) == {401}


@pytest.mark.parametrize("any_store", ["sqlite", "postgresql"], indirect=True)
def test_nor_does_another_party_on_a_database_that_all_share(any_store: SqlStore) -> None:
    """Without the ownership check of dispatch the 1st attempt is answered with the owner's location."""
    world = two_parties(any_store)
    # The step has no divisor in common with the methods of an object, so that each comes up.
    some = [*all_of(world)[::9], *by_id(world.command)]
    attack(world, "other", through(some, 1, (handle, wsgi, wsgi_raw)))


def test_nor_where_it_is_awaited(postgres_with_schema: str) -> None:
    """Without the ownership check of dispatch the 1st attempt is answered with the owner's location."""
    store = SqlStore(postgres_with_schema)
    world = two_parties(store)
    before = world.stored()

    async def ask() -> None:
        for attempt in [*all_of(world)[::19], *by_id(world.command)][:300]:
            check(attempt, await awaited(world.emsp, attempt, world.tokens["other"]))
        await store.aclose()

    anyio.run(ask)
    assert world.stored() == before
    store.close()
