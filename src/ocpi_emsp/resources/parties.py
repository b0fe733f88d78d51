"""The partners: what is known of each, and the life of the credentials that are exchanged with it."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

from ocpi_emsp._bridge import run
from ocpi_emsp.flows.credentials import renew as lifecycle
from ocpi_emsp.flows.parties import profile
from ocpi_emsp.flows.parties.party import Party, Profile
from ocpi_emsp.flows.partner_health import doctor
from ocpi_emsp.flows.partner_health import profile_suggestions as suggestions
from ocpi_emsp.flows.partner_health.diagnosis import Diagnosis
from ocpi_emsp.flows.partner_health.profile_suggestions import Suggestion
from ocpi_emsp.resources.contexts import AsyncReach, Reach


def first_profile(base64_token: bool, required_modules: Iterable[str] | None) -> Profile:
    """The profile that a party begins with. Raises ValueError for a module that does not exist."""
    required = profile.read_value("required_modules", required_modules)
    return Profile(base64_token=base64_token, required_modules=required)


class Parties:
    """The partners of this eMSP, and what keeps the credentials alive that are exchanged with them (credentials.md)."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    def list(self, *, after: int = 0, limit: int = 100) -> builtins.list[Party]:
        """Parties, oldest first, invited ones too, ``after`` a party's ``sequence``."""
        return run(lifecycle.list_parties(self._reach.context(), after, limit))

    def get(self, country_code: str, party_id: str) -> Party | None:
        """The party, or None; one that is only invited, too."""
        return run(lifecycle.get(self._reach.context(), country_code, party_id))

    def update(self, country_code: str, party_id: str, *, versions_url: str | None = None) -> Party:
        """Read a party's versions and endpoints again, and PUT our credentials with a fresh token to where they say.

        For a partner with a new versions URL, or with other endpoints at its old one. Our old token works until the new
        one is first used, or the grace time ends. Raises NotRegistered, NotSupported, PartnerError, CannotUseApi,
        UnsupportedVersion, MissingEndpoints: what was there before stays.
        """
        with self._reach.calling(country_code, party_id) as context:
            return run(lifecycle.update(context, country_code, party_id, versions_url))

    def rotate(self, country_code: str, party_id: str) -> Party:
        """Exchange fresh tokens with a party, both ways, by PUT (PATCH where the matrix has only that).

        Raises NotRegistered, NotSupported, PartnerError: what was there before works on.
        """
        with self._reach.calling(country_code, party_id) as context:
            return run(lifecycle.rotate(context, country_code, party_id))

    def unregister(self, country_code: str, party_id: str, *, tell: bool = True) -> None:
        """DELETE our credentials at a party and forget it; what it sent us stays.

        Without ``tell`` it is forgotten here only: for one that is gone, an invitation to take back, or where the
        matrix switches DELETE off. Raises NotRegistered, NotSupported, PartnerError: then the party stays as it was.
        """
        with self._reach.calling(country_code, party_id) as context:
            run(lifecycle.unregister_party(context, country_code, party_id, tell=tell))

    def doctor(self, versions_url: str, token: str, *, base64_token: bool = False) -> Diagnosis:
        """Look at a partner with a token that it gave us, only reading (GET): what works, and what would not.

        Nothing is stored and nothing raised for what the partner does: it is in the diagnosis.
        """
        with self._reach.calling() as context:
            return run(doctor.examine(context, versions_url, token, base64_token=base64_token))

    def examine(self, country_code: str, party_id: str) -> Diagnosis:
        """:meth:`doctor`, for a registered party, with its token and its matrix. Raises NotRegistered."""
        with self._reach.calling() as context:
            return run(doctor.examine_party(context, country_code, party_id))

    def profile(self, country_code: str, party_id: str) -> Profile:
        """How a party wants to be talked to (docs/profiles.md). Raises NotRegistered."""
        return run(profile.get_profile(self._reach.context(), country_code, party_id))

    def set_profile(self, country_code: str, party_id: str, **changes: Any) -> Profile:
        """Change fields of a party's profile, by name; None takes one back to its default. Gives it as it is then.

        Raises NotRegistered; ValueError that names the field, for one that does not exist or cannot have this value.
        """
        return run(profile.set_profile(self._reach.context(), country_code, party_id, changes))

    def suggestions(self, country_code: str, party_id: str) -> builtins.list[Suggestion]:
        """What the profile could say, by what the party was seen to do; nothing is applied. Raises NotRegistered."""
        return run(suggestions.suggestions(self._reach.context(), country_code, party_id))


class AsyncParties:
    """:class:`Parties`, awaited."""

    def __init__(self, reach: AsyncReach) -> None:
        self._reach = reach

    async def list(self, *, after: int = 0, limit: int = 100) -> builtins.list[Party]:
        """Parties, oldest first, invited ones too, ``after`` a party's ``sequence``."""
        return await lifecycle.list_parties(self._reach.context(), after, limit)

    async def get(self, country_code: str, party_id: str) -> Party | None:
        """The party, or None; one that is only invited, too."""
        return await lifecycle.get(self._reach.context(), country_code, party_id)

    async def update(self, country_code: str, party_id: str, *, versions_url: str | None = None) -> Party:
        """:meth:`Parties.update`, awaited."""
        async with self._reach.calling(country_code, party_id) as context:
            return await lifecycle.update(context, country_code, party_id, versions_url)

    async def rotate(self, country_code: str, party_id: str) -> Party:
        """:meth:`Parties.rotate`, awaited."""
        async with self._reach.calling(country_code, party_id) as context:
            return await lifecycle.rotate(context, country_code, party_id)

    async def unregister(self, country_code: str, party_id: str, *, tell: bool = True) -> None:
        """:meth:`Parties.unregister`, awaited."""
        async with self._reach.calling(country_code, party_id) as context:
            await lifecycle.unregister_party(context, country_code, party_id, tell=tell)

    async def doctor(self, versions_url: str, token: str, *, base64_token: bool = False) -> Diagnosis:
        """:meth:`Parties.doctor`, awaited."""
        async with self._reach.calling() as context:
            return await doctor.examine(context, versions_url, token, base64_token=base64_token)

    async def examine(self, country_code: str, party_id: str) -> Diagnosis:
        """:meth:`Parties.examine`, awaited."""
        async with self._reach.calling() as context:
            return await doctor.examine_party(context, country_code, party_id)

    async def profile(self, country_code: str, party_id: str) -> Profile:
        """:meth:`Parties.profile`, awaited."""
        return await profile.get_profile(self._reach.context(), country_code, party_id)

    async def set_profile(self, country_code: str, party_id: str, **changes: Any) -> Profile:
        """:meth:`Parties.set_profile`, awaited."""
        return await profile.set_profile(self._reach.context(), country_code, party_id, changes)

    async def suggestions(self, country_code: str, party_id: str) -> builtins.list[Suggestion]:
        """:meth:`Parties.suggestions`, awaited."""
        return await suggestions.suggestions(self._reach.context(), country_code, party_id)
