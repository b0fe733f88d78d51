"""The doctor: what works with a partner is found out by reading alone, over real HTTP, whatever the partner does."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import evolve

from flows.support import offline_emsp, peer, serve
from ocpi_emsp import Emsp, Limits, SupportMatrix
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import NotRegistered
from ocpi_emsp.flows.parties.party import put_party
from ocpi_emsp.flows.partner_health.diagnosis import CheckOutcome, Diagnosis, Works
from ocpi_emsp.settings import HttpLimits
from ocpi_emsp.testing.cpo import PRESETS, SimulatedCpo
from ocpi_emsp.testing.cpo.server import serving
from our_emsp import FakeClock, make_emsp
from scripted_cpo import Handler, ScriptedCpo, page, reply, served

OK, WARNING, FAILED, SKIPPED = CheckOutcome.OK, CheckOutcome.WARNING, CheckOutcome.FAILED, CheckOutcome.SKIPPED
TOKEN = "the-token-that-it-gave-us"
TLS = ssl.create_default_context()
QUICK = Limits(http=HttpLimits(read_timeout=1.0, connect_timeout=1.0, total_timeout=1.0, response_body=1024 * 1024))
"""So that a partner which never ends costs a second."""
LISTS = ("locations", "tariffs", "sessions", "cdrs")


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread, for simulated CPOs."""
    with start_blocking_portal() as running:
        yield running


@contextmanager
def simulated(portal: BlockingPortal, cpo: SimulatedCpo, *, registered: bool = True) -> Iterator[SimulatedCpo]:
    """The simulated CPO over HTTP; it knows the token, as if the handshake had been."""
    with portal.wrap_async_context_manager(cpo), portal.wrap_async_context_manager(serving(cpo)):
        if registered:
            ours = {"country_code": "IT", "party_id": "BEC"}
            cpo.registration.complete(server_token=TOKEN, client_token="x", emsp=ours, endpoints={})
        yield cpo


def doctor(**settings: Any) -> Emsp:
    values: dict[str, Any] = {
        "limits": QUICK,
        "url_policy": "loopback",
        "matrix": SupportMatrix.default(),
        "http_client": lambda: httpx.Client(timeout=1.0, verify=TLS, trust_env=False),
    }
    return make_emsp(**({"store": peer().store} | values | settings))


def look(versions_url: str, token: str = TOKEN, **settings: Any) -> Diagnosis:
    as_base64 = settings.pop("base64_token", False)
    return doctor(**settings).parties.diagnose(versions_url, token=token, base64_token=as_base64)


def outcomes(diagnosis: Diagnosis) -> dict[str, CheckOutcome]:
    return {check.name: check.outcome for check in diagnosis.checks}


def sentence(diagnosis: Diagnosis, name: str) -> str:
    return next(check.sentence for check in diagnosis.checks if check.name == name)


def suggested(diagnosis: Diagnosis) -> dict[str, Any]:
    return {each.name: each.value for each in diagnosis.suggestions}


def row(diagnosis: Diagnosis, module: str, method: str, direction: str = "MSP -> CPO") -> tuple[Works, str]:
    return next(
        (each.works, each.why)
        for each in diagnosis.expected_support
        if each.row.module == module and method in each.row.methods.split("|") and each.row.direction == direction
    )


# --- a simulated CPO ------------------------------------------------------------------------------------------------


def test_a_cpo_that_is_well(portal: BlockingPortal) -> None:
    with simulated(portal, SimulatedCpo(locations=15, page_limit=7)) as cpo:
        found = look(cpo.versions_url)
    assert found.ok
    assert found.reachable
    assert outcomes(found) == {
        "url": OK,
        "reachable": OK,
        "tls": WARNING,
        "clock": OK,
        "token": OK,
        "versions": OK,
        "details": OK,
        "endpoints": OK,
        "credentials": OK,
        "locations": OK,
        "tariffs": OK,
        "sessions": OK,
        "cdrs": OK,
        "paging": OK,
        "tokens": OK,
    }
    assert sentence(found, "locations").startswith("7 objects of 15")
    assert suggested(found) == {"page_limit": 7}
    assert row(found, "locations", "GET") == (Works.YES, "7 objects of 15 on the first page")
    assert row(found, "credentials", "GET") == (Works.YES, "it says that it is NL-TNM")
    assert row(found, "credentials", "DELETE")[0] is Works.OFF
    assert row(found, "tokens", "PUT") == (Works.UNTRIED, "the endpoint is there; only GET is tried")
    works, why = row(found, "sessions", "PATCH", "CPO -> MSP")
    assert works is Works.UNTRIED
    assert why.startswith("cannot be tried from here; for it:")
    assert [each.row for each in found.expected_support] == list(SupportMatrix.default().rows)


FAILING = {
    "busy",
    "endless-body",
    "framework-errors",
    "html-errors",
    "huge-page",
    "ocpi-2001",
    "ocpi-3000",
    "ocpi-3000-once",
    "redirect-foreign",
    "redirect-loop",
    "reset",
    "server-error",
    "server-error-once",
    "slow-body",
    "token-rotated",
    "busy-date",
}
"""The presets of which a first page cannot be read; the others show on later pages, or not in lists."""


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_looked_at_and_nothing_but_read(portal: BlockingPortal, preset: str) -> None:
    settings: dict[str, Any] = {"drip_seconds": 0.2} if preset == "slow-body" else {}
    with simulated(portal, SimulatedCpo(page_limit=2, **PRESETS[preset], **settings)) as cpo:
        found = look(cpo.versions_url)
        assert {each.method for each in cpo.received} == {"GET"}
        assert len(cpo.received) <= 14
        assert not cpo.sent
    lists = {name: outcome for name, outcome in outcomes(found).items() if name in LISTS}
    assert (FAILED in lists.values()) == (preset in FAILING), sentence(found, "locations")
    assert found.ok == (preset not in FAILING)
    assert found.reachable
    assert TOKEN not in json.dumps(found.as_json())
    for name in LISTS:
        if lists[name] is FAILED:
            assert row(found, name, "GET") == (Works.NO, sentence(found, name))


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("no-totals", "no X-Total-Count and no X-Limit"),
        ("http-link", ""),
        ("foreign-link", "another origin"),
        ("lost-filters", "the next link lacks date_from"),
        ("zero-limit", "limit=0"),
        ("loop", "the next link was followed before"),
    ],
)
def test_what_the_pages_say_of_the_next_one(portal: BlockingPortal, preset: str, said: str) -> None:
    with simulated(portal, SimulatedCpo(page_limit=2, **PRESETS[preset])) as cpo:
        assert said in sentence(look(cpo.versions_url), "paging")


def test_what_the_objects_deviate_in_is_counted_by_rule(portal: BlockingPortal) -> None:
    with simulated(portal, SimulatedCpo(locations=10, page_limit=10, **PRESETS["bad-objects"])) as cpo:
        found = look(cpo.versions_url)
    assert outcomes(found)["locations"] is WARNING
    assert "3 of the first 10 are refused" in sentence(found, "locations")
    assert "x field.required (error)" in sentence(found, "locations")
    assert row(found, "locations", "GET")[0] is Works.YES


def test_a_page_of_a_hundred_thousand_is_looked_at_in_part(portal: BlockingPortal) -> None:
    with simulated(portal, SimulatedCpo(locations=500, evses=1, **PRESETS["page-of-100000"])) as cpo:
        found = look(cpo.versions_url)
    assert "500 objects where 100 were asked for" in sentence(found, "paging")


@pytest.mark.parametrize("as_base64", [False, True])
@pytest.mark.parametrize("preset", ["base64", "plain"])
def test_the_other_reading_of_the_token_is_tried(portal: BlockingPortal, preset: str, as_base64: bool) -> None:
    with simulated(portal, SimulatedCpo(**PRESETS[preset])) as cpo:
        found = look(cpo.versions_url, base64_token=as_base64)
        formats = {each.token_format for each in cpo.received if each.status == 200}
    assert found.ok
    works = preset == "base64" or not as_base64  # this preset takes both
    assert outcomes(found)["token"] is (OK if works else WARNING)
    assert formats == {"base64" if as_base64 and works else "raw"}
    assert suggested(found).get("base64_token") == (None if works else False)


def test_a_clock_that_is_wrong(portal: BlockingPortal) -> None:
    with simulated(portal, SimulatedCpo(**PRESETS["clock-skew"])) as cpo:
        found = look(cpo.versions_url)
    assert outcomes(found)["clock"] is WARNING
    assert "the envelope's timestamp is 7" in sentence(found, "clock")
    assert sentence(found, "clock").endswith("s ahead")


def test_the_token_of_an_invitation_opens_little_and_that_says_nothing(portal: BlockingPortal) -> None:
    with simulated(portal, SimulatedCpo(token_a="token-a"), registered=False) as cpo:
        found = look(cpo.versions_url, "token-a")
    assert found.ok
    assert {outcomes(found)[name] for name in (*LISTS, "tokens", "paging")} == {SKIPPED}
    assert row(found, "locations", "GET")[0] is Works.UNTRIED


def test_a_registered_party_is_looked_at_with_its_own_token_and_matrix() -> None:
    here = peer()
    with pytest.raises(NotRegistered):
        here.emsp.partner("XX-XXX").diagnose()
    found = here.emsp.partner("nl-tnm").diagnose()
    assert found.versions_url == "https://tnm.test/cpo/versions"
    assert outcomes(found)["endpoints"] is OK
    assert outcomes(found)["locations"] is FAILED, "a party that is registered has to let us in"
    here.emsp.partner("NL-TNM").set_matrix(SupportMatrix.default())
    assert row(here.emsp.partner("NL-TNM").diagnose(), "credentials", "DELETE")[0] is Works.OFF


def test_other_endpoints_than_those_that_are_stored_are_said() -> None:
    here = peer()
    party = here.party()
    changed = evolve(party, endpoints=party.endpoints[:2])

    async def write() -> None:
        async with here.store.transaction() as tx:
            await put_party(tx, changed, here.clock.now())

    run(write())
    found = here.emsp.partner("NL-TNM").diagnose()
    assert outcomes(found)["endpoints"] is WARNING
    assert "party update takes these" in sentence(found, "endpoints")
    assert here.party().endpoints == changed.endpoints, "nothing is stored"


# --- partners that are not well -------------------------------------------------------------------------------------


def sent(status: int, body: bytes) -> httpx.Response:
    return httpx.Response(status, content=body, headers={"content-type": "application/json"})


def test_a_partner_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/versions"
    found = look(url)
    assert not found.reachable
    assert not found.ok
    assert set(outcomes(found).values()) == {OK, FAILED, SKIPPED}
    assert {each.works for each in found.expected_support} == {Works.NO, Works.OFF, Works.UNTRIED}


def test_a_partner_that_hangs() -> None:
    done = threading.Event()

    def hang(_: httpx.Request) -> httpx.Response:
        done.wait(10)
        return httpx.Response(200)

    http = lambda: httpx.Client(timeout=0.2)  # noqa: E731 # one line says it
    with served(hang) as url:
        found = look(f"{url}/versions", http_client=http)
        done.set()
    assert not found.reachable
    assert "waiting for the response timed out" in sentence(found, "reachable")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>Welcome</html>", "invalid JSON"),
        (502, b"<html>Bad Gateway</html>", "HTTP 502"),
        (200, b'{"status_code": 3000, "timestamp": "2024-01-01T00:00:00Z"}', "3000"),
        (200, b"{}", "not an OCPI envelope"),
        (200, b'{"status_code": 1000, "data": {"version": "2.1.1"}}', "cannot be read"),
        (200, b'{"status_code": 1000, "data": [{"version": "2.2", "url": "https://x/"}]}', "2.2"),
    ],
)
def test_versions_that_are_none(status: int, body: bytes, said: str) -> None:
    with served(lambda _: sent(status, body)) as url:
        found = look(f"{url}/versions")
    assert found.reachable
    assert not found.ok
    assert outcomes(found)["versions"] is FAILED
    assert said in sentence(found, "versions")


def test_a_token_that_nobody_knows() -> None:
    asked: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"])
        return sent(401, b'{"status_code": 2000, "timestamp": "2024-01-01T00:00:00Z"}')

    with served(refuse) as url:
        found = look(f"{url}/versions")
    assert len(asked) == 2
    assert (outcomes(found)["token"], found.reachable, found.ok) == (FAILED, True, False)
    assert not [token for token in asked if token.removeprefix("Token ") in json.dumps(found.as_json())]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://cpo.example.com/versions", "forbids"),
        ("cpo.example.com/versions", "forbids"),
        ("https://emsp.test/ocpi/emsp/versions", "is our own URL"),
    ],
)
def test_a_url_that_is_not_called(url: str, said: str) -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    found = look(url, http_client=serve(nobody))
    assert outcomes(found)["url"] is FAILED
    assert said in sentence(found, "url")
    assert not found.ok


def details(*pairs: tuple[str, str], version: str = "2.1.1") -> dict[str, Any]:
    return {"version": version, "endpoints": [{"identifier": name, "url": url} for name, url in pairs]}


def cpo_with(details: Any, **lists: Handler) -> Callable[[], httpx.Client]:
    """The transport to a CPO at cpo.test with these details."""

    def answer(request: httpx.Request) -> httpx.Response | None:
        module = request.url.path.strip("/").partition("/")[0]
        return lists[module](request) if module in lists else None

    return serve(ScriptedCpo(answer, root="", script={"/2.1.1": lambda _: reply(details)}))


def look_at(details: Any, **lists: Handler) -> Diagnosis:
    clock = FakeClock(datetime(2024, 1, 1, tzinfo=UTC))
    return look("https://cpo.test/versions", http_client=cpo_with(details, **lists), clock=clock)


CREDENTIALS = ("credentials", "https://cpo.test/credentials")


@pytest.mark.parametrize(
    ("listed", "outcome", "said"),
    [
        ((CREDENTIALS, ("Credentials", "https://cpo.test/c2")), WARNING, "credentials is listed with 2 URLs"),
        ((CREDENTIALS, ("cdrs", "https://cdn.test/c")), FAILED, "cdrs: invalid URL 'https://cdn.test/c': it lies on"),
        ((("cdrs", "https://cpo.test/cdrs"),), FAILED, "endpoints are missing: credentials"),
        ((CREDENTIALS, ("cdrs", "http://cpo.test/cdrs")), FAILED, "url_policy forbids plain http"),
        ((CREDENTIALS, ("cdrs", "/cdrs")), FAILED, "is not absolute"),
        ((CREDENTIALS, ("cdrs", "https://emsp.test/ocpi/emsp/2.1.1/cdrs")), FAILED, "is our own URL"),
    ],
)
def test_what_is_odd_about_the_endpoints(listed: tuple[tuple[str, str], ...], outcome: CheckOutcome, said: str) -> None:
    found = look_at(details(*listed))
    assert outcomes(found)["endpoints"] is outcome
    assert said in sentence(found, "endpoints")
    assert row(found, "commands", "POST") == (Works.NO, "it offers no commands endpoint")


def test_hosts_of_endpoints_elsewhere_are_suggested_and_allowed_when_they_are_given() -> None:
    listed = details(CREDENTIALS, ("cdrs", "https://cdn.test/c"), ("tariffs", "https://10.0.0.1/t"))
    (suggestion,) = [each for each in look_at(listed).suggestions if each.name == "hosts"]
    assert suggestion.value == ["cdn.test"]
    found = doctor(http_client=cpo_with(listed)).parties.diagnose(
        "https://cpo.test/versions", token=TOKEN, hosts=suggestion.value
    )
    assert "cdrs on another server than the versions: cdn.test" in sentence(found, "endpoints")
    assert "cdn.test': it lies on" not in sentence(found, "endpoints")
    assert "hosts" not in [each.name for each in found.suggestions]


def test_details_of_another_version() -> None:
    found = look_at(details(CREDENTIALS, version="2.2"))
    assert outcomes(found)["details"] is FAILED
    assert outcomes(found)["locations"] is SKIPPED


def empty_list(_: httpx.Request) -> httpx.Response:
    return page([], total=0, limit=100)


def test_https_is_said_to_be_well_and_a_list_may_be_empty() -> None:
    found = look_at(details(CREDENTIALS, ("locations", "https://cpo.test/locations")), locations=empty_list)
    assert outcomes(found)["tls"] is OK
    assert outcomes(found)["locations"] is OK
    assert outcomes(found)["paging"] is OK
    assert sentence(found, "paging") == "pages of 100 are given"


def test_a_partner_that_wants_a_slash_at_the_end() -> None:
    def locations(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/"):
            return empty_list(request)
        return httpx.Response(301, headers={"location": f"{request.url}/"})

    found = look_at(details(CREDENTIALS, ("locations", "https://cpo.test/locations")), locations=locations)
    assert outcomes(found)["locations"] is WARNING
    assert suggested(found) == {"trailing_slash": True}
    assert row(found, "locations", "GET")[0] is Works.YES


def test_a_certificate_that_is_refused() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", request=request)

    found = look("https://cpo.test/versions", http_client=serve(refuse))
    assert not found.reachable
    assert "CERTIFICATE_VERIFY_FAILED" in sentence(found, "reachable")


def test_one_list_that_fails_does_not_end_the_others() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no answer", request=request)

    listed = [CREDENTIALS, *((name, f"https://cpo.test/{name}") for name in LISTS)]
    found = look_at(details(*listed), locations=broken, tariffs=empty_list, sessions=empty_list, cdrs=broken)
    assert [outcomes(found)[name] for name in LISTS] == [FAILED, OK, OK, FAILED]


def test_nothing_is_stored_and_a_look_works_without_a_store() -> None:
    class NoStore:
        def transaction(self, **_: bool) -> Any:
            raise AssertionError("a look needs no store")

    emsp = offline_emsp(store=NoStore(), http_client=cpo_with(details(CREDENTIALS)))
    assert outcomes(emsp.parties.diagnose("https://cpo.test/versions", token=TOKEN))["details"] is OK
