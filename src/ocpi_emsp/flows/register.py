"""The credentials handshake, both ways (credentials.md 1 and 3).

Rules of this module (docs/spec-choices.md row 19):
- no endpoint is assumed: versions, then version details, then the credentials endpoint that they name;
- our token is stored before our POST, since the partner calls back with it before it answers;
- a handshake that fails leaves what was there before.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

import msgspec
from attrs import evolve

from ocpi_emsp.check import Policy
from ocpi_emsp.codec import decode, encode_valid
from ocpi_emsp.codec.patch import items
from ocpi_emsp.errors import (
    AnswerUnusable,
    CannotUseApi,
    InvalidObject,
    MethodNotAllowed,
    MissingEndpoints,
    NotJson,
    NotRegistered,
    NotSupported,
    PartnerError,
    UnsafeUrl,
    UnsupportedVersion,
)
from ocpi_emsp.events import PartyRegistered, PartyUnregistered, PartyUpdated
from ocpi_emsp.flows.call import call, exchange, judge, outgoing_request
from ocpi_emsp.flows.context import Context, new_id, new_token
from ocpi_emsp.flows.deliver import deliver
from ocpi_emsp.flows.pace import check_rate, check_slots
from ocpi_emsp.flows.parties import (
    Party,
    PartyState,
    Profile,
    delete_party,
    get_party,
    issue,
    party_key,
    put_party,
    reissue,
    with_policy,
)
from ocpi_emsp.models import Credentials, Endpoint, ModuleID, Version, VersionDetail, VersionNumber
from ocpi_emsp.ports import Transaction
from ocpi_emsp.routes import outgoing
from ocpi_emsp.support import SupportMatrix

T = TypeVar("T")


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


async def fetch_versions(context: Context, versions_url: str, token: str, *, as_base64: bool = False) -> list[Version]:
    """The versions that a partner offers. Raises PartnerError, UnsafeUrl."""
    envelope = await _get(context, versions_url, token, as_base64)
    try:
        return [decode(Version, document) for document in items(envelope)]
    except (InvalidObject, NotJson) as error:
        raise AnswerUnusable(f"the versions cannot be read: {error.message}", findings=error.findings) from error


async def fetch_version_details(
    context: Context, versions_url: str, token: str, *, as_base64: bool = False
) -> VersionDetail:
    """The details of 2.1.1. Raises UnsupportedVersion naming what was offered, PartnerError, UnsafeUrl."""
    versions = await fetch_versions(context, versions_url, token, as_base64=as_base64)
    url = next((version.url for version in versions if version.version == VersionNumber.V2_1_1), None)
    if url is None:
        offered = ", ".join(version.version.value for version in versions) or "none"
        raise UnsupportedVersion(f"OCPI 2.1.1 is not offered; the partner's versions: {offered}")
    return _read(VersionDetail, await _get(context, url, token, as_base64))


async def party_versions(context: Context, party: Party) -> list[Version]:
    """The versions that a registered party offers."""
    return await fetch_versions(context, *_reach(party), as_base64=party.profile.base64_token)


async def party_version_details(context: Context, party: Party) -> VersionDetail:
    """The endpoints of 2.1.1 that a registered party offers."""
    return await fetch_version_details(context, *_reach(party), as_base64=party.profile.base64_token)


def _reach(party: Party) -> tuple[str, str]:
    return party.versions_url or "", party.token or ""


async def _get(context: Context, url: str, token: str, as_base64: bool) -> msgspec.Raw:
    request = outgoing_request("GET", url, token, as_base64=as_base64)
    return judge(request, await exchange(context, request)).data


def _read(kind: type[T], data: msgspec.Raw) -> T:
    try:
        return decode(kind, data)
    except (InvalidObject, NotJson) as error:
        raise AnswerUnusable(f"no usable {kind.__name__}: {error.message}", findings=error.findings) from error


async def usable_endpoints(
    context: Context, versions_url: str, token: str, *, as_base64: bool = False
) -> tuple[Endpoint, ...]:
    """The partner's endpoints, with all that are needed. Raises CannotUseApi, UnsupportedVersion, MissingEndpoints."""
    try:
        details = await fetch_version_details(context, versions_url, token, as_base64=as_base64)
        for endpoint in details.endpoints:
            context.check_url(endpoint.url)
    except (PartnerError, UnsafeUrl) as error:
        raise CannotUseApi(f"the API behind {versions_url} cannot be used: {error.message}") from error
    offered = {endpoint.identifier.lower() for endpoint in details.endpoints}
    missing = sorted(({ModuleID.CREDENTIALS.value} | context.required_modules) - offered)
    if missing:
        raise MissingEndpoints(f"endpoints are missing: {', '.join(missing)}")
    return details.endpoints


async def register(context: Context, versions_url: str, token_a: str, profile: Profile) -> Party:
    """Run the handshake towards a partner with the token that it gave us.

    Raises CannotUseApi, UnsupportedVersion, MissingEndpoints, PartnerError, NotSupported; nothing is left behind then.
    """
    post = outgoing("credentials.post")
    if not post.on(context.matrix):
        raise NotSupported("the support matrix switches POST /credentials (MSP -> CPO) off")
    as_base64 = profile.base64_token
    endpoints = await usable_endpoints(context, versions_url, token_a, as_base64=as_base64)
    pending, token_b = await _begin(context, versions_url, profile)
    try:
        url = next(endpoint.url for endpoint in endpoints if endpoint.identifier.lower() == ModuleID.CREDENTIALS)
        body = encode_valid(our_credentials(context, token_b))
        request = outgoing_request("POST", url, token_a, body=body, as_base64=as_base64)
        theirs = _read(Credentials, judge(request, await exchange(context, request)).data)
        party = _registered(pending, theirs, endpoints)
    except BaseException:  # cancelled, too
        async with context.store.transaction() as tx:
            await delete_party(tx, pending)
        raise
    async with context.store.transaction() as tx:
        await delete_party(tx, pending)
        await put_party(tx, party, context.clock.now())
        event = await context.emit(tx, PartyRegistered, party.key, new_id())
    await deliver(context, [event])
    return party


async def _begin(context: Context, versions_url: str, profile: Profile) -> tuple[Party, str]:
    """A placeholder party with our token, so that the partner can read our versions before we know its name."""
    now, token = context.clock.now(), new_token()
    pending = Party(
        country_code="",
        party_id=f"*{new_id()}",
        state=PartyState.REGISTERING,
        issued=(issue(token, now),),
        versions_url=versions_url,
        profile=profile,
    )
    async with context.store.transaction() as tx:
        await put_party(tx, pending, now)
    return pending, token


def _registered(party: Party, theirs: Credentials, endpoints: tuple[Endpoint, ...]) -> Party:
    return evolve(
        party,
        country_code=theirs.country_code.upper(),
        party_id=theirs.party_id.upper(),
        state=PartyState.REGISTERED,
        token=theirs.token,
        versions_url=theirs.url,
        business_details=theirs.business_details,
        endpoints=endpoints,
    )


async def accept_credentials(
    context: Context, party: Party, theirs: Credentials, *, correlation_id: str
) -> Credentials:
    """What a partner's POST or PUT sets off: read its endpoints, take its credentials, answer with a fresh token."""
    as_base64 = party.profile.base64_token
    endpoints = await usable_endpoints(context, theirs.url, theirs.token, as_base64=as_base64)
    token, now = new_token(), context.clock.now()
    kind = PartyUpdated if party.state is PartyState.REGISTERED else PartyRegistered
    async with context.store.transaction() as tx:
        current = await get_party(tx, party.country_code, party.party_id)
        if current is None or current.state is not party.state:
            raise MethodNotAllowed(
                f"another request registered {party} meanwhile, or ended its registration", allow=("GET", "PUT")
            )
        updated = evolve(_registered(current, theirs, endpoints), issued=reissue(current, token, now))
        await put_party(tx, updated, now)
        event = await context.emit(tx, kind, updated.key, correlation_id)
    await deliver(context, [event])
    return our_credentials(context, token)


async def update_credentials(context: Context, party: Party, method: str) -> Party:
    """PUT or PATCH our credentials with a fresh token, and take the partner's answer and endpoints.

    Our old token works until the new one is first used. Raises NotSupported, NotRegistered, PartnerError, and what is
    wrong with the partner's endpoints: then the credentials are renewed and the endpoints are those of before.
    """
    token, now = new_token(), context.clock.now()
    async with context.store.transaction() as tx:
        party = await _current(tx, party)
        await put_party(tx, evolve(party, issued=reissue(party, token, now)), now)
    try:
        body = encode_valid(our_credentials(context, token))
        envelope = await call(context, party, outgoing(f"credentials.{method.lower()}"), body=body)
        theirs = _read(Credentials, envelope.data)
        if (theirs.country_code.upper(), theirs.party_id.upper()) != (party.country_code, party.party_id):
            raise AnswerUnusable(f"{party} answered with the credentials of {theirs.country_code}-{theirs.party_id}")
    except BaseException:  # cancelled, too
        async with context.store.transaction() as tx:
            if await get_party(tx, party.country_code, party.party_id) is not None:
                await put_party(tx, party, context.clock.now())
        raise
    # Both sides have new tokens by now, whatever becomes of the endpoints.
    async with context.store.transaction() as tx:
        updated = _registered(await _current(tx, party), theirs, party.endpoints)
        await put_party(tx, updated, context.clock.now())
        event = await context.emit(tx, PartyUpdated, updated.key, new_id())
    try:
        endpoints = await usable_endpoints(context, theirs.url, theirs.token, as_base64=party.profile.base64_token)
        async with context.store.transaction() as tx:
            updated = evolve(await _current(tx, updated), endpoints=endpoints)
            await put_party(tx, updated, context.clock.now())
    finally:
        await deliver(context, [event])
    return updated


async def _current(tx: Transaction, party: Party) -> Party:
    """The party as it is stored now. Raises NotRegistered where it was unregistered meanwhile."""
    current = await get_party(tx, party.country_code, party.party_id)
    if current is None:
        raise NotRegistered(f"there is no registration with {party}")
    return current


async def unregister(context: Context, party: Party) -> None:
    """DELETE our credentials at the partner and forget it. Raises NotSupported, NotRegistered, PartnerError."""
    await call(context, party, outgoing("credentials.delete"))
    async with context.store.transaction() as tx:
        await delete_party(tx, party)
        event = await context.emit(tx, PartyUnregistered, party.key, new_id())
    await deliver(context, [event])


async def fetch_credentials(context: Context, party: Party) -> Credentials:
    """GET the credentials object at the partner."""
    return _read(Credentials, (await call(context, party, outgoing("credentials.get"))).data)


async def invite(context: Context, country_code: str, party_id: str, profile: Profile) -> str:
    """Token A for a CPO that shall register with us; an earlier token A of the same CPO stops working.

    Raises InvalidObject where the CPO is registered already.
    """
    token, now = new_token(), context.clock.now()
    async with context.store.transaction() as tx:
        party = await get_party(tx, country_code, party_id)
        if party is not None and party.state is PartyState.REGISTERED:
            raise InvalidObject(f"{party} is registered already")
        key = party_key(country_code, party_id)
        invited = Party(
            country_code=key.country_code,
            party_id=key.party_id,
            state=PartyState.INVITED,
            profile=profile,
            issued=(issue(token, now),),
        )
        await put_party(tx, invited, now)
    return token


async def registered_party(context: Context, country_code: str, party_id: str) -> Party:
    """The party, registered. Raises NotRegistered."""
    async with context.store.transaction(read_only=True) as tx:
        party = await get_party(tx, country_code, party_id)
    if party is None or party.state is not PartyState.REGISTERED:
        raise NotRegistered(f"there is no registration with {country_code.upper()}-{party_id.upper()}")
    return party


async def set_matrix(context: Context, country_code: str, party_id: str, matrix: SupportMatrix | None) -> None:
    """Store what is served to a party and called at it. Raises NotRegistered."""
    async with context.store.transaction() as tx:
        party = await get_party(tx, country_code, party_id)
        if party is None:
            raise NotRegistered(f"there is no registration with {country_code.upper()}-{party_id.upper()}")
        profile = evolve(party.profile, matrix=matrix.to_csv() if matrix is not None else None)
        await put_party(tx, evolve(party, profile=profile), context.clock.now())


async def set_policy(context: Context, country_code: str, party_id: str, policy: Policy | None) -> None:
    """Store what of a party's payloads is refused. Raises NotRegistered, ValueError for an unknown rule."""
    async with context.store.transaction() as tx:
        party = await get_party(tx, country_code, party_id)
        if party is None:
            raise NotRegistered(f"there is no registration with {country_code.upper()}-{party_id.upper()}")
        await put_party(tx, evolve(party, profile=with_policy(party.profile, policy)), context.clock.now())


async def set_pace(
    context: Context,
    country_code: str,
    party_id: str,
    requests_per_second: Decimal | None,
    concurrent_requests: int | None,
) -> None:
    """Store how often a party is called. Raises NotRegistered, ValueError for a pace at which nothing is sent."""
    check_rate(requests_per_second)
    check_slots(concurrent_requests)
    async with context.store.transaction() as tx:
        party = await get_party(tx, country_code, party_id)
        if party is None:
            raise NotRegistered(f"there is no registration with {country_code.upper()}-{party_id.upper()}")
        profile = evolve(
            party.profile, requests_per_second=requests_per_second, concurrent_requests=concurrent_requests
        )
        await put_party(tx, evolve(party, profile=profile), context.clock.now())
