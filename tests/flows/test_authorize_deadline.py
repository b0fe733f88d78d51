"""Authorize hooks that take too long, under both kinds of host (docs/how-to/authorization.md)."""

import asyncio
import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define, field

from flows.authorize_desk import AUTHORIZE, last, token
from flows.support import Answer, offline_emsp
from ocpi_emsp import Allowed, AuthorizationInfo, AuthorizationRequest, Emsp, Limits, _hooks
from ocpi_emsp.settings import AuthorizeLimits
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.wire import Request
from our_emsp import register
from processes import limited

SHORT = 0.05
"""Seconds until a hook that never answers is given up."""
SECONDS = 30.0
"""What anything here may take before it counts as hanging."""
HOSTS = ("sync", "async", "sync inside a loop")
each_host = pytest.mark.parametrize("host", HOSTS)
each_kind = pytest.mark.parametrize("kind", ["async", "plain", "plain that returns a coroutine"])


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What hanging hooks wait for; set at the end."""
    event = threading.Event()
    yield event
    event.set()


@define
class Backend:
    """A hook of either kind that does ``work``, and counts."""

    kind: str
    work: Callable[[], Any]
    calls: int = 0
    ended: queue.Queue[str] = field(factory=queue.Queue)

    @property
    def hook(self) -> Callable[[AuthorizationRequest], Any]:
        if self.kind == "async":
            return self._decide_later
        return self._decide if self.kind == "plain" else lambda request: self._decide_later(request)

    def _decide(self, request: AuthorizationRequest) -> AuthorizationInfo:
        self.calls += 1
        self.work()
        self.ended.put("done")
        return request.allow()

    async def _decide_later(self, request: AuthorizationRequest) -> AuthorizationInfo:
        self.calls += 1
        try:
            await self.work()
        except BaseException as error:
            self.ended.put(type(error).__name__)
            raise
        return request.allow()


def asking(emsp: Emsp) -> Request:
    """May T0 charge?"""
    emsp.tokens.put(token())
    return Request("POST", f"/2.1.1/{AUTHORIZE}", headers={"authorization": f"Token {register(emsp)}"})


def ask(host: str, emsp: Emsp, request: Request) -> Answer:
    """The answer, under a host of that kind."""

    async def serve_async() -> Answer:
        with anyio.fail_after(SECONDS):
            return Answer.of(await emsp.aio.handle(request))

    async def serve_inside() -> Answer:
        return Answer.of(emsp.handle(request))

    match host:
        case "sync":
            return Answer.of(emsp.handle(request))
        case "async":
            return anyio.run(serve_async)
        case _:
            return anyio.run(serve_inside)


def make(backend: Backend, store: Any = None, **limits: Any) -> tuple[Emsp, Request]:
    settings = AuthorizeLimits(**({"timeout": SHORT} | limits))
    emsp = offline_emsp(
        limits=Limits(authorize=settings), authorize_fallback=Allowed.NO_CREDIT, store=store or MemoryStore()
    )
    emsp.authorize(backend.hook)
    return emsp, asking(emsp)


@each_kind
@each_host
def test_the_fallback_answers_in_the_place_of_a_hook_that_hangs(
    host: str, kind: str, released: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    backend = Backend(kind, released.wait if kind == "plain" else anyio.sleep_forever)
    emsp, request = make(backend)
    assert ask(host, emsp, request).data == {"allowed": "NO_CREDIT"}
    assert backend.calls <= 1
    decision = last(emsp)
    assert (decision.decided_by, decision.reason) == ("fallback", "the hook gave no answer: no answer within 0.05 s")
    [record] = [each for each in caplog.records if each.levelname == "ERROR"]
    assert "authorization.failed" in record.message
    assert decision.correlation_id in record.message
    if kind == "async":
        assert backend.ended.get(timeout=SECONDS) == "CancelledError", "it goes on although nobody waits for it"


@each_kind
@each_host
def test_a_hook_in_time_decides(host: str, kind: str) -> None:
    emsp, request = make(Backend(kind, no_work if kind == "plain" else no_work_async), timeout=SECONDS)
    assert ask(host, emsp, request).data == {"allowed": "ALLOWED"}
    assert last(emsp).decided_by == "hook"


def no_work() -> None: ...


async def no_work_async() -> None:
    await anyio.lowlevel.checkpoint()


@each_host
def test_where_all_threads_hang_the_fallback_answers_all_the_same(host: str, released: threading.Event) -> None:
    backend = Backend("plain", released.wait)
    emsp, request = make(backend, threads=2)
    for _ in range(1000):
        assert ask(host, emsp, request).data == {"allowed": "NO_CREDIT"}
        if backend.calls == 2:
            break
    assert last(emsp).reason.endswith("no answer within 0.05 s")
    for _ in range(2):
        assert ask(host, emsp, request).data == {"allowed": "NO_CREDIT"}
        assert last(emsp).reason.endswith("all hook threads are busy")
    # What no thread was free for is not done later: nobody waits for it.
    assert backend.calls == 2
    released.set()
    answers = (ask(host, emsp, request).data["allowed"] for _ in range(1000))
    assert "ALLOWED" in answers, "the threads are lost"


def test_hanging_hooks_do_not_use_up_the_threads_of_the_store(
    released: threading.Event, sqlite_with_schema: Path
) -> None:
    """Many more requests at once than there are threads, of a store that blocks."""
    store = SqlStore(f"sqlite:///{sqlite_with_schema}")
    backend = Backend("plain", released.wait)
    emsp, request = make(backend, store, threads=3)
    answers: list[Any] = []

    async def one() -> None:
        answers.append(Answer.of(await emsp.aio.handle(request)).data)

    async def host() -> None:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(one)
        await store.aclose()

    anyio.run(host)
    assert answers == [{"allowed": "NO_CREDIT"}] * 50
    assert backend.calls <= 3
    assert len(list(emsp.authorizations.list())) == 50
    store.close()


def test_a_request_that_is_given_up_gives_up_its_hook(released: threading.Event) -> None:
    """The partner hangs up: that is no answer of the hook, and nothing is decided."""
    backend = Backend("plain", released.wait)
    emsp, request = make(backend, timeout=SECONDS, threads=1)

    async def host() -> None:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as group:
                group.start_soon(emsp.aio.handle, request)
                group.start_soon(emsp.aio.handle, request)
                while backend.calls == 0:
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()

    anyio.run(host)
    released.set()
    assert list(emsp.authorizations.list()) == []
    assert ask("sync", emsp, request).data == {"allowed": "ALLOWED"}
    assert backend.calls == 2, "the second request was given up before a thread was free"


class Obstinate:
    """Async hooks that go on although they are cancelled, each in its way, until ``released`` is set."""

    def __init__(self, released: threading.Event) -> None:
        self.released = released

    async def in_a_thread_of_anyio(self) -> None:
        await anyio.to_thread.run_sync(self.released.wait)

    async def in_a_thread_of_asyncio(self) -> None:
        await asyncio.to_thread(self.released.wait)

    async def by_itself(self) -> None:
        while not self.released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["by_itself", "in_a_thread_of_anyio", "in_a_thread_of_asyncio"])
@each_host
def test_an_async_hook_that_cannot_be_cancelled_keeps_nobody_waiting(
    host: str, how: str, released: threading.Event
) -> None:
    emsp, request = make(Backend("async", getattr(Obstinate(released), how)))
    answers: list[Any] = []

    async def inside() -> None:
        """A loop that ends waits for its tasks and threads, so they are let go of in it."""
        answer = await emsp.aio.handle(request) if host == "async" else emsp.handle(request)
        answers.append(Answer.of(answer).data)
        released.set()

    watch = threading.Timer(SECONDS, released.set)
    watch.start()
    try:
        if host == "sync":
            answers.append(ask(host, emsp, request).data)
        else:
            anyio.run(inside)
        assert watch.is_alive(), "the hook was waited for"
    finally:
        watch.cancel()
    assert answers == [{"allowed": "NO_CREDIT"}]
    assert last(emsp).reason == "the hook gave no answer: no answer within 0.05 s"


def test_async_hooks_that_cannot_be_cancelled_are_a_bounded_number(released: threading.Event) -> None:
    backend = Backend("async", Obstinate(released).by_itself)
    emsp, request = make(backend, threads=3)

    async def host() -> None:
        with anyio.fail_after(SECONDS):
            for _ in range(5):
                assert Answer.of(await emsp.aio.handle(request)).data == {"allowed": "NO_CREDIT"}
            assert backend.calls == 3
            assert "3 cancelled calls are still running" in last(emsp).reason
            released.set()
            while Answer.of(await emsp.aio.handle(request)).data != {"allowed": "ALLOWED"}:
                await anyio.lowlevel.checkpoint()

    anyio.run(host)


def test_what_an_event_loop_left_undone_when_it_was_closed_counts_no_longer(released: threading.Event) -> None:
    backend = Backend("async", Obstinate(released).by_itself)
    emsp, request = make(backend, threads=1)
    for _ in range(2):
        loop = asyncio.new_event_loop()
        assert Answer.of(loop.run_until_complete(emsp.aio.handle(request))).data == {"allowed": "NO_CREDIT"}
        loop.close()
    assert backend.calls == 2


# --- where a hook runs ----------------------------------------------------------------------------------------------

VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="")


@each_kind
@each_host
@pytest.mark.parametrize("deadline", [None, SECONDS], ids=["no-deadline", "deadline"])
def test_a_hook_sees_the_context_variables_of_its_host(host: str, kind: str, deadline: float | None) -> None:
    seen: list[str] = []

    async def look_later() -> None:
        seen.append(VARIABLE.get())

    emsp, request = make(
        Backend(kind, lambda: seen.append(VARIABLE.get()) if kind == "plain" else look_later()),
        timeout=deadline,
    )
    reset = VARIABLE.set("the caller's")
    try:
        assert ask(host, emsp, request).data == {"allowed": "ALLOWED"}
    finally:
        VARIABLE.reset(reset)
    assert seen == ["the caller's"]


@pytest.mark.parametrize("deadline", [None, SECONDS], ids=["no-deadline", "deadline"])
def test_a_plain_hook_under_a_sync_host_runs_in_place_unless_it_has_a_deadline(deadline: float | None) -> None:
    threads: list[int] = []
    emsp, request = make(
        Backend("plain", lambda: threads.append(threading.get_ident())),
        timeout=deadline,
    )
    assert ask("sync", emsp, request).data == {"allowed": "ALLOWED"}
    assert (threads == [threading.get_ident()]) == (deadline is None)


@each_host
def test_what_ends_a_process_is_not_taken_for_a_hook_that_failed(host: str) -> None:
    def leave() -> None:
        raise SystemExit(3)

    emsp, request = make(Backend("plain", leave), timeout=SECONDS)
    with pytest.raises(SystemExit):
        ask(host, emsp, request)


class Odd(BaseException):
    """Such as libraries have that do not want to be caught."""


@each_host
@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("error", [StopIteration, asyncio.CancelledError, GeneratorExit, Odd])
def test_what_means_something_to_who_awaits_is_a_failure_of_a_hook(
    host: str, kind: str, error: type[BaseException]
) -> None:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        raise error

    emsp, request = make(Backend(kind, fail if kind == "plain" else fail_later), timeout=SECONDS)
    assert ask(host, emsp, request).data == {"allowed": "NO_CREDIT"}
    assert error.__name__ in last(emsp).reason


@each_host
def test_a_cancellation_that_is_the_hooks_own_is_a_failure_of_it(host: str) -> None:
    """It awaits a task of the backend that somebody cancelled: the request is not, and the driver waits."""

    async def cancelled() -> None:
        task = asyncio.ensure_future(asyncio.sleep(SECONDS))
        task.cancel()
        await task

    emsp, request = make(Backend("async", cancelled), timeout=SECONDS)
    assert ask(host, emsp, request).data == {"allowed": "NO_CREDIT"}
    assert "CancelledError" in last(emsp).reason


def test_a_process_that_is_forked_off_has_threads_of_its_own() -> None:
    """A server that loads the application, and answers something, before it forks its workers."""
    emsp, request = make(Backend("plain", no_work), timeout=SECONDS)
    assert ask("sync", emsp, request).data == {"allowed": "ALLOWED"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork where threads are: that is what is tried
        child = os.fork()
    if child == 0:
        signal.alarm(round(SECONDS))
        allowed = ask("sync", emsp, request).data == {"allowed": "ALLOWED"} and last(emsp).decided_by == "hook"
        os._exit(0 if allowed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_more_hooks_run_at_once_than_there_are_threads() -> None:
    here, most, guard = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal here, most
        with guard:
            here += 1
            most = max(most, here)
        with guard:
            here -= 1

    emsp, request = make(Backend("plain", work), timeout=SECONDS, threads=3)

    async def host() -> None:
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(emsp.aio.handle, request)

    anyio.run(host)
    assert [each.decided_by for each in emsp.authorizations.list()] == ["hook"] * 100
    assert 1 <= most <= 3


def test_a_thread_that_is_not_needed_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hooks, "_IDLE_SECONDS", 0.01)
    threads: list[threading.Thread] = []
    backend = Backend("plain", lambda: threads.append(threading.current_thread()))
    emsp, request = make(backend, timeout=SECONDS, threads=1)
    for _ in range(3):
        assert ask("sync", emsp, request).data == {"allowed": "ALLOWED"}
        threads[-1].join(SECONDS)
        assert not threads[-1].is_alive()
    assert len({*threads}) == 3


HANGING = """
import threading
from flows.test_authorize_deadline import Backend, ask, make

emsp, request = make(Backend("plain", threading.Event().wait))
print(ask({host!r}, emsp, request).data["allowed"])
"""


@pytest.mark.parametrize("host", ["sync", "async"])
def test_a_hook_that_hangs_for_good_does_not_keep_the_process(host: str) -> None:
    tests = Path(__file__).parent.parent
    line = [sys.executable, "-c", HANGING.format(host=host)]
    process = subprocess.Popen(line, cwd=tests, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with limited(process):
        out, err = process.communicate()
    assert (process.returncode, out) == (0, "NO_CREDIT\n"), err


@pytest.mark.parametrize("limits", [{"timeout": 0}, {"timeout": -1.5}, {"threads": 0}], ids=str)
def test_a_deadline_that_no_hook_could_keep_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^invalid AuthorizeLimits\."):
        offline_emsp(limits=Limits(authorize=AuthorizeLimits(**limits)))


def test_hooks_of_one_emsp_may_be_asked_from_several_hosts() -> None:
    """Also at once: a server of threads beside an event loop."""
    emsp, request = make(Backend("plain", no_work), timeout=SECONDS, threads=2)
    answers: list[Any] = []

    def threaded() -> None:
        answers.extend(ask("sync", emsp, request).data for _ in range(20))

    threads = [threading.Thread(target=threaded) for _ in range(3)]
    for each in threads:
        each.start()
    answers += [ask("async", emsp, request).data for _ in range(20)]
    for each in threads:
        each.join(SECONDS)
    assert answers == [{"allowed": "ALLOWED"}] * 80
