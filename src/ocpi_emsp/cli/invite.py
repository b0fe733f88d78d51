"""``ocpi-emsp invite``: a token A for a CPO that will register with us.

Rules of this module: an earlier token A of the same CPO stops working; the token is printed once, only its hash is
stored.
"""

from __future__ import annotations

from ocpi_emsp.cli import output
from ocpi_emsp.cli.identity import extensions
from ocpi_emsp.cli.options import Arguments, headers_of, usable_headers
from ocpi_emsp.cli.stores import emsp_of
from ocpi_emsp.codec import wire_time
from ocpi_emsp.party_id import PartyId
from ocpi_emsp.resources import Invitation


def run(arguments: Arguments) -> int:
    """Print the versions URL and the token A to hand over; return 1 if the CPO is already registered."""
    with (
        emsp_of(arguments, url_needed_for="an invitation names our versions URL", makes=True) as emsp,
        usable_headers(),
    ):
        invitation = emsp.parties.invite(
            arguments.party,
            base64_token=arguments.base64_token,
            required_modules=arguments.required_modules or None,
            absent_as_null=arguments.absent_as_null,
            extensions=None if arguments.extensions is None else extensions(arguments.extensions),
            headers=headers_of(arguments.headers),
            hosts=arguments.hosts or None,
            expires=arguments.expires,
        )
    if arguments.json:
        output.write_json(as_json(invitation), indent=None)
    else:
        print_invitation(arguments.party, invitation)
    return 0


def as_json(invitation: Invitation) -> dict[str, str]:
    """Return what to hand to the CPO, as a JSON document."""
    return {
        "versions_url": invitation.versions_url,
        "token_a": invitation.token_a.reveal(),
        "expires_at": wire_time(invitation.expires_at),
    }


def print_invitation(party: PartyId, invitation: Invitation) -> None:
    """Print what to hand to the CPO, in a secure way."""
    output.write(f"invitation for {party.country_code}-{party.party_id}\n")
    output.write(f"  versions URL  {invitation.versions_url}\n  token A       {invitation.token_a.reveal()}\n")
    output.write(f"  expires       {wire_time(invitation.expires_at)}\n")
