"""A broker, and what waits to be relayed to it."""

from collections.abc import Sequence

from flows.support import Peer
from flows.test_events import session
from ocpi_emsp._bridge import run
from ocpi_emsp.events import RelayedEvent, SessionReceived
from ocpi_emsp.ports import Entry
from ocpi_emsp.resources import PendingEvent

RELAYED = (SessionReceived,)


class Broker:
    """Takes batches, unless an event in it is refused."""

    def __init__(self, *refused: str, down: bool = False) -> None:
        self.refused = set(refused)
        self.down = down
        self.batches: list[list[RelayedEvent]] = []
        self.calls = 0

    def __call__(self, events: list[RelayedEvent]) -> None:
        self.calls += 1
        if self.down:
            raise ConnectionError("no broker")
        if self.refused & {event.key.id for event in events}:
            raise ValueError("too large")
        self.batches.append(events)

    @property
    def taken(self) -> list[tuple[str, int]]:
        """Session and change of every event, in the order of their arrival."""
        return [change(event) for batch in self.batches for event in batch]


def change(event: RelayedEvent) -> tuple[str, int]:
    assert isinstance(event.event, SessionReceived)
    return event.key.id, int(event.event.session.kwh)


def push(cpo: Peer, *changes: tuple[str, int]) -> None:
    """Change sessions, in this order."""
    for session_id, minute in changes:
        cpo.put(f"sessions/*/{session_id}", session(minute, id=session_id))


def waiting(cpo: Peer) -> list[PendingEvent]:
    return list(cpo.emsp.events.list(topic="relay", limit=10_000))


def journal(cpo: Peer, topic: str) -> Sequence[Entry]:
    async def read() -> Sequence[Entry]:
        async with cpo.store.transaction(read_only=True) as tx:
            return await tx.entries(topic)

    return run(read())
