"""``ocpi-emsp check``: shapes, kinds, places, policies, exit status."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from cli.conftest import Command, Ended
from ocpi_emsp.cli import main
from ocpi_emsp.cli.payloads import Part, read_parts

EXAMPLES = Path(__file__).parents[1] / "vectors" / "examples"
LOCATION = json.loads((EXAMPLES / "locations" / "location-LOC1.json").read_text())
LONG_NAME: dict[str, Any] = {**LOCATION, "name": "x" * 256}
"""A warning at /name."""
NO_CITY: dict[str, Any] = {name: value for name, value in LOCATION.items() if name != "city"}
"""An error at /city."""
CDR = json.loads((EXAMPLES / "cdrs" / "cdr.json").read_text())
ENVELOPE = {"status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"}


def file(tmp_path: Path, content: Any, name: str = "payload.json") -> str:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
    return str(path)


def lines(*documents: Any) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)


def findings(ended: Ended) -> list[tuple[str, str]]:
    """Pointer and severity of every finding."""
    return [(each["pointer"], each["severity"]) for each in only(ended)["findings"]]


def only(ended: Ended) -> Any:
    (checked,) = json.loads(ended.out)["files"]
    return checked


def examples() -> list[Any]:
    manifest = json.loads((EXAMPLES / "manifest.json").read_text())
    return [
        pytest.param(row, id=row["file"])
        for row in manifest
        if row["shape"] in ("object", "list", "envelope", "envelope-list") and row["kind"] != "DisplayText"
    ]


@pytest.mark.parametrize("row", examples())
def test_the_kind_of_every_example_is_guessed(row: dict[str, Any], command: Command) -> None:
    path = str(EXAMPLES / row["file"])
    guessed = command("check", path, "--format", "json")
    told = command("check", path, "--format", "json", "--as", row["kind"])
    assert guessed.status in (0, 1)
    assert only(guessed)["kind"] == row["kind"]
    if row["kind"] != "Envelope":
        assert told == guessed
    if not row["deviations"]:
        assert guessed.status == 0


def test_the_json_has_exactly_these_members(tmp_path: Path, command: Command) -> None:
    ended = command("check", file(tmp_path, LONG_NAME), "--format", "json")
    checked = only(ended)
    assert ended.status == 0
    assert ended.err == ""
    assert set(checked) == {"file", "kind", "ok", "findings"}
    assert (checked["file"], checked["kind"], checked["ok"]) == (str(tmp_path / "payload.json"), "Location", True)
    assert checked["findings"] == [
        {
            "pointer": "/name",
            "rule": "string.length",
            "severity": "warning",
            "message": checked["findings"][0]["message"],
            "clause": "mod_locations.md#31-location-object",
        }
    ]


@pytest.mark.parametrize(
    ("content", "pointers"),
    [
        (LONG_NAME, ["/name"]),
        ([LOCATION, LOCATION, LONG_NAME, NO_CITY], ["/2/name", "/3/city"]),
        ({**ENVELOPE, "data": LONG_NAME}, ["/data/name"]),
        ({**ENVELOPE, "data": [LOCATION, LONG_NAME]}, ["/data/1/name"]),
        ([], []),
        ({**ENVELOPE, "data": []}, []),
        ({**ENVELOPE, "data": None}, []),
    ],
)
def test_pointers_lead_to_the_place_in_the_file(
    content: Any, pointers: Sequence[str], tmp_path: Path, command: Command
) -> None:
    ended = command("check", file(tmp_path, content), "--format", "json")
    assert [pointer for pointer, _ in findings(ended)] == pointers
    for pointer in pointers:
        place: Any = content
        for step in pointer.split("/")[1:-1]:
            place = place[int(step) if isinstance(place, list) else step]
        assert place in (LONG_NAME, NO_CITY)


def test_what_an_envelope_lacks_is_a_warning(tmp_path: Path, command: Command) -> None:
    path = file(tmp_path, {"status_code": 1000, "data": [LOCATION]})
    ended = command("check", path, "--format", "json")
    assert findings(ended) == [("/timestamp", "warning")]
    assert ended.status == 0
    assert command("check", path, "--policy", "strict").status == 1


def test_an_envelope_without_data_is_checked_itself(tmp_path: Path, command: Command) -> None:
    ended = command("check", file(tmp_path, ENVELOPE), "--format", "json")
    assert (ended.status, only(ended)["kind"]) == (0, "Envelope")
    ended = command("check", file(tmp_path, {**ENVELOPE, "data": LONG_NAME}), "--as", "envelope", "--format", "json")
    assert (findings(ended), only(ended)["kind"]) == ([], "Envelope")


def test_json_lines_name_the_line(tmp_path: Path, command: Command) -> None:
    content = lines(LOCATION) + "\n" + lines(LONG_NAME) + "{broken\n" + lines([LOCATION, NO_CITY])
    path = file(tmp_path, content)
    ended = command("check", path, "--format", "json")
    checked = only(ended)
    assert [(each["line"], each["pointer"], each["rule"]) for each in checked["findings"]] == [
        (3, "/name", "string.length"),
        (4, "", "json.syntax"),
        (5, "/1/city", "field.required"),
    ]
    assert set(checked["findings"][0]) == {"line", "pointer", "rule", "severity", "message", "clause"}
    assert (ended.status, checked["ok"], checked["kind"]) == (1, False, "Location")
    text = command("check", path).out.splitlines()
    assert text[0].startswith(f"{path}: line 3: warning at /name: ")
    assert text[1].startswith(f"{path}: line 4: error at (document): ")
    assert text[-1] == f"{path}: refused as Location: 2 errors, 1 warning, 0 notes"


@pytest.mark.parametrize("name", ["payload.jsonl", "payload.NDJSON"])
def test_a_name_says_json_lines(name: str, tmp_path: Path, command: Command) -> None:
    ended = command("check", file(tmp_path, lines(LONG_NAME), name), "--format", "json")
    assert only(ended)["findings"][0]["line"] == 1
    assert command("check", file(tmp_path, "", name)).status == 0


def test_json_lines_with_a_broken_first_line_are_still_lines(tmp_path: Path, command: Command) -> None:
    ended = command("check", file(tmp_path, '{"id":\n' + lines(LONG_NAME)), "--format", "json")
    assert [(each["line"], each["rule"]) for each in only(ended)["findings"]] == [
        (1, "json.syntax"),
        (2, "string.length"),
    ]


def test_standard_input_is_a_file(monkeypatch: pytest.MonkeyPatch, command: Command, process: Command) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(LONG_NAME).encode())))
    ended = command("check", "-", "--format", "json")
    assert (only(ended)["file"], findings(ended)) == ("-", [("/name", "warning")])
    assert process("check", "-", input=lines(LOCATION, NO_CITY)).status == 1
    assert command("check", "-", "-").status == 2
    monkeypatch.setattr(sys, "stdin", None)
    assert command("check", "-") == Ended(2, "", "ocpi-emsp: standard input is closed\n")


def test_the_policy_decides(tmp_path: Path, command: Command) -> None:
    warned, wrong = file(tmp_path, LONG_NAME, "warned.json"), file(tmp_path, NO_CITY, "wrong.json")
    assert command("check", warned).status == 0
    assert command("check", warned, "--policy", "strict").status == 1
    assert command("check", wrong, "--policy", "tolerant").status == 1
    both = command("check", warned, wrong, "--no-report", "--format", "json")
    assert both.status == 1
    assert [each["ok"] for each in json.loads(both.out)["files"]] == [True, False]
    text = command("check", warned, wrong, "--no-report").out.splitlines()
    assert [line for line in text if line.startswith((f"{warned}: accepted", f"{wrong}: refused"))] == [
        f"{warned}: accepted as Location: 0 errors, 1 warning, 0 notes",
        f"{wrong}: refused as Location: 1 error, 0 warnings, 0 notes",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("one.json", LOCATION),
        ("list.json", [LOCATION, LOCATION]),
        ("envelope.json", {**ENVELOPE, "data": [LOCATION]}),
        ("lines.jsonl", lines(LOCATION, LOCATION)),
        ("unnamed.txt", lines(LOCATION, LOCATION)),
    ],
)
def test_a_byte_order_mark_changes_nothing(name: str, content: Any, tmp_path: Path, command: Command) -> None:
    path = Path(file(tmp_path, content, name))
    plain = command("check", str(path), "--no-report")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert command("check", str(path), "--no-report") == plain
    assert (plain.status, plain.err) == (0, "")


@pytest.mark.parametrize(
    "content", ["", "nonsense", "{", '{"id": 1,}', "[1, 2", "\ufeff", b'{"id": "\xff"}', '{"a": NaN}', "[" * 100_000]
)
def test_what_is_no_json_is_refused(content: str | bytes, tmp_path: Path, command: Command) -> None:
    ended = command("check", file(tmp_path, content), "--format", "json")
    assert ended.status == 1
    checked = only(ended)
    assert [(each["pointer"], each["rule"]) for each in checked["findings"]] == [("", "json.syntax")]
    assert (checked["ok"], checked["kind"]) == (False, None)
    assert only(command("check", file(tmp_path, content), "--format", "json", "--as", "cdr"))["kind"] == "Cdr"


@pytest.mark.parametrize(
    "content", [{}, {"status": "CHARGING"}, {"id": "1"}, {"nonsense": 1}, [1], "text", {**ENVELOPE, "data": "ACCEPTED"}]
)
def test_a_kind_that_is_not_clear_is_asked_for(content: Any, tmp_path: Path, command: Command) -> None:
    path = file(tmp_path, json.dumps(content))
    ended = command("check", path)
    assert ended.status == 2
    assert ended.err.startswith(f"ocpi-emsp: {path}: unclear kind of object: set --as KIND: Location, Evse, ")
    assert ended.err.count("\n") == 1
    assert command("check", path, "--as", "location").status == 1


def test_a_kind_that_gets_unclear_within_a_file_leaves_whole_json(tmp_path: Path, command: Command) -> None:
    ended = command("check", file(tmp_path, "{broken\n" + lines({"a": 1}), "a.jsonl"), "--format", "json")
    assert ended.status == 1
    assert "line 2: unclear kind of object" in ended.err
    assert (only(ended)["ok"], only(ended)["kind"]) == (False, None)


def test_a_file_is_checked_on_behind_a_line_whose_kind_is_unclear(tmp_path: Path, command: Command) -> None:
    path = file(tmp_path, lines({"a": 1}, LOCATION, CDR, {"b": 1}, NO_CITY), "mixed.jsonl")
    ended = command("check", path)
    assert ended.status == 1
    assert f"{path}: line 5: error at /city" in ended.out
    assert ended.out.splitlines()[-1] == f"{path}: refused: 1 error, 2 warnings, 1 note"
    assert ended.err.startswith(
        f"ocpi-emsp: {path}: line 1: unclear kind of object (and of 1 more document): set --as KIND: "
    )
    ended = command("check", file(tmp_path, lines({"a": 1}, LOCATION), "good.jsonl"), "--format", "json")
    assert (ended.status, only(ended)["ok"], only(ended)["kind"]) == (1, False, "Location")


def test_members_of_a_partners_own_do_not_hide_the_kind(tmp_path: Path, command: Command) -> None:
    own = {f"x_{number}": 1 for number in range(100)}
    ended = command("check", file(tmp_path, {**LOCATION, **own}), "--format", "json")
    assert (ended.status, only(ended)["kind"]) == (0, "Location")
    assert command("check", file(tmp_path, {"result": "ACCEPTED", **own})).status == 2


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"response_url": "u", "token": {}, "location_id": "1"}, "StartSession"),
        ({"response_url": "u", "token": {}, "location_id": "1", "evse_uid": "2"}, "StartSession"),
        ({"response_url": "u", "token": {}, "expiry_date": "t", "reservation_id": 1, "location_id": "1"}, "ReserveNow"),
        ({"response_url": "u", "session_id": "1"}, "StopSession"),
        ({"response_url": "u", "location_id": "1", "evse_uid": "2", "connector_id": "3"}, "UnlockConnector"),
        ({"location_id": "1"}, "LocationReferences"),
        ({"location_id": "1", "evse_uids": ["2"]}, "LocationReferences"),
        ({"allowed": "ALLOWED", "info": {}}, "AuthorizationInfo"),
        ({"result": "ACCEPTED"}, "CommandResponse"),
        ({"identifier": "cdrs", "url": "u"}, "Endpoint"),
        ({"version": "2.1.1", "url": "u"}, "Version"),
    ],
)
def test_small_objects_are_told_apart(document: dict[str, Any], kind: str, tmp_path: Path, command: Command) -> None:
    assert only(command("check", file(tmp_path, document), "--format", "json"))["kind"] == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("location", "Location"),
        ("LOCATIONS", "Location"),
        ("EVSE", "Evse"),
        ("evses", "Evse"),
        ("CDRs", "Cdr"),
        ("version-details", "VersionDetail"),
        ("command_response", "CommandResponse"),
        ("LocationReference", "LocationReferences"),
        ("credential", "Credentials"),
        ("authorization info", "AuthorizationInfo"),
        ("energymixes", "EnergyMix"),
    ],
)
def test_kinds_go_by_many_spellings(name: str, kind: str, tmp_path: Path, command: Command) -> None:
    ended = command("check", file(tmp_path, {}), "--as", name, "--format", "json")
    assert (ended.status, only(ended)["kind"]) == (1, kind)


def test_an_unknown_kind_is_a_usage_error(command: Command) -> None:
    ended = command("check", "x.json", "--as", "status")
    assert ended.status == 2
    assert "expected one of AdditionalGeoLocation" in ended.err


def test_files_that_cannot_be_read_leave_the_others(tmp_path: Path, command: Command) -> None:
    good, missing = file(tmp_path, LOCATION), str(tmp_path / "missing.json")
    ended = command("check", missing, good, "--no-report", "--format", "json")
    assert ended.status == 2
    assert only(ended)["file"] == good
    assert ended.err == f"ocpi-emsp: {missing}: cannot be read: No such file or directory\n"
    assert json.loads(command("check", missing, "--format", "json").out) == {"files": []}
    assert command("check", missing).out == ""
    assert command("check", "a\0b").status == 2


def test_a_hostile_member_cannot_write_on_the_terminal(tmp_path: Path, command: Command) -> None:
    ended = command("check", file(tmp_path, {**LOCATION, "a\x1b[2J\nb": 1}))
    assert "\x1b" not in ended.out
    assert "/a\\x1b[2J\\nb" in ended.out


def test_findings_beyond_the_most_that_are_listed_are_counted(tmp_path: Path, command: Command) -> None:
    ended = command("check", file(tmp_path, {**LOCATION, **{f"x{number}": 1 for number in range(1200)}}))
    assert ended.status == 0
    assert ended.err.endswith(": 200 more findings not listed\n")


class Counted:
    """A stream that says how many of its lines were read."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.read_lines = 0

    def readline(self, _: int = -1) -> bytes:
        self.read_lines += 1
        return self.document + b"\n"


@pytest.mark.parametrize("name", ["-", "a.jsonl"])
def test_json_lines_are_read_as_they_are_needed(name: str) -> None:
    stream = Counted(b'{"id":"1"}')
    parts = read_parts(cast("BinaryIO", stream), name)
    assert [next(parts) for _ in range(3)] == [Part(b'{"id":"1"}', line=number) for number in (1, 2, 3)]
    assert stream.read_lines == 3


@pytest.mark.parametrize("form", ["text", "json"])
def test_memory_stays_flat_however_many_lines(form: str, tmp_path: Path) -> None:
    path = file(tmp_path, lines(LONG_NAME) * 1000, "many.jsonl")
    main(["check", file(tmp_path, lines(LONG_NAME)), "--format", form])
    with (tmp_path / "out").open("w") as out, contextlib.redirect_stdout(out):
        tracemalloc.start()
        status = main(["check", path, "--format", form])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert status == 0
    assert peak < 1_000_000 < Path(path).stat().st_size
