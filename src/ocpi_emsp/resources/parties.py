"""The registered parties, and how to register one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ocpi_emsp.flows.credentials import register as registering, renew as lifecycle
from ocpi_emsp.flows.parties import profile
from ocpi_emsp.flows.parties.party import Party, Profile
from ocpi_emsp.listing import Items
from ocpi_emsp.party_id import PartyId, PartyLike
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking
from ocpi_emsp.secret import Secret, revealed

if TYPE_CHECKING:
    from ocpi_emsp.flows.partner_health.diagnosis import Diagnosis


@frozen
class Invitation:
    """What a CPO needs to register with us; hand it over in a secure way."""

    versions_url: str
    token_a: Secret
    """The token that it presents until it is registered: ``reveal()`` returns the text."""
    expires_at: datetime
    """When the token stops working."""


class Parties(Resource):
    """The parties of this eMSP; ``emsp.partner("NL-TNM")`` has the methods for one of them (credentials.md)."""

    @blocking
    async def invite(
        self,
        party: PartyLike,
        *,
        base64_token: bool = False,
        required_modules: Iterable[str] | None = None,
        absent_as_null: bool = False,
        extensions: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        hosts: Iterable[str] | None = None,
        expires: timedelta | None = None,
    ) -> Invitation:
        """Create a token A for a CPO that will register with us; an earlier one of the same CPO stops working.

        ``required_modules`` are those that it must offer (default: the eMSP's own). With ``absent_as_null`` it gets
        null for absent members; it gets ``extensions`` in our credentials (docs/how-to/extensions.md), and ``headers``
        with each call. Its endpoints may be on ``hosts`` beside that of its versions URL. All of these become part of
        its profile. The token works for the time ``expires`` (default: ``CredentialLimits.invitation_lifetime``), and
        only for the registration. Raises AlreadyRegistered; ValueError for an impossible party, module, extension,
        header, host or time, InvalidObject for our own identity.
        """
        wanted = _first_profile(base64_token, required_modules, absent_as_null, extensions, headers, hosts)
        context = self._contexts()
        token, expires_at = await registering.invite(context, *PartyId.of(party), wanted, expires)
        return Invitation(context.identity.versions_url, Secret(token), expires_at)

    @blocking
    async def register(
        self,
        versions_url: str,
        *,
        token_a: str | Secret,
        base64_token: bool = False,
        required_modules: Iterable[str] | None = None,
        absent_as_null: bool = False,
        extensions: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        hosts: Iterable[str] | None = None,
    ) -> Party:
        """Run the credentials handshake with the CPO that gave us ``token_a``.

        The CPO calls our server back meanwhile, so the server must be running. ``required_modules`` are those that
        the CPO must offer (default: the eMSP's own). With ``absent_as_null`` it gets null for absent members; it gets
        ``extensions`` in our credentials (docs/how-to/extensions.md), and ``headers`` with each call. Its endpoints may
        be on ``hosts`` beside that of ``versions_url``. All of these become part of its profile. Raises
        UnsupportedVersion, MissingEndpoints, CannotUseApi, PartnerError; AlreadyRegistered if it names a party that is
        already registered; ValueError for an empty token, and an impossible module, extension, header or host.
        """
        wanted = _first_profile(base64_token, required_modules, absent_as_null, extensions, headers, hosts)
        self._contexts.require_free_loop("register")
        async with self._contexts.calling() as context:
            return await registering.register(context, versions_url, revealed(token_a), wanted)

    @blocking
    async def get(self, party: PartyLike) -> Party | None:
        """Get the party, also if it is only invited, or None."""
        return await lifecycle.get(self._contexts(), *PartyId.of(party))

    def list(self, *, after: int = 0, limit: int | None = None) -> Items[Party]:
        """List parties, oldest first, including invited ones, ``after`` a party's ``sequence``."""
        return Items(partial(lifecycle.list_parties, self._contexts()), after=after, limit=limit)

    @blocking
    async def diagnose(
        self,
        versions_url: str,
        *,
        token: str | Secret,
        base64_token: bool = False,
        headers: Mapping[str, str] | None = None,
        hosts: Iterable[str] | None = None,
    ) -> Diagnosis:
        """Check a partner with a token that it gave us, read-only (GET): what works, and what does not.

        Nothing is stored; the partner's faults are in the diagnosis, and raise nothing. For a registered partner:
        ``emsp.partner(party).diagnose()``. Raises ValueError for an impossible header or host.
        """
        from ocpi_emsp.flows.partner_health import doctor

        wanted = _first_profile(base64_token, None, False, None, headers, hosts)
        async with self._contexts.calling() as context:
            return await doctor.examine(context, versions_url, revealed(token), wanted)


class AsyncParties(Resource):
    """:class:`Parties`, awaited."""

    invite = awaited(Parties.invite)
    register = awaited(Parties.register)
    get = awaited(Parties.get)
    list = awaited_items(Parties.list)
    diagnose = awaited(Parties.diagnose)


def _first_profile(
    base64_token: bool,
    required_modules: Iterable[str] | None,
    absent_as_null: bool,
    extensions: Mapping[str, Any] | None,
    headers: Mapping[str, str] | None,
    hosts: Iterable[str] | None,
) -> Profile:
    """Return the initial profile of a party. Raises ValueError for an impossible module, extension, header or host."""
    return Profile(
        base64_token=base64_token,
        required_modules=profile.read_value("required_modules", required_modules),
        absent_as_null=profile.read_value("absent_as_null", absent_as_null),
        credentials_extensions=profile.read_value("credentials_extensions", extensions),
        headers=profile.read_value("headers", headers),
        hosts=profile.read_value("hosts", hosts),
    )
