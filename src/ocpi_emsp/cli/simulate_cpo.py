"""``ocpi-emsp simulate-cpo``: a simulated CPO alone, for demos and for trying one's own eMSP.

It prints one JSON line with versions_url, token_a and control_url when it listens, and runs until SIGTERM or Ctrl-C;
with --invitation it first writes the former two to a file. With --list-presets it only prints their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import asdict

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import Usage, cannot_listen
from ocpi_emsp.cli.given_secrets import token_of
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.settings import meant

_COUNTS = ("locations", "evses", "sessions", "cdrs")


def run(arguments: Arguments) -> int:
    """Serve until SIGTERM or Ctrl-C, or list the presets."""
    for package in ("starlette", "uvicorn"):
        output.require(package, "server")
    from ocpi_emsp.testing.cpo import PRESETS, SimulatedCpo, server

    if arguments.list_presets:
        output.write("".join(f"{name}\n" for name in PRESETS))
        return 0
    cpo = SimulatedCpo(**_settings(arguments))
    try:
        server.run(arguments.host, arguments.port, cpo, partial(_announce, arguments.invitation))
    except OSError as error:
        raise cannot_listen(arguments.host, arguments.port, error) from None
    return 0


def _settings(arguments: Arguments) -> dict[str, Any]:
    """Return the arguments of the simulated CPO: those of the preset, and the given ones."""
    from ocpi_emsp.testing.cpo.presets import PRESETS, preset

    name = "plain" if arguments.preset is None else arguments.preset
    if name not in PRESETS:
        raise Usage(f"--preset: invalid preset '{name}': --list-presets prints all names{meant(name, PRESETS)}")
    settings = preset(name)
    if arguments.party is not None:
        country_code, party_id = arguments.party
        settings |= {"country_code": country_code, "party_id": party_id}
    if not arguments.follow_commands:
        settings["sessions_follow_commands"] = False
    asked = {name: getattr(arguments, name) for name in ("page_limit", "session_seconds", *_COUNTS)}
    if (token := token_of(arguments, "token_a")) is not None:
        asked["token_a"] = token.reveal()
    return _one_of_each(settings) | settings | {name: value for name, value in asked.items() if value is not None}


def _one_of_each(settings: Mapping[str, Any]) -> dict[str, int]:
    """Return as many CDRs, with their sessions, as there are kinds of CDRs."""
    kinds = len(settings.get("overcharging", ()))
    return {"cdrs": kinds, "sessions": kinds * 4 // 3 + 1} if kinds else {}


def _announce(invitation: str | None, ready: Any) -> None:
    if invitation is not None:
        with output.to_file(invitation):
            output.write_json({"versions_url": ready.versions_url, "token_a": ready.token_a}, indent=None)
    output.write_json(asdict(ready), indent=None)
