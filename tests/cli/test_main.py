"""The command as a whole: usage, exit status, output that nobody takes, what is imported when."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

import ocpi_emsp
from cli.conftest import Command, Ended
from ocpi_emsp.check import check
from ocpi_emsp.cli import main, matrix, output
from ocpi_emsp.cli.commands import Commands
from ocpi_emsp.cli.errors import reason
from ocpi_emsp.errors import (
    CannotUseApi,
    InvalidObject,
    NotRegistered,
    OcpiError,
    SchemaMismatch,
    StoreFailed,
    TransportFailed,
    UnsafeUrl,
)
from ocpi_emsp.models import Tariff
from processes import limited

ROOT = Path(__file__).parents[2]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("matrix", "--format", "xml"), "--format: invalid value 'xml': expected markdown, csv or json"),
        (("matrix", "--ful"), "(see ocpi-emsp matrix --help)"),
        (("check",), "PATH"),
        (("check", "x", "--limit", "0"), "--limit: invalid number '0': expected a whole number from 1"),
        (("rules", "--format", "html"), "invalid value 'html': expected text, json or markdown"),
        (
            ("simulate-cpo", "--port", "65536"),
            "--port: invalid number '65536': expected a whole number from 0 to 65535",
        ),
        (("simulate-cpo", "--port", "-1"), "--port"),
        (("simulate-cpo", "--host", "ü" * 100), "expected a host name or an address"),
        (("simulate-cpo", "--locations", "many"), "--locations: invalid number 'many': expected a whole number from 0"),
        (("simulate-cpo", "--party", "NLTNM"), "--party: invalid party 'NLTNM': expected CC-XXX, for example NL-TNM"),
        (("simulate-cpo", "--token-a", "two words"), "printable ASCII"),
        (("invite", "NL", "TNM"), "PARTY: invalid party 'NL': expected CC-XXX, for example NL-TNM"),
        (("register", "notaurl", "--token-a", "t"), "VERSIONS_URL: invalid URL 'notaurl': expected an absolute URL"),
        (("register", "http://[::1/v"), "VERSIONS_URL: invalid URL 'http://[::1/v': expected an absolute URL"),
        (("register", "http://cpo.test:port/v"), "VERSIONS_URL: invalid URL 'http://cpo.test:port/v': expected an"),
        (("register", "https://cpo.example.com/versions"), "Missing option '--token-a'"),
        (("sync", "--since", "2024-05-01", "--full"), "--since cannot be combined with --full"),
        (("events", "retry"), "expected one of ID and --all"),
        (("rejections", "replay", "1", "--all"), "expected one of ID and --all"),
        (("db",), "upgrade"),
        (("completion",), "Missing argument 'SHELL'. Expected bash, zsh or fish (see ocpi-emsp completion --help)"),
        (("serve", "--url-policy", "any"), "--url-policy: invalid value 'any': expected https or loopback"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(argv: Sequence[str], said: str, command: Command) -> None:
    ended = command(*argv)
    assert ended.status == 2
    assert said in ended.err
    assert ended.out == ""


def test_help_groups_the_commands_and_is_what_no_argument_prints(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = command()
    assert (ended.status, ended.err) == (0, "")
    assert ended == command("--help")
    headings = re.findall(r"^(\w+):", ended.out, re.MULTILINE)
    assert headings == ["Usage", "Options", "Run", "Partners", "Data", "Check", "Operate"]
    assert "ocpi-emsp check location.json" in ended.out
    assert max(map(len, ended.out.splitlines())) <= 90  # an example is one line, to be copied


def test_every_command_and_action_has_a_help_with_a_sentence(command: Command) -> None:
    commands = Commands()
    context = click.Context(commands, info_name="ocpi-emsp")
    seen = 0
    for name in commands.list_commands(context):
        made = commands.get_command(context, name)
        assert made is not None
        actions = made.commands.values() if isinstance(made, click.Group) else [made]
        for each in actions:
            seen += 1
            path = [name] if each is made else [name, str(each.name)]
            ended = command(*path, "--help")
            assert ended.status == 0, path
            assert ended.out.startswith(f"Usage: ocpi-emsp {' '.join(path)} [OPTIONS]"), path
            assert str(each.help).endswith("."), path
    assert seen > 50


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("ocpi-emsp ser", ["serve"]),
        ("ocpi-emsp party di", ["diagnose"]),
        ("ocpi-emsp matrix --f", ["--full", "--format"]),
        ("ocpi-emsp serve --url-policy l", ["loopback"]),
    ],
)
def test_a_shell_completes_commands_actions_options_and_words(
    line: str, completed: list[str], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_OCPI_EMSP_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    ended = command()
    assert ended.out.splitlines() == [f"plain,{word}" for word in completed]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_this_command(shell: str, command: Command) -> None:
    ended = command("completion", shell)
    assert ended.status == 0
    assert f"_OCPI_EMSP_COMPLETE={shell}_complete" in ended.out
    assert command("completion", "tcsh").status == 2


def test_help_and_version_end_with_0(command: Command) -> None:
    for argv in (("--help",), ("check", "--help"), ("serve", "--help"), ("demo", "--help")):
        assert command(*argv).status == 0
    ended = command("--version")
    assert ended.status == 0
    assert re.fullmatch(r"ocpi-emsp \d+\.\d+\.\d+\n", ended.out)


def test_a_reader_that_is_gone_is_one_line_on_stderr() -> None:
    line = [sys.executable, "-m", "ocpi_emsp", "matrix"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as gone, limited(gone):
        assert gone.stdout is not None
        gone.stdout.close()
        assert gone.stderr is not None
        err = gone.stderr.read()
        assert gone.wait(60) == 3
    assert err == "ocpi-emsp: the reader of the output went away before everything was written\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line_on_stderr() -> None:
    with Path("/dev/full").open("w") as full:
        line = [sys.executable, "-m", "ocpi_emsp", "matrix"]
        ended = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert ended.returncode == 3
    assert ended.stderr == "ocpi-emsp: the output cannot be written: No space left on device\n"


class Broken(io.StringIO):
    """A stdout that nobody takes."""

    def write(self, _: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_output_that_cannot_be_written_ends_with_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Broken())
    assert main(["matrix"]) == 3
    assert main(["--version"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["ocpi-emsp", "ocpi-emsp"]


def test_a_terminal_that_knows_ascii_only_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    output.write("Zürich\n")
    output.flush()
    assert raw.getvalue() == b"Z\\xfcrich\n"


def test_what_moves_the_cursor_is_escaped() -> None:
    assert output.printable("Zürich") == "Zürich"
    assert output.printable("a\x1b[2J\nb\ud800") == "a\\x1b[2J\\nb\\ud800"


def test_ctrl_c_is_one_line_and_130(monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(matrix, "run", interrupted)
    assert command("matrix") == Ended(130, "", "ocpi-emsp: interrupted\n")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreFailed("the disk is gone"), 3),
        (SchemaMismatch("the schema is older"), 3),
        (TransportFailed("no answer\nat all"), 3),
        (CannotUseApi("the API cannot be used"), 3),
        (UnsafeUrl("the url policy forbids it"), 2),
        (NotRegistered("there is no registration"), 1),
        (InvalidObject("refused", findings=tuple(check(b"{}", Tariff))), 1),
    ],
)
def test_what_the_library_raises_is_said_and_has_a_status(
    error: OcpiError, status: int, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    def failing(_: object) -> int:
        raise error

    monkeypatch.setattr(matrix, "run", failing)
    ended = command("matrix")
    assert (ended.status, ended.out) == (status, "")
    first, *rest = ended.err.splitlines()
    assert first == f"ocpi-emsp: {output.printable(error.message)}"
    registered = (
        "'ocpi-emsp parties list' shows who is registered, and who is only invited; "
        "'ocpi-emsp register' and 'ocpi-emsp invite' begin a registration"
    )
    next_steps = [registered] if isinstance(error, NotRegistered) else []
    assert rest == [f"ocpi-emsp: {output.printable(line)}" for line in [*map(str, error.findings), *next_steps]]


@pytest.mark.parametrize("argv", [("matrix",), ("matrix", "--format", "json"), ("demo", "--json"), ("rules",)])
def test_a_standard_output_that_is_closed_is_an_external_failure(
    argv: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ``>&-`` closes it, or a service manager: Python has none then."""
    monkeypatch.setattr(sys, "stdout", None)
    assert main(argv) == 3
    assert capsys.readouterr().err.endswith("ocpi-emsp: the output cannot be written: standard output is closed\n")


def test_a_standard_error_that_is_closed_sends_no_message_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["check", "nowhere.json"]) == 2
    assert capsys.readouterr().out == ""


def test_tables_are_aligned_columns_without_a_terminal() -> None:
    assert output.table(("a", "long"), (("wide", "1"), ("x", "\x07"))) == "a     long\nwide  1\nx     \\x07\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_tables_are_drawn_by_rich_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    drawn = output.table(("a", "b"), (("[red]x[/red]", "1"),))
    assert "[red]x[/red]" in drawn
    assert "│" in drawn
    monkeypatch.setitem(sys.modules, "rich", None)
    assert output.table(("a",), (("1",),)) == "a\n1\n"


@pytest.mark.parametrize(
    "argv", [("demo",), ("simulate-cpo",), ("serve", "--country-code", "IT", "--party-id", "BEC", "--name", "B")]
)
def test_a_missing_extra_is_named(argv: Sequence[str], monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ended = command(*argv)
    assert ended.status == 2
    assert "pip install 'ocpi-emsp[server]'" in ended.err
    assert ended.out == ""


def test_an_operating_system_error_without_a_text_has_a_name() -> None:
    assert reason(OSError()) == "OSError"
    assert reason(OSError(98, os.strerror(98) + " (while attempting to bind)")) == os.strerror(98)


def test_every_public_name_is_there_and_is_the_one_of_its_module() -> None:
    for name in ocpi_emsp.__all__:
        value = getattr(ocpi_emsp, name)
        assert vars(sys.modules[value.__module__])[name] is value
    assert set(ocpi_emsp.__all__) <= set(dir(ocpi_emsp))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = ocpi_emsp.Nonsense  # type: ignore[attr-defined] # that is the test
    code = "import ocpi_emsp.check; from ocpi_emsp import *; assert callable(check); assert Emsp.__name__ == 'Emsp'"
    assert python(code).returncode == 0


def test_checking_a_file_loads_no_http_client_and_no_store() -> None:
    location = ROOT / "tests/vectors/examples/locations/location-LOC1.json"
    ended = python(
        f"import sys; from ocpi_emsp.cli import main; status = main(['check', {str(location)!r}]);"
        "heavy = ('httpx', 'asyncio', 'anyio', 'uvicorn', 'rich', 'ocpi_emsp.storage', 'ocpi_emsp.flows');"
        "print([name for name in sys.modules if name.startswith(heavy)]);"
        "sys.exit(status)"
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "[]"
