"""How often a client calls a party: its own rate and slots, and the eMSP's ``rate_limit``."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import anyio
import httpx
import pytest

from client.support import MODES, Mode, call, drain, register_tnm, registered
from ocpi_emsp import Emsp, PartyId, SupportMatrix
from ocpi_emsp.errors import NotRegistered, NotSupported, PartnerUnavailable
from ocpi_emsp.settings import RateLimit
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import FakeClock, make_emsp
from scripted_cpo import ScriptedCpo, envelope, page

pytestmark = pytest.mark.parametrize("mode", MODES)


def located(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=encode(envelope(samples.location())))


def slept(server: Callable[[httpx.Request], httpx.Response] = located, **settings: Any) -> tuple[Emsp, list[float]]:
    """An eMSP whose waits take no time, and these waits."""
    clock, waits = FakeClock(), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(seconds=seconds)

    return registered(ScriptedCpo(server), clock=clock, sleep=sleep, **settings), waits


def set_pace(emsp: Emsp, mode: Mode, party_id: str = "TNM", **given: Any) -> None:
    pace = {"requests_per_second": None, "concurrent_requests": None} | given
    if mode == "sync":
        emsp.partner(PartyId("nl", party_id)).set_profile(**pace)
    else:
        anyio.run(lambda: emsp.aio.partner(PartyId("nl", party_id)).set_profile(**pace))


def test_a_party_without_a_limit_is_called_at_once(mode: Mode) -> None:
    emsp, waits = slept()
    for _ in range(5):
        call(emsp, mode, "location", "LOC1")
    assert waits == []


def test_a_partys_own_rate_comes_first_until_it_is_taken_back(mode: Mode) -> None:
    emsp, waits = slept(rate_limit=RateLimit(requests_per_second=Decimal(2)))
    set_pace(emsp, mode, requests_per_second=Decimal("0.1"))
    call(emsp, mode, "location", "LOC1")
    call(emsp, mode, "location", "LOC1")
    assert waits == [10]
    set_pace(emsp, mode)
    call(emsp, mode, "location", "LOC1")
    call(emsp, mode, "location", "LOC1")
    assert waits == [10, 2, 0.5]  # what was begun at the old pace ends at the new one: four slots take two seconds


def test_a_change_counts_from_the_next_page_on(mode: Mode) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params.get("offset", 0))
        if offset == 1:
            emsp.partner("NL-TNM").set_profile(requests_per_second=Decimal(4))
        return page([samples.location(f"LOC{offset}")], f"?offset={offset + 1}" if offset < 3 else None)

    emsp, waits = slept(answer)
    assert drain(emsp, mode).ids == ["LOC0", "LOC1", "LOC2", "LOC3"]
    assert waits == [0.25]


def test_the_rest_of_a_profile_stays(mode: Mode) -> None:
    emsp, _ = slept()
    emsp.partner("NL-TNM").set_matrix(SupportMatrix(()))
    set_pace(emsp, mode, concurrent_requests=2, requests_per_second=Decimal("2.5"))
    with pytest.raises(NotSupported):
        call(emsp, mode, "location", "LOC1")


def test_a_party_that_is_not_registered_has_no_pace(mode: Mode) -> None:
    emsp, _ = slept()
    with pytest.raises(NotRegistered, match="NL-XYZ"):
        set_pace(emsp, mode, "xyz", concurrent_requests=1)


@pytest.mark.parametrize(
    ("pace", "said"),
    [
        ({"concurrent_requests": 0}, "invalid concurrent_requests '0': expected"),
        ({"concurrent_requests": -1}, "invalid concurrent_requests '-1': expected"),
        ({"requests_per_second": Decimal(0)}, "invalid requests_per_second '0': expected"),
        ({"requests_per_second": Decimal("0.009")}, "invalid requests_per_second '0.009': expected"),
        ({"requests_per_second": Decimal("-Infinity")}, "invalid requests_per_second '-Infinity': expected"),
        ({"requests_per_second": Decimal("NaN")}, "invalid requests_per_second 'NaN': expected"),
    ],
    ids=str,
)
def test_a_pace_at_which_nothing_is_sent_is_refused(mode: Mode, pace: dict[str, Any], said: str) -> None:
    emsp, waits = slept()
    with pytest.raises(ValueError, match=said):
        set_pace(emsp, mode, **pace)
    call(emsp, mode, "location", "LOC1")
    assert waits == []


def test_a_call_waits_for_a_slot_and_not_for_ever(mode: Mode) -> None:
    """The partner, while it answers the only call that it gets at once, has another one made."""
    refused: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        with pytest.raises(PartnerUnavailable) as caught, emsp.partner("NL-TNM").client() as other:
            other.location("LOC1")
        refused.append(str(caught.value))
        return located(request)

    async def answer_later(request: httpx.Request) -> httpx.Response:
        async with emsp.aio.partner("NL-TNM").client() as other:
            with pytest.raises(PartnerUnavailable) as caught:
                await other.location("LOC1")
        refused.append(str(caught.value))
        return located(request)

    emsp = make_emsp(
        rate_limit=RateLimit(slot_timeout=timedelta(milliseconds=10)),
        http_client=lambda: httpx.Client(transport=httpx.MockTransport(ScriptedCpo(answer))),
        aio_http_client=lambda: httpx.AsyncClient(transport=httpx.MockTransport(answer_later)),
    )
    register_tnm(emsp)
    set_pace(emsp, mode, concurrent_requests=1)
    assert call(emsp, mode, "location", "LOC1").id == "LOC1"
    assert refused == ["NL-TNM: no slot was free for 0.01 s (concurrent_requests is 1)"]


def test_the_time_really_passes(mode: Mode) -> None:
    emsp = registered(ScriptedCpo(located), rate_limit=RateLimit(requests_per_second=Decimal(200)))
    for _ in range(3):
        assert call(emsp, mode, "location", "LOC1").id == "LOC1"
