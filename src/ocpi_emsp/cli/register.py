"""``ocpi-emsp register``: the credentials handshake with a CPO that invited us.

Rules of this module: the CPO calls our server back meanwhile, so that server has to run on the same store; no token is
printed.
"""

from __future__ import annotations

from typing import Any

from attrs import asdict

from ocpi_emsp.cli import output
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.stores import emsp_of
from ocpi_emsp.resources import Party


def run(arguments: Arguments) -> int:
    """Register, and print with whom; 3 where the CPO fails us."""
    with emsp_of(arguments, url_needed_for="the CPO calls us back", makes=True) as emsp:
        party = emsp.parties.register(
            arguments.versions_url,
            token_a=arguments.token_a,
            base64_token=arguments.base64_token,
            required_modules=arguments.required_modules or None,
        )
    if arguments.json:
        output.write_json(as_json(party), indent=None)
    else:
        modules = ", ".join(endpoint.identifier for endpoint in party.endpoints)
        output.write(output.printable(f"registered with {party}, {name_of(party)}; its modules: {modules}") + "\n")
    return 0


def as_json(party: Party) -> dict[str, Any]:
    """What a registration prints of a party."""
    return {
        "country_code": party.country_code,
        "party_id": party.party_id,
        "name": name_of(party),
        "versions_url": party.versions_url,
        "endpoints": [asdict(endpoint) for endpoint in party.endpoints],
    }


def name_of(party: Party) -> str | None:
    """The party's own name."""
    return party.business_details.name if party.business_details else None
