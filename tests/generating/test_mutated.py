"""10,000 damaged requests: each is answered with an envelope, and none with a 5xx."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator

import pytest

from cross_party.attempts import DOORS, Answer, Attempt, handle
from generating.mutated import requests
from ocpi_emsp.storage import MemoryStore
from two_parties import SECRET, TwoParties, two_parties

REQUESTS = 10_000
FRESH = 1000
"""After so many the eMSP is a new one, so that its store stays small, and once a registration has ended."""


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """Without log lines, of which there would be thousands."""
    log = logging.getLogger("ocpi_emsp")
    level = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(level)


def test_no_damaged_request_is_answered_with_a_5xx() -> None:
    """With a ``KeyError`` for an unknown tariff, 592 of them were."""
    worlds, statuses = [two_parties(MemoryStore())], Counter[int]()
    for number, attempt in enumerate(requests(lambda: worlds[-1].command, REQUESTS)):
        world, who = worlds[-1], "other" if number % 8 == 0 else "owner"
        # A handshake calls the partner, which waits in an event loop: there is none behind the ASGI doors.
        door = handle if "credentials" in attempt.path else DOORS[number % len(DOORS)]
        answer = door(world.emsp, attempt, world.tokens[who])
        check(world, who, attempt, answer)
        statuses[answer.status] += 1
        if number % FRESH == 0 or answer.status == 401:
            worlds[:] = [two_parties(MemoryStore())]
    assert statuses.total() == REQUESTS
    assert {200, 201, 400, 401, 404, 405, 415} == statuses.keys(), "429 would say that most were not read"
    assert statuses[200] > REQUESTS / 3


def check(world: TwoParties, who: str, attempt: Attempt, answer: Answer) -> None:
    assert 200 <= answer.status < 500, (attempt, answer)
    envelope = json.loads(answer.text.rpartition(b"\n")[2] or b"{}")
    if attempt.method != "HEAD" or envelope:
        assert isinstance(envelope["status_code"], int), (attempt, answer)
        assert isinstance(envelope["timestamp"], str), (attempt, answer)
        assert answer.status < 400 or envelope["status_code"] >= 2000, (attempt, answer)
    assert who == "owner" or SECRET.encode() not in answer.text, (attempt, answer)
    assert world.tokens[who].encode() not in answer.text or "credentials" in attempt.path, (attempt, answer)
