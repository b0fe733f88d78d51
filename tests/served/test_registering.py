"""The credentials handshake that we start, over HTTP, in both modes (credentials.md 1 and 3).

A fake CPO shows what a failing one leaves behind; the simulated CPO, written from the specification, is the other side
of the ones that succeed, both ways.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from anyio.from_thread import BlockingPortal
from attrs import define, evolve, field

from ocpi_emsp import Emsp, OcpiError
from ocpi_emsp.errors import (
    AlreadyRegistered,
    AnswerUnusable,
    CannotUseApi,
    MissingEndpoints,
    PartnerError,
    PartnerRefused,
    UnsupportedVersion,
)
from ocpi_emsp.events import PartyRegistered
from ocpi_emsp.resources import Party as RegisteredParty
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.testing.cpo import PRESETS, SimulatedCpo
from our_emsp import FakeClock
from scripted_cpo import Handler, reply
from served.calls import BEFORE_ALL, Caller
from served.partner import (
    UNUSABLE,
    Connect,
    FakeCpo,
    MakeEmsp,
    Partner,
    html,
    json_of,
    says,
    simulated,
    works,
)
from served.support import SECONDS, Document, Host, Logs, Ocpi, emsp_at, parties

CREDENTIALS = "/2.1.1/credentials"


def start(host: Host, emsp: Emsp, versions_url: str, token_a: str, **options: Any) -> RegisteredParty:
    """Our side of the handshake, in the mode of the server."""
    if host.kind == "waitress":
        return emsp.parties.register(versions_url, token_a=token_a, **options)

    async def register() -> RegisteredParty:
        return await emsp.aio.parties.register(versions_url, token_a=token_a, **options)

    return anyio.run(register)


def renew(host: Host, emsp: Emsp, method: str) -> RegisteredParty:
    """PUT or PATCH of our credentials, in the mode of the server."""
    if host.kind == "waitress":
        with emsp.partner("NL-TNM").client() as client:
            return client.put_credentials() if method == "PUT" else client.patch_credentials()

    async def update() -> RegisteredParty:
        async with emsp.aio.partner("NL-TNM").client() as client:
            return await (client.put_credentials() if method == "PUT" else client.patch_credentials())

    return anyio.run(update)


@define
class Taker:
    """The credentials endpoint of a fake CPO: remembers the token that it is offered, and answers as told.

    Where it succeeds it gives a new token, as the specification has it; `meanwhile` is done before the answer.
    """

    cpo: FakeCpo
    ocpi: Ocpi
    failing: Handler | None = None
    changes: Document = field(factory=dict)
    meanwhile: Callable[[Ocpi], object] = lambda _: None
    offered: list[Ocpi] = field(factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a POST, PUT or PATCH."""
        document = json.loads(request.content)
        self.offered.append(self.ocpi.using(document["token"]))
        self.meanwhile(self.offered[-1])
        if self.failing is not None:
            return self.failing(request)
        self.cpo.fresh_token()
        return reply(self.cpo.credentials(**self.changes))


@pytest.fixture
def taker(fake_cpo: FakeCpo, ocpi: Ocpi) -> Taker:
    """The credentials endpoint of NL-TNM."""
    taker = Taker(fake_cpo, ocpi)
    fake_cpo.script[CREDENTIALS] = taker
    return taker


# --- with a simulated CPO -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["plain", "base64"])
def test_we_register_with_a_cpo_that_calls_back(
    host: Host, make_emsp: MakeEmsp, portal: BlockingPortal, logs: Logs, preset: str
) -> None:
    emsp = make_emsp()
    heard: list[PartyRegistered] = []
    emsp.on(PartyRegistered)(heard.append)
    with simulated(portal, SimulatedCpo(**PRESETS[preset])) as cpo:
        invitation = cpo.invite()
        logs.secret(invitation.token_a)
        options = {"base64_token": True} if preset == "base64" else {}
        party = start(host, emsp, invitation.versions_url, invitation.token_a, **options)
        assert (str(party), cpo.registered) == ("NL-TNM", True)
        # What the CPO asked us came before its answer, with the token that our POST brought.
        assert [(each.method, each.status_code) for each in cpo.sent] == [("GET", 1000), ("GET", 1000)]
        assert [(each.method, each.status_code) for each in cpo.received] == [
            ("GET", 1000),
            ("GET", 1000),
            ("POST", 1000),
        ]
        assert {each.token_format for each in cpo.received} == {"base64" if preset == "base64" else "raw"}
        assert [(event.country_code, event.party_id) for event in heard] == [("NL", "TNM")]
        works_both_ways(host, emsp, cpo, portal)
        for method in ("PUT", "PATCH"):
            renew(host, emsp, method)
            works_both_ways(host, emsp, cpo, portal)
        remember(cpo, logs)


@pytest.mark.parametrize("preset", ["plain", "base64"])
def test_a_cpo_registers_with_us(
    host: Host, make_emsp: MakeEmsp, portal: BlockingPortal, logs: Logs, preset: str
) -> None:
    emsp = make_emsp(matrix=SupportMatrix.full())
    with simulated(portal, SimulatedCpo(**PRESETS[preset])) as cpo:
        invitation = emsp.parties.invite("NL-TNM", base64_token=preset == "base64")
        logs.secret(invitation.token_a.reveal())
        exchanges = portal.call(cpo.register, invitation.versions_url, invitation.token_a.reveal())
        assert [(each.method, each.status) for each in exchanges] == [("GET", 200), ("GET", 200), ("POST", 201)]
        assert {each.token_format for each in cpo.received} == {"base64" if preset == "base64" else "raw"}
        works_both_ways(host, emsp, cpo, portal)
        for method, fields in (("PUT", ()), ("PATCH", ()), ("PATCH", ("business_details",)), ("PATCH", ("token",))):
            renewed = portal.call(partial(cpo.update_credentials, method, fields=fields))
            assert renewed[-1].ok, (method, fields)
            works_both_ways(host, emsp, cpo, portal)
        remember(cpo, logs)
        assert portal.call(cpo.unregister).ok
        assert emsp.parties.invite("NL-TNM").versions_url == invitation.versions_url


def works_both_ways(host: Host, emsp: Emsp, cpo: SimulatedCpo, portal: BlockingPortal) -> None:
    """A push to us and a pull from the CPO succeed."""
    assert portal.call(cpo.push_tariff, "TAR1").ok
    caller = Caller("sync" if host.kind == "waitress" else "async", emsp, cpo, portal)
    assert [tariff.id for tariff in caller.do(lambda c: c.client.tariffs(date_from=BEFORE_ALL))] == ["TAR1", "TAR2"]


def remember(cpo: SimulatedCpo, logs: Logs) -> None:
    """The tokens of the registration must not be in any log."""
    for token in (cpo.registration.server_token, cpo.registration.client_token):
        logs.secret(token or "there is none")


# --- with one that fails --------------------------------------------------------------------------------------------


def test_the_token_that_we_offer_opens_little_until_the_end(
    host: Host, make_emsp: MakeEmsp, taker: Taker, fake_cpo: FakeCpo
) -> None:
    seen: list[tuple[int, int]] = []

    def meanwhile(with_b: Ocpi) -> None:
        for method, path in (
            ("GET", "/versions"),
            ("GET", "/2.1.1"),
            ("GET", "/2.1.1/tokens"),
            ("PUT", "/2.1.1/tariffs/NL/TNM/TAR1"),
            ("POST", CREDENTIALS),
        ):
            seen.append(with_b(method, path, fake_cpo.credentials() if method == "POST" else None).both)

    taker.meanwhile = meanwhile
    party = start(host, make_emsp(), fake_cpo.versions_url, fake_cpo.token)
    assert seen == [(200, 1000), (200, 1000), (401, 2000), (401, 2000), (401, 2000)]
    assert str(party) == "NL-TNM"
    assert works(taker.offered[0])
    assert fake_cpo.paths == ["GET /versions", "GET /2.1.1", f"POST {CREDENTIALS}"]
    assert fake_cpo.token not in repr(party)


FAILING: dict[str, Handler] = {
    "html": html(200),
    "html-502": html(502),
    "500": says(status=500, code=3000),
    "405": says(status=405, code=2000),
    "3001": says(code=3001),
    "no-data": says(),
    "empty": json_of(b""),
    "half-credentials": says({"token": "half-a-token", "url": "https://cpo.example/versions"}),
    "list": says([]),
    "token-too-long": says({"token": "x" * 5000}),
}


@pytest.mark.parametrize("problem", FAILING)
def test_a_handshake_that_fails_midway_leaves_nothing(
    host: Host, make_emsp: MakeEmsp, taker: Taker, fake_cpo: FakeCpo, problem: str
) -> None:
    store = MemoryStore()
    emsp = make_emsp(store=store)
    taker.failing = FAILING[problem]
    taker.meanwhile = lambda with_b: with_b("GET", "/versions")
    with pytest.raises(PartnerError) as raised:
        start(host, emsp, fake_cpo.versions_url, fake_cpo.token)
    assert fake_cpo.token not in str(raised.value)
    assert parties(store) == {}
    [with_b] = taker.offered
    assert with_b("GET", "/versions").both == (401, 2000)
    # And the next try succeeds.
    taker.failing = None
    assert str(start(host, emsp, fake_cpo.versions_url, fake_cpo.token)) == "NL-TNM"


def test_a_handshake_that_is_cancelled_leaves_nothing(
    uvicorn_running: Host, http: httpx.Client, logs: Logs, fake_cpo: FakeCpo
) -> None:
    """Only the async mode can be cancelled."""
    emsp = emsp_at(uvicorn_running, store=(store := MemoryStore()))
    uvicorn_running.mount(emsp)
    taker = fake_cpo.script[CREDENTIALS] = Taker(fake_cpo, Ocpi(http, uvicorn_running.url, logs))
    posted, gone = threading.Event(), threading.Event()

    def meanwhile(with_b: Ocpi) -> None:
        assert with_b("GET", "/versions").both == (200, 1000)
        posted.set()
        assert gone.wait(SECONDS)

    taker.meanwhile = meanwhile

    async def cancelled() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: emsp.aio.parties.register(fake_cpo.versions_url, token_a=fake_cpo.token))
            await anyio.to_thread.run_sync(posted.wait, SECONDS)
            group.cancel_scope.cancel()

    try:
        anyio.run(cancelled)
    finally:
        gone.set()
    assert taker.offered[0]("GET", "/versions").both == (401, 2000)
    assert parties(store) == {}


@pytest.mark.parametrize("problem", [problem for problem in UNUSABLE if problem != "too-large"])
def test_an_api_that_cannot_be_used_is_not_registered_with(
    host: Host, make_emsp: MakeEmsp, taker: Taker, fake_cpo: FakeCpo, problem: str
) -> None:
    store = MemoryStore()
    emsp = make_emsp(store=store)
    path, script = UNUSABLE[problem]
    fake_cpo.script[path] = script
    with pytest.raises(CannotUseApi):
        start(host, emsp, fake_cpo.versions_url, fake_cpo.token)
    assert taker.offered == []
    assert parties(store) == {}


def test_what_a_cpo_does_not_offer_is_named(host: Host, make_emsp: MakeEmsp, taker: Taker, fake_cpo: FakeCpo) -> None:
    store = MemoryStore()
    emsp = make_emsp(store=store, required_modules=("sessions", "cdrs"))
    fake_cpo.versions = ("2.0", "2.2")
    with pytest.raises(UnsupportedVersion, match=r"2\.0, 2\.2"):
        start(host, emsp, fake_cpo.versions_url, fake_cpo.token)
    fake_cpo.versions, fake_cpo.modules = ("2.1.1",), ("locations", "sessions")
    with pytest.raises(MissingEndpoints, match="cdrs, credentials"):
        start(host, emsp, fake_cpo.versions_url, fake_cpo.token)
    with pytest.raises(CannotUseApi):
        start(host, emsp, fake_cpo.versions_url, "a-wrong-token-a")
    assert taker.offered == []
    assert parties(store) == {}


def test_plain_http_is_not_called_under_https(host: Host, make_emsp: MakeEmsp, taker: Taker, fake_cpo: FakeCpo) -> None:
    emsp = make_emsp(url_policy="https")
    with pytest.raises(CannotUseApi, match="https"):
        start(host, emsp, fake_cpo.versions_url, fake_cpo.token)
    assert fake_cpo.requests == []
    assert taker.offered == []


# --- with one that is registered ------------------------------------------------------------------------------------


def test_registering_again_does_not_replace_a_registration(
    host: Host, make_emsp: MakeEmsp, taker: Taker, fake_cpo: FakeCpo
) -> None:
    store = MemoryStore()
    emsp = make_emsp(store=store)
    start(host, emsp, fake_cpo.versions_url, fake_cpo.token)
    assert works(taker.offered[0])
    before = parties(store)
    with pytest.raises(AlreadyRegistered, match=r"NL-TNM is registered already: partner\.update\(\) or"):
        start(host, emsp, fake_cpo.versions_url, fake_cpo.token)
    assert parties(store) == before
    first, second = taker.offered
    assert works(first)
    assert not works(second)


@pytest.mark.parametrize(
    "changes", [{"country_code": "IT", "party_id": "BEC"}, {"country_code": "it", "party_id": "bec"}]
)
def test_a_cpo_that_says_it_is_us_is_not_registered(
    host: Host, make_emsp: MakeEmsp, taker: Taker, fake_cpo: FakeCpo, changes: dict[str, str]
) -> None:
    store = MemoryStore()
    taker.changes = changes
    with pytest.raises(AnswerUnusable, match="our own country_code and party_id"):
        start(host, make_emsp(store=store), fake_cpo.versions_url, fake_cpo.token)
    assert parties(store) == {}


@pytest.mark.parametrize("path", ["", "/", "/versions", "/versions/", "/2.1.1", "/2.1.1/credentials"])
def test_we_do_not_register_with_ourselves(host: Host, make_emsp: MakeEmsp, logs: Logs, path: str) -> None:
    """Nothing is sent: under a server with one thread we would wait for ourselves."""
    store = MemoryStore()
    emsp = make_emsp(store=store, http_client=no_client, aio_http_client=no_async_client)
    with pytest.raises(CannotUseApi, match="is our own URL"):
        start(host, emsp, host.url + path, logs.secret("some-token-of-theirs"))
    assert parties(store) == {}


def no_client() -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(nobody))


def no_async_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(nobody))


def nobody(request: httpx.Request) -> httpx.Response:
    raise AssertionError(request.url)


def test_a_profile_says_what_has_to_be_offered(
    host: Host, make_emsp: MakeEmsp, taker: Taker, fake_cpo: FakeCpo
) -> None:
    """In place of what the eMSP requires of the others."""
    store = MemoryStore()
    emsp = make_emsp(store=store, required_modules=("cdrs",))
    fake_cpo.modules = ("credentials", "locations")
    with pytest.raises(MissingEndpoints, match="endpoints are missing: sessions"):
        start(host, emsp, fake_cpo.versions_url, fake_cpo.token, required_modules=("Locations", "sessions"))
    assert (taker.offered, parties(store)) == ([], {})
    party = start(host, emsp, fake_cpo.versions_url, fake_cpo.token, required_modules=("locations",))
    assert party.profile.required_modules == ("locations",)


def test_registering_again_may_fail(host: Host, make_emsp: MakeEmsp, taker: Taker, fake_cpo: FakeCpo) -> None:
    store = MemoryStore()
    emsp = make_emsp(store=store)
    start(host, emsp, fake_cpo.versions_url, fake_cpo.token)
    assert works(taker.offered[0])
    before, taker.failing = parties(store), says(status=405, code=2000)
    with pytest.raises(PartnerRefused, match="405"):
        start(host, emsp, fake_cpo.versions_url, fake_cpo.token)
    assert parties(store) == before
    assert works(taker.offered[0])
    assert not works(taker.offered[1])


REFUSING = ("3001", "405", "500")
"""Those of the failures in which the CPO says no; in the others it may have taken what we sent."""


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("problem", [problem for problem in FAILING if problem not in REFUSING])
def test_a_renewal_whose_answer_cannot_be_read_leaves_both_tokens(
    connect: Connect, taker: Taker, method: str, problem: str
) -> None:
    """The CPO may have taken the new one or not: whichever it uses works."""
    clock = FakeClock()
    partner = connect(clock=clock)
    assert works(partner.ocpi)
    before, taker.failing = partner.emsp.parties.get("NL-TNM"), FAILING[problem]
    taker.meanwhile = lambda with_new: with_new("GET", "/versions")
    with pytest.raises(PartnerError):
        renew(partner.host, partner.emsp, method)
    after = partner.emsp.parties.get("NL-TNM")
    assert before is not None
    assert after is not None
    assert evolve(after, issued=()) == evolve(before, issued=())
    for token in (partner.ocpi, taker.offered[0], partner.ocpi):
        assert works(token)
    # It goes on with the new one, so it has taken it: the old one ends.
    clock.advance(hours=2)
    assert works(partner.ocpi)
    assert works(taker.offered[0])
    assert not works(partner.ocpi)


def test_a_renewal_that_the_cpo_never_took_costs_it_nothing(connect: Connect, taker: Taker) -> None:
    """It goes on with the old token; a day later the one that it never used is gone."""
    clock = FakeClock()
    partner = connect(clock=clock)
    assert works(partner.ocpi)
    taker.failing = html(502)
    with pytest.raises(PartnerError):
        renew(partner.host, partner.emsp, "PUT")
    clock.advance(days=3)
    assert works(partner.ocpi)
    assert not works(taker.offered[0])
    assert works(partner.ocpi)
    taker.failing = None
    renew(partner.host, partner.emsp, "PUT")
    assert works(taker.offered[1])
    assert not works(partner.ocpi)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("problem", REFUSING)
def test_a_renewal_that_fails_leaves_what_was_there(connect: Connect, taker: Taker, method: str, problem: str) -> None:
    partner = connect()
    assert works(partner.ocpi)
    before, taker.failing = parties(partner.store), FAILING[problem]
    taker.meanwhile = lambda with_new: with_new("GET", "/versions")
    with pytest.raises(PartnerError):
        renew(partner.host, partner.emsp, method)
    assert parties(partner.store) == before
    assert works(partner.ocpi)
    assert not works(taker.offered[0])


@pytest.mark.parametrize("changes", [{"party_id": "ABC"}, {"country_code": "DE"}])
def test_a_renewal_does_not_make_another_party_of_a_cpo(
    connect: Connect, taker: Taker, changes: dict[str, str]
) -> None:
    partner = connect()
    assert works(partner.ocpi)
    before, taker.changes = parties(partner.store), changes
    with pytest.raises(OcpiError):
        renew(partner.host, partner.emsp, "PUT")
    assert parties(partner.store) == before
    assert works(partner.ocpi)


@pytest.mark.parametrize("path", ["/versions", "/2.1.1"])
def test_a_renewal_that_the_cpo_took_counts_although_its_endpoints_cannot_be_read(
    connect: Connect, taker: Taker, path: str
) -> None:
    """Both sides have new tokens by then: going back to the old ones would lock both out."""
    partner = connect()
    assert works(partner.ocpi)
    partner.cpo.script[path] = html(502)
    with pytest.raises(CannotUseApi):
        renew(partner.host, partner.emsp, "PUT")
    assert works(taker.offered[0])
    del partner.cpo.script[path]
    asked = len(partner.cpo.requests)
    renew(partner.host, partner.emsp, "PUT")
    assert partner.cpo.paths[asked:] == [f"PUT {CREDENTIALS}", "GET /versions", "GET /2.1.1"]
    assert works(taker.offered[1])


def test_a_renewal_reads_the_endpoints_again(connect: Connect, taker: Taker) -> None:
    partner: Partner = connect()
    party = renew(partner.host, partner.emsp, "PUT")
    assert party.endpoint("tokens") == f"{partner.cpo.url}/2.1.1/tokens"
    partner.cpo.modules = ("credentials",)
    party = renew(partner.host, partner.emsp, "PATCH")
    assert party.endpoint("tokens") is None
    assert works(taker.offered[1])
    assert not works(partner.ocpi)
