"""The doctor with partners whose headers and endpoints are odd, and what it asks of a party with a profile."""

from typing import Any

import httpx
import pytest
from attrs import define

from flows.support import offline_emsp, peer, serve
from ocpi_emsp.flows.partner_health.diagnosis import CheckOutcome, Diagnosis, Works
from scripted_cpo import ScriptedCpo, page, reply

VERSIONS = "https://cpo.test/cpo/versions"
DATES = [
    "Mon, 01 Jan 2024 00:00:00 +99999999999999",
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 -1200",
]


@define
class Dated(ScriptedCpo):
    """A CPO with this time in the header of every answer."""

    date: str = "Sat, 01 Jun 2024 12:00:00 GMT"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        response = super().__call__(request)
        response.headers["date"] = self.date
        return response


def cpo(endpoints: list[tuple[str, str]], **settings: Any) -> Dated:
    """A CPO whose lists are empty, and whose other paths want a slash at their end."""
    details = {"version": "2.1.1", "endpoints": [{"identifier": name, "url": url} for name, url in endpoints]}

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if "/tokens/" in path and not path.endswith("/"):
            return httpx.Response(404, text="nothing here")
        return page([], total=0, limit=50)

    return Dated(answer, script={"/2.1.1": lambda _: reply(details)}, **settings)


def look(server: ScriptedCpo) -> Diagnosis:
    return offline_emsp(http_client=serve(server)).parties.diagnose(VERSIONS, token="T")


def outcome(diagnosis: Diagnosis, name: str) -> tuple[CheckOutcome, str]:
    return next((check.outcome, check.sentence) for check in diagnosis.checks if check.name == name)


@pytest.mark.parametrize("date", DATES)
def test_a_date_that_no_calendar_has_ends_no_check(date: str) -> None:
    found = look(cpo([("credentials", "https://cpo.test/c"), ("locations", "https://cpo.test/locations")], date=date))
    assert outcome(found, "locations")[0] is CheckOutcome.OK
    assert outcome(found, "clock")[1].startswith("by our clock")


@pytest.mark.parametrize("url", ["https://[bad", "https://cpo.test:99999/l", "http://cpo.test/l"])
def test_a_second_url_that_cannot_be_used_is_skipped_and_said(url: str) -> None:
    endpoints = [("credentials", "https://cpo.test/c"), ("locations", "https://cpo.test/l"), ("locations", url)]
    found = look(cpo(endpoints))
    said, sentence = outcome(found, "endpoints")
    assert said is CheckOutcome.WARNING
    assert f"locations: an endpoint is skipped: invalid URL '{url}'" in sentence
    rows = {each.row.module: each.works for each in found.expected_support if each.row.direction == "MSP -> CPO"}
    assert rows["locations"] is Works.YES


def test_a_404_without_an_envelope_may_be_that_of_an_unknown_token() -> None:
    endpoints = [(name, f"https://tnm.test/{name}") for name in ("credentials", "tokens")]
    found = peer(http_client=serve(cpo(endpoints))).emsp.partner("NL-TNM").diagnose()
    said, sentence = outcome(found, "tokens")
    assert said is CheckOutcome.WARNING
    assert sentence.startswith("it has no such token, as it should be, or no such path: GET https://tnm.test/tokens/")
    assert sentence.endswith(" answered HTTP 404: nothing here")
    rows = {each.row.methods: each.works for each in found.expected_support if each.row.path == "/tokens/:path"}
    assert rows["GET"] is Works.UNTRIED


def test_a_party_is_asked_as_its_profile_says_and_what_that_says_is_not_suggested() -> None:
    modules = ("credentials", "locations", "tokens")
    endpoints = [(name, f"https://tnm.test/{name}") for name in modules]
    server = cpo(endpoints)
    here = peer(http_client=serve(server))
    here.set_profile(page_limit=50, trailing_slash=True)
    server.requests.clear()
    found = here.emsp.partner("NL-TNM").diagnose()
    assert "GET https://tnm.test/locations/?limit=50" in server.calls
    assert outcome(found, "tokens")[0] is CheckOutcome.OK
    assert outcome(found, "paging") == (CheckOutcome.OK, "pages of 50 are given")
    assert found.suggestions == ()
    assert {each.partition(" ")[0] for each in server.calls} == {"GET"}
