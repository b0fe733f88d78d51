"""The credentials module, in both directions: registration at the beginning, renewal, and the end (credentials.md
1).
"""

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
    versions, details, post = await stage.tnm.register(invitation.versions_url, invitation.token_a.reveal())
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


async def _cpo_reads(stage: Stage) -> Seen:
    exchange = await stage.tnm.call("GET", "credentials")
    party = f"{(exchange.data or {}).get('country_code')}-{(exchange.data or {}).get('party_id')}"
    identity = stage.emsp.identity
    ours = party == f"{identity.country_code}-{identity.party_id}"
    return exchange.seen(f"{stage.tnm} reads our credentials: {party}", effect=ours)


async def _cpo_renews(stage: Stage, method: str, *fields: str) -> Seen:
    put = (await stage.tnm.update(method, *fields))[-1]
    updated = stage.heard.has(PartyUpdated, lambda event: event.party_id == stage.tnm.party_id)
    works = put.ok and updated and (await stage.tnm.call("GET", "credentials")).ok and await stage.reaches(stage.tnm)
    what = f"{stage.tnm} renews {' and '.join(fields) or 'its credentials'}; our fresh token works"
    return put.seen(what, effect=works)


async def _cpo_unregisters(stage: Stage) -> Seen:
    return (await stage.tnm.call("DELETE", "credentials")).seen(f"{stage.tnm} unregisters")


RENEWAL.theirs(GET_CREDENTIALS, _cpo_reads)
RENEWAL.theirs(_theirs("PUT"), lambda stage: _cpo_renews(stage, "PUT"))
RENEWAL.theirs(_theirs("PATCH"), lambda stage: _cpo_renews(stage, "PATCH", "token", "business_details"))
END.theirs(_theirs("DELETE"), _cpo_unregisters)


@RENEWAL.ours(_ours("GET"), "we read its credentials")
async def _we_read(stage: Stage) -> str:
    theirs = await stage.client.credentials()
    return f"we read the credentials of {theirs.country_code}-{theirs.party_id}, {theirs.business_details.name}"


@RENEWAL.ours(_ours("PUT"), "we renew our credentials")
async def _we_put(stage: Stage) -> str:
    await stage.client.put_credentials()
    await stage.client.versions()
    return f"we renew our credentials at {stage.abc}; its fresh token works"


@RENEWAL.ours(_ours("PATCH"), "we renew our credentials by PATCH")
async def _we_patch(stage: Stage) -> str:
    await stage.client.patch_credentials()
    await stage.client.versions()
    return f"we renew our credentials at {stage.abc} by PATCH; its fresh token works"


@END.ours(_ours("DELETE"), "we unregister from {0.abc}")
async def _we_unregister(stage: Stage) -> str:
    await stage.client.delete_credentials()
    return f"we unregister from {stage.abc}"
