"""The life of a registration: renewed by either side, or both at once, moved, ended."""

import json
from collections.abc import Callable
from datetime import timedelta

import anyio
import httpx
import pytest

from flows.lifecycle_desk import Scene, opens, scene
from flows.support import Peer
from ocpi_emsp import Limits, OcpiError, SupportMatrix
from ocpi_emsp.errors import AnswerUnusable, CannotUseApi, NotRegistered, NotSupported, TransportFailed
from ocpi_emsp.events import PartyUpdated
from ocpi_emsp.flows.parties.party import Party, PartyState
from ocpi_emsp.settings import CredentialLimits
from scripted_cpo import envelope

# --- both modes ---------------------------------------------------------------------------------------------------


def test_a_registration_through_its_life_awaited() -> None:
    here = scene()
    emsp = here.emsp

    async def live() -> None:
        parties, partner = emsp.aio.parties, emsp.aio.partner("NL-TNM")
        assert [str(party) async for party in parties.list()] == ["NL-TNM"]
        first = await parties.get("NL-TNM")
        second = await partner.rotate()
        third = await partner.update()
        assert first is not None
        assert len({first.token, second.token, third.token}) == 3
        assert (await partner.diagnose()).reachable
        assert (await parties.diagnose("https://tnm.test/cpo/versions", token=here.cpo.taken[-1])).reachable
        await partner.unregister()
        assert [party async for party in parties.list()] == []

    anyio.run(live)


# --- who is registered ----------------------------------------------------------------------------------------------


def test_parties_are_listed_page_by_page_and_show_no_token() -> None:
    here = scene()
    here.emsp.parties.invite("FR-ABC", required_modules=["CDRs"])
    first, second = here.emsp.parties.list()
    assert (str(first), first.state) == ("NL-TNM", PartyState.REGISTERED)
    assert (str(second), second.state) == ("FR-ABC", PartyState.INVITED)
    assert second.profile.required_modules == ("cdrs",)
    assert list(here.emsp.parties.list(limit=1)) == [first]
    assert list(here.emsp.parties.list(after=first.sequence, limit=1)) == [second]
    assert list(here.emsp.parties.list(after=second.sequence)) == []
    assert here.emsp.parties.get("fr-abc") == second
    assert here.emsp.parties.get("XX-XXX") is None
    assert not [token for token in here.cpo.taken if token in repr(first)]


def test_a_handshake_under_way_is_no_party_yet() -> None:
    here = scene(registered=False)
    listed: list[list[Party]] = []
    here.cpo.script["POST /2.1.1/credentials"] = lambda _: listed.append(list(here.emsp.parties.list(limit=1)))
    here.register()
    assert listed == [[]]
    assert [str(party) for party in here.emsp.parties.list(limit=1)] == ["NL-TNM"]


# --- renewals -------------------------------------------------------------------------------------------------------


def test_rotating_exchanges_both_tokens_and_reads_the_endpoints_again() -> None:
    here = scene()
    before = here.party()
    rotated = here.emsp.partner("nl-tnm").rotate()
    assert here.cpo.calls == [
        "PUT https://tnm.test/cpo/2.1.1/credentials",
        "GET https://tnm.test/cpo/versions",
        "GET https://tnm.test/cpo/2.1.1",
    ]
    assert rotated.token == here.cpo.taken[-1] != before.token
    old, new = here.cpo.ours
    assert opens(here.emsp, old)
    assert opens(here.emsp, new)
    assert not opens(here.emsp, old)
    assert [type(event) for event in here.events] == [PartyUpdated]


def test_the_old_token_ends_with_the_grace_time() -> None:
    here = scene(limits=Limits(credentials=CredentialLimits(token_grace=timedelta(hours=5))))
    here.emsp.partner("NL-TNM").rotate()
    here.clock.advance(hours=4)
    assert opens(here.emsp, here.cpo.ours[0])
    here.clock.advance(hours=2)
    assert not opens(here.emsp, here.cpo.ours[0])
    assert opens(here.emsp, here.cpo.ours[1])


def only(*methods: str) -> SupportMatrix:
    """The full matrix, with our renewals by these methods alone."""
    full = (
        SupportMatrix.full().to_csv().replace("credentials,MSP -> CPO,PUT|PATCH", "credentials,MSP -> CPO,DELETE|POST")
    )
    lines = [f"credentials,MSP -> CPO,{method},/credentials,yes,\n" for method in methods]
    return SupportMatrix.from_csv(full + "".join(lines))


def test_where_the_matrix_has_only_patch_a_renewal_is_one() -> None:
    here = scene(matrix=only("PATCH"))
    here.emsp.partner("NL-TNM").rotate()
    here.emsp.partner("NL-TNM").update()
    assert [each.partition(" ")[0] for each in here.cpo.calls].count("PATCH") == 2


@pytest.mark.parametrize("name", ["rotate", "update"])
def test_what_the_matrix_switches_off_is_not_sent(name: str) -> None:
    here = scene(matrix=only())
    with pytest.raises(NotSupported, match="PUT and PATCH"):
        getattr(here.emsp.partner("NL-TNM"), name)()
    assert here.cpo.calls == []


@pytest.mark.parametrize("name", ["rotate", "unregister", "update"])
@pytest.mark.parametrize("state", ["invited", "unknown"])
def test_who_is_not_registered_is_not_called(name: str, state: str) -> None:
    here = scene(registered=False)
    if state == "invited":
        here.emsp.parties.invite("NL-TNM")
    with pytest.raises(NotRegistered, match="there is no registration with NL-TNM"):
        getattr(here.emsp.partner("NL-TNM"), name)()
    assert here.cpo.calls == []


def test_a_partner_that_moved_is_updated_where_it_is_now() -> None:
    here = scene()
    here.cpo.base = "https://new.test/cpo"
    updated = here.emsp.partner("NL-TNM").update(versions_url="https://new.test/cpo/versions")
    assert here.cpo.calls == [
        "GET https://new.test/cpo/versions",
        "GET https://new.test/cpo/2.1.1",
        "PUT https://new.test/cpo/2.1.1/credentials",
        "GET https://new.test/cpo/versions",
        "GET https://new.test/cpo/2.1.1",
    ]
    assert updated.versions_url == "https://new.test/cpo/versions"
    assert updated.endpoint("locations") == "https://new.test/cpo/2.1.1/locations"
    assert here.reaches_it()


def test_a_partner_that_names_its_old_url_is_taken_where_it_answers() -> None:
    here = scene()

    def gone(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(404) if request.url.host == "tnm.test" else None

    here.cpo.script["GET /versions"] = gone
    updated = here.emsp.partner("NL-TNM").update(versions_url="https://new.test/cpo/versions")
    assert updated.versions_url == "https://new.test/cpo/versions"
    assert updated.endpoint("locations") == "https://new.test/cpo/2.1.1/locations"
    assert here.reaches_it()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://emsp.test/ocpi/emsp/versions", CannotUseApi),
        ("http://plain.test/versions", CannotUseApi),
        ("versions", CannotUseApi),
        ("https://tnm.test/cpo/nothing/versions", CannotUseApi),
    ],
)
def test_an_update_to_a_url_that_cannot_be_used_changes_nothing(url: str, error: type[OcpiError]) -> None:
    here = scene()
    here.cpo.script["GET /nothing/versions"] = lambda _: httpx.Response(500)
    before = here.party()
    with pytest.raises(error):
        here.emsp.partner("NL-TNM").update(versions_url=url)
    assert here.party() == before
    assert not [each for each in here.cpo.calls if not each.startswith("GET")]


def test_an_answer_of_somebody_else_changes_nothing_and_ends_the_token_that_was_sent() -> None:
    here = scene()
    before = here.party()
    wrong = here.cpo.credentials(party_id="XYZ")
    here.cpo.taken = [before.token or ""]

    def answer(request: httpx.Request) -> httpx.Response | None:
        here.cpo.ours.append(json.loads(request.content)["token"])
        return httpx.Response(200, json=envelope(wrong))

    here.cpo.script["PUT /2.1.1/credentials"] = answer
    with pytest.raises(AnswerUnusable, match="NL-TNM answered with the credentials of NL-XYZ"):
        here.emsp.partner("NL-TNM").rotate()
    assert here.party() == before
    assert opens(here.emsp, here.cpo.ours[0])
    assert not opens(here.emsp, here.cpo.ours[1])


# --- answers that are lost ------------------------------------------------------------------------------------------


def lost(here: Scene, *, after_it_took: bool) -> Callable[[httpx.Request], httpx.Response | None]:
    """A PUT of ours whose answer does not come."""

    def lose(request: httpx.Request) -> httpx.Response | None:
        if after_it_took:
            here.cpo.take(request)
        raise httpx.ReadTimeout("no answer", request=request)

    return lose


def test_a_rotation_that_the_cpo_took_and_whose_answer_is_lost() -> None:
    here = scene()
    here.cpo.script["PUT /2.1.1/credentials"] = lost(here, after_it_took=True)
    with pytest.raises(TransportFailed):
        here.emsp.partner("NL-TNM").rotate()
    old, new = here.cpo.ours
    assert opens(here.emsp, old)
    assert opens(here.emsp, new)
    # It takes our old presentation of its token for a while, as we do: the rotation can be run again.
    here.cpo.script.clear()
    here.emsp.partner("NL-TNM").rotate()
    assert here.reaches_it()
    assert opens(here.emsp, here.cpo.ours[-1])
    assert not opens(here.emsp, old)
    assert not opens(here.emsp, new)


def test_a_rotation_that_never_reached_the_cpo_locks_nobody_out() -> None:
    here = scene()
    here.cpo.script["PUT /2.1.1/credentials"] = lost(here, after_it_took=False)
    with pytest.raises(TransportFailed):
        here.emsp.partner("NL-TNM").rotate()
    for _ in range(4):
        here.clock.advance(days=1)
        assert opens(here.emsp, here.cpo.ours[0])
    assert len(here.party().issued) == 1


def test_a_renewal_of_the_cpo_whose_answer_is_lost() -> None:
    here = scene()
    used = here.cpo.ours[-1]
    here.cpo.renew()
    here.cpo.ours = [used]
    assert here.cpo.renew() == 1000
    assert opens(here.emsp, here.cpo.ours[-1])
    assert not opens(here.emsp, used)
    assert here.reaches_it()


# --- both at once ---------------------------------------------------------------------------------------------------


def crossed(here: Scene, renewals: list[int]) -> Callable[[httpx.Request], httpx.Response | None]:
    """The CPO renews while our PUT is under way."""

    def renew(_: httpx.Request) -> httpx.Response | None:
        here.cpo.script.pop("PUT /2.1.1/credentials")
        renewals.append(here.cpo.renew())
        return None

    return renew


@pytest.mark.parametrize("days", [0, 1, 3])
@pytest.mark.parametrize("kept", ["ours", "its own"])
@pytest.mark.parametrize("keeps", [1, 3])
def test_both_sides_rotate_at_once(keeps: int, kept: str, days: int) -> None:
    """Whichever of our tokens it goes on with, and whichever of its own it still takes, both sides get in."""
    here, renewals = scene(), list[int]()
    here.cpo.keeps = keeps
    old = here.cpo.ours[-1]
    here.cpo.script["PUT /2.1.1/credentials"] = crossed(here, renewals)
    here.emsp.partner("NL-TNM").rotate()
    assert renewals == [1000]
    _, from_its_renewal, from_our_put = here.cpo.ours
    goes_on_with = from_our_put if kept == "ours" else from_its_renewal
    for _ in range(days + 1):
        assert opens(here.emsp, goes_on_with)
        here.clock.advance(days=1)
    assert opens(here.emsp, goes_on_with)
    assert here.reaches_it()
    if days:
        assert not opens(here.emsp, old)
    here.emsp.partner("NL-TNM").rotate()
    assert here.reaches_it()
    assert opens(here.emsp, here.cpo.ours[-1])


def test_the_token_of_our_put_counts_only_where_it_still_opens() -> None:
    """The CPO made it before its own renewal, whose token ended it."""
    here = scene()

    def answers_late(request: httpx.Request) -> httpx.Response | None:
        here.cpo.script.clear()
        answer = here.cpo.take(request)
        late = here.cpo.taken[-1]
        assert here.cpo.renew() == 1000
        here.cpo.taken = [token for token in here.cpo.taken if token != late][-1:]
        return answer

    here.cpo.script["PUT /2.1.1/credentials"] = answers_late
    here.emsp.partner("NL-TNM").rotate()
    assert here.party().token == here.cpo.taken[-1]
    assert here.reaches_it()


def test_our_rotation_within_the_cpos_ends_the_token_that_the_cpos_brought() -> None:
    """By the time that we would take it, the CPO does not take it any more: it is told so, and nothing is lost."""
    here = scene()
    here.cpo.keeps = 2
    rotated: list[Party] = []

    def rotate(_: httpx.Request) -> httpx.Response | None:
        here.cpo.script.clear()
        brought = here.cpo.taken[-1]
        rotated.append(here.emsp.partner("NL-TNM").rotate())
        here.cpo.taken = [token for token in here.cpo.taken if token != brought]
        return None

    here.cpo.script["GET /2.1.1"] = rotate
    answer = Peer(here.emsp, here.clock, here.store.kept, here.cpo.ours[-1]).push(
        "PUT", "credentials", here.cpo.credentials()
    )
    assert answer.both == (200, 3001)
    assert here.party().token == rotated[0].token
    assert here.reaches_it()
    assert opens(here.emsp, here.cpo.ours[-1])


# --- the end --------------------------------------------------------------------------------------------------------


def test_unregistering_tells_the_partner_where_the_matrix_has_it() -> None:
    here = scene()
    here.emsp.partner("NL-TNM").unregister()
    assert here.cpo.calls == ["DELETE https://tnm.test/cpo/2.1.1/credentials"]
    assert here.emsp.parties.get("NL-TNM") is None
    assert not opens(here.emsp, here.cpo.ours[-1])
    assert [type(event).__name__ for event in here.events] == ["PartyUnregistered"]


def test_where_the_matrix_has_no_delete_the_party_can_be_forgotten_here() -> None:
    here = scene(matrix=SupportMatrix.default())
    with pytest.raises(NotSupported, match=r"to forget NL-TNM here only, use tell=False \(--no-tell\)"):
        here.emsp.partner("NL-TNM").unregister()
    assert here.emsp.parties.get("NL-TNM") is not None
    here.emsp.partner("NL-TNM").unregister(tell=False)
    assert here.cpo.calls == []
    assert here.emsp.parties.get("NL-TNM") is None
    assert not opens(here.emsp, here.cpo.ours[-1])


def test_an_invitation_is_taken_back() -> None:
    here = scene(registered=False)
    token_a = here.emsp.parties.invite("NL-TNM").token_a.reveal()
    here.emsp.partner("NL-TNM").unregister(tell=False)
    assert not opens(here.emsp, token_a, "/versions")
    assert here.events == []


def test_a_partner_that_does_not_let_us_go_stays() -> None:
    here = scene()
    before = here.party()
    here.cpo.script["DELETE /2.1.1/credentials"] = lambda _: httpx.Response(500)
    with pytest.raises(OcpiError):
        here.emsp.partner("NL-TNM").unregister()
    assert here.party() == before
