"""``ocpi-emsp register``: the credentials handshake with a CPO that invited us.

Rules of this module: the CPO calls our server back meanwhile, so that server must run on the same store; no token is
printed; an invitation is what ``simulate-cpo --invitation`` writes and ``invite --json`` prints.
"""

from __future__ import annotations

from typing import Any

import click
from attrs import asdict

from ocpi_emsp.cli import options as o, output
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.given_secrets import given_on_line, required_token
from ocpi_emsp.cli.identity import extensions
from ocpi_emsp.cli.options import Arguments, headers_of, usable_headers
from ocpi_emsp.cli.read_secrets import text_of
from ocpi_emsp.cli.stores import emsp_of
from ocpi_emsp.cli.sync import status_of
from ocpi_emsp.cli.sync_lines import lines
from ocpi_emsp.resources import Party, SyncReport
from ocpi_emsp.secret import Secret


def run(arguments: Arguments) -> int:
    """Register, and print the party; return 3 if the CPO fails. With ``--sync`` the status is that of the sync."""
    versions_url, token_a = _invitation(arguments)
    with emsp_of(arguments, url_needed_for="the CPO calls us back", makes=True) as emsp, usable_headers():
        party = emsp.parties.register(
            versions_url,
            token_a=token_a,
            base64_token=arguments.base64_token,
            required_modules=arguments.required_modules or None,
            absent_as_null=arguments.absent_as_null,
            extensions=None if arguments.extensions is None else extensions(arguments.extensions),
            headers=headers_of(arguments.headers),
            hosts=arguments.hosts or None,
        )
        if not arguments.json:
            print_party(party, "registered with", as_json=False)
            output.flush()
        report = emsp.partner(str(party)).sync() if arguments.sync else None
    if arguments.json:
        output.write_json(_as_json(party, report), indent=None)
    elif report is not None:
        output.write("".join(f"{line}\n" for line in lines(report)))
    return 0 if report is None else status_of(report)


def _invitation(arguments: Arguments) -> tuple[str, Secret]:
    """Return the versions URL and the token A. Raises Usage."""
    if arguments.invitation is not None:
        if arguments.versions_url is not None or given_on_line("token_a", "token_a_file"):
            raise Usage("--invitation has both: it cannot be combined with VERSIONS_URL or a token")
        return _read(arguments.invitation)
    if arguments.versions_url is None:
        raise Usage("Missing argument 'VERSIONS_URL': set it, or --invitation FILE")
    return arguments.versions_url, required_token(arguments, "token_a")


def _read(path: str) -> tuple[str, Secret]:
    import json

    expected = 'expected {"versions_url": "https://...", "token_a": "..."}'
    try:
        found = json.loads(text_of(path))
        url, token = (found[name] for name in ("versions_url", "token_a"))
        return o.versions_url(str(url)), Secret(o.token(str(token)))
    except (ValueError, TypeError, KeyError):
        raise Usage(f"{path}: invalid invitation: {expected}") from None
    except click.BadParameter as error:
        raise Usage(f"{path}: {error.message}") from None


def print_party(party: Party, done: str, *, as_json: bool) -> None:
    """Print what was done with a party, and what it offers."""
    if as_json:
        output.write_json(_as_json(party), indent=None)
        return
    modules = ", ".join(endpoint.identifier for endpoint in party.endpoints)
    output.write_line(f"{done} {party}, {_name(party)}; its modules: {modules}")


def _as_json(party: Party, report: SyncReport | None = None) -> dict[str, Any]:
    members: dict[str, Any] = {
        "country_code": party.country_code,
        "party_id": party.party_id,
        "name": _name(party),
        "versions_url": party.versions_url,
        "endpoints": [asdict(endpoint) for endpoint in party.endpoints],
    }
    return members if report is None else {**members, "sync": report.as_json()}


def _name(party: Party) -> str | None:
    return party.business_details.name if party.business_details else None
