"""``ocpi-emsp check`` over folders, captures and many files: what is read, what is left out, the report, the status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from cli.test_check import LOCATION, LONG_NAME, NO_CITY, file, lines
from ocpi_emsp.cli import payloads

CDR = json.loads((Path(__file__).parents[1] / "vectors/examples/cdrs/cdr.json").read_text())
ROOT = Path(__file__).parents[2]


def reported(out: str) -> dict[str, tuple[int, str, str]]:
    """Count, first pointer and first source of every rule."""
    return {each["rule"]: (each["count"], each["pointer"], each["source"]) for each in json.loads(out)["rules"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A capture: three payload files, one of them deeper, and two files of other sorts."""
    place = tmp_path / "capture"
    (place / "b" / "deep").mkdir(parents=True)
    file(place, LONG_NAME, "a.json")
    file(place / "b" / "deep", lines(NO_CITY, LONG_NAME, CDR), "x.NDJSON")
    file(place / "b", [LOCATION, NO_CITY], "z.json")
    file(place, "hello", "readme.txt")
    file(place / "b", b"\x89PNG", "image.png")
    return place


def test_a_folder_is_added_up(folder: Path, command: Command) -> None:
    ended = command("check", str(folder), "--format", "json")
    report = json.loads(ended.out)
    assert ended.status == 1
    assert report["documents"] == {"total": 6, "accepted": 4, "refused": 2, "by_kind": {"Cdr": 1, "Location": 5}}
    rules = reported(ended.out)
    assert rules["field.required"] == (2, "/city", f"{folder}/b/deep/x.NDJSON: line 1")
    assert rules["string.length"] == (2, "/name", f"{folder}/a.json")
    skipped = f"skipped files other than *.json, *.jsonl, *.ndjson and *.har: {folder}/b/image.png, {folder}/readme.txt"
    assert ended.err == f"ocpi-emsp: {skipped}\n"


def test_every_form_reports_the_same_rules(folder: Path, command: Command) -> None:
    rules = set(reported(command("check", str(folder), "--format", "json").out))
    for form in ("text", "markdown", "html"):
        ended = command("check", str(folder), "--format", form)
        assert ended.status == 1
        assert all(rule in ended.out for rule in rules)


def test_when_findings_are_added_up(folder: Path, command: Command) -> None:
    one, two = str(folder / "a.json"), str(folder / "b" / "z.json")
    adding: list[tuple[str, ...]] = [(one, two), (one, "--report"), (str(folder),)]
    listing: list[tuple[str, ...]] = [(one,), (one, two, "--no-report"), (str(folder), "--no-report")]
    for argv in adding:
        assert "rules" in json.loads(command("check", *argv, "--format", "json").out)
    for argv in listing:
        assert "files" in json.loads(command("check", *argv, "--format", "json").out)
    for form in ("markdown", "html"):
        assert "string.length" in command("check", one, "--format", form).out
        assert command("check", one, "--format", form, "--no-report").status == 2


def test_the_policy_decides_what_is_refused(tmp_path: Path, command: Command) -> None:
    path = file(tmp_path, LONG_NAME)
    tolerant = command("check", path, "--report", "--format", "json")
    strict = command("check", path, "--report", "--format", "json", "--policy", "strict")
    assert (tolerant.status, json.loads(tolerant.out)["documents"]["refused"]) == (0, 0)
    assert (strict.status, json.loads(strict.out)["documents"]["refused"]) == (1, 1)


def test_the_report_goes_to_a_file_that_is_not_read_itself(folder: Path, command: Command) -> None:
    output = folder / "report.json"
    for _ in range(2):
        ended = command("check", str(folder), "--format", "json", "--output", str(output))
        assert (ended.status, ended.out) == (1, "")
        assert json.loads(output.read_text())["documents"]["total"] == 6
    ended = command("check", str(folder), "--output", str(folder / "no" / "where"))
    assert ended.status == 2
    assert ended.err == f"ocpi-emsp: {folder}/no/where: cannot be written: No such file or directory\n"
    assert command("check", str(folder), "--output", "a\0b").status == 2


def test_a_limit_cuts_a_documents_findings(tmp_path: Path, command: Command) -> None:
    path = file(tmp_path, {**LOCATION, **{f"x{number}": 1 for number in range(20)}})
    ended = command("check", path, "--limit", "5", "--format", "json")
    assert len(json.loads(ended.out)["files"][0]["findings"]) == 5
    assert ended.err.endswith(": 15 more findings not listed\n")
    report = json.loads(command("check", path, "--limit", "5", "--format", "json", "--report").out)
    assert report["findings"] == {"error": 0, "warning": 0, "note": 5, "not_listed": 15}


def test_a_capture_of_mixed_kinds_is_guessed_line_by_line(tmp_path: Path, command: Command) -> None:
    path = file(tmp_path, lines(LOCATION, CDR, LOCATION), "mixed.jsonl")
    report = json.loads(command("check", path, "--report", "--format", "json").out)
    assert report["documents"]["by_kind"] == {"Cdr": 1, "Location": 2}
    listed = json.loads(command("check", path, "--format", "json").out)["files"][0]
    assert (listed["kind"], listed["ok"]) == (None, True)


def test_documents_of_no_clear_kind_leave_the_others(tmp_path: Path, command: Command) -> None:
    content = lines({"a": 1}, LOCATION, CDR, {"b": 1})
    path = file(tmp_path, content, "mixed.jsonl")
    ended = command("check", path, "--report", "--format", "json")
    assert ended.status == 1
    assert "mixed.jsonl: line 1: unclear kind of object (and of 1 more document)" in ended.err
    assert json.loads(ended.out)["documents"]["total"] == 2
    ended = command("check", str(tmp_path))
    assert ended.status == 1
    assert ended.err == f"ocpi-emsp: unclear kind of object (set --as KIND): {path}: line 1\n"


def test_nothing_to_check(tmp_path: Path, command: Command) -> None:
    file(tmp_path, "text", "a.txt")
    ended = command("check", str(tmp_path))
    assert ended.status == 2
    said = f"ocpi-emsp: nothing to check: no *.json, *.jsonl, *.ndjson or *.har in {tmp_path}"
    assert ended.err.splitlines()[-1] == said
    empty = tmp_path / "empty"
    empty.mkdir()
    for form in ("text", "markdown", "html"):
        ended = command("check", str(empty), "--format", form)
        assert (ended.status, ended.out) == (2, ""), "of nothing, no report says that nothing deviates"
    assert json.loads(command("check", str(empty), "--format", "json").out)["documents"]["total"] == 0
    location = file(tmp_path, LOCATION, "location.json")
    ended = command("check", str(empty), location)
    assert (ended.status, ended.err) == (1, said.replace(str(tmp_path), str(empty)) + "\n")


def test_what_cannot_be_read_in_a_folder_is_named(folder: Path, command: Command) -> None:
    (folder / "gone.json").symlink_to(folder / "nowhere")
    (folder / "self.json").symlink_to("self.json")
    (folder / "gone.txt").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.json")
    file(folder, "no har", "bad.har")
    ended = command("check", str(folder), "--format", "json")
    assert ended.status == 1
    assert json.loads(ended.out)["documents"]["total"] == 6
    assert ended.err.splitlines()[:3] == [
        f"ocpi-emsp: {folder}/bad.har: not a HAR file: expected an object with log.entries",
        f"ocpi-emsp: {folder}/gone.json: cannot be read: No such file or directory",
        f"ocpi-emsp: {folder}/self.json: cannot be read: Too many levels of symbolic links",
    ]
    assert f"{folder}/gone.txt, {folder}/pipe.json, {folder}/readme.txt" in ended.err


def test_an_accepted_folder_with_an_unreadable_file_ends_with_1(tmp_path: Path, command: Command) -> None:
    file(tmp_path, LOCATION)
    for number in range(12):
        (tmp_path / f"gone{number}.json").symlink_to(tmp_path / "nowhere")
    ended = command("check", str(tmp_path))
    assert ended.status == 1
    assert ended.err.splitlines()[-1] == "ocpi-emsp: 2 more files cannot be checked"
    assert command("check", str(tmp_path / "gone1.json"), "--report").status == 2


def test_links_in_circles_end(folder: Path, command: Command) -> None:
    (folder / "b" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "again").symlink_to(folder / "b", target_is_directory=True)
    ended = command("check", str(folder), "--format", "json")
    assert json.loads(ended.out)["documents"]["total"] == 6


def test_a_hostile_name_is_escaped_everywhere(tmp_path: Path, command: Command) -> None:
    name = "a\n<script>|`\x1b[2J.json"
    file(tmp_path, NO_CITY, name)
    for form in ("text", "markdown", "html"):
        ended = command("check", str(tmp_path), "--format", form)
        assert "\x1b" not in ended.out
        assert "a\n<" not in ended.out
        assert form == "text" or "<script>" not in ended.out
    assert reported(command("check", str(tmp_path), "--format", "json").out)["field.required"][2].endswith(name)


def test_a_name_that_is_no_text_can_be_written(tmp_path: Path, command: Command) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.json")
    Path(path).write_text(json.dumps(NO_CITY))
    for form in ("text", "json", "markdown", "html"):
        assert command("check", str(tmp_path), "--format", form).status == 1
        assert command("check", str(tmp_path), "--format", form, "--output", str(tmp_path / "out")).status == 1


def test_lines_that_are_no_json_do_not_end_a_capture(tmp_path: Path, command: Command) -> None:
    content = b"\n".join([
        json.dumps(LOCATION).encode(), b"\0\0\0", json.dumps(NO_CITY).encode("utf-16"), b'{"id": "\xff\xfe"}',
        json.dumps({**LOCATION, "city": "Z\u00fcrich"}, ensure_ascii=False).encode("latin-1"),
        b"[" * 100_000, json.dumps(NO_CITY).encode(), b"",
    ])  # fmt: skip
    ended = command("check", file(tmp_path, content, "odd.jsonl"), "--report", "--format", "json")
    rules = reported(ended.out)
    assert ended.status == 1
    assert rules["json.syntax"][0] >= 5
    assert rules["field.required"][0] == 1


def test_a_line_that_is_too_long_is_passed_over(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads, "MAX_LINE", 4000)
    exact = json.dumps(LOCATION)
    content = lines({**LOCATION, "name": "x" * 5000}) + exact + " " * (3999 - len(exact)) + "\n" + lines(NO_CITY)
    path = file(tmp_path, content, "long.jsonl")
    ended = command("check", path, "--report", "--format", "json")
    assert ended.status == 1
    assert ended.err == f"ocpi-emsp: {path}: line 1: too long to be checked\n"
    assert json.loads(ended.out)["documents"]["total"] == 2
    assert reported(ended.out)["field.required"] == (1, "/city", f"{path}: line 3")
    ended = command("check", file(tmp_path, "x" * 5000, "only.jsonl"))
    assert ended.status == 1


def test_an_object_that_is_too_long_leaves_the_others_of_its_line(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads, "MAX_DOCUMENT", 4000)
    path = file(tmp_path, lines([LOCATION, {**LOCATION, "name": "x" * 5000}, NO_CITY]), "long.jsonl")
    ended = command("check", path, "--report", "--format", "json")
    assert ended.err == f"ocpi-emsp: {path}: line 1: too long to be checked\n"
    assert reported(ended.out)["field.required"] == (1, "/2/city", f"{path}: line 1")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        import check_memory
    finally:
        sys.path.pop(0)
    runs: list[Any] = []
    for name, size in (("small", 1_000_000), ("large", 10_000_000)):
        path = tmp_path / f"{name}.jsonl"
        check_memory.generate(path, size, deviating=0.5)
        runs.append(check_memory.measure(path, tmp_path / "report.json"))
    small, large = runs
    assert large.documents > 9 * small.documents
    assert large.status == small.status == 1
    assert large.peak - small.peak < 4_000_000
    assert large.peak < 100_000_000


def test_the_report_loads_no_http_client_and_no_store(folder: Path) -> None:
    code = (
        f"import sys; from ocpi_emsp.cli import main; main(['check', {str(folder)!r}, '--output', '/dev/null']);"
        "heavy = ('httpx', 'asyncio', 'anyio', 'uvicorn', 'rich', 'ocpi_emsp.storage', 'ocpi_emsp.flows');"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == "[]\n"
