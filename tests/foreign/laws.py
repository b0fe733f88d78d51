"""How laws are tried: a few examples of each in the suite, always the same, and as many new ones as ``make laws`` asks.

The examples of a test have one store, and each has an object of its own in it: a registration takes longer than that.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, settings

from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.events import Event
from ocpi_emsp.ports import Key, Kind, Store
from ocpi_emsp.wire import Request
from sync.support import OWNER, Document, Synced

EXAMPLES = int(os.environ.get("LAW_EXAMPLES", "0"))
"""0: those of the suite."""
KIND_OF: Mapping[str, str] = {
    "locations": Kind.LOCATION,
    "sessions": Kind.SESSION,
    "cdrs": Kind.CDR,
    "tariffs": Kind.TARIFF,
}


def lawful(examples: int) -> settings:
    """The settings of a law with so many examples in the suite."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        suppress_health_check=list(HealthCheck),
        print_blob=bool(EXAMPLES),
    )


class Partner:
    """A partner that sends bytes, and what its eMSP has of it.

    No attrs class, of which Hypothesis would print all fields.
    """

    def __init__(self, pair: Synced, events: list[Event]) -> None:
        self.pair, self.events = pair, events
        self._numbers = itertools.count(1)

    def new_id(self, prefix: str) -> str:
        """An id that no example before had."""
        return f"{prefix}{next(self._numbers)}"

    def push(self, method: str, path: str, body: bytes) -> tuple[int, Document]:
        """HTTP status and envelope of the answer."""
        headers = {"authorization": f"Token {self.pair.token}"}
        url = "/2.1.1/" + path.replace("*/", "NL/TNM/", 1)
        response = self.pair.emsp.handle(Request(method, url, headers=headers, body=body))
        return response.status, json.loads(response.body)

    def pull(self, module: str, body: bytes) -> Any:
        """The report of a sync of a list that has this object alone."""
        self.pair.cpo.lists[module] = [body]
        report = self.pair.pull(module)
        assert (report.ended.value, report.rejected) == ("done", 0), report
        return report

    def hashes(self, module: str, object_id: str) -> list[tuple[str, str]]:
        """The content hash of an object, and of what is stored below it."""
        key = Key(KIND_OF[module], *OWNER, object_id)

        async def read(store: Store) -> list[tuple[str, str]]:
            async with store.transaction(read_only=True) as tx:
                found = [await tx.get(key), *await tx.children(key)]
                return [(each.key.id, each.content_hash) for each in found if each is not None]

        return run(read(lift_store(self.pair.store, in_place)))
