"""Renewals that meet others, that are tried again and again, and what is left of a party's profile and of its end."""

import httpx
import pytest

from flows.lifecycle_desk import opens, scene
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import AlreadyRegistered, CannotUseApi, PartnerRefused, TransportFailed
from ocpi_emsp.events import PartyUnregistered
from ocpi_emsp.flows.credentials.renew import update_credentials
from ocpi_emsp.wire import Request
from scripted_cpo import envelope, reply

PUT = "PUT /2.1.1/credentials"


def refuse(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=envelope(None, 2000))


def lose(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no answer", request=request)


def test_a_refused_renewal_that_began_before_another_ended_locks_nobody_out() -> None:
    """The endpoints are read before our token is given out; meanwhile another worker exchanges the tokens."""
    here = scene()
    here.cpo.keeps = 9

    def rotate_elsewhere(_: httpx.Request) -> None:
        here.cpo.script.pop("GET /versions")
        here.emsp.partner("NL-TNM").rotate()
        assert opens(here.emsp, here.cpo.ours[-1])
        here.cpo.script[PUT] = refuse

    here.cpo.script["GET /versions"] = rotate_elsewhere
    with pytest.raises(PartnerRefused):
        here.emsp.partner("NL-TNM").update()
    here.clock.advance(hours=3)
    assert opens(here.emsp, here.cpo.ours[-1])
    assert len(here.party().issued) == 1


def test_a_token_that_the_cpo_took_works_however_often_its_renewal_is_tried_again() -> None:
    here = scene()
    here.cpo.keeps = 9

    def take_and_lose(request: httpx.Request) -> httpx.Response:
        here.cpo.take(request)
        return lose(request)

    here.cpo.script[PUT] = take_and_lose
    for _ in range(5):
        with pytest.raises(TransportFailed):
            here.emsp.partner("NL-TNM").rotate()
        here.cpo.script[PUT] = lose
    here.clock.advance(hours=2)
    assert opens(here.emsp, here.cpo.ours[-1]), "the one that it took"
    assert not opens(here.emsp, here.cpo.ours[0]), "which ends the one before"


def test_a_cpo_that_renews_without_an_end_does_not_fill_the_party() -> None:
    here = scene()
    used = here.cpo.ours[-1]
    for _ in range(30):
        here.cpo.ours.append(used)
        assert here.cpo.renew() == 1000
    assert len(here.party().issued) == 12
    assert opens(here.emsp, here.cpo.ours[-1])
    assert not opens(here.emsp, used)


def test_the_first_use_of_a_new_token_ends_the_old_one_although_there_is_a_newer_one() -> None:
    here = scene()
    used = here.cpo.ours[-1]
    here.cpo.renew()
    taken = here.cpo.ours[-1]
    here.cpo.ours.append(used)
    here.cpo.renew()
    assert opens(here.emsp, taken)
    assert not opens(here.emsp, used)
    assert opens(here.emsp, here.cpo.ours[-1])


def test_two_workers_rotate_at_once_and_the_later_answer_is_the_one_that_is_kept() -> None:
    """The CPO answers our second PUT first; the token of that answer ends where the newer one is used."""
    here = scene()
    answered_first = list[str]()

    def answer_late(request: httpx.Request) -> httpx.Response:
        here.cpo.script.pop(PUT)
        here.cpo.keeps = 2
        late = here.cpo.take(request)
        answered_first.append(late.json()["data"]["token"])
        here.cpo.taken.insert(0, here.party().token or "")
        here.emsp.partner("NL-TNM").rotate()
        # The CPO ends older tokens once a newer one is used; here it still takes both, until that happens.
        here.cpo.taken = [answered_first[0], here.cpo.taken[-1]]
        here.cpo.script["GET /versions"] = end_older
        return late

    def end_older(request: httpx.Request) -> None:
        token = request.headers["authorization"].removeprefix("Token ")
        here.cpo.taken = here.cpo.taken[here.cpo.taken.index(token) :]

    here.cpo.script[PUT] = answer_late
    here.emsp.partner("NL-TNM").rotate()
    assert here.party().token not in answered_first
    assert here.reaches_it()


def test_the_cpos_own_renewal_ends_after_our_put_that_it_answered_meanwhile() -> None:
    """It keeps no old token, takes both while its renewal is under way, and ends with the one of that."""
    waited = list[float]()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        here.cpo.taken = own

    here = scene(sleep=sleep)
    here.cpo.keeps = 3
    own = list[str]()

    def renew(_: httpx.Request) -> None:
        here.cpo.script.pop(PUT)
        assert here.cpo.renew() == 1000
        own.append(here.cpo.taken[-1])

    here.cpo.script[PUT] = renew
    here.emsp.partner("NL-TNM").rotate()
    here.cpo.taken = own
    assert len(waited) == 1
    assert here.party().token == own[0]
    assert here.reaches_it()


def test_a_third_renewal_while_two_are_compared() -> None:
    """What came in meanwhile was good when it came; the token of our answer is newer than that one, too."""
    here = scene()
    here.cpo.keeps = 3

    def renew(_: httpx.Request) -> None:
        here.cpo.script.pop(PUT)
        assert here.cpo.renew() == 1000
        here.cpo.script["GET /versions"] = cross_again

    def cross_again(_: httpx.Request) -> None:
        here.cpo.script.pop("GET /versions")
        token_of_our_put = here.cpo.taken[-1]
        assert here.cpo.renew() == 1000
        here.cpo.taken = [here.cpo.taken[-1], token_of_our_put]

    here.cpo.script[PUT] = renew
    here.emsp.partner("NL-TNM").rotate()
    here.cpo.taken = here.cpo.taken[-1:]
    assert here.reaches_it()


def test_a_rotation_goes_to_where_the_cpos_own_renewal_says() -> None:
    here = scene()
    read_before = here.party()
    moved = {"version": "2.1.1", "endpoints": [{"identifier": "credentials", "url": "https://tnm.test/cpo/new"}]}
    here.cpo.script["GET /2.1.1"] = lambda _: reply(moved)
    here.cpo.renew()
    here.cpo.requests.clear()
    context, _ = here.emsp._contexts.connected()
    run(update_credentials(context, read_before, "PUT"))
    assert [each for each in here.cpo.calls if each.startswith("PUT")] == ["PUT https://tnm.test/cpo/new"]


def test_an_end_is_told_once_where_both_sides_end_it() -> None:
    here = scene()

    def delete_too(_: httpx.Request) -> None:
        token = here.cpo.ours[-1]
        sent = Request("DELETE", "/2.1.1/credentials", "", {"authorization": f"Token {token}"}, b"")
        assert here.emsp.handle(sent).status == 200

    here.cpo.script["DELETE /2.1.1/credentials"] = delete_too
    here.emsp.partner("NL-TNM").unregister()
    assert [type(event) for event in here.events] == [PartyUnregistered]


def test_what_was_set_for_an_invited_party_stays_whoever_begins() -> None:
    here = scene(registered=False)
    here.emsp.parties.invite("NL-TNM", base64_token=True, required_modules=["locations"])
    here.emsp.partner("NL-TNM").set_profile(page_limit=50, base64_token=False)
    here.emsp.parties.invite("NL-TNM")
    profile = here.emsp.partner("NL-TNM").profile()
    assert (profile.page_limit, profile.required_modules) == (50, ("locations",))
    here.register()
    assert here.emsp.partner("NL-TNM").profile() == profile


def test_details_of_ours_are_not_read() -> None:
    here = scene(registered=False)
    ours = [{"version": "2.1.1", "url": "https://emsp.test/ocpi/emsp/2.1.1"}]
    here.cpo.script["GET /versions"] = lambda _: reply(ours)
    with pytest.raises(CannotUseApi, match="is our own URL"):
        here.register()
    assert [each for each in here.cpo.calls if "emsp.test" in each] == []


def test_a_cpo_that_lost_its_data_can_be_forgotten_and_registered_again() -> None:
    here = scene()
    here.cpo.taken = ["token-a-of-the-cpo"]
    with pytest.raises(AlreadyRegistered, match=r"with tell=False or --no-tell for a partner that lost its data"):
        here.register()
    here.cpo.taken = ["token-a-of-the-cpo"]
    here.emsp.partner("NL-TNM").unregister(tell=False)
    here.register()
    assert here.reaches_it()


@pytest.mark.parametrize("modules", [["locatons"], "locations"])
def test_modules_that_nobody_can_offer_are_refused_before_anything_is_stored(modules: list[str]) -> None:
    here = scene(registered=False)
    with pytest.raises(ValueError, match="invalid required_modules 'locat"):
        here.emsp.parties.invite("NL-TNM", required_modules=modules)
    assert list(here.emsp.parties.list()) == []
