"""``ocpi-emsp audit`` of files and folders: what is read, what is left out, every format, the exit status."""

from __future__ import annotations

import copy
import csv
import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command, Ended
from ocpi_emsp.cli import main
from ocpi_emsp.cli.audit_sinks import COLUMNS
from ocpi_emsp.cli.options import VERDICTS
from ocpi_emsp.pricing import CHOICES, Verdict
from ocpi_emsp.pricing.readings import NAMES
from report.support import HOSTILE
from report.test_render import Page

EXAMPLES = Path(__file__).parents[1] / "vectors/examples"
CDR = json.loads((EXAMPLES / "cdrs/cdr.json").read_text())
"""The specification's: 1.973 hours at 2.00 per hour in steps of 300 s, which is 24 steps: 4.00."""
TARIFF = CDR["tariffs"][0]
FORMATS = ("table", "json", "csv", "markdown", "html")


def cdr(cdr_id: str = "R", **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(CDR), "id": cdr_id, **changes}


RIGHT = cdr("R")
WRONG = cdr("W", total_cost=7.00)
OPEN = cdr("U", tariffs=[])
BROKEN = {**cdr("B"), "total_cost": "much"}
"""No CDR: its total cost is no number."""
OTHERS = [
    json.loads((EXAMPLES / name).read_text())
    for name in ("tariffs/tariff-complex.json", "tokens/token.json", "sessions/session-completed.json")
]


def envelope(data: Any) -> dict[str, Any]:
    return {"status_code": 1000, "status_message": "OK", "timestamp": "2024-05-06T07:08:09Z", "data": data}


def har(*documents: Any) -> dict[str, Any]:
    """A capture in which a CPO posts CDRs."""
    return {
        "log": {
            "entries": [
                {
                    "startedDateTime": "2024-05-06T07:08:09Z",
                    "request": {
                        "method": "POST",
                        "url": "https://emsp.example.com/ocpi/emsp/2.1.1/cdrs",
                        "postData": {"mimeType": "application/json", "text": json.dumps(each)},
                    },
                    "response": {},
                }
                for each in documents
            ]
        }
    }


def put(folder: Path, name: str, content: Any) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else None
    path.write_bytes(json.dumps(content).encode() if data is None else data)
    return str(path)


def lines(*documents: Any) -> str:
    return "\n".join(map(json.dumps, documents)) + "\n"


def audited(ended: Ended) -> dict[str, Any]:
    """The audits of the JSON by file: ids with verdicts, and errors."""
    return {
        each["file"]: [(audit["cdr"], audit.get("verdict", "error")) for audit in each["audits"]]
        + ([each["error"]] if "error" in each else [])
        for each in json.loads(ended.out)["files"]
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CDRs in every form, other objects, broken files, and files of other sorts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    place = tmp_path / "cdrs"
    put(place, "1-one.json", WRONG)
    put(place, "2-list.json", [RIGHT, OPEN, BROKEN, *OTHERS, {"a": 1}])
    put(place, "3-envelope.json", envelope([RIGHT, WRONG]))
    put(place, "4-envelope.json", envelope(OPEN))
    put(place, "5-lines.jsonl", lines(RIGHT, [RIGHT], envelope([WRONG]), OTHERS[0]))
    put(place, "6-capture.har", har(WRONG, OTHERS[2]))
    put(place, "7-tariff.json", OTHERS[0])
    put(place, "8-broken.json", b'{"id": "X", ')
    put(place, "9/deep.json", BROKEN)
    put(place, "readme.txt", "hello")
    return place


@pytest.mark.usefixtures("folder")
def test_a_folder_is_audited_file_by_file_and_says_what_it_skips(command: Command) -> None:
    ended = command("audit", "cdrs", "--format", "json")
    assert ended.status == 1
    found = audited(ended)
    broken = found.pop("cdrs/8-broken.json")
    deep = found.pop("cdrs/9/deep.json")
    assert found == {
        "cdrs/1-one.json": [("W", "wrong")],
        "cdrs/2-list.json": [("R", "right"), ("U", "undecidable"), ("B", "error")],
        "cdrs/3-envelope.json": [("R", "right"), ("W", "wrong")],
        "cdrs/4-envelope.json": [("U", "undecidable")],
        "cdrs/5-lines.jsonl": [("R", "right"), ("R", "right"), ("W", "wrong")],
        "cdrs/6-capture.har": [("W", "wrong"), ("101", "error")],
    }
    assert "JSON" in broken[0]
    assert "total_cost" in deep[0]
    skipped, others = ended.err.splitlines()[-2:]
    assert skipped.startswith("ocpi-emsp: skipped what is not a CDR: cdrs/2-list.json: /3 (Tariff), ")
    assert "cdrs/2-list.json: /6 (unclear)" in skipped
    assert "cdrs/7-tariff.json (Tariff)" in skipped
    assert others.endswith(": cdrs/readme.txt")


def test_the_json_has_these_members_and_exact_texts(tmp_path: Path, command: Command) -> None:
    path = put(tmp_path, "w.json", WRONG)
    ended = command("audit", path, "--format", "json")
    document = json.loads(ended.out)
    assert list(document) == ["files"]
    (file,) = document["files"]
    assert list(file) == ["file", "audits"]
    (audit,) = file["audits"]
    assert list(audit) == [
        "cdr", "verdict", "claimed", "expected", "low", "high", "difference", "at_least", "currency", "lines",
        "reasons", "assumptions", "explanations", "readings",
    ]  # fmt: skip
    assert {name: audit[name] for name in ("cdr", "verdict", "claimed", "expected", "low", "high", "difference")} == {
        "cdr": "W", "verdict": "wrong", "claimed": "7", "expected": "4", "low": "4", "high": "4", "difference": "3",
    }  # fmt: skip
    assert (audit["at_least"], audit["currency"], ended.err) == (False, "EUR", "")
    assert [(each["dimension"], each["cost"]) for each in audit["lines"]] == [("TIME", "4")]
    assert list(audit["readings"]) == list(NAMES)


@pytest.mark.parametrize("form", FORMATS)
def test_the_status_says_whether_all_is_right_whatever_is_shown(form: str, tmp_path: Path, command: Command) -> None:
    paths = [put(tmp_path, f"{name}.json", each) for name, each in (("r", RIGHT), ("w", WRONG), ("u", OPEN))]
    expected = {(0,): 0, (1,): 1, (2,): 1, (0, 1): 1, (0, 0): 0}
    for numbers, status in expected.items():
        argv = [paths[number] for number in numbers]
        for only in ((), ("--only", "right"), ("--only", "undecidable")):
            ended = command("audit", *argv, "--format", form, *only)
            assert (ended.status, ended.err) == (status, ""), (numbers, only)
            assert ended.out


@pytest.mark.parametrize(
    ("only", "shown"),
    [("wrong", "W"), ("right", "R"), ("undecidable", "U"), ("wrong,undecidable", "WU"), (" WRONG, right", "WR")],
)
def test_only_filters_what_is_shown(only: str, shown: str, tmp_path: Path, command: Command) -> None:
    path = put(tmp_path, "all.json", [RIGHT, WRONG, OPEN, BROKEN])
    found = json.loads(command("audit", path, "--format", "json", "--only", only).out)["files"][0]["audits"]
    assert {each["cdr"] for each in found} == {*shown, "B"}, "what could not be audited is always shown"
    rows = [*csv.DictReader(StringIO(command("audit", path, "--format", "csv", "--only", only).out))]
    assert {each["cdr"] for each in rows} == {*shown, "B"}
    table = command("audit", path, "--only", only).out
    assert table.startswith("3 CDRs: 1 right, 1 undecidable, 1 wrong; 1 document could not be audited\n")
    assert set(re.findall(r"EUR  ([A-Z])\b", table)) == set(shown)


@pytest.mark.usefixtures("folder")
def test_a_table_of_one_cdr_is_its_bill_and_of_several_fits_80_columns(command: Command) -> None:
    ended = command("audit", "cdrs/1-one.json")
    assert (ended.status, ended.err) == (1, "")
    assert ended.out.startswith(
        "CDR W: WRONG\nclaimed 7.00 EUR, expected 4.00 EUR: 3.00 EUR too much\n\nTIME  1:58:23 h"
    )
    assert "read with the default readings" in ended.out
    several = command("audit", "cdrs").out
    for text in (ended.out, several):
        assert max(map(len, text.splitlines())) <= 80
    assert several.startswith("10 CDRs: 4 right, 2 undecidable, 4 wrong; 4 documents could not be audited\n")
    assert several.index("WRONG") < several.index("UNDECIDABLE") < several.index("RIGHT")
    limited = command("audit", "cdrs", "--limit", "2").out
    assert limited.count("WRONG") == 2
    assert "8 more CDRs not listed" in limited


def test_markdown_and_html_have_each_wrong_cdr_with_its_lines(folder: Path, command: Command) -> None:
    for form in ("markdown", "html"):
        text = command("audit", "cdrs", "--format", form).out
        for said in ("10 CDRs", "3.00 EUR too much", "tariff.missing", "TIME", "1:58:23 h", "mod_tariffs.md#", "B"):
            assert said in text, (form, said)
    page = Page(command("audit", "cdrs", "--format", "html").out)
    assert page.declarations == ["DOCTYPE html"]
    assert any(re.fullmatch(rf"[-\dT:]+Z, ocpi-emsp {re.escape(version('ocpi-emsp'))}", each) for each in page.texts)
    output = str(folder / "letter.html")
    for _ in range(2):
        ended = command("audit", "cdrs", "--format", "html", "--output", output)
        assert (ended.status, ended.out) == (1, "")
    assert Page(Path(output).read_text("utf-8")).rows == page.rows


def test_a_spreadsheet_has_a_row_for_each_cdr_and_no_formula(tmp_path: Path, command: Command) -> None:
    evil = cdr("=cmd|' /C calc'!A0", total_cost=-7.00, currency="@X")
    path = put(tmp_path, "x.json", [evil, WRONG, {**BROKEN, "id": "+1\x1b[31m"}])
    ended = command("audit", path, "--format", "csv")
    rows = [*csv.DictReader(StringIO(ended.out))]
    assert list(rows[0]) == list(COLUMNS)
    first, second, third = rows
    assert (first["cdr"], first["claimed"], first["currency"]) == ("'=cmd|' /C calc'!A0", "-7", "'@X")
    assert (second["place"], second["cdr"], second["verdict"], second["difference"]) == ("/1", "W", "wrong", "3")
    assert third["cdr"] == "'+1\\x1b[31m"
    assert "total_cost" in third["error"]
    for row in rows:
        for name, cell in row.items():
            numbers = ("claimed", "expected", "low", "high", "difference")
            assert not cell.startswith(("=", "+", "@", "\t", *(() if name in numbers else "-"))), (name, cell)


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_ids_and_names_are_text(form: str, tmp_path: Path, command: Command) -> None:
    documents = [cdr(text, total_cost=7, remark=text) for text in HOSTILE]
    documents += [{**BROKEN, "id": text} for text in HOSTILE]
    path = put(tmp_path, "<b>x\x1b[2J.json", documents)
    ended = command("audit", path, "--format", form)
    assert ended.status == 1
    assert all(char.isprintable() or char == "\n" for char in ended.out + ended.err)
    if form == "html":
        Page(ended.out)
    if form == "json":
        assert len(json.loads(ended.out)["files"][0]["audits"]) == len(documents)
    if form == "table":
        assert max(map(len, ended.out.splitlines())) <= 80


def test_a_tariff_that_the_store_would_have_prices_what_has_none(tmp_path: Path, command: Command) -> None:
    path = put(tmp_path, "open.json", OPEN)
    newer = {**TARIFF, "last_updated": "2030-01-01T00:00:00Z"}
    other = {**TARIFF, "id": "13", "currency": "SEK"}
    forms = {"one": TARIFF, "list": [TARIFF, newer], "envelope": envelope([TARIFF]), "lines": lines(TARIFF, newer)}
    for name, content in forms.items():
        tariff = put(tmp_path, f"{name}.json", content)
        ended = command("audit", path, "--tariff", tariff, "--format", "json")
        (audit,) = json.loads(ended.out)["files"][0]["audits"]
        assert (ended.status, audit["verdict"], audit["expected"]) == (0, "right", "4"), name
        assert any("store" in each for each in audit["assumptions"])
    ours, theirs = put(tmp_path, "a.json", newer), put(tmp_path, "b.json", other)
    (audit,) = json.loads(command("audit", path, "--tariff", ours, "--format", "json").out)["files"][0]["audits"]
    assert [each["code"] for each in audit["reasons"]] == ["tariff.not_yet"]
    both = command("audit", path, "--tariff", ours, "--tariff", put(tmp_path, "c.json", TARIFF), "--tariff", theirs)
    assert both.status in (0, 1)


def test_readings_are_set_one_by_one(tmp_path: Path, command: Command) -> None:
    """Two periods of 10 minutes in steps of 15: 30 minutes where each is rounded, 30 where both are, 20 for none."""
    period = [{"type": "TIME", "volume": 0.1667}]
    periods = [{"start_date_time": f"2015-06-29T21:{minute}:00Z", "dimensions": period} for minute in ("00", "10")]
    component = {"type": "TIME", "price": 3.00, "step_size": 900}
    tariff = {**TARIFF, "elements": [{"price_components": [component]}]}
    path = put(
        tmp_path,
        "steps.json",
        cdr(
            start_date_time="2015-06-29T21:00:00Z",
            stop_date_time="2015-06-29T21:20:00Z",
            charging_periods=periods,
            tariffs=[tariff],
            total_cost=1.00,
            total_time=0.3333,
        ),
    )
    amounts = {}
    for settings in ((), ("step=none",), ("step=per_period", "rounding=exact"), ("step=none", "tolerance=2")):
        argv = [each for setting in settings for each in ("--set", setting)]
        ended = command("audit", path, "--format", "json", *argv)
        (audit,) = json.loads(ended.out)["files"][0]["audits"]
        amounts[settings] = (ended.status, audit["expected"])
        assert all(audit["readings"][name] == value for name, _, value in (each.partition("=") for each in settings))
    assert amounts == {
        (): (1, "1.5"),
        ("step=none",): (0, "1"),
        ("step=per_period", "rounding=exact"): (1, "1.5"),
        ("step=none", "tolerance=2"): (0, "1"),
    }
    assert "read with step=none" in command("audit", path, "--set", "step=none").out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--set", "step"), "--set: invalid reading 'step': expected NAME=VALUE, for example step=per_period"),
        (("--set", "stp=none"), "--set: invalid reading 'stp': expected one of step, "),
        (("--set", "step=never"), "--set: invalid reading step 'never': expected one of session_last, "),
        (("--set", "tolerance=-1"), "--set: invalid reading tolerance '-1': expected a number"),
        (("--set", "step=none", "--set", "step=none"), "--set: the reading step is set twice"),
        (("--only", "bad"), "--only: invalid verdict 'bad': expected some of right, wrong, undecidable, for example"),
        (("--only", ","), "--only: invalid verdict ','"),
        (("--format", "xml"), "--format: invalid value 'xml': expected table, json, csv, markdown or html"),
        (("--limit", "0"), "--limit"),
        (("--time-zone", "Mars/Olympus"), "invalid --time-zone 'Mars/Olympus': expected an IANA name"),
        (("--tariff", "no.json"), "no.json: cannot be read: No such file or directory"),
        (("--tariff", "w.json"), "--tariff: w.json: expected a Tariff, found a Cdr"),
        (("--tariff", "half.json"), "--tariff: half.json: "),
        (("--tariff", "none.json"), "--tariff: none.json: it holds no Tariff"),
        (("--from", "2024-05-01"), "--from and --to select stored CDRs: they need a party, for example NL-TNM"),
        (("--from", "soon"), "--from: invalid time 'soon': expected ISO 8601"),
        (("-", "--tariff", "-"), "standard input can be read only once"),
        (("-", "-"), "standard input can be read only once"),
        (("--output", "no/where"), "no/where: cannot be written"),
    ],
)
def test_wrong_usage_ends_with_2_and_audits_nothing(
    argv: Sequence[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "w.json", WRONG)
    put(tmp_path, "half.json", {**TARIFF, "elements": 7})
    put(tmp_path, "none.json", [])
    ended = command("audit", "w.json", *argv)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err


def test_files_that_cannot_be_read_are_entries_and_the_others_are_audited(tmp_path: Path, command: Command) -> None:
    good = put(tmp_path, "good.json", RIGHT)
    bad = {
        str(tmp_path / "missing.json"): "cannot be read: No such file or directory",
        put(tmp_path, "empty.json", b""): "JSON",
        put(tmp_path, "binary.json", b"\x89PNG\xff"): "invalid UTF-8",
        put(tmp_path, "number.json", b"7"): "",
        put(tmp_path, "tariff.json", TARIFF): "it holds no CDR, but another object",
        put(tmp_path, "others.json", OTHERS): "it holds no CDR, but 3 other objects",
        put(tmp_path, "unclear.json", {"a": 1}): "Cdr",
        put(tmp_path, "broken.json", BROKEN): "total_cost",
        put(tmp_path, "x.har", b"{}"): "not a HAR file",
    }
    for path, why in bad.items():
        ended = command("audit", path, good, "--format", "json")
        files = json.loads(ended.out)["files"]
        assert [each["file"] for each in files] == [path, good]
        assert (ended.status, files[0]["audits"]) == (1, []), path
        assert why in files[0]["error"], path
        assert path not in files[0]["error"]
        assert files[1]["audits"][0]["verdict"] == "right"
        assert command("audit", path).status == 1
    nothing = put(tmp_path, "page.json", envelope([]))
    ended = command("audit", nothing)
    assert (ended.status, ended.err) == (0, f"ocpi-emsp: nothing to audit in {nothing}\n")


def test_a_folder_without_anything_is_no_success(tmp_path: Path, command: Command) -> None:
    put(tmp_path, "readme.txt", "hello")
    ended = command("audit", str(tmp_path))
    assert (ended.status, ended.out) == (2, "")
    assert "nothing to audit: no *.json, *.jsonl, *.ndjson or *.har in" in ended.err
    assert json.loads(command("audit", str(tmp_path), "--format", "json").out) == {"files": []}


def test_standard_input_is_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Stdin:
        closed = False
        buffer = None

    import io

    stdin = Stdin()
    stdin.buffer = io.BytesIO(lines(RIGHT, WRONG).encode())  # type: ignore[assignment] # what is read
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["audit", "-", "--format", "json"]) == 1
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert (file["file"], len(file["audits"])) == ("-", 2)


def test_a_shell_completes_readings_and_verdicts(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_OCPI_EMSP_COMPLETE", "bash_complete")
    expected = {
        "ocpi-emsp audit --set ste": ["step=", "step_volume="],
        "ocpi-emsp quote --set equal_times=w": ["equal_times=whole_day"],
        "ocpi-emsp audit --only wrong,u": ["wrong,undecidable"],
        "ocpi-emsp audit --format m": ["markdown"],
    }
    for line, completed in expected.items():
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
        assert [word.removeprefix("plain,") for word in command().out.splitlines()] == completed
    assert set(VERDICTS) == {each.value for each in Verdict}
    assert CHOICES["equal_times"] == ("never", "whole_day")
