"""Client and AsyncClient: the same methods, against the same CPO, over the same registrations."""

import inspect
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest

from client.support import MODES, ORIGIN, Mode, facing, in_turn, registered, simulated
from ocpi_emsp import Emsp, resources
from ocpi_emsp.emsp import AsyncEmsp
from ocpi_emsp.errors import (
    AnswerUnusable,
    CannotUseApi,
    MissingEndpoints,
    NotRegistered,
    PartnerRefused,
    UnsupportedVersion,
)
from ocpi_emsp.events import Event
from ocpi_emsp.models import CommandResponseType
from ocpi_emsp.resources import Client, Relay
from ocpi_emsp.resources.late import RESOURCES
from ocpi_emsp.testing.cpo import PRESETS, samples
from ocpi_emsp.wire import Request
from our_emsp import LONG_AGO, make_emsp, token
from scripted_cpo import ScriptedCpo, envelope, page

both_modes = pytest.mark.parametrize("mode", MODES)


# --- one interface, two modes -------------------------------------------------------------------------------------

OF_ONE_MODE = {"authorize", "on", "retention", "asgi", "wsgi", "openapi", "aio", "identity", "matrix", "limits"}
"""Of an Emsp: what is set up once for both modes."""
TWINS = {Emsp: AsyncEmsp} | {
    getattr(resources, name): getattr(resources, f"Async{name}")
    for name in resources.__all__
    if f"Async{name}" in resources.__all__
}


def members(kind: type[Any]) -> dict[str, Callable[..., Any]]:
    return {name: member for name, member in inspect.getmembers(kind) if name[0] != "_" and name not in OF_ONE_MODE}


def parameters(method: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(method).parameters.values())


def test_every_resource_has_a_twin() -> None:
    assert {"Client", "Partner", "PendingCommand", "Tokens", "Cdrs", "Relay", "Listing", "Items"} <= {
        kind.__name__ for kind in TWINS
    }


@pytest.mark.parametrize(("plain", "awaited"), TWINS.items(), ids=lambda kind: kind.__name__)
def test_both_modes_have_the_same_members(plain: type[Any], awaited: type[Any]) -> None:
    own = {name for name in members(plain) if name not in ("source", "after")}  # what a list is read from
    assert own == {name for name in members(awaited) if name not in ("source", "after")}
    for name in own:
        method, twin = members(plain)[name], members(awaited)[name]
        if not inspect.isfunction(method):
            assert method is twin, f"{name} is inherited"
            continue
        taken = [each for each in parameters(method) if (plain, each.name) != (Relay, "stop")]  # a task is cancelled
        assert parameters(twin) == taken, name
        returned = str(inspect.signature(method).return_annotation)
        lazy = re.match(r"(AuditReport|Listing|Items|Client|Partner|Relay|Iterator|AbstractContextManager)\b", returned)
        returned = returned.replace("AbstractContext", "AbstractAsyncContext")
        expected = re.sub(
            r"^(?=(AuditReport|Listing|Items|Client|Partner|PendingCommand|Relay|Iterator)\b)", "Async", returned
        )
        assert str(inspect.signature(twin).return_annotation) == expected, name
        assert inspect.iscoroutinefunction(twin) == (not lazy), name
        assert not inspect.iscoroutinefunction(method), name
        assert (method.__doc__ or "").strip(), name
        assert (twin.__doc__ or "").strip(), name


def test_an_emsp_and_its_awaited_side_have_the_same_resources() -> None:
    emsp = make_emsp()
    assert members(type(emsp)).keys() == members(type(emsp.aio)).keys()
    assert {*RESOURCES} == {*Emsp.__annotations__} == {*AsyncEmsp.__annotations__}
    assert {*RESOURCES} <= {*dir(emsp)} & {*dir(emsp.aio)}
    for name in RESOURCES:
        assert getattr(emsp, name) is getattr(emsp, name)
        assert TWINS[type(getattr(emsp, name))] is type(getattr(emsp.aio, name)), name


def test_a_client_closes_its_connections() -> None:
    made: list[httpx.Client] = []

    def make() -> httpx.Client:
        made.append(httpx.Client(transport=httpx.MockTransport(ScriptedCpo(lambda _: httpx.Response(500)))))
        return made[-1]

    emsp = make_emsp(http_client=make)
    with emsp.partner("NL-TNM").client() as client:
        assert not made[0].is_closed
        assert isinstance(client, Client)
    assert made[0].is_closed


def test_a_blocking_client_works_where_a_loop_runs_already() -> None:
    """In a notebook, for example."""
    emsp = registered(ScriptedCpo(in_turn(page([samples.location()], "?offset=1"), page([samples.location("LOC2")]))))

    async def notebook() -> list[str]:
        with emsp.partner("NL-TNM").client() as client:
            return [location.id for location in client.locations()]

    assert anyio.run(notebook) == ["LOC1", "LOC2"]


# --- everything, against one simulated CPO --------------------------------------------------------------------------


@both_modes
def test_every_call_works(mode: Mode) -> None:
    with simulated(mode, {"locations": 3, "page_limit": 2}) as pair:
        assert [each.version for each in pair.call("versions")] == ["2.1.1"]
        assert {each.identifier for each in pair.call("version_details").endpoints} >= {"locations", "tokens"}
        assert pair.call("credentials").party_id == "TNM"
        assert pair.call("location", "LOC1").evses[0].uid == "LOC1-E1"
        assert pair.call("evse", "LOC1", "LOC1-E1").status == "AVAILABLE"
        assert pair.call("connector", "LOC1", "LOC1-E1", "1").standard == "IEC_62196_T2"
        assert pair.drain("locations").ids == ["LOC1", "LOC2", "LOC3"]
        assert pair.drain("sessions", date_from=LONG_AGO).ids == ["SES1", "SES2", "SES3", "SES4"]
        assert pair.drain("cdrs").ids == ["CDR1", "CDR2", "CDR3", "CDR4"]
        assert pair.drain("tariffs").ids == ["TAR1", "TAR2"]
        pair.call("put_token", token())
        pair.call("patch_token", "T0", valid=False)
        assert pair.call("token", "T0") == token(valid=False)
        assert pair.cpo.tokens[0]["valid"] is False


@both_modes
def test_every_command_works(mode: Mode) -> None:
    with simulated(mode, PRESETS["bare-command-result"]) as pair:
        expiry = datetime.now(UTC) + timedelta(hours=1)
        pair.emsp.tokens.put(token())
        assert pair.emsp.partner("NL-TNM").sync(modules=("locations", "sessions")).ok
        sent = [
            pair.call("start_session", token=token(), location_id="LOC1"),
            pair.call("reserve_now", token=token(), location_id="LOC1", expiry_date=expiry, reservation_id=1),
            pair.call("stop_session", session_id="SES4"),
            pair.call("unlock_connector", location_id="LOC1", evse_uid="LOC1-E1", connector_id="1"),
        ]
        assert [each.acknowledgement for each in sent] == ["ACCEPTED"] * 4
        assert [each.findings for each in sent] == [()] * 4
        assert [pair.outcome(each) for each in sent] == [CommandResponseType.ACCEPTED] * 4
        pair.portal.call(pair.cpo.wait_idle)
        settled = [pair.emsp.commands.get("NL-TNM", each.uid) for each in sent]
        assert [each and each.result for each in settled] == [CommandResponseType.ACCEPTED] * 4
        assert [each.status for each in pair.cpo.command_results_sent] == [200] * 4


@both_modes
def test_an_object_that_the_cpo_does_not_know(mode: Mode) -> None:
    with simulated(mode, {}) as pair:
        for name, args, code in [
            ("location", ("NONE",), 2003),
            ("evse", ("LOC1", "NONE"), 2000),
            ("token", ("NONE",), 2000),
        ]:
            with pytest.raises(PartnerRefused) as caught:
                pair.call(name, *args)
            assert (caught.value.answered_http, caught.value.answered_code) == (404, code)


@both_modes
def test_a_quirky_partner_is_read_like_any_other(mode: Mode) -> None:
    with simulated(mode, PRESETS["quirky"]) as pair:
        location = pair.call("location", "LOC1")
        assert (location.country, location.last_updated) == ("NLD", samples.BASE)
        assert (location.evses[0].floor_level, location.evses[0].physical_reference) == ("0", "1")
        assert pair.drain("cdrs").ids == ["CDR1", "CDR2", "CDR3", "CDR4"]


# --- credentials ----------------------------------------------------------------------------------------------------


@both_modes
@pytest.mark.parametrize("method", ["put_credentials", "patch_credentials"])
def test_renewed_credentials_are_used_at_once(mode: Mode, method: str) -> None:
    with simulated(mode, {}) as pair:
        old = pair.call("credentials").token
        heard: list[Event] = []
        pair.emsp.on(Event)(heard.append)
        party = pair.call(method)
        assert str(party) == "NL-TNM"
        assert pair.call("credentials").token == party.token != old
        assert pair.call("location", "LOC1").id == "LOC1"
        assert pair.portal.call(pair.cpo.push_tariff, "TAR1").ok
        assert [type(event).__name__ for event in heard] == ["PartyUpdated", "TariffReceived"]


@both_modes
def test_a_renewal_that_the_partner_refuses_changes_nothing(mode: Mode) -> None:
    with simulated(mode, {"accept_credentials_patch": False}) as pair:
        with pytest.raises(PartnerRefused) as caught:
            pair.call("patch_credentials")
        assert caught.value.answered_http == 405
        assert pair.call("location", "LOC1").id == "LOC1"
        assert pair.portal.call(pair.cpo.push_tariff, "TAR1").ok


@both_modes
def test_a_renewal_that_is_answered_for_another_party_changes_nothing(mode: Mode) -> None:
    with simulated(mode, {}) as pair:
        pair.cpo.party_id = "XYZ"
        with pytest.raises(AnswerUnusable, match="NL-TNM answered with the credentials of NL-XYZ"):
            pair.call("put_credentials")


@both_modes
def test_unregistering_forgets_the_party(mode: Mode) -> None:
    with simulated(mode, {}) as pair:
        pair.call("delete_credentials")
        assert not pair.cpo.registered
        with pytest.raises(NotRegistered):
            pair.call("location", "LOC1")


# --- the choice of a version, and handshakes that fail --------------------------------------------------------------


@both_modes
@pytest.mark.parametrize(("versions", "named"), [(["2.0", "2.2"], "2.0, 2.2"), ([], "none"), (["2.1"], "2.1")])
def test_a_partner_without_2_1_1_is_refused_by_what_it_offers(mode: Mode, versions: list[str], named: str) -> None:
    with simulated(mode, {}) as pair:
        pair.cpo.versions = versions
        with pytest.raises(UnsupportedVersion, match=f"versions: {named}$") as caught:
            pair.call("version_details")
        assert caught.value.status_code == 3002
        assert [each.version for each in pair.call("versions")] == versions


@both_modes
def test_a_handshake_with_a_partner_that_lacks_endpoints_leaves_nothing(mode: Mode) -> None:
    with (
        pytest.raises(MissingEndpoints, match="endpoints are missing: credentials"),
        simulated(mode, {"modules": ["locations"]}),
    ):
        pass


@both_modes
def test_a_handshake_with_a_wrong_token_cannot_use_the_api(mode: Mode) -> None:
    with simulated(mode, {}) as pair:
        with pytest.raises(CannotUseApi, match=f"{ORIGIN}/ocpi/cpo/versions") as caught:
            pair.register("wrong")
        assert "401" in str(caught.value)
        assert "wrong" not in str(caught.value)
        assert pair.call("location", "LOC1").id == "LOC1"


@pytest.mark.parametrize("status", [500, 200])
def test_a_handshake_that_fails_at_the_last_step_leaves_no_token_behind(status: int) -> None:
    meanwhile: list[int] = []

    def use(body: bytes, method: str = "GET", path: str = "/versions") -> int:
        header = {"authorization": f"Token {json.loads(body)['token']}"}
        return emsp.handle(Request(method, path, headers=header)).status

    def refuse(request: httpx.Request) -> httpx.Response:
        for method, path in [
            ("GET", "/versions"),
            ("GET", "/2.1.1"),
            ("GET", "/2.1.1/tokens"),
            ("POST", "/2.1.1/cdrs"),
        ]:
            meanwhile.append(use(request.content, method, path))
        meanwhile.append(use(request.content, "POST", "/2.1.1/credentials"))
        return httpx.Response(status, json=envelope({"token": "only"}))

    server = ScriptedCpo(refuse)
    emsp = facing(server)
    with pytest.raises(PartnerRefused if status == 500 else AnswerUnusable):
        emsp.parties.register(f"{ORIGIN}/cpo/versions", token_a="a")
    assert meanwhile == [200, 200, 401, 401, 401]
    assert use(server.asked[0].content) == 401
