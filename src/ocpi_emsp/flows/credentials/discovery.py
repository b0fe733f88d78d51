"""What a partner offers: versions, version details, endpoints (version_information_endpoint.md).

Rules of this module (docs/spec-choices.md):
- no endpoint is assumed: versions are read first, then the details of 2.1.1, then the endpoints in them;
- a partner's token is only sent where the URL policy allows, and never to ourselves;
- harmless oddities are noted: in the log, in the event of the handshake, and in the doctor's diagnosis;
- the reason why an API is unusable is in the error, for us. If the response was OCPI, the partner gets what the
  specification names; otherwise it gets one sentence, which does not reveal what a URL leads to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from attrs import frozen

from ocpi_emsp import logs
from ocpi_emsp.codec import decode
from ocpi_emsp.codec.patch import items
from ocpi_emsp.errors import (
    AnswerUnusable,
    CannotUseApi,
    InvalidObject,
    MissingEndpoints,
    NotJson,
    PartnerError,
    UnsafeUrl,
    UnsupportedVersion,
)
from ocpi_emsp.findings import counted
from ocpi_emsp.flows.calls.call import outgoing_request
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.credentials.bounds import ask
from ocpi_emsp.flows.credentials.endpoints import Listed, missing_modules, read_details, select
from ocpi_emsp.flows.credentials.own_url import require_foreign
from ocpi_emsp.flows.credentials.places import Places, elsewhere, few_of
from ocpi_emsp.flows.parties.party import Party, Profile
from ocpi_emsp.models import Endpoint, Version, VersionDetail, VersionNumber
from ocpi_emsp.url_policy import without_user_information

MOST_VERSIONS = 100
"""Most versions of a partner: OCPI has had eight so far."""
_VERSION = re.compile(r"[0-9](?:\.[0-9]){1,2}")
"""The form of an OCPI version: only such texts of the partner's versions are repeated in a response to it."""


@frozen
class Offer:
    """The endpoints of a partner's 2.1.1."""

    versions_url: str
    endpoints: tuple[Endpoint, ...]
    notes: tuple[str, ...] = ()
    """Oddities of the endpoints, and how they were handled."""

    @property
    def said(self) -> dict[str, Any]:
        """Return details for the event of a handshake."""
        return {"notes": list(self.notes)} if self.notes else {}

    def url(self, module: str) -> str:
        """Return the URL of an offered module."""
        return next(each.url for each in self.endpoints if each.identifier.lower() == module.lower())


# --- versions -------------------------------------------------------------------------------------------------------


def read_versions(data: msgspec.Raw) -> tuple[list[Version], list[str]]:
    """Return the versions of a response, and its oddities. Raises AnswerUnusable if none is readable."""
    try:
        single = bytes(data).lstrip().startswith(b"{")
        documents = [data] if single else items(data)
    except (InvalidObject, NotJson) as error:
        raise AnswerUnusable(f"the versions cannot be read: {error.reason}", findings=error.findings) from error
    if len(documents) > MOST_VERSIONS:
        raise AnswerUnusable(f"the partner names {len(documents)} versions, at most {MOST_VERSIONS} are accepted")
    versions, bad = list[Version](), list[InvalidObject | NotJson]()
    for document in documents:
        try:
            versions.append(decode(Version, document))
        except (InvalidObject, NotJson) as error:
            bad.append(error)
    if bad and not any(_is_ours(each) for each in versions):
        raise AnswerUnusable(f"the versions cannot be read: {bad[0].message}", findings=bad[0].findings)
    notes = ["the versions are one object, read as a list of it"] if single else []
    return versions, [*notes, f"{counted(len(bad), 'listed version')} cannot be read"] if bad else notes


def details_url(versions: Sequence[Version]) -> tuple[str, list[str]]:
    """Return the URL of the details of 2.1.1, and oddities. Raises UnsupportedVersion, which names the offered
    versions.
    """
    urls = [version.url for version in versions if _is_ours(version)]
    if not urls:
        known = dict.fromkeys(each.version.value for each in versions if _VERSION.fullmatch(each.version.value))
        raise UnsupportedVersion(
            f"OCPI 2.1.1 is not offered; the partner's versions: {few_of(each.version.value for each in versions)}",
            said=f"OCPI 2.1.1 is not offered; your versions: {few_of(known)}",
        )
    others = len(set(urls)) - 1
    return urls[0], [f"version 2.1.1 is listed with {others + 1} URLs, the first one is used"] if others else []


def _is_ours(version: Version) -> bool:
    return version.version == VersionNumber.V2_1_1


async def _details(
    context: Context, places: Places, token: str, profile: Profile
) -> tuple[VersionDetail, list[Listed], list[str]]:
    places.require_versions_url()
    versions, notes = read_versions(await _get(context, places.versions_url, token, profile))
    url, more = details_url(versions)
    require_callable(context, places, url)
    details, listed = read_details(await _get(context, url, token, profile))
    return details, listed, notes + more


def require_callable(context: Context, places: Places, url: str) -> None:
    """Raise CannotUseApi for one of our own URLs, UnsafeUrl for one that the token is not sent to."""
    require_foreign(context.identity, url)
    context.check_url(url)
    places.require(url)


async def party_versions(context: Context, party: Party) -> list[Version]:
    """Return the readable versions that a registered party offers. Raises PartnerError, UnsafeUrl."""
    url, token = party.versions_url or "", party.token or ""
    return read_versions(await _get(context, url, token, party.profile))[0]


async def party_version_details(context: Context, party: Party) -> VersionDetail:
    """Return the endpoints of 2.1.1 that a registered party offers.

    Raises UnsupportedVersion, which names the offered versions, PartnerError, UnsafeUrl, CannotUseApi.
    """
    url, token = party.versions_url or "", party.token or ""
    return (await _details(context, Places.of(url, party.profile, party), token, party.profile))[0]


async def _get(context: Context, url: str, token: str, profile: Profile) -> msgspec.Raw:
    request = outgoing_request("GET", url, token, profile)
    return (await ask(context, request, module="versions")).data


# --- endpoints ------------------------------------------------------------------------------------------------------


async def usable_offer(context: Context, places: Places, token: str, profile: Profile) -> Offer:
    """Return the partner's endpoints, including all required ones. Raises CannotUseApi, UnsupportedVersion,
    MissingEndpoints.
    """
    versions_url = places.versions_url
    require_foreign(context.identity, versions_url)
    try:
        details, listed, notes = await _details(context, places, token, profile)
        require_version(details)
        selected = select(context, profile, places, listed)
        for fault in selected.unusable.values():
            raise fault
    except (PartnerError, UnsafeUrl) as error:
        shown = without_user_information(versions_url)
        raise CannotUseApi(f"the API behind {shown} cannot be used: {error.message}") from error
    missing = missing_modules(context, profile, selected.endpoints)
    if missing:
        message = f"endpoints are missing: {', '.join(missing)}"
        raise MissingEndpoints(message, said=message)
    notes += [*places.moved(), *selected.notes, *elsewhere(versions_url, selected.endpoints)]
    for note in notes:
        logs.warning("partner.noted", versions_url=versions_url, note=note, correlation_id=context.correlation_id)
    return Offer(versions_url, selected.endpoints, tuple(notes))


def require_version(details: VersionDetail) -> None:
    """Raise UnsupportedVersion for the details of another version, whose endpoints mean something else."""
    if details.version != VersionNumber.V2_1_1:
        raise UnsupportedVersion(
            f"the version details of 2.1.1 name version {details.version.value[:40]}",
            said="the version details of 2.1.1 name another version",
        )
