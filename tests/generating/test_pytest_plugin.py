"""The pytest plugin, as a user's own test run has it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ocpi_emsp import Location, encode
from ocpi_emsp.testing.payloads import examples

pytest_plugins = ["pytester"]


def _valid() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(examples(Location)[0].document)
    return document


@pytest.fixture
def captures(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder of payloads: a good one, a list with a bad one, lines, an envelope, and what nobody asked for."""
    good = _valid()
    bad, longer = {**good, "last_updated": "yesterday"}, {**good, "address": "x" * 46}
    folder = pytester.mkdir("captures")
    (folder / "good.json").write_text(json.dumps(good))
    (folder / "list.json").write_text(json.dumps([good, bad]))
    lines = [json.dumps(good), "", json.dumps(longer), "{", '{"what": "ever"}']
    (folder / "lines.jsonl").write_text("\n".join(lines))
    envelope = {"data": [good], "status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"}
    (folder / "page.json").write_text(json.dumps(envelope))
    (folder / "test_not_mine.py").write_text("def test_not_collected(): assert False")
    return pytester


def test_every_payload_of_a_folder_is_a_test(captures: pytest.Pytester) -> None:
    own = captures.makepyfile("def test_own(): pass")
    result = captures.runpytest_inprocess("--ocpi-files", "captures", str(own), "-v")
    result.assert_outcomes(passed=6, failed=3)
    result.stdout.fnmatch_lines(
        [
            "*good.json::document 1 PASSED*",
            "*lines.jsonl::line 1 PASSED*",
            "*lines.jsonl::line 3 PASSED*",
            "*lines.jsonl::line 4 FAILED*",
            "*lines.jsonl::line 5 FAILED*",
            "*list.json::/0 PASSED*",
            "*list.json::/1 FAILED*",
            "*page.json::/data/0 PASSED*",
        ]
    )
    result.stdout.fnmatch_lines(["error at (document)*json.syntax*", "*unknown kind of object*"])
    result.stdout.fnmatch_lines(["Location rejected", "error at /last_updated: 'yesterday' is not a timestamp*"])
    result.stdout.fnmatch_lines(['  "last_updated": "yesterday"*  <-- error: \'yesterday\' is not a timestamp*'])
    assert "Traceback" not in result.stdout.str()


def test_the_strict_policy_refuses_warnings(captures: pytest.Pytester) -> None:
    own = captures.makepyfile("def test_own(): pass")
    lines = "captures/lines.jsonl"
    result = captures.runpytest_inprocess("--ocpi-files", lines, "--ocpi-policy", "strict", str(own), "-v")
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(["*warning at /address: * has 46 characters*"])


@pytest.mark.parametrize("path", ["nowhere", "empty"])
def test_a_path_without_payloads_is_an_error(pytester: pytest.Pytester, path: str) -> None:
    pytester.mkdir("empty")
    result = pytester.runpytest_inprocess("--ocpi-files", path)
    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--ocpi-files {path}: no *"])


def test_the_fixture_goes_through_the_examples(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from ocpi_emsp import Connector, check

        @pytest.mark.ocpi_payloads(Connector, sort="quirky")
        def test_quirky(ocpi_payload):
            assert check(ocpi_payload.document, ocpi_payload.kind).ok

        @pytest.mark.ocpi_payloads(Connector, sort=("valid", "invalid"))
        def test_rest(ocpi_payload):
            assert check(ocpi_payload.document, ocpi_payload.kind).ok is (ocpi_payload.sort == "valid")

        @pytest.mark.ocpi_payloads(Connector, sort="valid")
        def test_failing(ocpi_payload):
            assert str(ocpi_payload) != "Connector valid: pretty"
        """
    )
    result = pytester.runpytest_inprocess("-v", "--strict-markers")
    counts = result.parseoutcomes()
    assert counts.pop("failed") == 2
    assert counts.keys() == {"passed"}
    assert counts["passed"] > 50
    result.stdout.fnmatch_lines(["*OCPI payload*", "Connector valid: pretty", "{", '  "id": *'])
    result.stdout.fnmatch_lines(["*test_quirky?Connector quirky: 37 characters at /id? PASSED*"])


def test_the_fixture_offers_everything_that_is_pushed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_all(ocpi_payload): assert ocpi_payload.document is not None")
    result = pytester.runpytest_inprocess("--collect-only", "-q")
    for kind in ("Location", "Evse", "Connector", "Session", "Cdr", "Tariff"):
        for sort in ("valid", "quirky", "invalid"):
            assert f"[{kind} {sort}: " in result.stdout.str()


def test_the_page_of_tests_runs(pytester: pytest.Pytester) -> None:
    """Each block of the page, in one file; and what it shows of a failure: the words of a missing fixture."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "test-your-backend.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    forgotten = "class TestForgotten(BackendContract): ..."
    pytester.makepyfile("\n\n".join([*blocks, forgotten]))
    mine = "TestMyBackend and (Connector and valid or Cdr and payloads)"
    chosen = f"not TestForgotten and not TestMyBackend or authorize or {mine}"
    result = pytester.runpytest_inprocess("--strict-markers", "-k", chosen, "-p", "no:timeout")
    counts = result.parseoutcomes()
    assert counts.pop("errors") == 1
    assert counts.keys() == {"passed", "deselected"}
    assert counts["passed"] > 25
    result.stdout.fnmatch_lines(
        [
            "TestForgotten does not say which backend it tests. Write:",
            "*class TestForgotten(BackendContract):",
            "*def ocpi_backend(self, ocpi_simulated_cpo):",
        ]
    )


def test_a_mark_that_is_misspelt_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.ocpi_cpo("no-such-preset")
        def test_preset(ocpi_simulated_cpo): ...

        @pytest.mark.ocpi_cpo(location=1)
        def test_setting(ocpi_simulated_cpo): ...
        """
    )
    result = pytester.runpytest_inprocess("--strict-markers")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        ["*invalid preset *expected one of plain, *", "*unexpected keyword argument 'location'*"]
    )


def test_an_example_is_a_document() -> None:
    assert encode(examples(Location)[0].json)
