"""``ocpi-emsp redact``: files, lines, archives and folders; what ``check`` finds in them is the same afterwards."""

from __future__ import annotations

import base64
import gzip
import io
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from cli.test_check import ENVELOPE, LOCATION, LONG_NAME, NO_CITY, file, lines
from cli.test_har import CPO, EMSP, entry, har
from ocpi_emsp.cli import payloads

STAYS = "ocpi-emsp: unknown members keep their names (rename one that identifies a person): x_driver\n"
VECTORS = Path(__file__).parents[1] / "vectors" / "examples"
JANE = {**LOCATION, "name": "Jane Doe", "x_driver": {"mail": "jane.doe@server.org"}, "status": 1}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that are the same in each run of the tests: of a random one, a stand-in could be one of our names."""
    numbers = count()
    monkeypatch.setattr("ocpi_emsp.redact.redactor.secrets.token_bytes", lambda size: bytes([next(numbers)] * size))


def findings(command: Command, path: Path) -> list[tuple[Any, ...]]:
    """What is found in a file or folder: place, pointer, rule."""
    listed = json.loads(command("check", str(path), "--format", "json", "--no-report").out)["files"]
    return [
        (each.get("line"), each.get("entry", "").partition(":")[0], each["pointer"], each["rule"])
        for one in listed
        for each in one["findings"]
    ]


def test_a_file_goes_to_standard_output(tmp_path: Path, command: Command) -> None:
    path = file(tmp_path, JANE)
    key = ("--key-file", file(tmp_path, "a secret\n", "key.txt"))
    ended = command("redact", path, *key)
    assert (ended.status, ended.err) == (0, STAYS)
    redacted = json.loads(ended.out)
    assert list(redacted) == list(JANE)
    assert len(redacted["name"]) == len("Jane Doe")
    assert "Jane" not in ended.out
    assert "server" not in ended.out
    assert command("redact", path, *key).out == ended.out
    assert command("redact", path).out != command("redact", path).out
    assert json.loads(command("redact", path, "--keep", "name").out)["name"] == "Jane Doe"


def test_standard_input_goes_to_a_file(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps({**ENVELOPE, "data": JANE}).encode())))
    target = tmp_path / "safe.json"
    ended = command("redact", "-", "--output", str(target))
    assert (ended.status, ended.out, ended.err) == (0, "", STAYS)
    assert json.loads(target.read_text())["status_code"] == ENVELOPE["status_code"]
    assert "Jane" not in target.read_text()


def test_a_folder_goes_to_a_folder_with_the_same_findings(tmp_path: Path, command: Command) -> None:
    place, safe = tmp_path / "capture", tmp_path / "safe"
    (place / "b").mkdir(parents=True)
    file(place, LONG_NAME, "a.json")
    file(place / "b", lines(JANE, NO_CITY, [JANE, JANE]) + '{"name": "Jane', "x.ndjson")
    file(place / "b", json.dumps({"data": [JANE], "status_code": 1000}, indent=2), "answer.json")
    ended = command("redact", str(place), "--output", str(safe))
    assert (ended.status, ended.out, ended.err) == (0, "", STAYS)
    assert sorted(str(path.relative_to(safe)) for path in safe.rglob("*.*")) == [
        "a.json",
        "b/answer.json",
        "b/x.ndjson",
    ]
    assert findings(command, safe) == findings(command, place) != []
    assert not any("Jane" in path.read_text() for path in safe.rglob("*.*"))


def test_the_specifications_examples_have_the_same_findings(tmp_path: Path, command: Command) -> None:
    assert command("redact", str(VECTORS), "--parties", "--output", str(tmp_path)).status == 0
    assert findings(command, tmp_path) == findings(command, VECTORS) != []


def test_an_archive_keeps_what_check_reads(tmp_path: Path, command: Command) -> None:
    uid = "NL-TNM-04A2B3C4D5"
    encoded = entry("GET", f"{CPO}/sessions?offset=0")
    content = base64.b64encode(json.dumps({**ENVELOPE, "data": [JANE]}).encode()).decode()
    encoded["response"]["content"] = {"mimeType": "application/json", "text": content, "encoding": "base64"}
    path = tmp_path / "capture.har"
    path.write_bytes(
        har(
            entry("PUT", f"{EMSP}/locations/NL/TNM/{uid}", {**JANE, "id": uid}, {"status_code": 1000}),
            entry("PATCH", f"{EMSP}/locations/NL/TNM/{uid}/Jane%20Doe", {"status": "JANE DOE"}, "{broken Jane"),
            entry("GET", "https://jane.server.org/login?user=Jane", {"user": "Jane"}, "<p>Jane</p>"),
            entry("GET", f"{CPO}/locations", response={**ENVELOPE, "data": [NO_CITY, LONG_NAME]}),
            encoded,
            "Jane",
        )
    )
    ended = command("redact", str(path), "--output", str(tmp_path / "safe.har"))
    assert (ended.status, ended.err) == (0, STAYS.replace("x_driver", "x_driver, user"))
    assert findings(command, tmp_path / "safe.har") == findings(command, path)
    text = (tmp_path / "safe.har").read_text()
    for private in ("Jane", "JANE", "server", "secret", uid, "TWUu"):
        assert private not in text
    entries = json.loads(text)["log"]["entries"]
    assert len(entries) == 6
    assert json.loads(entries[0]["request"]["postData"]["text"])["id"] == entries[0]["request"]["url"].split("/")[-1]
    assert "/ocpi/emsp/2.1.1/locations/NL/TNM/" in entries[0]["request"]["url"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.har", b"[]", "not a HAR file: expected an object with log.entries"),
        ("packed.json", gzip.compress(b"{}", mtime=0), "compressed with gzip: unpack it first"),
    ],
    ids=["archive", "gzip"],
)
def test_what_cannot_be_read(tmp_path: Path, command: Command, name: str, content: bytes, message: str) -> None:
    path = file(tmp_path, content, name)
    ended = command("redact", path)
    assert (ended.status, ended.out, ended.err) == (2, "", f"ocpi-emsp: {path}: {message}\n")
    file(tmp_path, JANE, "good.json")
    ended = command("redact", str(tmp_path), "--output", str(tmp_path / "safe"))
    assert (ended.status, ended.err) == (1, f"ocpi-emsp: {path}: {message}\n{STAYS}")
    assert [each.name for each in (tmp_path / "safe").iterdir()] == ["good.json"]


def test_no_input_is_overwritten(tmp_path: Path, command: Command) -> None:
    path = file(tmp_path, JANE)
    for argv in ((path, "--output", path), (str(tmp_path), "--output", str(tmp_path))):
        ended = command("redact", *argv)
        assert ended.status in (1, 2)
        assert ended.err == f"ocpi-emsp: {path}: cannot be written: it is the file that is read\n"
    assert json.loads(Path(path).read_text()) == JANE
    assert command("redact", path, path).err == (
        "ocpi-emsp: several files cannot go to standard output: set --output FOLDER\n"
    )
    (tmp_path / "a").mkdir()
    other = file(tmp_path / "a", NO_CITY, Path(path).name)
    assert command("redact", path, other, "--output", str(tmp_path / "safe")).status == 0
    stem = Path(path).stem
    assert sorted(each.name for each in (tmp_path / "safe").iterdir()) == [f"{stem}-2.json", f"{stem}.json"]


def test_a_key_is_not_empty(tmp_path: Path, command: Command) -> None:
    path, key = file(tmp_path, JANE), file(tmp_path, " \n", "key.txt")
    ended = command("redact", path, "--key-file", key)
    assert (ended.status, ended.out, ended.err) == (2, "", f"ocpi-emsp: {key}: expected a secret, found nothing\n")


def test_what_is_left_out_is_named(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "capture"
    place.mkdir()
    file(place, "Jane", "readme.txt")
    monkeypatch.setattr("ocpi_emsp.cli.redact.MAX_LINE", 4000)
    path = file(place, lines({**LOCATION, "name": "Jane" * 2000}) + lines(JANE), "long.jsonl")
    ended = command("redact", str(place), "--output", str(tmp_path / "safe"))
    assert ended.status == 1
    assert ended.err.splitlines() == [
        f"ocpi-emsp: {path}: line 1: too long, left out",
        f"ocpi-emsp: left out files other than *.json, *.jsonl, *.ndjson and *.har: {place}/readme.txt",
        STAYS.strip(),
    ]
    first, second = (tmp_path / "safe" / "long.jsonl").read_text().splitlines()
    assert (first, len(second)) == ("", len(json.dumps(JANE)))
    assert payloads.MAX_LINE == 16 * 1024 * 1024
