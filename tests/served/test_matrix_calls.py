"""Every row of the support matrix towards the CPO: both clients against a simulated CPO, over HTTP both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from anyio.from_thread import BlockingPortal
from attrs import define

from ocpi_emsp.errors import MissingEndpoints, NotRegistered, NotSupported
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.support import TO_CPO, SupportMatrix
from ocpi_emsp.testing.cpo import SimulatedCpo
from served.calls import TO_CPO_CASES, Caller, ToCpo
from served.cases import rows, supported, without
from served.partner import simulated
from served.support import Host, Logs, emsp_at

MakeCaller: TypeAlias = Callable[[SupportMatrix | None], Caller]


@define
class World:
    """A store and the simulated CPO that is registered with whoever uses it."""

    host: Host
    store: MemoryStore
    cpo: SimulatedCpo


@pytest.fixture(scope="module", params=["sync", "async"])
def world(request: pytest.FixtureRequest, portal: BlockingPortal) -> Iterator[World]:
    """One for each mode: the blocking client goes with WSGI, the other with ASGI."""
    server = {"sync": "waitress_running", "async": "uvicorn_running"}[request.param]
    with simulated(portal, SimulatedCpo(page_limit=2, sessions_follow_commands=False)) as cpo:
        yield World(request.getfixturevalue(server), MemoryStore(), cpo)


@pytest.fixture
def caller(world: World, portal: BlockingPortal, logs: Logs) -> Iterator[MakeCaller]:
    """Makes an eMSP of a matrix whose store knows the simulated CPO."""
    made: list[Caller] = []

    def make(matrix: SupportMatrix | None = None) -> Caller:
        mode = "sync" if world.host.kind == "waitress" else "async"
        emsp = emsp_at(world.host, store=world.store, matrix=matrix)
        world.host.mount(emsp)
        made.append(Caller(mode, emsp, world.cpo, portal))
        return made[-1]

    first = make(SupportMatrix.full())
    if not world.cpo.registered:
        first.do(Caller.register)
    remember(world.cpo, logs)
    yield make
    remember(world.cpo, logs)


def remember(cpo: SimulatedCpo, logs: Logs) -> None:
    """The tokens of the registration must not be in any log."""
    for token in (cpo.registration.server_token, cpo.registration.client_token):
        if token is not None:
            logs.secret(token)


def by_row(wanted: bool | None = None) -> list[object]:
    """The cases of every row to the CPO, in the order of the CSV; a row without a case is a test that fails."""
    found: list[object] = []
    for key in rows():
        if key[1] == TO_CPO and wanted in (None, supported(key)):
            cases = [case for case in TO_CPO_CASES if case.key == key]
            name = key[3].rpartition("/")[2] if key[0] == "commands" else key[0]
            found += [pytest.param(case, id=f"{name}-{key[2]}-{case.name}") for case in cases] or [pytest.param(key)]
    return found


def succeeds(caller: Caller, case: ToCpo) -> None:
    """The call does what the specification says."""
    if case.before is not None:
        caller.do(case.before)
    seen = len(caller.cpo.received)
    result = caller.do(case.run)
    received = list(caller.cpo.received)[seen:]
    assert [each.status_code for each in received] == [1000] * len(received)
    assert case.sent in {f"{each.method} {each.path}" for each in received}
    case.check(caller, result)


def is_not_sent(caller: Caller, case: ToCpo) -> None:
    """NotSupported, and the CPO received nothing."""
    seen = len(caller.cpo.received)
    with pytest.raises(NotSupported, match=case.key[2]):
        caller.do(case.run)
    assert list(caller.cpo.received)[seen:] == []


@pytest.mark.parametrize("case", by_row())
def test_the_published_matrix_is_what_is_called(caller: MakeCaller, case: ToCpo) -> None:
    if supported(case.key):
        succeeds(caller(None), case)
    else:
        is_not_sent(caller(None), case)


@pytest.mark.parametrize("case", by_row(wanted=False))
def test_the_full_matrix_calls_the_rest_too(caller: MakeCaller, case: ToCpo) -> None:
    succeeds(caller(SupportMatrix.full()), case)


@pytest.mark.parametrize("case", by_row(wanted=True))
def test_any_row_can_be_switched_off(caller: MakeCaller, case: ToCpo) -> None:
    is_not_sent(caller(without(case.key)), case)


def test_versions_and_details_have_no_row(caller: MakeCaller) -> None:
    matrix = SupportMatrix.default()
    for module, direction, method, path in rows():
        matrix = matrix.switch(False, module=module, direction=direction, method=method, path=path)
    nothing = caller(matrix)
    assert "2.1.1" in [version.version.value for version in nothing.do(lambda c: c.client.versions())]
    details = nothing.do(lambda c: c.client.version_details())
    assert {endpoint.identifier.value for endpoint in details.endpoints} >= {"credentials", "locations"}


def test_pages_are_followed_to_the_end(caller: MakeCaller) -> None:
    one = caller(None)
    seen = len(one.cpo.received)
    assert len(one.do(lambda c: c.client.cdrs())) == 4
    assert [each.path for each in list(one.cpo.received)[seen:]] == ["/ocpi/cpo/2.1.1/cdrs"] * 2


def test_a_party_that_is_not_registered_is_not_called(caller: MakeCaller, portal: BlockingPortal) -> None:
    known = caller(None)
    other = Caller(known.mode, known.emsp, SimulatedCpo(country_code="DE", party_id="ABC"), portal)
    with pytest.raises(NotRegistered, match="DE-ABC"):
        other.do(lambda c: c.client.location("LOC1"))


def test_a_module_that_the_cpo_does_not_offer_is_not_called(world: World, portal: BlockingPortal, logs: Logs) -> None:
    mode = "sync" if world.host.kind == "waitress" else "async"
    without_tariffs = ("credentials", "locations")
    with simulated(portal, SimulatedCpo(modules=without_tariffs)) as cpo:
        emsp = emsp_at(world.host)
        world.host.mount(emsp)
        caller = Caller(mode, emsp, cpo, portal)
        caller.do(Caller.register)
        remember(cpo, logs)
        seen = len(cpo.received)
        with pytest.raises(MissingEndpoints, match="tariffs"):
            caller.do(lambda c: c.client.tariffs())
        assert len(cpo.received) == seen
        assert caller.do(lambda c: c.client.location("LOC1")).id == "LOC1"
