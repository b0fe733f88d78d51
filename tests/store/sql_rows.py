"""What SqlStore wrote, read beside it."""

from typing import Any

from flows.support import Answer
from ocpi_emsp import Emsp
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.ports import Key, Record
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request


def push(emsp: Emsp, token: str, method: str, path: str, body: Any = None) -> Answer:
    """A request of NL-TNM."""
    content = b"" if body is None else body if isinstance(body, bytes) else encode(body)
    return Answer.of(emsp.handle(Request(method, f"/2.1.1/{path}", "", {"authorization": f"Token {token}"}, content)))


def write(store: SqlStore, *records: Record) -> None:
    """Store records, in one transaction."""

    async def work() -> None:
        async with lift_store(store, in_place).transaction() as tx:
            for each in records:
                await tx.put(each)

    run(work())


def read(store: SqlStore, key: Key) -> Record | None:
    """A record."""

    async def work() -> Record | None:
        async with lift_store(store, in_place).transaction(read_only=True) as tx:
            return await tx.get(key)

    return run(work())
