"""A CPO that pushes without a pause, and the server that it pushes to.

Rules:
- every push has a number that rises: it is the second of its ``last_updated``, and stands in several members of the
  object, so that one that is half written shows;
- a push is answered 1000, or it is unknown whether it was taken: then it is sent again, or the next one is;
- each object is pushed by one worker, so that its last accepted push is known; one location is shared by all;
- the draws are seeded, what they meet in the server is the machine's.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from attrs import define, field, frozen

from crash.forks import SECONDS, Forks, forking
from crash.server import TOKEN, register
from ocpi_emsp.codec import dump
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import timestamp

WORKERS = 6
SHARED = "LX"
EVSES = 3

_SERVER = Path(__file__).with_name("server.py")
_STATUSES = ("AVAILABLE", "CHARGING", "BLOCKED", "RESERVED", "OUTOFORDER")
_SPARE = 5
"""Pushes of each worker that are answered after the last trouble."""

Document: TypeAlias = dict[str, Any]


# --- the server -----------------------------------------------------------------------------------------------------


@define
class Server:
    """The program in server.py, which serves."""

    port: int
    events: Path
    _forks: Forks

    def start(self) -> None:
        """Returns when the process runs; whoever connects is served."""
        self._forks.start()

    def kill(self) -> None:
        """Returns when the process is gone."""
        self._forks.kill()

    def heard(self) -> list[Document]:
        """What the listener noted."""
        return [json.loads(line) for line in self.events.read_text().splitlines()]


@contextmanager
def serving(url: str, host: str, folder: Path) -> Iterator[Server]:
    """A server that runs."""
    events = folder / "events"
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        forking(_SERVER, url, host, str(events), listening, folder=folder) as forks,
    ):
        server = Server(listening.getsockname()[1], events, forks)
        server.start()
        yield server


def prepared(url: str) -> SqlStore:
    """A store with its schema, in which the partner is registered."""
    store = SqlStore(url)
    store.upgrade()
    register(store)
    store.close()
    return store


# --- what is pushed -------------------------------------------------------------------------------------------------


@frozen
class Push:
    """One request of the partner; ``object`` is named as the listener names it."""

    id: str
    object: str
    number: int
    method: str
    path: str
    body: bytes


def moment(number: int) -> datetime:
    """When the object of a push was last updated."""
    return samples.BASE + timedelta(seconds=number)


def changing(number: int) -> Document:
    """The members by which a version of an EVSE is known."""
    return {
        "status": _STATUSES[number % len(_STATUSES)],
        "physical_reference": f"N{number}",
        "floor_level": str(number % 1000),
        "last_updated": timestamp(moment(number)),
    }


def location(location_id: str, number: int, evses: int) -> Document:
    """A location of which every part is of the same version."""
    document = samples.location(location_id, evses=evses, last_updated=moment(number))
    document["evses"] = [{**evse, **changing(number)} for evse in document["evses"]]
    return document | {"name": f"Version {number}", "postal_code": str(number)}


def metered(number: int) -> Document:
    """The members by which a version of a session is known."""
    return {
        "kwh": number,
        "meter_id": f"METER-{number}",
        "total_cost": Decimal(number) / 4,
        "last_updated": timestamp(moment(number)),
    }


@define
class Worker:
    """One connection of the partner, and what it was answered."""

    name: int
    random: Random
    number: int = 0
    accepted: list[Push] = field(factory=list)
    unknown: list[Push] = field(factory=list)

    def creating(self) -> Iterator[Push]:
        """The pushes that must be answered before the others make sense."""
        yield self._location()
        yield self._session()

    def pushes(self) -> Iterator[Push]:
        """One push after the other, without an end."""
        patch_one = (self._patch_own, self._patch_shared)
        kinds = (*patch_one, *patch_one, self._location, self._session, self._patch_session, self._tariff, self._cdr)
        while True:
            yield self.random.choice(kinds)()

    def _push(self, method: str, path: str, name: str, document: Document) -> Push:
        return Push(f"{self.name}-{self.number}", name, self.number, method, path, dump(document))

    def _next(self) -> int:
        self.number += 1
        return self.number

    def _location(self) -> Push:
        name = f"L{self.name}"
        document = location(name, self._next(), EVSES)
        return self._push("PUT", f"locations/NL/TNM/{name}", f"location/{name}", document)

    def _patch_own(self) -> Push:
        return self._patch(f"L{self.name}", self.random.randint(1, EVSES))

    def _patch_shared(self) -> Push:
        return self._patch(SHARED, self.name + 1)

    def _patch(self, location_id: str, evse: int) -> Push:
        uid = f"{location_id}-E{evse}"
        path = f"locations/NL/TNM/{location_id}/{uid}"
        return self._push("PATCH", path, f"evse/{location_id}/{uid}", changing(self._next()))

    def _session(self) -> Push:
        name = f"S{self.name}"
        document = samples.session(name, status="ACTIVE") | metered(self._next())
        return self._push("PUT", f"sessions/NL/TNM/{name}", f"session/{name}", document)

    def _patch_session(self) -> Push:
        name = f"S{self.name}"
        return self._push("PATCH", f"sessions/NL/TNM/{name}", f"session/{name}", metered(self._next()))

    def _tariff(self) -> Push:
        name = f"T{self.name}"
        number = self._next()
        document = samples.tariff(name, energy_price=Decimal(number) / 4, last_updated=moment(number))
        return self._push("PUT", f"tariffs/NL/TNM/{name}", f"tariff/{name}", document)

    def _cdr(self) -> Push:
        number = self._next()
        name = f"C{self.name}-{number}"
        document = samples.cdr(name) | {"last_updated": timestamp(moment(number))}
        return self._push("POST", "cdrs", f"cdr/{name}", document)


# --- pushing --------------------------------------------------------------------------------------------------------


class Trouble:
    """What happens to the server meanwhile; this one is none."""

    def answered(self, ok: bool) -> None:
        """A push was answered, well or with 500."""

    def stepped(self) -> None:
        """A part of a request was sent, or of its answer read."""

    def given_up(self) -> None:
        """A worker failed: nobody pushes any more."""

    @property
    def is_over(self) -> bool:
        """Whether all that shall happen has happened."""
        return True


@define
class Kills(Trouble):
    """Kills the server at random moments and starts it again at once.

    A moment is so many answered pushes after the start, and then so many steps of any worker: while the one steps, the
    others' requests are anywhere.
    """

    server: Server
    random: Random
    left: int
    _answers: int = 0
    _steps: int = 5
    _lock: threading.Lock = field(factory=threading.Lock)

    def answered(self, ok: bool) -> None:
        assert ok, "only a killed server fails"
        with self._lock:
            self._answers = max(self._answers - 1, 0)

    def stepped(self) -> None:
        with self._lock:
            if self.is_over or self._answers:
                return
            if self._steps:
                self._steps -= 1
                return
            self.left -= 1
            self._answers, self._steps = self.random.randint(0, 20), self.random.randint(0, 3 * WORKERS)
            self.server.kill()
            self.server.start()

    @property
    def is_over(self) -> bool:
        return self.left == 0


@define
class Load:
    """All workers of the partner."""

    port: int
    trouble: Trouble
    seed: int
    patience: float = SECONDS
    """Seconds in which every push must be answered."""
    may_fail: bool = False
    """Whether 500 / 3000 is an answer."""
    is_given_up: bool = False

    def give_up(self) -> None:
        """Something failed: nobody pushes any more."""
        self.is_given_up = True
        self.trouble.given_up()

    def push(self) -> list[Worker]:
        """Push until the trouble is over, and a little more; the workers, with what they were answered."""
        workers = [Worker(name, Random(f"{self.seed}-{name}")) for name in range(WORKERS)]
        first = Push("shared", f"location/{SHARED}", 0, "PUT", f"locations/NL/TNM/{SHARED}", dump(_shared()))
        workers[0].accepted.append(first)
        connection = _Connection(self, workers[0])
        connection.insist(first)
        connection.close()
        with ThreadPoolExecutor(WORKERS) as threads:
            for done in [threads.submit(self._work, worker) for worker in workers]:
                done.result()
        return workers

    def _work(self, worker: Worker) -> None:
        connection, spare = _Connection(self, worker), _SPARE
        try:
            for push in worker.creating():
                connection.insist(push)
                worker.accepted.append(push)
            for push in worker.pushes():
                if not spare or self.is_given_up:
                    return
                # A partner that got no answer sends it again, or what is new by now.
                while not (accepted := connection.send(push)) and worker.random.random() < 0.5:
                    pass
                (worker.accepted if accepted else worker.unknown).append(push)
                spare -= self.trouble.is_over and accepted
        except BaseException:
            self.give_up()
            raise
        finally:
            connection.close()


def _shared() -> Document:
    return location(SHARED, 0, WORKERS)


@define
class _Connection:
    load: Load
    worker: Worker
    _http: http.client.HTTPConnection | None = None

    def insist(self, push: Push) -> None:
        """Send it until it is accepted."""
        while not self.send(push):
            assert not self.load.is_given_up, "something else failed"

    def send(self, push: Push) -> bool:
        """True where it was answered 1000; False where it is unknown what became of it."""
        try:
            status, answer = self._exchange(push)
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException):
            self.close()
            return False
        envelope = json.loads(answer)
        both = status, envelope["status_code"]
        is_accepted = both in ((200, 1000), (201, 1000))
        assert is_accepted or (self.load.may_fail and both == (500, 3000)), (push, both, envelope)
        assert not is_accepted or not envelope["status_message"].startswith("Kept"), (push, envelope)
        self.load.trouble.answered(is_accepted)
        return is_accepted

    def _exchange(self, push: Push) -> tuple[int, bytes]:
        step = self.load.trouble.stepped
        if self._http is None:
            self._http = http.client.HTTPConnection("127.0.0.1", self.load.port, timeout=self.load.patience)
        cut = self.worker.random.randint(0, len(push.body))
        self._http.putrequest(push.method, f"/ocpi/emsp/2.1.1/{push.path}")
        self._http.putheader("authorization", f"Token {TOKEN}")
        self._http.putheader("x-correlation-id", push.id)
        self._http.putheader("content-length", str(len(push.body)))
        self._http.endheaders(push.body[:cut])
        step()
        self._http.send(push.body[cut:])
        step()
        response = self._http.getresponse()
        answer = response.read()
        step()
        return response.status, answer

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what another process does; there is nothing to be awaited."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS:g} seconds"
        time.sleep(0.05)
