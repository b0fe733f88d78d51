"""``ocpi-emsp register``: the credentials handshake with a CPO that invited us.

Rules of this module: the CPO calls our server back meanwhile, so that server has to run on the same store; no token is
printed.
"""

from __future__ import annotations

from attrs import asdict

from ocpi_emsp.cli import output
from ocpi_emsp.cli.given_secrets import required_token
from ocpi_emsp.cli.identity import extensions
from ocpi_emsp.cli.options import Arguments, headers_of, usable_headers
from ocpi_emsp.cli.stores import emsp_of
from ocpi_emsp.resources import Party


def run(arguments: Arguments) -> int:
    """Register, and print with whom; 3 where the CPO fails us."""
    token_a = required_token(arguments, "token_a")
    with emsp_of(arguments, url_needed_for="the CPO calls us back", makes=True) as emsp, usable_headers():
        party = emsp.parties.register(
            arguments.versions_url,
            token_a=token_a,
            base64_token=arguments.base64_token,
            required_modules=arguments.required_modules or None,
            absent_as_null=arguments.absent_as_null,
            extensions=None if arguments.extensions is None else extensions(arguments.extensions),
            headers=headers_of(arguments.headers),
            hosts=arguments.hosts or None,
        )
    print_party(party, "registered with", as_json=arguments.json)
    return 0


def print_party(party: Party, done: str, *, as_json: bool) -> None:
    """What was done with a party, and what it offers."""
    name = party.business_details.name if party.business_details else None
    if as_json:
        endpoints = [asdict(endpoint) for endpoint in party.endpoints]
        codes = {"country_code": party.country_code, "party_id": party.party_id}
        output.write_json(
            {**codes, "name": name, "versions_url": party.versions_url, "endpoints": endpoints}, indent=None
        )
        return
    modules = ", ".join(endpoint.identifier for endpoint in party.endpoints)
    output.write_line(f"{done} {party}, {name}; its modules: {modules}")
