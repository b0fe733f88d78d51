"""Partners whose answers drip during a handshake: it ends in time, and meanwhile the others are served.

The drip is a real one, on loopback; nothing is timed: others are served while the drip goes on, or the test hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import anyio
import httpx
import pytest

import our_emsp
from client.support import MODES, Mode
from dripping import Dripping, Part, dripping
from ocpi_emsp import Limits
from ocpi_emsp.errors import CannotUseApi, TransportFailed
from ocpi_emsp.settings import CredentialLimits
from served.partner import Connect, FakeCpo, MakeEmsp, invite, works
from served.support import BASE, SECONDS, Answer, Host, Logs, Ocpi, emsp_at, waitress_host

CREDENTIALS = "/2.1.1/credentials"
THREADS = 4
"""What waitress has by default."""
PARTS: tuple[Part, ...] = ("head", "body")


QUICK = Limits(credentials=CredentialLimits(inbound_timeout=0.2, outbound_timeout=0.2))


# --- the others are served ------------------------------------------------------------------------------------------


@pytest.fixture(params=["uvicorn", "waitress"])
def alone(request: pytest.FixtureRequest) -> Iterator[Host]:
    """A server with the threads that it has by default."""
    if request.param == "uvicorn":
        yield request.getfixturevalue("uvicorn_running")
        return
    with waitress_host(threads=THREADS) as host:
        yield host


def test_four_registrations_that_drip_hold_up_nobody(alone: Host, http: httpx.Client, logs: Logs) -> None:
    """Without the number: under WSGI the four hold all threads, and the GET hangs until they end."""
    at_once = 2 if alone.kind == "uvicorn" else None
    emsp = emsp_at(alone, limits=Limits(credentials=CredentialLimits(concurrent_handshakes=at_once)))
    alone.mount(emsp)
    ocpi = Ocpi(http, alone.origin + BASE, logs)
    other = ocpi.using(emsp.parties.invite("DE-ABC").token_a.reveal())
    cpos = [FakeCpo(origin="", logs=logs, party_id=f"TN{number}") for number in range(THREADS)]
    with dripping() as slow, ThreadPoolExecutor(THREADS) as threads:
        try:
            posts = [threads.submit(_post, ocpi, invite(ocpi, emsp, cpo), cpo, slow) for cpo in cpos]
            for _ in range(2):
                assert slow.begun.acquire(timeout=SECONDS)
            refused = [_first_done(posts), _first_done(posts)]
            assert other("GET", "/versions").both == (200, 1000)
            assert [post.done() for post in posts] == [False, False], "the drip goes on"
        finally:
            slow.over.set()
        assert [(each.both, each.headers["retry-after"]) for each in refused] == [((429, 2000), "30")] * 2
        assert all("send the credentials again" in each.message for each in refused)
        assert [post.result(SECONDS).both for post in posts] == [(200, 3001)] * 2
    assert not slow.begun.acquire(blocking=False), "the refused ones called nobody"


def _post(ocpi: Ocpi, with_a: Ocpi, cpo: FakeCpo, slow: Dripping) -> Answer:
    return with_a("POST", CREDENTIALS, cpo.credentials(token=ocpi.logs.secret("T" * 40), url=slow.url))


def _first_done(posts: list[Future[Answer]]) -> Answer:
    """The answer of the first that is answered; it leaves the list."""
    done, _ = wait(posts, SECONDS, FIRST_COMPLETED)
    first = done.pop()
    posts.remove(first)
    return first.result()


# --- a handshake ends -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_a_partner_that_asks_and_drips_is_left(
    make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo, part: Part, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the time: the request is open for as long as it drips, 300 s for each answer."""
    emsp = make_emsp(limits=QUICK, http_client=None)
    with_a = invite(ocpi, emsp, fake_cpo)
    with dripping(part) as slow:
        answer = with_a("POST", CREDENTIALS, fake_cpo.credentials(url=slow.url))
    assert answer.both == (200, 3001)
    assert "CredentialLimits.inbound_timeout" in caplog.text


def test_the_details_may_take_what_the_versions_left(
    make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo, caplog: pytest.LogCaptureFixture
) -> None:
    emsp = make_emsp(limits=QUICK, http_client=None)
    with_a = invite(ocpi, emsp, fake_cpo)
    emsp.partner("NL-TNM").set_profile(hosts=["127.0.0.1"])
    with dripping() as slow:
        fake_cpo.script["/versions"] = _versions_at(slow.url)
        assert with_a("POST", CREDENTIALS, fake_cpo.credentials()).both == (200, 3001)
    assert "CredentialLimits.inbound_timeout" in caplog.text


def _versions_at(url: str) -> Callable[[httpx.Request], httpx.Response]:
    data = [{"version": "2.1.1", "url": url}]
    return lambda _: httpx.Response(200, json={"data": data, "status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"})


def test_a_registered_partner_that_renews_and_drips_keeps_its_registration(connect: Connect) -> None:
    partner = connect()
    assert works(partner.ocpi), "its first use ends token A"
    before = partner.emsp.parties.get("NL-TNM")
    partner.host.mount(emsp_at(partner.host, store=partner.store, limits=QUICK))
    with dripping() as slow:
        assert partner.ocpi("PUT", CREDENTIALS, partner.cpo.credentials(url=slow.url)).both == (200, 3001)
    assert partner.emsp.parties.get("NL-TNM") == before


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("part", PARTS)
def test_a_partner_that_we_begin_with_and_that_drips_is_left(mode: Mode, part: Part) -> None:
    """Without the time: a registration takes 300 s for each answer, and for ever where a head drips."""
    emsp = our_emsp.make_emsp(url_policy="loopback", limits=QUICK)

    def register(url: str) -> object:
        if mode == "sync":
            return emsp.parties.register(url, token_a="A")
        return anyio.run(lambda: emsp.aio.parties.register(url, token_a="A"))

    with dripping(part) as slow, pytest.raises(CannotUseApi) as caught:
        register(slow.url)
    assert "took longer than 0.2 s together (CredentialLimits.outbound_timeout)" in str(caught.value)
    assert isinstance(caught.value.__cause__, TransportFailed)
