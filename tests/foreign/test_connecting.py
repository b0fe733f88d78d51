"""Endpoints as they are announced, and redirects, on every call that we make (issue 11, number 13)."""

from collections.abc import Callable
from itertools import cycle
from typing import Any, TypeAlias

import httpx
import pytest
from attrs import frozen

from client.support import MODES, Mode, call, drain, facing, in_turn, register_tnm
from foreign.cases import cases
from ocpi_emsp import Emsp
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.flows.calls.redirects import MOST_REDIRECTS
from ocpi_emsp.testing.cpo import samples
from our_emsp import CPO_TOKEN, LONG_AGO, credentials, token
from scripted_cpo import MODULES, Reply, ScriptedCpo, by_specification, page, reply

Case: TypeAlias = dict[str, Any]
HOST = "https://cpo.test"
ROOT = "/cpo/2.1.1"


@frozen
class Path:
    """A way on which a call of ours is made."""

    make: Callable[[Emsp, Mode], object]
    module: str
    below: str = ""
    method: str = "GET"
    data: Any = None
    """What the partner answers; for a list, an empty page."""


def listing(name: str, **parameters: Any) -> Callable[[Emsp, Mode], object]:
    def make(emsp: Emsp, mode: Mode) -> object:
        found = drain(emsp, mode, name, **parameters)
        if found.error is not None:
            raise found.error
        return found

    return make


def one(name: str, *args: Any, **parameters: Any) -> Callable[[Emsp, Mode], object]:
    return lambda emsp, mode: call(emsp, mode, name, *args, **parameters)


def registering(emsp: Emsp, _: Mode) -> object:
    emsp.partner("NL-TNM").unregister(tell=False)
    return emsp.parties.register(f"{HOST}/cpo/versions", token_a=CPO_TOKEN)


def syncing(module: str) -> Callable[[Emsp, Mode], object]:
    def make(emsp: Emsp, _: Mode) -> object:
        report = emsp.partner("NL-TNM").sync(modules=[module], full=True).module(module)
        if report.reason:
            raise OcpiError(report.reason)
        return report

    return make


SAID = credentials()
LISTS = ("locations", "sessions", "cdrs", "tariffs")
PATHS = {
    **{f"list of {module}": Path(listing(module, date_from=LONG_AGO), module) for module in LISTS},
    **{f"sync of {module}": Path(syncing(module), module) for module in LISTS},
    "location": Path(one("location", "LOC1"), "locations", "LOC1", data=samples.location()),
    "token PUT": Path(one("put_token", token("T/1")), "tokens", "IT/BEC/T%2F1", "PUT"),
    "token PATCH": Path(one("patch_token", "T0", valid=False), "tokens", "IT/BEC/T0", "PATCH"),
    "command": Path(
        one("start_session", token=token(), location_id="LOC1"),
        "commands",
        "START_SESSION",
        "POST",
        {"result": "ACCEPTED"},
    ),
    "credentials GET": Path(one("credentials"), "credentials", data=SAID),
    "credentials PUT": Path(one("put_credentials"), "credentials", "", "PUT", SAID),
    "credentials POST": Path(registering, "credentials", "", "POST", SAID),
}
each_path = pytest.mark.parametrize("path", PATHS)
each_path_in_a_mode = pytest.mark.parametrize(("path", "mode"), list(zip(PATHS, cycle(MODES), strict=False)))
"""The modes in turn, for many answers: both share what reads an answer, and tests/client makes each call in both."""
each_mode = pytest.mark.parametrize("mode", MODES)


def partner(path: Path, endpoint: str = "/{module}", turns: Reply = by_specification) -> tuple[ScriptedCpo, Emsp]:
    """A CPO that announces such endpoints, and answers a call of this path in turn, or well."""
    endpoints = [{"identifier": module, "url": HOST + ROOT + endpoint.format(module=module)} for module in MODULES]

    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.method != path.method or f"/{path.module}" not in request.url.path:
            return None
        turned = turns(request)
        if turned is not None:
            return turned
        return page([], total=0) if path.data is None and path.method == "GET" else reply(path.data)

    def details(_: httpx.Request) -> httpx.Response:
        return reply({"version": "2.1.1", "endpoints": endpoints})

    cpo = ScriptedCpo(answer, script={"/2.1.1": details})
    emsp = facing(cpo, sleep=no_wait)
    register_tnm(emsp)
    emsp.partner("NL-TNM").set_profile(without_locations=True)
    return cpo, emsp


async def no_wait(_: float) -> None:
    """A retry is made at once."""


def asked(cpo: ScriptedCpo, path: Path) -> list[httpx.Request]:
    """The calls of the path's own kind."""
    return [each for each in cpo.asked if each.method == path.method and f"/{path.module}" in each.url.path]


@cases("connecting", "endpoint-*")
@each_path_in_a_mode
def test_an_endpoint_is_called_as_announced(mode: Mode, path: str, case: Case) -> None:
    of = PATHS[path]
    cpo, emsp = partner(of, case["input"]["endpoint"])
    of.make(emsp, mode)
    wanted = case["outcome"]["below" if of.below else "itself"].format(module=of.module, path=of.below)
    url = str(asked(cpo, of)[0].url)
    assert (url if "?" in wanted else url.partition("?")[0]).startswith(HOST + ROOT + wanted)
    assert url.partition("?")[0] == (HOST + ROOT + wanted).partition("?")[0]


@cases("connecting", "redirect-*")
@each_path_in_a_mode
def test_a_redirect_is_followed_within_its_origin_alone(mode: Mode, path: str, case: Case) -> None:
    of, led = PATHS[path], case["input"]["location"]

    def filled(text: str, request: httpx.Request) -> str:
        query = request.url.query.decode()
        return text.format(path=request.url.raw_path.decode().partition("?")[0], query=f"?{query}" if query else "")

    def turns(request: httpx.Request) -> httpx.Response | None:
        if "asked" in case["outcome"] and len(asked(cpo, of)) > 1:
            return None
        location = {} if led is None else {"location": filled(led, request)}
        return httpx.Response(case["input"]["status"], headers=location)

    cpo, emsp = partner(of, turns=turns)
    if "refused" in case["outcome"]:
        with pytest.raises(OcpiError) as caught:
            of.make(emsp, mode)
        first, *others = asked(cpo, of)
        assert filled(case["outcome"]["refused"], first).partition("?")[0] in str(caught.value)
        assert CPO_TOKEN not in str(caught.value)
        assert len(others) in (0, MOST_REDIRECTS)
        assert {each.url.host for each in cpo.requests} == {"cpo.test"}
        return
    of.make(emsp, mode)
    first, second, *_ = asked(cpo, of)
    assert str(second.url) == filled(case["outcome"]["asked"], first)
    assert (second.method, second.content) == (first.method, first.content)
    assert second.headers["authorization"] == first.headers["authorization"]


def test_a_next_link_is_resolved_where_the_page_was_answered() -> None:
    moved = httpx.Response(307, headers={"location": "/v2/list?limit=5"})
    cpo = ScriptedCpo(in_turn(moved, page([], "?offset=5", total=9), page([], total=9)))
    emsp = facing(cpo)
    register_tnm(emsp)
    drain(emsp, "sync")
    assert cpo.urls[1:] == [f"{HOST}/v2/list?limit=5", f"{HOST}/v2/list?offset=5"]


@pytest.mark.parametrize(
    "link", ["https://u:p@cpo.test/cpo/2.1.1/locations?offset=5", "//u:p@cpo.test/cpo/2.1.1/locations?offset=5"]
)
@each_mode
def test_user_information_in_a_next_link_is_dropped(mode: Mode, link: str) -> None:
    cpo = ScriptedCpo(in_turn(page([], link, total=9), page([], total=9)))
    emsp = facing(cpo)
    register_tnm(emsp)
    drain(emsp, mode)
    assert cpo.urls[1:2] == [f"{HOST}{ROOT}/locations?offset=5"]
    assert {each.headers["authorization"] for each in cpo.asked} == {f"Token {CPO_TOKEN}"}


@each_path
def test_the_log_of_a_refused_redirect_names_where_it_led(path: str, caplog: pytest.LogCaptureFixture) -> None:
    of = PATHS[path]
    led = httpx.Response(302, headers={"location": f"https://login.test/?of={CPO_TOKEN}"})
    _, emsp = partner(of, turns=lambda _: led)
    with pytest.raises(OcpiError):
        of.make(emsp, "sync")
    lines = [each.getMessage() for each in caplog.records if each.getMessage().startswith("call.failed")]
    assert any("a redirect to https://login.test/?of=" in line for line in lines), lines
    assert not any(CPO_TOKEN in line for line in lines)


def test_the_fragment_of_an_endpoint_that_is_set_by_hand_is_dropped() -> None:
    cpo = ScriptedCpo(lambda _: page([], total=0))
    emsp = facing(cpo)
    register_tnm(emsp)
    emsp.partner("NL-TNM").set_profile(endpoints={"locations": "https://cpo.test/by/hand#x"})
    drain(emsp, "sync")
    assert cpo.urls[0].partition("?")[0] == "https://cpo.test/by/hand"
