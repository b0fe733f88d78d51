"""``ocpi-emsp demo``: every row of the matrix over real HTTP, and what it says where a row misbehaves."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2 as httpx
import pytest
from attrs import evolve

from cli.conftest import SECONDS, Command, Start
from forked import Forked
from ocpi_emsp import audit
from ocpi_emsp.cli import demo
from ocpi_emsp.cli.demo import audits, handshakes, parties, pulls, pushes, rows, stage, story
from ocpi_emsp.cli.demo.audited import not_reached
from ocpi_emsp.cli.demo.rows import ALWAYS_ON, Call, Result, Rows, Seen
from ocpi_emsp.cli.errors import Outside
from ocpi_emsp.pricing import Audit
from ocpi_emsp.resources.client import AsyncClient
from ocpi_emsp.support import FROM_CPO, TO_CPO, SupportMatrix
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.overcharging import OVERCHARGES

MATRIX = SupportMatrix.default()
FULL = SupportMatrix.full()
LINES = [
    (row.module, row.direction, method, row.path, row.supported)
    for row in MATRIX.rows
    for method in row.methods.split("|")
]
AUDITS = [
    "\u2713 CDR1 right: 3.50 EUR, as its tariff says",
    "\u2713 CDR2 wrong: 6.65 EUR is 3.00 too much",
    "\u2713 CDR3 undecidable: 4.90 EUR lies between 3.80 and 6.00",
]
SECRET = re.compile(r"[A-Za-z0-9_-]{32,}")
"""What a token, or the id in a response_url, looks like."""
start_process = asyncio.create_subprocess_exec
"""The one of asyncio, which does not fork."""


def play(expected: SupportMatrix = MATRIX, served: SupportMatrix = MATRIX, cpo_options: Sequence[str] = ()) -> Result:
    return asyncio.run(demo.demonstrate(expected, served, cpo_options))


def failed(result: Result) -> set[tuple[str, str, str, str]]:
    return {(row.module, row.direction, row.method, row.path) for row in result.rows if not row.ok}


class ForkedCpo:
    """A fork with the methods of asyncio's Process that the demo uses."""

    def __init__(self, fork: Forked) -> None:
        self.fork = fork
        self.stdout = self

    async def readline(self) -> str:
        return await asyncio.to_thread(self.fork.stdout.readline)

    @property
    def returncode(self) -> int | None:
        return self.fork.returncode

    def terminate(self) -> None:
        self.fork.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.fork.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.to_thread(self.fork.wait, SECONDS)


@pytest.fixture(autouse=True)
def processes(monkeypatch: pytest.MonkeyPatch, start: Start) -> list[ForkedCpo]:
    """The CPOs that a demo starts in this process: forks; how Python starts is the subject of the first test."""
    started: list[ForkedCpo] = []

    async def forked(program: str, *argv: str, stdin: int, stdout: int) -> ForkedCpo:
        assert (program, *argv[:4]) == (sys.executable, "-P", "-m", "ocpi_emsp", "simulate-cpo")
        assert (stdin, stdout) == (asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE)
        started.append(ForkedCpo(await asyncio.to_thread(start, *argv[3:])))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", forked)
    return started


def test_every_row_of_the_matrix_behaves_as_it_says(process: Command) -> None:
    ended = process("demo", "--json")
    document = json.loads(ended.out)
    assert ended.status == 0, [row for row in document["rows"] if not row["ok"]]
    assert ended.err == ""
    found = [
        (row["module"], row["direction"], row["method"], row["path"], row["supported"]) for row in document["rows"]
    ]
    assert found == [*LINES, *((*call, True) for call in ALWAYS_ON)]
    for row in document["rows"]:
        assert set(row) == {
            *("module", "direction", "method", "path", "supported"),
            *("what_happened", "http_status", "status_code", "ok"),
        }
        answered = (row["http_status"], row["status_code"])
        if row["supported"]:
            assert answered in ((200, 1000), (201, 1000))
        else:
            assert answered == ((405, 2000) if row["direction"] == FROM_CPO else (None, None))
    names = ("cdr", "verdict", "claimed", "expected", "low", "high", "difference", "currency", "ok")
    assert [tuple(audit[name] for name in names) for audit in document["audits"]] == [
        ("CDR1", "right", "3.5", "3.5", "3.5", "3.5", "0", "EUR", True),  # 10.0 kWh at 0.30, 0.25 h at 2.00
        ("CDR2", "wrong", "6.65", "3.65", "3.65", "3.65", "3", "EUR", True),  # 10.5 kWh, and 3.00 on top
        ("CDR3", "undecidable", "4.9", None, "3.8", "6", None, "EUR", True),  # 11.0 kWh at 0.30 or at 0.50
    ]
    summary = document["summary"]
    assert summary == {"rows": len(found), "ok": len(found), "failed": 0, "seconds": summary["seconds"]}
    assert 0 < summary["seconds"] < demo.SECONDS


def test_people_can_read_it_and_no_token_is_in_it(
    command: Command, processes: list[ForkedCpo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    ended = command("demo")
    lines = ended.out.splitlines()
    assert ended.status == 0, ended.out
    assert [line.split()[:2] for line in lines[:3]] == [["eMSP", "IT-BEC"], ["CPO", "NL-TNM"], ["CPO", "DE-ABC"]]
    assert lines[4].split()[:4] == ["module", "direction", "method", "path"]
    total = len(LINES) + len(ALWAYS_ON)
    ends = lines.index("", 5)
    assert len([line for line in lines[5:ends] if not line.startswith(" ")]) == total
    assert lines[ends + 1 :][:-2] == ["audits:", *AUDITS]
    assert max(map(len, lines)) <= 140
    assert {path for *_, path, _ in LINES} <= set(ended.out.split()), "no path is cut"
    assert lines[-1].startswith(f"{total} rows, {total} as the matrix says, 0 not; ")
    assert not SECRET.findall(ended.out + ended.err)
    assert [process.returncode for process in processes] == [0, 0]


def test_the_full_matrix_can_be_played_too() -> None:
    result = play(FULL, FULL)
    assert failed(result) == set()
    _is_a_story(result)


def test_a_narrow_terminal_gets_a_story_without_a_cut_path() -> None:
    result = play(MATRIX, MATRIX)
    _is_a_story(result)
    (broken,) = [evolve(row, ok=False, what_happened="x" * 76 + " why") for row in result.rows[:1]]
    told = story.text(Result(rows=(broken,), seconds=1.0), 80)
    assert f"\u2717 {broken.method} {broken.path} " in told
    assert "    why\n" in told


def _is_a_story(result: Result) -> None:
    """At most 60 lines of at most 80 characters; each row with its mark, method and path."""
    told = story.text(result, 80).splitlines()
    assert len(told) <= 60
    assert max(map(len, told)) <= 80
    audits = told.index("audits:")
    assert told[audits + 1 :][:3] == AUDITS
    rows = [line.split()[:3] for line in told[:audits] if line.startswith("\u2713")]
    assert sorted(rows) == sorted(["\u2713", row.method, row.path] for row in result.rows)


def test_our_emsp_is_on_a_sqlite_file_that_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def files() -> set[str]:
        async with stage.staged(MATRIX) as staged:
            await staged.emsp.aio.parties.invite("NL-TNM")
            return {path.name for path in tmp_path.glob("ocpi-emsp-demo-*/*")}

    assert "demo.db" in asyncio.run(files())
    assert list(tmp_path.iterdir()) == []


def test_without_the_database_driver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    ended = command("demo")
    assert (ended.status, ended.out) == (2, "")
    assert "pip install 'ocpi-emsp[sql]'" in ended.err


def test_a_row_that_misbehaves_is_named_and_the_exit_status_is_1(
    monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    demonstrate = demo.demonstrate

    async def with_another_matrix(expected: SupportMatrix, _: SupportMatrix) -> Result:
        return await demonstrate(expected, FULL)

    monkeypatch.setattr(demo, "demonstrate", with_another_matrix)
    ended = command("demo", "--json")
    assert ended.status == 1
    document = json.loads(ended.out)
    wrong = [row for row in document["rows"] if not row["ok"]]
    assert wrong == [row for row in document["rows"] if not row["supported"]]
    assert document["summary"]["failed"] == len(wrong) == sum(not line[-1] for line in LINES)
    whys = {row["what_happened"].rpartition(": ")[2] for row in wrong}
    assert whys == {"not answered with 405 / 2000, although the row is off", "it was sent, although the row is off"}


def test_what_is_switched_off_by_mistake_is_named() -> None:
    result = play(FULL, MATRIX)
    assert failed(result) == {line[:-1] for line in LINES if not line[-1]}


def test_an_audit_that_is_not_as_it_should_be_is_named() -> None:
    """A CPO whose second CDR is 1.00 too much, where 3.00 is expected."""
    kinds = {"CDR1": "right", "CDR2": "beyond-price-change", "CDR3": "price-change"}

    async def nothing(*_: object, **__: object) -> None: ...

    async def audited(_: object, cdr: str) -> Audit:
        return audit(OVERCHARGES[kinds[cdr]](samples.cdr(cdr, tariffs=[samples.tariff()])))

    emsp = SimpleNamespace(partner=lambda _: SimpleNamespace(sync=nothing), cdrs=SimpleNamespace(audit=audited))
    cpo = SimpleNamespace(country_code="DE", party_id="ABC", control=nothing)
    staged: Any = SimpleNamespace(abc=cpo, emsp=SimpleNamespace(aio=emsp))
    found = asyncio.run(audits.pull_and_audit(staged))
    assert [(each.cdr, each.ok) for each in found] == [("CDR1", True), ("CDR2", False), ("CDR3", True)]
    assert found[1].what_happened == "wrong: 7.75 EUR is 1.00 too much"  # 12.5 kWh at 0.50, 0.50 of parking, and 1.00


def test_the_exit_status_is_1_where_audits_are_not_as_they_should_be(
    monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    async def without_audits(*_: object) -> Result:
        return Result(rows=(), audits=not_reached("why"), seconds=1.0)

    monkeypatch.setattr(demo, "demonstrate", without_audits)
    ended = command("demo", "--json")
    document = json.loads(ended.out)
    assert (ended.status, document["summary"]["failed"]) == (1, 0)
    assert [(each["verdict"], each["what_happened"], each["ok"]) for each in document["audits"]] == [
        (None, "why", False)
    ] * 3


@pytest.mark.parametrize("preset", ["endless-pages", "uncounted", "html-errors"])
def test_a_cpo_whose_lists_cannot_be_pulled_fails_these_rows_and_no_others(preset: str) -> None:
    result = play(cpo_options=("--preset", preset))
    assert failed(result) == {pulls.LOCATIONS, pulls.SESSIONS, pulls.CDRS, pulls.TARIFFS}


def test_a_cpo_that_has_nothing_fails_what_needs_it() -> None:
    result = play(cpo_options=("--locations", "0", "--sessions", "0"))
    assert failed(result) == {
        *(pulls.LOCATIONS, pulls.SESSIONS, pulls.RESERVE_NOW, pulls.START_SESSION, pulls.STOP_SESSION),
        rows.COMMAND_RESULT,
    }


def test_nothing_works_without_a_registration_and_all_of_it_is_reported() -> None:
    posts = {(row.direction, row.path) for row in MATRIX.rows if (row.module, row.methods) == ("credentials", "POST")}
    served = MATRIX
    for direction, path in posts:
        served = served.switch(False, module="credentials", direction=direction, method="POST", path=path)
    result = play(MATRIX, served)
    ok = {(row.direction, row.method, row.path) for row in result.rows if row.ok}
    assert ok == {(FROM_CPO, "GET", "/versions"), (FROM_CPO, "GET", "/2.1.1")}
    whys = {row.what_happened for row in result.rows if not row.ok}
    assert "CPO NL-TNM: There is no registration with an eMSP" in whys
    assert "we unregister from DE-ABC: there is no registration with DE-ABC" in whys


def test_the_deadline_fails_what_was_not_reached(
    monkeypatch: pytest.MonkeyPatch, processes: list[ForkedCpo], command: Command
) -> None:
    async def forever(*_: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(demo, "SECONDS", 0.05)
    monkeypatch.setattr(parties, "listening", forever)
    monkeypatch.setattr(stage, "listening", forever)
    ended = command("demo", "--json")
    assert ended.status == 1
    document = json.loads(ended.out)
    assert {row["what_happened"] for row in document["rows"]} == {"not reached within 0.05 seconds"}
    assert document["summary"]["failed"] == len(LINES) + len(ALWAYS_ON)
    assert all(process.returncode is not None for process in processes)


def test_a_scene_that_breaks_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    async def silent(*_: object) -> None:
        raise parties.Misbehaved("no answer")

    monkeypatch.setattr(AsyncClient, "cdrs", broken)
    monkeypatch.setattr(parties.Cpo, "command_results", silent)
    result = play()
    assert failed(result) == {pulls.CDRS, rows.COMMAND_RESULT}
    assert {row.what_happened for row in result.rows if not row.ok} == {"RuntimeError", "no answer"}


def test_a_scene_that_hangs_is_bounded_and_the_next_one_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hanging(_: stage.Stage) -> AsyncIterator[tuple[Call, Seen]]:
        yield rows.VERSIONS, Seen(what="before", http_status=200, status_code=1000)
        await asyncio.get_running_loop().create_future()

    async def next_one(_: stage.Stage) -> AsyncIterator[tuple[Call, Seen]]:
        yield pulls.CDRS, Seen(what="after", http_status=200, status_code=1000)

    monkeypatch.setattr(handshakes, "REGISTRATION", [stage.Scene((rows.VERSIONS, rows.DETAILS), hanging)])
    monkeypatch.setattr(handshakes, "RENEWAL", [stage.Scene((pulls.CDRS,), next_one)])
    for module, act in ((pulls, "PULLS"), (pushes, "PUSHES"), (handshakes, "END")):
        monkeypatch.setattr(module, act, [])
    monkeypatch.setattr(demo, "SCENE_SECONDS", 0.01)
    played = Rows(MATRIX)
    asyncio.run(demo._play(None, played))
    what = {(row.module, row.direction, row.method, row.path): row.what_happened for row in played.close("not reached")}
    assert what[rows.VERSIONS] == "before"
    assert what[rows.DETAILS] == "nothing within 0.01 seconds"
    assert what[pulls.CDRS] == "after"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_its_processes(
    end: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    processes: list[ForkedCpo],
    command: Command,
) -> None:
    async def interrupted(*_: object) -> None:
        os.kill(os.getpid(), end)
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(demo, "_play", interrupted)
    # A shell starts what runs in the background with SIGINT ignored; the command of a person hears it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ended = command("demo")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (ended.status, ended.out, ended.err) == (130, "", "ocpi-emsp: interrupted\n")
    assert len(processes) == 2
    assert all(process.returncode is not None for process in processes)


def test_a_cpo_that_does_not_start_is_3(
    monkeypatch: pytest.MonkeyPatch,
    processes: list[ForkedCpo],
    command: Command,
) -> None:
    staged = stage.staged
    monkeypatch.setattr(stage, "staged", lambda matrix, _: staged(matrix, ("--preset", "nonsense")))
    ended = command("demo", "--json")
    assert (ended.status, ended.out) == (3, "")
    assert ended.err == "ocpi-emsp: CPO NL-TNM did not start\n"
    assert all(process.returncode is not None for process in processes)


def test_a_cpo_that_takes_too_long_to_start_is_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parties, "START_SECONDS", 0.001)
    with pytest.raises(Outside, match=r"CPO (NL-TNM|DE-ABC) did not start within 0\.001 seconds"):
        play()


def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"

    async def end() -> int | None:
        process = await start_process(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        await process.stdout.readline()
        await parties._end(process)
        await parties._end(process)
        return process.returncode

    monkeypatch.setattr(parties, "END_SECONDS", 0.05)
    assert asyncio.run(end()) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(200, text="<html>"), "CPO NL-TNM does not answer: "),
        (httpx.Response(409, json={"error": "not registered"}), "CPO NL-TNM: not registered"),
        (httpx.Response(200, json={"error": "3001: no", "exchanges": []}), "the CPO gives up: 3001: no"),
    ],
)
def test_a_cpo_that_does_not_do_what_it_is_told_says_why(answer: httpx.Response, said: str) -> None:
    async def told() -> None:
        transport = httpx.MockTransport(lambda _: answer)
        async with httpx.AsyncClient(transport=transport) as http:
            cpo = parties.Cpo(
                country_code="NL",
                party_id="TNM",
                versions_url="http://cpo.test/versions",
                token_a="secret",
                control_url="http://cpo.test/control",
                http=http,
            )
            assert "secret" not in repr(cpo)
            await cpo.register("http://emsp.test/versions", "secret")

    with pytest.raises(parties.Misbehaved, match=re.escape(said)):
        asyncio.run(told())


OFF_FROM = Call("tariffs", FROM_CPO, "DELETE", "/tariffs/:path")
OFF_TO = Call("credentials", TO_CPO, "DELETE", "/credentials")
ON_FROM = Call("cdrs", FROM_CPO, "POST", "/cdrs")
ON_TO = Call("cdrs", TO_CPO, "GET", "/cdrs")


@pytest.mark.parametrize(
    ("call", "seen", "ok", "said"),
    [
        (ON_FROM, Seen(what="x", http_status=201, status_code=1000), True, "x"),
        (ON_FROM, Seen(what="x", http_status=201, status_code=1000, effect=False), False, "no such effect"),
        (ON_FROM, Seen(what="x", http_status=200, status_code=2001), False, "not answered with success"),
        (ON_FROM, Seen(what="x", http_status=500, status_code=1000), False, "not answered with success"),
        (ON_FROM, Seen(what="x", http_status=405, status_code=2000), False, "although the row is on"),
        (ON_TO, Seen(what="x", error="refused"), False, "x: refused"),
        (ON_TO, Seen(what="x", not_supported=True), False, "NotSupported was raised"),
        (OFF_FROM, Seen(what="x", http_status=405, status_code=2000, allow="PUT"), True, "x: refused, allowed is PUT"),
        (OFF_FROM, Seen(what="x", http_status=405, status_code=3000), False, "not answered with 405 / 2000"),
        (OFF_FROM, Seen(what="x", http_status=404, status_code=2000), False, "not answered with 405 / 2000"),
        (OFF_FROM, Seen(what="x", http_status=200, status_code=1000), False, "not answered with 405 / 2000"),
        (OFF_TO, Seen(what="x", not_supported=True), True, "x: NotSupported, nothing was sent"),
        (OFF_TO, Seen(what="x", not_supported=True, sent=1), False, "but 1 request sent"),
        (OFF_TO, Seen(what="x", http_status=200, status_code=1000, sent=1), False, "it was sent"),
        (OFF_TO, Seen(what="x", error="no registration"), False, "x: no registration"),
    ],
)
def test_a_row_is_judged_by_what_the_matrix_says(call: Call, seen: Seen, ok: bool, said: str) -> None:
    judged = Rows(MATRIX)
    judged.record(call, seen)
    judged.record(Call("hubs", FROM_CPO, "GET", "/hubs"), seen)
    closed = judged.close("not reached")
    assert len(closed) == len(LINES) + len(ALWAYS_ON)
    (row,) = (row for row in closed if (row.module, row.direction, row.method, row.path) == call)
    assert row.ok is ok
    assert said in row.what_happened
    assert all(other.what_happened == "not reached" and not other.ok for other in closed if other is not row)
