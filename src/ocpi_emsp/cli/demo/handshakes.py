"""The credentials module, both ways: registration at the beginning, renewal, and the end of it (credentials.md 1)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ocpi_emsp import PartyId
from ocpi_emsp.cli.demo.parties import Misbehaved
from ocpi_emsp.cli.demo.rows import DETAILS, GET_CREDENTIALS, THEIR_DETAILS, THEIR_VERSIONS, VERSIONS, Call, Seen
from ocpi_emsp.cli.demo.stage import Act, Stage
from ocpi_emsp.events import PartyRegistered, PartyUpdated
from ocpi_emsp.support import FROM_CPO, TO_CPO

REGISTRATION = Act()
RENEWAL = Act()
END = Act()


def _theirs(method: str) -> Call:
    return Call("credentials", FROM_CPO, method, "/credentials")


def _ours(method: str) -> Call:
    return Call("credentials", TO_CPO, method, "/credentials")


@REGISTRATION.scene(VERSIONS, DETAILS, _theirs("POST"))
async def cpo_registers(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """A CPO that we invited runs the handshake towards us."""
    invitation = await stage.emsp.aio.parties.invite(PartyId(stage.tnm.country_code, stage.tnm.party_id))
    versions, details, post = await stage.tnm.register(invitation.versions_url, invitation.token_a)
    offered = [each["version"] for each in versions.data or ()]
    yield VERSIONS, versions.seen(f"{stage.tnm} reads our versions: {', '.join(offered)}", effect=offered == ["2.1.1"])
    modules = [each["identifier"] for each in (details.data or {}).get("endpoints", ())]
    yield DETAILS, details.seen(f"{stage.tnm} reads our endpoints: {', '.join(modules)}", effect=bool(modules))
    known = stage.heard.has(PartyRegistered, lambda event: event.party_id == stage.tnm.party_id)
    reached = known and await stage.reaches(stage.tnm)
    yield _theirs("POST"), post.seen(f"{stage.tnm} registers with the token A that we gave it", effect=reached)


@REGISTRATION.scene(_ours("POST"), THEIR_VERSIONS, THEIR_DETAILS)
async def we_register(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """We run the handshake towards a CPO that invited us."""
    since = len(stage.recorder.answers)

    async def register() -> str:
        party = await stage.emsp.aio.parties.register(stage.abc.versions_url, token_a=stage.abc.token_a)
        if str(party) != str(stage.abc):
            raise Misbehaved(f"the CPO says that it is {party}")
        return f"we register with {party} with the token A that it gave us"

    yield _ours("POST"), await stage.ours(f"we register with {stage.abc}", "POST", register)
    for call, end, what in (
        (THEIR_VERSIONS, "/versions", "we read its versions and choose 2.1.1"),
        (THEIR_DETAILS, "/2.1.1", "we read its endpoints"),
    ):
        answer = stage.recorder.last(since, "GET", end)
        if answer is not None:
            yield call, Seen(what=what, http_status=answer.http_status, status_code=answer.status_code)


@RENEWAL.scene(GET_CREDENTIALS)
async def cpo_reads(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The CPO reads our credentials."""
    exchange = await stage.tnm.call("GET", "credentials")
    party = f"{(exchange.data or {}).get('country_code')}-{(exchange.data or {}).get('party_id')}"
    identity = stage.emsp.identity
    ours = party == f"{identity.country_code}-{identity.party_id}"
    yield GET_CREDENTIALS, exchange.seen(f"{stage.tnm} reads our credentials: {party}", effect=ours)


async def _renewed(stage: Stage, method: str, *fields: str) -> tuple[Call, Seen]:
    put = (await stage.tnm.update(method, *fields))[-1]
    updated = stage.heard.has(PartyUpdated, lambda event: event.party_id == stage.tnm.party_id)
    works = put.ok and updated and (await stage.tnm.call("GET", "credentials")).ok and await stage.reaches(stage.tnm)
    what = f"{stage.tnm} renews {' and '.join(fields) or 'its credentials'}; our fresh token works"
    return _theirs(method), put.seen(what, effect=works)


@RENEWAL.scene(_theirs("PUT"))
async def cpo_puts(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The CPO renews its credentials."""
    yield await _renewed(stage, "PUT")


@RENEWAL.scene(_theirs("PATCH"))
async def cpo_patches(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The CPO renews a part of its credentials; the rest is what we stored."""
    yield await _renewed(stage, "PATCH", "token", "business_details")


@RENEWAL.scene(_ours("GET"))
async def we_read(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """We read the CPO's credentials."""

    async def read() -> str:
        theirs = await stage.client.credentials()
        return f"we read the credentials of {theirs.country_code}-{theirs.party_id}, {theirs.business_details.name}"

    yield _ours("GET"), await stage.ours("we read its credentials", "GET", read)


@RENEWAL.scene(_ours("PUT"))
async def we_put(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """We renew our credentials."""

    async def put() -> str:
        await stage.client.put_credentials()
        await stage.client.versions()
        return f"we renew our credentials at {stage.abc}; its fresh token works"

    yield _ours("PUT"), await stage.ours("we renew our credentials", "PUT", put)


@RENEWAL.scene(_ours("PATCH"))
async def we_patch(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """We renew our credentials by PATCH."""

    async def patch() -> str:
        await stage.client.patch_credentials()
        await stage.client.versions()
        return f"we renew our credentials at {stage.abc} by PATCH; its fresh token works"

    yield _ours("PATCH"), await stage.ours("we renew our credentials by PATCH", "PATCH", patch)


@END.scene(_theirs("DELETE"))
async def cpo_unregisters(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The CPO wants to end the registration."""
    exchange = await stage.tnm.call("DELETE", "credentials")
    yield _theirs("DELETE"), exchange.seen(f"{stage.tnm} unregisters")


@END.scene(_ours("DELETE"))
async def we_unregister(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """We want to end the registration."""

    async def delete() -> str:
        await stage.client.delete_credentials()
        return f"we unregister from {stage.abc}"

    yield _ours("DELETE"), await stage.ours(f"we unregister from {stage.abc}", "DELETE", delete)
