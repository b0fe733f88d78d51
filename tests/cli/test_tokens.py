"""``ocpi-emsp tokens put|invalidate``: kept, pushed to simulated CPOs over real HTTP, or left to a server that runs."""

from __future__ import annotations

import io
import json
import signal
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from cli.conftest import SECONDS, Command, Ended, Start, registering, tokens_of
from ocpi_emsp import encode
from ocpi_emsp.models import TokenType
from our_emsp import token

WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url-policy", "loopback")
Cpo: TypeAlias = Callable[..., Any]


def document(uid: str = "A", **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode(token(uid)))
    return {**found, **changes}


def lines(*documents: Any) -> str:
    return "".join(json.dumps(each) + "\n" for each in documents)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, where no setting comes from anywhere else."""
    monkeypatch.chdir(tmp_path)
    for name in ("STORE", "URL", "COUNTRY_CODE", "PARTY_ID", "NAME", "URL_POLICY"):
        monkeypatch.delenv(f"OCPI_EMSP_{name}", raising=False)
    return tmp_path


@pytest.fixture
def put(home: Path, command: Command) -> Callable[..., Ended]:
    """Puts a file with this content."""

    def run(content: str | bytes, *argv: str, name: str = "tokens.json") -> Ended:
        (home / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return command("tokens", "put", name, *argv, *WHO)

    return run


def kept(command: Command) -> dict[str, Any]:
    """The tokens in the store, by uid and type."""
    ended = command("tokens", "list", "--json")
    documents = [json.loads(line) for line in ended.out.splitlines()]
    return {f"{each['uid']} {each['type']}": each for each in documents}


# --- the file -------------------------------------------------------------------------------------------------------

ENVELOPE = {"data": [document("A"), document("B")], "status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (json.dumps(document("A")), "one.json"),
        (json.dumps([document("A"), document("B")], indent=2), "list.json"),
        (lines(document("A"), document("B")), "lines.jsonl"),
        ("\n" + lines(document("A"), document("B")).replace("\n", "\r\n\n"), "lines.txt"),
        (lines([document("A"), document("B")]), "lists.ndjson"),
        (json.dumps(ENVELOPE), "envelope.json"),
    ],
)
def test_a_token_a_list_and_json_lines_are_read(
    content: str, name: str, put: Callable[..., Ended], command: Command
) -> None:
    count = 1 if name == "one.json" else 2
    ended = put(content, name=name)
    assert (ended.status, ended.err) == (0, "ocpi-emsp: no party waits for a push\n")
    assert ended.out == f"{count} token{'' if count == 1 else 's'} stored, {count} new or changed; 0 left out\n"
    assert list(kept(command)) == ["A RFID", "B RFID"][:count]
    assert (
        put(content, name=name).out
        == f"{count} token{'' if count == 1 else 's'} stored, 0 new or changed; 0 left out\n"
    )


@pytest.mark.usefixtures("home")
def test_standard_input_is_read(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines(document("A"), document("B")).encode())))
    ended = command("tokens", "put", "-", "--json", *WHO)
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(ended.out) == {"kept": 2, "changed": 2, "refused": 0, "parties": [], "waiting": []}


def test_what_breaks_the_specification_is_named_with_its_place_and_the_others_are_kept(
    put: Callable[..., Ended], command: Command
) -> None:
    bad = [document("x" * 37), document(valid="yes", issuer=None), {}, "A", 7, document(whitelist="SOMETIMES")]
    ended = put(lines(document("A"), *bad) + "{broken\n" + lines([document("B"), document(last_updated="soon")]))
    assert (ended.status, ended.out) == (1, "2 tokens stored, 2 new or changed; 8 left out\n")
    said = [line.removeprefix("ocpi-emsp: tokens.json: ").split(" [")[0] for line in ended.err.splitlines()]
    assert [line.partition(": ")[0] for line in said if line.startswith("line")] == sorted(
        line.partition(": ")[0] for line in said if line.startswith("line")
    )
    for place in ("line 2: warning at /uid", "line 3: ", "line 4: ", "line 5: ", "line 6: ", "line 7: ", "line 8: "):
        assert any(line.startswith(place) for line in said), (place, said)
    assert any(line.startswith("line 9: /1: error at /last_updated") for line in said)
    assert list(kept(command)) == ["A RFID", "B RFID"]


def test_a_nul_is_named_before_a_database_refuses_all_that_comes_with_it(
    put: Callable[..., Ended], command: Command
) -> None:
    ended = put(lines(document("A"), document("N\0"), document("B", issuer="\0")))
    assert (ended.status, ended.out) == (1, "1 token stored, 1 new or changed; 2 left out\n")
    assert "tokens.json: line 2: uid of this Token has a NUL character: remove it\n" in ended.err
    assert "tokens.json: line 3: issuer of this Token has a NUL character: remove it\n" in ended.err
    assert list(kept(command)) == ["A RFID"]


def test_more_than_twenty_that_are_left_out_are_counted(put: Callable[..., Ended]) -> None:
    ended = put(lines(*({"uid": str(number)} for number in range(25)), document("A")))
    assert (ended.status, ended.out) == (1, "1 token stored, 1 new or changed; 25 left out\n")
    places = {line.split(": ")[2] for line in ended.err.splitlines() if ": line " in line}
    assert places == {f"line {number}" for number in range(1, 21)}
    assert "ocpi-emsp: 5 more tokens were left out\n" in ended.err


@pytest.mark.parametrize("content", ["", "\n\n", "null", "[]", "no JSON", b"\xff\xfe{}", '{"uid": "A"', "[" * 100_000])
def test_a_file_without_a_token_is_said(content: str | bytes, put: Callable[..., Ended], command: Command) -> None:
    ended = put(content)
    assert ended.status == (0 if content == "[]" else 1)
    assert "Traceback" not in ended.err
    assert ended.out.startswith("0 tokens stored")
    assert kept(command) == {}


@pytest.mark.usefixtures("home")
def test_a_file_that_cannot_be_read_is_a_matter_of_usage(command: Command) -> None:
    for name in ("nowhere.json", ".", "a\0b"):
        ended = command("tokens", "put", name, *WHO)
        assert (ended.status, ended.out) == (2, "")
        assert "cannot be read" in ended.err
    assert command("tokens", "put", *WHO).status == 2
    assert command("tokens", "put", "nowhere.json").status == 2, "there is no identity"


def test_a_large_file_takes_little_memory(home: Path, command: Command) -> None:
    """Six times as many lines take no more than twice the memory."""

    def peak(count: int) -> int:
        name = f"{count}.jsonl"
        with (home / name).open("w") as file:
            file.writelines(json.dumps(document(f"T{number}")) + "\n" for number in range(count))
        tracemalloc.start()
        try:
            assert command("tokens", "put", name, "--store", f"sqlite:///{count}.db", *WHO).status == 0
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # what is loaded once
    few, many = peak(500), peak(3_000)
    assert many < 2 * few


# --- invalidate -----------------------------------------------------------------------------------------------------


def test_a_token_is_invalidated_by_uid_and_type(put: Callable[..., Ended], command: Command) -> None:
    put(lines(document("A"), document("A", type="OTHER")))
    ended = command("tokens", "invalidate", "A", "--type", "OTHER", *WHO)
    assert (ended.status, ended.err) == (0, "ocpi-emsp: no party waits for a push\n")
    assert ended.out.startswith("token A (OTHER) is not valid since 20")
    assert {name: each["valid"] for name, each in kept(command).items()} == {"A RFID": True, "A OTHER": False}
    told = json.loads(command("tokens", "invalidate", "A", "--json", *WHO).out)
    assert (told["uid"], told["type"], told["valid"], told["parties"]) == ("A", TokenType.RFID.value, False, [])


def test_a_token_that_is_not_there_cannot_be_invalidated(put: Callable[..., Ended], command: Command) -> None:
    put(lines(document("A")))
    ended = command("tokens", "invalidate", "B", *WHO)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == "ocpi-emsp: there is no token 'B' of type RFID\n"
    assert command("tokens", "invalidate", "A", "--type", "CARD", *WHO).status == 2


def test_invalidate_makes_no_database(home: Path, command: Command) -> None:
    ended = command("tokens", "invalidate", "A", *WHO)
    assert ended.status == 3
    assert "there is no database" in ended.err
    assert list(home.iterdir()) == []


# --- the push -------------------------------------------------------------------------------------------------------


@pytest.fixture
def cpo(start: Start, command: Command, request: pytest.FixtureRequest, monkeypatch: Any) -> Iterator[Cpo]:
    """Starts a simulated CPO and registers with it; gives its control URL and its process."""
    request.getfixturevalue("home")
    argv = () if getattr(request, "param", "") == "pushes" else ("--no-push",)
    server = start("serve", *WHO, "--port", "0", "--json", *argv)
    monkeypatch.setenv("OCPI_EMSP_URL", json.loads(server.stdout.readline())["url"])

    yield registering(start, command, WHO)
    server.send_signal(signal.SIGTERM)
    _, err = server.communicate(timeout=SECONDS)
    assert (server.returncode, "Traceback" in err) == (0, False), err


def test_what_is_put_and_invalidated_is_at_every_party_at_once(
    cpo: Cpo, put: Callable[..., Ended], command: Command
) -> None:
    one, _ = cpo("--party", "NL-TNM")
    other, _ = cpo("--party", "DE-ABC")
    ended = put(lines(document("A"), document("B")))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "2 tokens stored, 2 new or changed; 0 left out",
        "NL-TNM  2 put, 0 patched, 0 unchanged, 0 failed",
        "DE-ABC  2 put, 0 patched, 0 unchanged, 0 failed",
    ]
    told = json.loads(command("tokens", "invalidate", "B", "--json", *WHO).out)
    assert [(each["party_id"], each["patched"], each["unchanged"]) for each in told["parties"]] == [
        ("TNM", 1, 1),
        ("ABC", 1, 1),
    ]
    assert tokens_of(one) == tokens_of(other) == {"A": True, "B": False}


def test_without_pushing_it_is_said_who_waits(cpo: Cpo, put: Callable[..., Ended], command: Command) -> None:
    there, _ = cpo()
    ended = put(lines(document("A")), "--no-push")
    assert (ended.status, ended.err, ended.out.splitlines()[1:]) == (0, "", ["NL-TNM  waits for a push"])
    (waiting,) = json.loads(put(lines(document("B")), "--no-push", "--json").out)["waiting"]
    assert (waiting["country_code"], waiting["party_id"], waiting["attempts"]) == ("NL", "TNM", 0)
    assert tokens_of(there) == {}
    assert command("push-tokens", *WHO).out == "NL-TNM  2 put, 0 patched, 0 unchanged, 0 failed\n"
    assert tokens_of(there) == {"A": True, "B": True}


def test_a_party_that_is_down_is_3_and_asked_again_by_the_next(
    cpo: Cpo, put: Callable[..., Ended], command: Command
) -> None:
    _, gone = cpo("--party", "NL-TNM")
    there, _ = cpo("--party", "DE-ABC")
    gone.kill()
    gone.communicate(timeout=SECONDS)
    ended = put(lines(document("A"), {"uid": "B"}))
    assert ended.status == 3, "the worst of all"
    assert "NL-TNM  0 put, 0 patched, 0 unchanged, 1 failed; failed: NL-TNM did not answer" in ended.out
    assert tokens_of(there) == {"A": True}
    told = json.loads(command("tokens", "invalidate", "A", "--json", *WHO).out)
    assert [(each["party_id"], each["ended"]) for each in told["parties"]] == [("TNM", "failed"), ("ABC", "done")]
    assert tokens_of(there) == {"A": False}


@pytest.mark.parametrize("cpo", ["pushes"], indirect=True)
def test_a_server_that_runs_pushes_by_itself(cpo: Cpo, put: Callable[..., Ended], command: Command) -> None:
    there, _ = cpo()
    assert put(lines(document("A")), "--no-push").status == 0
    eventually(lambda: tokens_of(there) == {"A": True})
    assert command("tokens", "invalidate", "A", "--no-push", *WHO).status == 0
    eventually(lambda: tokens_of(there) == {"A": False})


def eventually(look: Callable[[], bool]) -> None:
    """Returns once it is so: another process does not say when."""
    rest = threading.Event()
    for _ in range(int(SECONDS / 0.1)):
        if look():
            return
        rest.wait(0.1)
    raise AssertionError("it did not happen")


def test_a_database_that_fails_is_3(put: Callable[..., Ended]) -> None:
    assert put(lines(document("A"))).status == 0
    Path("ocpi-emsp.db").write_bytes(b"no database")
    ended = put(lines(document("B")))
    assert (ended.status, ended.out) == (3, "")
    assert "Traceback" not in ended.err
