"""``ocpi-emsp import``: what is bad is named, and the rest is imported."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cli import filled
from cli.conftest import Command
from cli.exports import ENTRY, HEADER, OTHER, OWNER, TOO_DEEP, entry, given, line, stored
from ocpi_emsp.cli import import_store, stores
from ocpi_emsp.cli.portable import record_line
from ocpi_emsp.ports import (
    Kind,
)
from ocpi_emsp.storage import SqlStore

BAD_LINES = [
    ("nonsense", "invalid JSON"),
    ("[1]", "expected a JSON object"),
    ("{}", "Object missing required field `kind`"),
    ('{"kind": "tariff"', "invalid JSON"),
    (line(), "it has either a document or a document_text"),
    (line(document={}, document_text="{}"), "it has either a document or a document_text"),
    (line(document=5), "its document is not a valid tariff: expected a JSON object"),
    (line(document_text="{"), "its document is not a valid tariff: invalid JSON"),
    (line(document_text='{"a": "\ud800"}'), "invalid JSON"),
    (line(document={}, kind="hub"), "invalid kind 'hub'"),
    (line(document={}, id=5), "Expected `str`, got `int`"),
    (line(document={}, last_updated="yesterday"), "invalid last_updated 'yesterday': expected a time with its zone"),
    (line(document={}, received_at="2024-01-01T00:00:00"), "invalid received_at"),
    (line(document={}, received_at="0001-01-01T00:00:00+23:59"), "invalid received_at"),
    (line(document={}, missing_since="lately"), "invalid missing_since 'lately': expected a time with its zone"),
    (line(document={}, missed=-1), "Expected `int` >= 0 - at `$.missed`"),
    (line(document={}, missed=2**31), "Expected `int` <= 2147483647 - at `$.missed`"),
    (
        line(document={}, parent="P"),
        "the database rejected the value; error at (document): not storable: a tariff has no",
    ),
    (
        line(document={}, kind="evse", parent="NOWHERE"),
        "the database rejected the value; error at (document): not storable",
    ),
    (line(document={}, kind="party", id=""), "its document is not a valid party: "),
    (line(document={}, kind="command"), "its document is not a valid command: "),
    (line(document={}, kind="credential"), "its document is not a valid credential: Expected `array`, got `object`"),
    (line(document_text="[" * 10_000, kind="credential"), "its document is not a valid credential: "),
    ('{"kind":' + "[" * TOO_DEEP, "invalid JSON: nested too deeply"),
    (entry(topic="gossip"), "invalid topic 'gossip'"),
    (entry(body="!"), "its body is not valid base64: "),
    (entry(body="é"), "its body is not valid base64: "),
    (entry(details={}), "its details have no country_code"),
    (entry(details={**ENTRY["details"], "party_id": 1}), "its details have no party_id"),
    (entry(key=["session"]), "Expected `array` of length 5"),
    (entry(due="soon"), "invalid due 'soon': expected a time with its zone"),
    (entry(details=OWNER), "its details have no correlation_id"),
    (line(document={}, correlation_id=5), "Expected `str`, got `int` - at `$.correlation_id`"),
    (line(document={}, kind="reservation"), "its document is not a valid reservation: "),
    (entry(topic="start", details=OWNER), "its details are not valid for the topic start: "),
    (entry(topic="authorization", details=OWNER), "its details are not valid for the topic authorization"),
    (entry(topic="deadline", details={}), "its details have no country_code"),
    (entry(topic="rejection"), "its details are not valid for the topic rejection: "),
    (
        entry(topic="rejection", details={**ENTRY["details"], "findings": 5}),
        "its details are not valid for the topic rejection",
    ),
    (entry(attempts="many"), "Expected `int`, got `str`"),
]


@pytest.mark.parametrize(("bad", "said"), BAD_LINES, ids=range(len(BAD_LINES)))
@pytest.mark.parametrize("strict", [False, True])
def test_a_bad_line_is_named_and_the_others_are_imported(
    bad: str, said: str, strict: bool, database: str, command: Command, tmp_path: Path
) -> None:
    good = [line(document={"id": each}, id=each) for each in ("A", "B")]
    path = tmp_path / "given"
    path.write_bytes("\n".join([HEADER, good[0], bad, good[1], '{"end":{"lines":3}}']).encode("utf-8", "surrogatepass"))
    ended = command("import", "given", *(["--strict"] if strict else []))
    assert (ended.status, ended.out) == (1, "")
    assert f"given: line 3: {said}" in ended.err
    assert f"imported tariffs: {1 if strict else 2}\n" in ended.err
    assert ("nothing behind that line was imported" in ended.err) is strict
    assert [record.key.id for record in stored(database, Kind.TARIFF)] == ["12", "A", *(() if strict else ("B",))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not an export: expected a file that ocpi-emsp export wrote"),
        ("{}\n", "not an export"),
        (line(document={}) + "\n", "not an export"),
        ("\ufeff" + HEADER, "not an export"),
        ('{"ocpi_emsp_export":2}', "unknown format 2: expected 1; use the version that wrote it"),
        ('{"ocpi_emsp_export":"1"}', "not an export"),
        ('{"x":' + "[" * 100_000, "not an export"),
    ],
)
@pytest.mark.usefixtures("database")
def test_a_file_without_the_header_is_refused(text: str, said: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "given").write_text(text, "utf-8")
    ended = command("import", "given", "--store", OTHER)
    assert (ended.status, ended.out) == (2, "")
    assert f"given: {said}" in ended.err
    assert not (tmp_path / "other.db").exists()


@pytest.mark.usefixtures("database")
def test_a_file_that_was_cut_off_or_goes_on_is_said(command: Command, tmp_path: Path) -> None:
    good = [line(document={"id": each}, id=each) for each in "AB"]
    for path, said in (
        (given(tmp_path / "1", *good, end=False), "it was cut off: the line that ends an export is missing"),
        (given(tmp_path / "2", good[0], '{"end":{"lines":2}}', end=False), "it says that it has 2 lines, and has 1"),
        (given(tmp_path / "3", '{"end":{"lines":0}}', good[0], end=False), "line 3: it follows the end"),
    ):
        ended = command("import", path, "--store", OTHER)
        assert ended.status == 1
        assert said in ended.err


@pytest.mark.usefixtures("database")
def test_many_bad_lines_are_counted_and_long_ones_passed_over(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_store, "LONGEST", 1000)
    long = line(document={"id": "x" * 5000})
    path = given(tmp_path / "given", *["bad"] * 30, "", long, line(document={"id": "T"}), end=False)
    ended = command("import", path)
    assert ended.status == 1
    assert ended.err.count("invalid JSON") == 20
    assert "11 more lines cannot be imported" in ended.err
    assert "imported tariffs: 1\n" in ended.err
    path = given(tmp_path / "given", long, end=False)
    assert "line 2: it is longer than 1000 bytes" in command("import", path).err


@pytest.mark.parametrize("file", ["nothing", ".", "\0"])
@pytest.mark.usefixtures("database")
def test_a_file_that_cannot_be_read_is_said(file: str, command: Command) -> None:
    ended = command("import", file)
    assert (ended.status, ended.out) == (2, "")
    assert "cannot be read: " in ended.err


@pytest.mark.usefixtures("database")
def test_a_database_that_fails_on_the_way_is_3_and_says_how_far_it_got(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, begun = stores.writing, Counter[str]()

    def failing(store: SqlStore) -> Any:
        begun["times"] += 1
        if begun["times"] == 2:
            (tmp_path / "emsp.db").unlink()
            (tmp_path / "emsp.db").mkdir()
            store.close()
        return writing(store)

    monkeypatch.setattr(import_store, "BATCH", 1)
    monkeypatch.setattr(import_store, "writing", failing)
    path = given(tmp_path / "given", *(line(document={"id": each}, id=each) for each in "AB"))
    ended = command("import", path)
    assert ended.status == 3
    assert "the database failed; imported until then: tariffs: 1" in ended.err
    assert "sqlite:///emsp.db: unable to open database file" in ended.err


def test_a_record_that_no_line_can_hold_as_it_is_is_written_as_text() -> None:
    for document in (b'{"a":\n1}', b" {}", b"{}\r", b"[" * TOO_DEEP + b"]" * TOO_DEEP):
        written = record_line(filled.record(filled.owned(Kind.TARIFF, "T"), document))
        assert written.count(b"\n") == 1
        assert json.loads(written)["document_text"].encode() == document
