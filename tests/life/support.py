"""Two workers on one store and a simulated CPO, each a process of its own; the CPO reaches the second worker.

Rules:
- what a partner or a driver would do goes over HTTP; what a backend does, through the worker that the test names;
- every wait ends: each process is limited, and each answer is awaited with a timeout;
- a worker that is killed is started again on the same socket: nobody is refused meanwhile.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from attrs import define, field

from forked import Forked, forked

SECONDS = 60.0
"""What anything here may take before it counts as hanging."""
WORKER = Path(__file__).with_name("worker.py")
PARTY = ["NL", "TNM"]


class Failed(Exception):
    """What a worker was told to do failed there."""


@define
class Worker:
    """A worker, running or not. What it is told ends in the order in which the answers come."""

    store: str
    folder: Path
    listening: socket.socket
    public: str
    events: list[str] = field(factory=list)
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1))
    _answers: dict[int, queue.Queue[tuple[str, Any]]] = field(factory=dict)
    _running: contextlib.ExitStack | None = None
    _process: Forked | None = None

    def start(self) -> None:
        """Returns when it serves."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Returns when its process runs."""
        self._running = contextlib.ExitStack()
        program = forked(WORKER, self.store, self.listening, self.public, folder=self.folder)
        self._process = self._running.enter_context(program)
        self._answers[0] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def await_ready(self) -> None:
        """Returns when it serves, once it was launched."""
        kind, _ = self._answers[0].get(timeout=SECONDS)
        assert kind == "ready"

    def _read(self, process: Forked) -> None:
        for line in process.stdout:
            number, kind, value = json.loads(line)
            if kind == "event":
                self.events.append(value)
            else:
                self._answers[number].put((kind, value))
        for answer in self._answers.values():
            answer.put(("failed", "the worker is gone"))

    def begin(self, name: str, *arguments: Any) -> int:
        """Tell it to do something; :meth:`end` gives what became of that."""
        number = next(self._numbers)
        self._answers[number] = queue.Queue()
        assert self._process is not None
        self._process.stdin.write(json.dumps([number, name, arguments]) + "\n")
        self._process.stdin.flush()
        return number

    def end(self, number: int) -> Any:
        """What was done. Raises Failed."""
        kind, value = self._answers[number].get(timeout=SECONDS)
        if kind == "failed":
            raise Failed(value)
        return value

    def do(self, name: str, *arguments: Any) -> Any:
        """Have it do something, to its end. Raises Failed."""
        return self.end(self.begin(name, *arguments))

    def kill(self) -> None:
        """Kill -9; returns when it is gone."""
        assert self._process is not None
        self._process.kill()
        self.close()

    def close(self) -> None:
        """End it, if it runs."""
        running, self._running = self._running, None
        if running is not None:
            running.close()


@define
class Cpo:
    """A simulated CPO in a process of its own, by its control interface."""

    versions_url: str
    token_a: str
    control: httpx.Client

    def state(self) -> Any:
        """What it received and sent."""
        return self.control.get("state").raise_for_status().json()

    def tell(self, what: str, **body: Any) -> Any:
        """Have it do something."""
        answer = self.control.post(what, json=body)
        assert answer.status_code < 500, answer.text
        return answer.json()

    def call(self, method: str, module: str, path: str = "", **more: Any) -> Any:
        """Have it send a request to the eMSP; the exchange."""
        return self.tell("call", method=method, module=module, path=path, **more)

    def tokens(self) -> dict[str, bool]:
        """Our tokens as it has them: whether each is valid."""
        return {each["uid"]: each["valid"] for each in self.state()["tokens"]}


@define
class Scene:
    """Everybody. ``first`` sends, ``second`` is who partners reach."""

    first: Worker
    second: Worker
    cpo: Cpo
    start_cpo: Callable[..., Cpo]

    def told(self, event: str) -> int:
        """How often listeners of either worker were told of an event of this kind."""
        return [*self.first.events, *self.second.events].count(event)

    def await_event(self, event: str, times: int = 1) -> None:
        """Returns once listeners were told of it so often."""
        until(lambda: self.told(event) >= times, f"{event} is delivered")

    def session_of(self, uid: str) -> str:
        """The session that a command led to, once it is linked."""
        found: str = until(lambda: self.second.do("command", PARTY, uid).get("session_id"), "the session is linked")
        return found


def launched_cpo(stack: contextlib.ExitStack, folder: Path, *argv: str) -> Callable[[], Cpo]:
    """A simulated CPO whose process runs; gives it once it serves."""
    process = stack.enter_context(forked("ocpi_emsp", "simulate-cpo", *argv, folder=folder))

    def serving() -> Cpo:
        ready = json.loads(process.stdout.readline())
        control = httpx.Client(base_url=ready["control_url"] + "/", timeout=SECONDS, trust_env=False)
        return Cpo(ready["versions_url"], ready["token_a"], stack.enter_context(control))

    return serving


@contextlib.contextmanager
def scene(url: str, folder: Path, *argv: str) -> Iterator[Scene]:
    """Two workers on a database with our schema, which know a CPO and its locations; a token A is stored."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        public = f"http://127.0.0.1:{sockets[1].getsockname()[1]}/ocpi/emsp"
        first, second = (Worker(url, folder, each, public) for each in sockets)
        launched = launched_cpo(
            stack, folder, "--party", "-".join(PARTY), "--follow-commands", "--locations", "2", *argv
        )
        for worker in (first, second):
            stack.callback(worker.close)
            worker.launch()
        for worker in (first, second):
            worker.await_ready()
        cpo = launched()

        def start_cpo(*more: str) -> Cpo:
            return launched_cpo(stack, folder, *more)()

        first.do("put_token", "A")
        assert first.do("register", cpo.versions_url, cpo.token_a) == "NL-TNM"
        assert first.do("sync", *PARTY, ["locations"]) == ["done"]
        yield Scene(first, second, cpo, start_cpo)


def until(look: Callable[[], Any], what: str) -> Any:
    """What ``look`` gives once it is true; asked again until then, since other processes do not say when."""
    waiting = threading.Event()
    for _ in range(int(SECONDS / 0.05)):
        if found := look():
            return found
        waiting.wait(0.05)
    raise AssertionError(f"it did not happen: {what}")
