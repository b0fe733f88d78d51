"""What a partner offers: versions, version details, endpoints (version_information_endpoint.md).

Rules of this module (docs/spec-choices.md):
- no endpoint is assumed: versions, then the details of 2.1.1, then what they name;
- a token of a partner goes only where the url policy allows, and never to ourselves;
- what is odd and harmless is noted: it is logged, it is in the event of the handshake, and in the doctor's diagnosis;
- the reason why an API cannot be used is in the error: the partner gets it with 3001, 3002 or 3003.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

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
from ocpi_emsp.flows.calls.call import exchange, judge, outgoing_request
from ocpi_emsp.flows.calls.fetch_one import read
from ocpi_emsp.flows.calls.redirects import same_origin
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.settings import Identity
from ocpi_emsp.flows.parties.party import Party, Profile
from ocpi_emsp.models import Credentials, Endpoint, ModuleID, Version, VersionDetail, VersionNumber

MOST_ENDPOINTS = 200
"""Endpoints of a version at most: 2.1.1 has eight modules, vendors add a few, and each request of a party reads all."""
_NAMED = 10
"""Versions or modules that a message names; the others are counted."""


@frozen
class Offer:
    """The endpoints of a partner's 2.1.1."""

    versions_url: str
    endpoints: tuple[Endpoint, ...]
    notes: tuple[str, ...] = ()
    """What is odd about them, and what was done about it."""

    @property
    def said(self) -> dict[str, Any]:
        """Details for the event of a handshake."""
        return {"notes": list(self.notes)} if self.notes else {}

    def url(self, module: str) -> str:
        """The URL of a module that is offered."""
        return next(each.url for each in self.endpoints if each.identifier.lower() == module.lower())


def our_credentials(context: Context, token: str) -> Credentials:
    """What a partner gets to call us with ``token``."""
    identity = context.identity
    return Credentials(
        token=token,
        url=identity.versions_url,
        business_details=identity.business_details,
        party_id=identity.party_id,
        country_code=identity.country_code,
    )


# --- versions -------------------------------------------------------------------------------------------------------


def read_versions(data: msgspec.Raw) -> tuple[list[Version], list[str]]:
    """The versions of an answer, and what is odd about it. Raises AnswerUnusable where none can be read."""
    try:
        documents = items(data)
    except (InvalidObject, NotJson) as error:
        raise AnswerUnusable(f"the versions cannot be read: {error.message}", findings=error.findings) from error
    versions, bad = list[Version](), list[InvalidObject | NotJson]()
    for document in documents:
        try:
            versions.append(decode(Version, document))
        except (InvalidObject, NotJson) as error:
            bad.append(error)
    if bad and not any(_is_ours(each) for each in versions):
        raise AnswerUnusable(f"the versions cannot be read: {bad[0].message}", findings=bad[0].findings)
    return versions, [f"{counted(len(bad), 'listed version')} cannot be read"] if bad else []


def details_url(versions: Sequence[Version]) -> tuple[str, list[str]]:
    """The URL of the details of 2.1.1, and what is odd about it. Raises UnsupportedVersion naming what was offered."""
    urls = [version.url for version in versions if _is_ours(version)]
    if not urls:
        raise UnsupportedVersion(
            f"OCPI 2.1.1 is not offered; the partner's versions: {_named(each.version.value for each in versions)}"
        )
    others = len(set(urls)) - 1
    return urls[0], [f"version 2.1.1 is listed with {others + 1} URLs, the first one is used"] if others else []


def _is_ours(version: Version) -> bool:
    return version.version == VersionNumber.V2_1_1


async def _details(context: Context, versions_url: str, token: str, as_base64: bool) -> tuple[VersionDetail, list[str]]:
    versions, notes = read_versions(await _get(context, versions_url, token, as_base64))
    url, more = details_url(versions)
    require_foreign(context.identity, url)
    return read(VersionDetail, await _get(context, url, token, as_base64)), notes + more


async def party_versions(context: Context, party: Party) -> list[Version]:
    """The versions that a registered party offers, those that can be read. Raises PartnerError, UnsafeUrl."""
    url, token = party.versions_url or "", party.token or ""
    return read_versions(await _get(context, url, token, party.profile.base64_token))[0]


async def party_version_details(context: Context, party: Party) -> VersionDetail:
    """The endpoints of 2.1.1 that a registered party offers.

    Raises UnsupportedVersion naming what is offered, PartnerError, UnsafeUrl, CannotUseApi.
    """
    url, token = party.versions_url or "", party.token or ""
    return (await _details(context, url, token, party.profile.base64_token))[0]


async def _get(context: Context, url: str, token: str, as_base64: bool) -> msgspec.Raw:
    request = outgoing_request("GET", url, token, as_base64=as_base64)
    return judge(request, await exchange(context, request, module="versions")).data


# --- endpoints ------------------------------------------------------------------------------------------------------


async def usable_offer(context: Context, versions_url: str, token: str, profile: Profile) -> Offer:
    """The partner's endpoints, with all that are needed. Raises CannotUseApi, UnsupportedVersion, MissingEndpoints."""
    require_foreign(context.identity, versions_url)
    try:
        details, notes = await _details(context, versions_url, token, profile.base64_token)
        require_version(details)
        require_few(details.endpoints)
        for endpoint in details.endpoints:
            require_absolute(endpoint)
            context.check_url(endpoint.url)
    except (PartnerError, UnsafeUrl) as error:
        raise CannotUseApi(f"the API behind {versions_url} cannot be used: {error.message}") from error
    for endpoint in details.endpoints:
        require_foreign(context.identity, endpoint.url)
    missing = missing_modules(context, profile, details.endpoints)
    if missing:
        raise MissingEndpoints(f"endpoints are missing: {', '.join(missing)}")
    notes += [*duplicates(details.endpoints), *elsewhere(versions_url, details.endpoints)]
    for note in notes:
        logs.warning("partner.noted", versions_url=versions_url, note=note, correlation_id=context.correlation_id)
    return Offer(versions_url, details.endpoints, tuple(notes))


def required_modules(context: Context, profile: Profile) -> frozenset[str]:
    """What a partner has to offer: credentials, and the modules of its profile, or of the eMSP's settings."""
    wanted = context.required_modules if profile.required_modules is None else profile.required_modules
    return frozenset({ModuleID.CREDENTIALS.value, *(module.lower() for module in wanted)})


def missing_modules(context: Context, profile: Profile, endpoints: Iterable[Endpoint]) -> list[str]:
    """The modules that a partner has to offer, and does not."""
    return sorted(required_modules(context, profile) - {endpoint.identifier.lower() for endpoint in endpoints})


def require_version(details: VersionDetail) -> None:
    """Raises UnsupportedVersion for the details of another version: its endpoints mean something else."""
    if details.version != VersionNumber.V2_1_1:
        raise UnsupportedVersion(f"the version details of 2.1.1 name version {details.version.value[:40]}")


def require_few(endpoints: Sequence[Endpoint]) -> None:
    """Raises AnswerUnusable for more endpoints than a partner can have."""
    if len(endpoints) > MOST_ENDPOINTS:
        raise AnswerUnusable(f"the details name {len(endpoints)} endpoints, at most {MOST_ENDPOINTS} are accepted")


def require_absolute(endpoint: Endpoint) -> None:
    """Raises AnswerUnusable for a relative URL: there is no rule what it is relative to."""
    if "://" not in endpoint.url:
        raise AnswerUnusable(f"the URL of {endpoint.identifier!s:.40} is not absolute: '{endpoint.url[:200]}'")


def duplicates(endpoints: Iterable[Endpoint]) -> list[str]:
    """What is odd where a module is listed more than once, with several URLs."""
    urls: dict[str, list[str]] = {}
    for endpoint in endpoints:
        urls.setdefault(endpoint.identifier.lower(), []).append(endpoint.url)
    several = {module: found for module, found in urls.items() if len(set(found)) > 1}
    return [
        f"{module[:40]} is listed with {len(set(found))} URLs, the first one is used: {found[0]}"
        for module, found in several.items()
    ]


def elsewhere(versions_url: str, endpoints: Iterable[Endpoint]) -> list[str]:
    """What is odd where endpoints do not lie on the server of the versions URL: the token goes there, too."""
    away: dict[str, list[str]] = {}
    for endpoint in endpoints:
        if not same_origin(versions_url, endpoint.url):
            away.setdefault(urlsplit(endpoint.url).netloc, []).append(endpoint.identifier.lower())
    return [f"{_named(modules)} on another server than the versions: {host}" for host, modules in away.items()]


def require_foreign(identity: Identity, url: str) -> None:
    """Raises CannotUseApi for a URL of ours: we would do the handshake with ourselves."""
    if is_our_url(identity, url):
        raise CannotUseApi(f"{url[:200]} is our own URL: provide the versions URL of the partner")


def is_our_url(identity: Identity, url: str) -> bool:
    """True for our versions, our version details and what lies below them, and our base."""
    try:
        if not same_origin(identity.url, url):
            return False
        path, base = urlsplit(url).path.rstrip("/"), urlsplit(identity.url).path.rstrip("/")
    except ValueError:  # it is no URL; the call to it raises
        return False
    details = urlsplit(identity.endpoint("")).path.rstrip("/")
    return path in (base, f"{base}/versions", details) or path.startswith(f"{details}/")


def _named(names: Iterable[str]) -> str:
    """The first of some names, and how many there are beyond them."""
    listed = [name[:40] for name in names]
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more if listed else "none"
