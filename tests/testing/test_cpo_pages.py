"""The ways in which pages of the simulated CPO lie, one preset each, through its HTTP door.

`crawl` is the most believing client there is, so that what it gets is what the CPO does.
"""

from typing import Any

import httpx
import pytest

from ocpi_emsp.testing.cpo import PRESETS, SimulatedCpo
from ocpi_emsp.testing.cpo.wire import encode
from testing.support import API, Pair, crawl, ids, next_url, pair, payload


def test_limits_and_links_of_zero() -> None:
    async def scenario(peer: Pair) -> None:
        pages = await crawl(peer, "/locations?date_to=2030-01-01T00:00:00Z")
        assert ids(pages) == [["LOC1", "LOC2"], ["LOC3", "LOC4"], ["LOC5"]]
        assert {page.headers["x-limit"] for page in pages} == {"0"}
        assert next_url(pages[0]) == f"{API}/locations?offset=2&limit=0&date_to=2030-01-01T00:00:00Z"

    pair(scenario, locations=5, page_limit=2, **PRESETS["zero-limit"])


@pytest.mark.parametrize("locations", [4, 5])
def test_the_second_page_leads_back_to_the_first(locations: int) -> None:
    async def scenario(peer: Pair) -> None:
        pages = await crawl(peer, "/locations", pages=4)
        assert ids(pages) == [["LOC1", "LOC2"], ["LOC3", "LOC4"]] * 2

    pair(scenario, locations=locations, page_limit=2, **PRESETS["two-page-loop"])


def test_pages_without_end() -> None:
    async def scenario(peer: Pair) -> None:
        pages = await crawl(peer, "/locations", pages=7)
        assert ids(pages) == [["LOC1", "LOC2"]] * 7
        assert len({str(page.request.url) for page in pages}) == 7

    pair(scenario, page_limit=2, **PRESETS["endless-pages"])


def test_empty_pages_without_end() -> None:
    async def scenario(peer: Pair) -> None:
        pages = await crawl(peer, "/locations", pages=7)
        assert ids(pages) == [["LOC1", "LOC2"], ["LOC3"], *([[]] * 5)]
        assert len({str(page.request.url) for page in pages}) == 7

    pair(scenario, page_limit=2, **PRESETS["endless-empty"])


def totals(pages: list[httpx.Response]) -> list[str]:
    return [page.headers["x-total-count"] for page in pages]


def test_a_list_shrinks_once_while_it_is_listed() -> None:
    async def scenario(peer: Pair) -> None:
        pages = await crawl(peer, "/locations")
        assert totals(pages) == ["7", "5"]
        # Two objects have moved up, so a client that goes on from its offset misses LOC4 and LOC5.
        assert ids(pages) == [["LOC1", "LOC2", "LOC3"], ["LOC6", "LOC7"]]
        back = await peer.http.get(f"{API}/locations?offset=1&limit=3")
        assert ids([back]) == [["LOC4", "LOC5", "LOC6"]]
        assert totals(await crawl(peer, "/locations")) == ["5", "5"]
        # Tariffs have their own turn.
        assert totals(await crawl(peer, "/tariffs?limit=2")) == ["4", "2"]
        peer.cpo.misbehave("shrinking-total")
        assert totals(await crawl(peer, "/locations")) == ["5", "3"]

    pair(scenario, locations=7, tariffs=4, page_limit=3, **PRESETS["shrinking-total"])


def test_what_has_vanished_comes_again_when_it_is_restored() -> None:
    async def scenario(peer: Pair) -> None:
        await crawl(peer, "/locations")
        assert (await peer.http.get(f"{API}/locations/LOC1")).status_code == 404
        peer.cpo.misbehave(next_link="relative")
        peer.cpo.behave()
        peer.cpo.restore("locations")
        assert ids(await crawl(peer, "/locations")) == [["LOC1", "LOC2"], ["LOC3", "LOC4"], ["LOC5"]]

    pair(scenario, locations=5, page_limit=2, **PRESETS["shrinking-total"])


def test_a_list_grows_once_while_it_is_listed() -> None:
    async def scenario(peer: Pair) -> None:
        pages = await crawl(peer, "/locations?date_to=2030-01-01T00:00:00Z")
        assert ids(pages) == [["LOC1", "LOC2"], ["LOC3", "LOC4"], ["LOC5"]]
        assert totals(pages) == ["3", "5", "5"]
        assert totals(await crawl(peer, "/locations")) == ["5", "5", "5"]

    pair(scenario, locations=3, page_limit=2, **PRESETS["growing-total"])


def test_objects_come_again_on_the_next_page() -> None:
    async def scenario(peer: Pair) -> None:
        pages = await crawl(peer, "/locations")
        assert ids(pages) == [["LOC1", "LOC2"], ["LOC2", "LOC3", "LOC4"], ["LOC4", "LOC5"]]

    pair(scenario, locations=5, page_limit=2, **PRESETS["duplicates"])


def test_a_page_has_an_object_twice() -> None:
    async def scenario(peer: Pair) -> None:
        [page] = await crawl(peer, "/locations")
        first, _, _, again = payload(page)["data"]
        assert first == again
        assert first["id"] == "LOC1"

    pair(scenario, **PRESETS["repeated-ids-in-a-page"])


@pytest.mark.parametrize("count", [3, 1000, 1001, 2500])
def test_a_page_may_be_longer_than_any_limit(count: int) -> None:
    async def scenario(peer: Pair) -> None:
        page = await peer.http.get(f"{API}/locations?limit=2")
        assert ids([page]) == [[f"LOC{number + 1}" for number in range(count)]]
        assert next_url(page) is None
        assert page.headers["x-limit"] == "100000"

    pair(scenario, locations=count, evses=0, page_limit=10, **PRESETS["page-of-100000"])


def test_a_share_of_locations_and_tariffs_is_not_there() -> None:
    async def scenario(peer: Pair) -> None:
        [before] = ids(await crawl(peer, "/locations"))
        peer.cpo.misbehave("vanishing")
        [after] = ids(await crawl(peer, "/locations"))
        assert set(before) - set(after) == {"LOC10", "LOC20"}
        assert (await peer.http.get(f"{API}/locations/LOC10")).status_code == 404
        assert ids(await crawl(peer, "/tariffs")) == [[f"TAR{number}" for number in range(1, 10)]]
        assert len(ids(await crawl(peer, "/cdrs"))[0]) == 20
        peer.cpo.misbehave("vanishing", unlisted_share=0.5)
        assert ids(await crawl(peer, "/locations")) == [[f"LOC{number}" for number in range(1, 20, 2)]]
        peer.cpo.behave()
        assert ids(await crawl(peer, "/locations")) == [before]

    pair(scenario, locations=20, cdrs=20, tariffs=10, page_limit=50)


def test_objects_carry_an_owner_and_some_another() -> None:
    async def scenario(peer: Pair) -> None:
        for module in ("locations", "tariffs", "cdrs", "sessions"):
            found = payload(await peer.http.get(f"{API}/{module}?date_from=2000-01-01T00:00:00Z"))["data"]
            owners = [(each.get("country_code"), each.get("party_id")) for each in found]
            assert owners == [("NL", "TNM"), ("BE", "XYZ"), (None, None), ("NL", "TNM")]
        assert "party_id" not in await peer.data("/locations/LOC1")

    pair(scenario, locations=4, tariffs=4, **PRESETS["foreign-owner"])


@pytest.mark.parametrize(
    ("module", "required"),
    [("cdrs", "charging_periods"), ("locations", "coordinates"), ("sessions", "kwh"), ("tariffs", "elements")],
)
def test_three_objects_of_ten_are_bad(module: str, required: str) -> None:
    async def scenario(peer: Pair) -> None:
        found = payload(await peer.http.get(f"{API}/{module}?date_from=2000-01-01T00:00:00Z"))["data"]
        assert [number for number, each in enumerate(found) if "id" not in each] == [2, 12]
        assert [number for number, each in enumerate(found) if required not in each] == [5, 15]
        assert [number for number, each in enumerate(found) if isinstance(each["last_updated"], list)] == [8, 18]
        # By position in the whole list: another page size meets the same bad ones.
        page = payload(await peer.http.get(f"{API}/{module}?offset=5&limit=1&date_from=2000-01-01T00:00:00Z"))["data"]
        assert required not in page[0]
        single = await peer.data(f"/{module}/{found[5]['id']}")
        assert required in single

    counts: dict[str, Any] = dict.fromkeys(("locations", "tariffs", "cdrs", "sessions"), 20)
    pair(scenario, page_limit=50, **counts, **PRESETS["bad-objects"])


def test_pushed_documents_may_be_bad_as_well() -> None:
    async def scenario(peer: Pair) -> None:
        peer.cpo.own("tariffs", {"id": "TAR9"})
        found = payload(await peer.http.get(f"{API}/tariffs"))["data"]
        assert found[-1] == {"id": "TAR9", "last_updated": [None]}

    pair(scenario, tariffs=8, **PRESETS["bad-objects"])


# Many locations


@pytest.mark.parametrize("country_code", ["BE", "DE", "FR", "NL", "XX"])
@pytest.mark.parametrize(("evses", "tariffs"), [(0, 0), (1, 1), (2, 2), (5, 7), (1, 1201)])
def test_listed_locations_are_the_very_documents(country_code: str, evses: int, tariffs: int) -> None:
    cpo = SimulatedCpo(
        locations=200_000, evses=evses, tariffs=tariffs, country_code=country_code, name='100 % "Öl" %(id)s'
    )
    locations = cpo.catalogue.locations
    for index in (*range(60), 199, 200, 9_999, 10_000, 99_999, 123_456, 199_999):
        assert locations.encoded(index) == encode(locations.document(index))


def test_listed_locations_follow_the_settings_and_changes() -> None:
    cpo = SimulatedCpo()
    locations = cpo.catalogue.locations
    locations.encoded(0)
    cpo.name = "Other"
    assert b'"operator":{"name":"Other"}' in locations.encoded(0)
    cpo.change("locations", "LOC1", {"name": "Changed"})
    assert b'"name":"Changed"' in locations.encoded(0)
    cpo.misbehave("quirky")
    assert locations.encoded(1) == encode(locations.document(1))
    assert b'"country":"NL"' in locations.encoded(1)


def test_dates_are_honoured_among_many() -> None:
    """Location n was updated n - 1 minutes after the beginning of 2024."""

    async def scenario(peer: Pair) -> None:
        window = "?date_from=2024-01-31T00:00:00Z&date_to=2024-01-31T00:02:00Z"
        assert ids(await crawl(peer, f"/locations{window}")) == [["LOC43201", "LOC43202"]]
        peer.cpo.change("locations", "LOC43201", {})
        peer.cpo.withdraw("locations", "LOC43202")
        peer.cpo.own("locations", {"id": "LATE", "last_updated": "2024-01-31T00:01:59Z"})
        assert ids(await crawl(peer, f"/locations{window}")) == [["LATE"]]
        assert ids(await crawl(peer, "/locations?date_from=2030-01-01T00:00:00Z")) == [[]]
        assert ids(await crawl(peer, "/locations?date_to=2024-01-01T00:00:00Z")) == [[]]
        assert ids(await crawl(peer, "/locations?date_from=2024-02-02T00:00:00Z&date_to=2024-02-01T00:00:00Z")) == [[]]

    pair(scenario, locations=100_000)
