"""A disk that is full, and a file that can only be read: answered 500 / 3000, nothing half written, and it goes on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest
from attrs import define, evolve
from sqlalchemy import event

from crash.outcome import Outcome
from crash.server import emsp_on, register, request
from crash.support import EVSES, Document, Push, location, moment
from ocpi_emsp import Emsp
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.codec import dump
from ocpi_emsp.events import LocationReceived
from ocpi_emsp.flows.parties.party import find_party, put_party
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.wire import Response

Handle: TypeAlias = Callable[[Emsp, Push], Response]

_NO_LIMIT = 0xFFFFFFFE
"""What SQLite has where nobody sets one."""


@define
class Disk:
    """How many pages the database may have; it is looked at whenever a connection is taken from the pool."""

    pages: int = _NO_LIMIT
    taken: int = 0

    def attach(self, store: SqlStore) -> None:
        """Be the disk of this store, which has no free pages, such as migrations leave."""
        with store._connected() as connection:
            connection.exec_driver_sql("VACUUM")
        event.listen(store._engine, "checkout", self._checkout)

    def _checkout(self, connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {self.pages}")
        (self.taken,) = connection.execute("PRAGMA page_count").fetchone()

    def fill(self) -> None:
        """No page is left."""
        self.pages = self.taken

    def clear(self) -> None:
        """There is room again."""
        self.pages = _NO_LIMIT


def _sync(emsp: Emsp, push: Push) -> Response:
    return emsp.handle(request(push.method, push.path, push.body))


def _async(emsp: Emsp, push: Push) -> Response:
    return anyio.run(emsp.aio.handle, request(push.method, push.path, push.body))


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def handle(request: pytest.FixtureRequest) -> Handle:
    """How a request is answered."""
    answer: Handle = request.param
    return answer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """A store in a file, in which the partner is registered."""
    made = SqlStore(f"sqlite:///{tmp_path / 'emsp.db'}")
    register(made)
    with closing(sqlite3.connect(tmp_path / "emsp.db")) as connection:
        connection.execute("VACUUM")  # migrations leave pages free, in which there would be room on a full disk
    yield made
    made.close()


def code(response: Response) -> tuple[int, int]:
    return response.status, json.loads(response.body)["status_code"]


def assert_failed(response: Response, caplog: pytest.LogCaptureFixture, cause: str) -> None:
    """500 / 3000 with a correlation id that leads to the cause, which is in the log and not in the answer."""
    assert code(response) == (500, 3000)
    correlation_id = dict(response.headers)["x-correlation-id"]
    message = json.loads(response.body)["status_message"]
    assert message == f"internal error, correlation id {correlation_id}"
    (failed,) = (each for each in caplog.records if each.levelname == "ERROR" and correlation_id in each.getMessage())
    assert cause in failed.getMessage()


def big(number: int) -> Push:
    """A location that needs pages of its own."""
    document = location(f"BIG{number}", number, EVSES)
    document["directions"] = [{"language": "en", "text": "x" * 500} for _ in range(20)]
    name = f"BIG{number}"
    return Push(str(number), f"location/{name}", number, "PUT", f"locations/NL/TNM/{name}", dump(document))


def test_pushes_fail_while_the_disk_is_full_and_succeed_after_that(
    store: SqlStore, handle: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    disk, emsp, heard = Disk(), emsp_on(store), list[str]()
    disk.attach(store)
    emsp.on(LocationReceived)(lambda told: heard.append(told.location.id))
    assert code(handle(emsp, big(1))) == (201, 1000)
    disk.fill()
    refused = [big(number) for number in range(2, 6)]
    answers = [handle(emsp, push) for push in refused]
    # What was freed before may still hold one.
    failed = [push for push, answer in zip(refused, answers, strict=True) if code(answer) != (201, 1000)]
    assert failed[-3:] == refused[-3:]
    for push, answer in zip(refused, answers, strict=True):
        if push in failed:
            assert_failed(answer, caplog, "full")
    assert code(handle(emsp, evolve(big(1), method="GET", body=b""))) == (200, 1000)
    outcome = Outcome(store)
    outcome.check_parsed()
    _check_stored(outcome, [big(1), *(push for push in refused if push not in failed)], missing=failed)
    disk.clear()
    for push in failed:
        assert code(handle(emsp, push)) == (201, 1000)
    outcome.check_parsed()
    _check_stored(outcome, [big(1), *refused], missing=[])
    emsp.redeliver()
    assert set(heard) == {f"BIG{number}" for number in range(1, 6)}
    assert list(emsp.events.list()) == []


def _check_stored(outcome: Outcome, there: list[Push], missing: list[Push]) -> None:
    stored = {record.key.id for record in outcome.records("location") if record.key.id.startswith("BIG")}
    assert stored == {push.object.split("/")[1] for push in there}
    for push in there:
        pushed: Document = json.loads(push.body)
        assert json.loads(dump(outcome.get(push.path))) == pushed
    parents = {record.key.parent for record in outcome.records("evse")}
    assert parents.isdisjoint(push.object.split("/")[1] for push in missing)


def test_what_is_refused_is_a_500_where_it_cannot_be_kept(
    store: SqlStore, handle: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    disk, emsp = Disk(), emsp_on(store)
    disk.attach(store)
    push = big(1)
    broken = evolve(push, body=push.body.replace(b'"city"', b'"town"'))
    assert code(handle(emsp, broken)) == (200, 2001)
    disk.fill()
    assert_failed(handle(emsp, broken), caplog, "full")
    disk.clear()
    assert code(handle(emsp, broken)) == (200, 2001)
    assert len(list(emsp.rejections.list())) == 2


def test_a_file_that_can_only_be_read_is_read(
    store: SqlStore, handle: Handle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def give_token() -> None:
        async with lift_store(store, in_place).transaction() as tx:
            party = await find_party(tx, "NL", "TNM")
            assert party is not None
            # It is sealed with the key beside the file, which is found whatever the URL looks like.
            await put_party(tx, evolve(party, token="secret-of-ours"), moment(0))

    run(give_token())
    assert code(handle(emsp_on(store), big(1))) == (201, 1000)
    store.close()
    read_only = SqlStore(f"sqlite:///file:{tmp_path / 'emsp.db'}?mode=ro&uri=true")
    emsp = emsp_on(read_only)
    for _ in range(2):
        assert code(handle(emsp, evolve(big(1), method="GET", body=b""))) == (200, 1000)
        newer = big(1).body.replace(b"00:00:01Z", b"00:00:02Z")
        assert_failed(handle(emsp, evolve(big(1), body=newer)), caplog, "readonly")
        assert_failed(handle(emsp, big(2)), caplog, "readonly")
    read_only.close()
    outcome = Outcome(store)
    _check_stored(outcome, [big(1)], missing=[big(2)])
