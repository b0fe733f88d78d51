"""``ocpi-emsp simulate-cpo``."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.conftest import SECONDS, Command, Start
from ocpi_emsp.cli import simulate_cpo
from ocpi_emsp.cli.commands import arguments_of
from ocpi_emsp.testing.cpo import PRESETS


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_one_json_line_and_ends_in_order(
    end: signal.Signals, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCPI_EMSP_TOKEN_A", "token-of-the-test")
    cpo = start("simulate-cpo", "--party", "de-abc")
    ready = json.loads(cpo.stdout.readline())
    assert set(ready) == {"versions_url", "token_a", "control_url"}
    assert ready["token_a"] == "token-of-the-test"
    answer = httpx.get(ready["versions_url"], headers={"Authorization": "Token token-of-the-test"})
    assert answer.json()["status_code"] == 1000
    assert httpx.get(ready["control_url"] + "/state").json()["registered"] is False
    cpo.send_signal(end)
    out, err = cpo.communicate(timeout=SECONDS)
    assert (cpo.returncode, out, err) == (0, "", "")


def settings(*argv: str) -> dict[str, Any]:
    return simulate_cpo._settings(arguments_of("simulate-cpo", argv))


def test_the_arguments_are_those_of_the_simulated_cpo() -> None:
    assert settings() == settings("--follow-commands") == {}
    assert settings("--no-follow-commands") == {"sessions_follow_commands": False}
    assert settings("--session-seconds", "3") == {"session_seconds": 3}
    asked = settings("--party", "be-xyz", "--locations", "7", "--evses", "0", "--sessions", "1", "--cdrs", "2")
    assert asked == {"country_code": "BE", "party_id": "XYZ", "locations": 7, "evses": 0, "sessions": 1, "cdrs": 2}
    assert settings("--page-limit", "2", "--preset", "loop") == {"page_limit": 2, "next_link": "loop"}
    for name, preset in PRESETS.items():
        one_of_each = {"cdrs": 16, "sessions": 22} if name == "overcharging" else {}
        assert settings("--preset", name) == preset | one_of_each
    assert settings("--preset", "overcharging", "--cdrs", "3")["cdrs"] == 3


def test_an_unknown_preset_is_a_usage_error(command: Command) -> None:
    for name, meant in (("nice", ""), ("no-lniks", " (did you mean no-links?)")):
        said = f"ocpi-emsp: --preset: invalid preset '{name}': --list-presets prints all names{meant}\n"
        assert command("simulate-cpo", "--preset", name) == (2, "", said)


def test_the_presets_are_listed(command: Command) -> None:
    ended = command("simulate-cpo", "--list-presets")
    assert (ended.status, ended.out.splitlines(), ended.err) == (0, list(PRESETS), "")
    assert "--list-presets" in command("simulate-cpo", "--help").out


@pytest.mark.parametrize("limit", ["0", "-1", "x"])
def test_a_page_has_at_least_one_object(limit: str, command: Command) -> None:
    ended = command("simulate-cpo", "--page-limit", limit)
    assert ended.status == 2
    assert "--page-limit" in ended.err


def test_it_runs_in_this_process_as_well(monkeypatch: pytest.MonkeyPatch, command: Command, tmp_path: Path) -> None:
    announce = simulate_cpo._announce

    def ready(*args: Any) -> None:
        announce(*args)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(simulate_cpo, "_announce", ready)
    ended = command("simulate-cpo", "--locations", "1", "--invitation", str(tmp_path / "cpo.json"))
    assert ended.status == 0
    said = json.loads(ended.out)
    assert set(said) == {"versions_url", "token_a", "control_url"}
    assert json.loads((tmp_path / "cpo.json").read_text()) == {name: said[name] for name in ("versions_url", "token_a")}
    assert (tmp_path / "cpo.json").stat().st_mode & 0o777 == 0o600
