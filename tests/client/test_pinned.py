"""The address that was checked is the one that is connected to, with both libraries and both modes.

How they were seen to fail: with a resolver that is asked by the check and again by the connection (the checked address
not handed to ``connect_tcp``), every test of a name that leads elsewhere finds its request at INSIDE.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from attrs import define, field

from client.places import CPO, INSIDE, NAME, POLICY, Names, Places, name_server, ok, places
from client.support import MODES, Mode
from ocpi_emsp import Emsp, UrlPolicy
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import CannotUseApi, TransportFailed, UnsafeUrl
from ocpi_emsp.transports import pinned
from ocpi_emsp.transports.httpx import AsyncHttpxSend, HttpxSend
from ocpi_emsp.transports.pinned import aio_pinned_transport, pinned_transport
from ocpi_emsp.wire import Request
from our_emsp import make_emsp
from scripted_cpo import ScriptedCpo

pytestmark = pytest.mark.parametrize("mode", MODES)

SECONDS = 20.0
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain http: one that trusts somebody takes a tenth of a second to make."""


@pytest.fixture(scope="module")
def both() -> Iterator[Places]:
    with places() as found:
        yield found


@pytest.fixture
def sites(both: Places) -> Places:
    """Both servers, as if they were new."""
    for each in (both.cpo, both.inside):
        each.answer, each.keeps_alive, each.connections = ok, False, 0
        each.requests.clear()
    return both


def statuses(
    mode: Mode,
    library: Any,
    names: Any,
    *urls: str,
    policy: UrlPolicy = POLICY,
    connect: float | None = SECONDS,
    verify: Any = PLAIN,
) -> list[int]:
    """The statuses of GETs by one client."""
    timeout = library.Timeout(SECONDS, connect=connect)
    if mode == "sync":
        transport = pinned_transport(policy, library=library, resolver=names, verify=verify)
        with library.Client(transport=transport, timeout=timeout) as http:
            send = HttpxSend(http, 10**6)
            return [run(send(Request("GET", url))).status for url in urls]

    async def sending() -> list[int]:
        transport = aio_pinned_transport(policy, library=library, resolver=names, verify=verify)
        async with library.AsyncClient(transport=transport, timeout=timeout) as http:
            send = AsyncHttpxSend(http, 10**6)
            return [(await send(Request("GET", url))).status for url in urls]

    return anyio.run(sending)


# --- which address --------------------------------------------------------------------------------------------------


def test_a_name_leads_to_the_address_that_was_checked(mode: Mode, library: Any, sites: Places) -> None:
    names = Names([[CPO]])
    assert statuses(mode, library, names, sites.url) == [200]
    assert names.asked == [(NAME, sites.port)]
    (request,) = sites.cpo.requests
    assert request.headers["host"] == f"{NAME}:{sites.port}"


def test_a_name_that_leads_elsewhere_the_second_time_is_not_asked_a_second_time(
    mode: Mode, library: Any, sites: Places
) -> None:
    names = Names([[CPO], [INSIDE]])
    assert statuses(mode, library, names, sites.url) == [200]
    assert len(names.asked) == len(sites.cpo.requests) == 1
    assert sites.inside.connections == 0


def test_each_connection_resolves_and_checks_anew(mode: Mode, library: Any, sites: Places) -> None:
    """Where the first answer is remembered as allowed, the second request arrives at INSIDE."""
    names = Names([[CPO], [INSIDE]])
    with pytest.raises(UnsafeUrl, match=f"invalid address of '{NAME}': .*{INSIDE}"):
        statuses(mode, library, names, sites.url, sites.url)
    assert len(names.asked) == 2
    assert (len(sites.cpo.requests), sites.inside.connections) == (1, 0)


def test_a_connection_that_is_kept_alive_stays_where_it_is(mode: Mode, library: Any, sites: Places) -> None:
    sites.cpo.keeps_alive = True
    names = Names([[CPO], [INSIDE]])
    assert statuses(mode, library, names, sites.url, sites.url) == [200, 200]
    assert (len(names.asked), len(sites.cpo.requests), sites.cpo.connections) == (1, 2, 1)


BAD = [INSIDE, "10.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
       "2002:7f00:1::", "fd00::1", "fe80::1%lo", "127.1", "nonsense", ""]  # fmt: skip


@pytest.mark.parametrize("place", ["first", "last"])
def test_one_bad_address_refuses_all(mode: Mode, library: Any, sites: Places, place: str) -> None:
    """Where only the one that is connected to is checked, those with a bad one at the end are called."""
    for bad in BAD:
        answer = [bad, CPO, CPO] if place == "first" else [CPO, bad]
        with pytest.raises(UnsafeUrl, match=f"invalid address of '{NAME}'"):
            statuses(mode, library, Names([answer]), sites.url)
    assert sites.cpo.connections == sites.inside.connections == 0


def test_a_literal_is_checked_and_not_resolved(mode: Mode, library: Any, sites: Places) -> None:
    names = Names([[CPO]])
    assert statuses(mode, library, names, f"http://{CPO}:{sites.port}/") == [200]
    for literal in (INSIDE, "[::1]", "[::ffff:127.0.0.1]"):
        with pytest.raises(UnsafeUrl, match="invalid address of"):
            statuses(mode, library, names, f"http://{literal}:{sites.port}/")
    assert names.asked == []
    assert sites.inside.connections == 0


@pytest.mark.parametrize("spelling", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "LOCALHOST."])
def test_whatever_the_system_reads_as_this_machine_is_refused(
    mode: Mode, library: Any, sites: Places, spelling: str
) -> None:
    """The client of the library calls INSIDE, for those that the system reads so."""
    with pytest.raises(UnsafeUrl if spelling == "localhost" else (UnsafeUrl, TransportFailed)):
        statuses(mode, library, pinned.resolve, f"http://{spelling}:{sites.port}/")
    assert sites.inside.connections == 0


# --- which of several -----------------------------------------------------------------------------------------------


def test_an_address_that_does_not_answer_leaves_time_for_the_next(mode: Mode, library: Any, sites: Places) -> None:
    with ExitStack() as stack:
        dead = stack.enter_context(socket.create_server(("127.0.0.3", sites.port), backlog=0))
        for _ in range(4):  # its queue has room for one
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(dead.getsockname())
        policy = POLICY.allowing_network("127.0.0.3")
        assert statuses(mode, library, Names([["127.0.0.3", CPO]]), sites.url, policy=policy, connect=0.4) == [200]


def test_an_address_that_refuses_leads_to_the_next(mode: Mode, library: Any, sites: Places) -> None:
    policy = POLICY.allowing_network("127.0.0.4")
    assert statuses(mode, library, Names([["127.0.0.4", CPO]]), sites.url, policy=policy) == [200]
    with pytest.raises(TransportFailed, match="cannot connect") as caught:
        statuses(mode, library, Names([["127.0.0.4"]]), sites.url, policy=policy)
    assert caught.value.retryable


@define
class Refusing:
    """A core library whose connections are refused, and a policy that allows each; what both were asked."""

    tried: list[tuple[str, float | None]] = field(factory=list)
    checked: list[str] = field(factory=list)
    ConnectError: Any = ConnectionRefusedError
    ConnectTimeout: Any = TimeoutError

    def SyncBackend(self) -> Any:  # noqa: N802 # the names of httpcore
        return SimpleNamespace(connect_tcp=self._refuse, sleep=None)

    def AnyIOBackend(self) -> Any:  # noqa: N802
        async def connect(address: str, port: int, timeout: float | None) -> None:
            self._refuse(address, port, timeout)

        return SimpleNamespace(connect_tcp=connect, sleep=None)

    def _refuse(self, address: str, _: int, timeout: float | None) -> None:
        self.tried.append((address, timeout))
        raise ConnectionRefusedError(address)

    def check_address(self, address: str, _: str) -> None:
        self.checked.append(address)


def connecting(mode: Mode, addresses: list[str], timeout: float | None) -> Refusing:
    """What is tried of these addresses."""
    core = Refusing()
    backend = pinned.PinnedBackend if mode == "sync" else pinned.AsyncPinnedBackend
    policy: Any = core
    made: Any = backend(core, policy, Names([addresses]))
    with pytest.raises(ConnectionRefusedError):
        made.connect_tcp(NAME, 1, timeout) if mode == "sync" else anyio.run(made.connect_tcp, NAME, 1, timeout)
    return core


def test_a_few_addresses_are_tried_each_family_in_turn_and_all_are_checked(mode: Mode) -> None:
    """Without MOST_ADDRESSES a name makes us knock at as many doors as an answer holds."""
    six, four = [f"2001:4860::{n}" for n in range(9)], [f"8.8.8.{n}" for n in range(9)]
    core = connecting(mode, [*six, *four, *six], None)
    in_turn = [six[0], four[0], six[1], four[1], six[2], four[2], six[3], four[3]]
    assert [address for address, _ in core.tried] == in_turn
    assert core.checked == [*six, *four]
    assert [timeout for _, timeout in core.tried] == [pinned.ATTEMPT_SECONDS] * 7 + [None]


def test_addresses_share_the_time_to_connect(mode: Mode) -> None:
    shares = [timeout or 0 for _, timeout in connecting(mode, ["8.8.8.1", "8.8.8.2", "8.8.8.3"], 3.0).tried]
    assert shares[0] <= 1.0
    assert sum(shares[:2]) + shares[2] <= 5.5
    assert max(shares) <= 3.0
    (only,) = connecting(mode, ["8.8.8.1"], 30.0).tried
    assert 25.0 < (only[1] or 0) <= 30.0


# --- no address -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([], f"{NAME} has no address"),
        (OSError("no such name"), f"{NAME} was not resolved: no such name"),
        (UnicodeError("label too long"), f"{NAME} was not resolved: label too long"),
        (LookupError("of a library"), f"{NAME} was not resolved: of a library"),
    ],
)
def test_a_name_without_an_address_may_be_asked_for_again(
    mode: Mode, library: Any, answer: Any, reason: str, sites: Places
) -> None:
    with pytest.raises(TransportFailed) as caught:
        statuses(mode, library, Names([answer]), sites.url)
    assert str(caught.value) == f"GET {sites.url}: cannot connect: {reason}"
    assert caught.value.retryable


def test_a_resolver_that_hangs_is_left(mode: Mode, library: Any, sites: Places) -> None:
    """Without the thread: the time of the system's resolver, whatever the time to connect."""
    end = threading.Event()

    def hanging(_: str, __: int) -> list[str]:
        end.wait(SECONDS)
        return [CPO]

    try:
        with pytest.raises(TransportFailed, match=r"connecting timed out: .* was not resolved") as caught:
            statuses(mode, library, hanging, sites.url, connect=0.05)
    finally:
        end.set()
    assert caught.value.retryable
    assert sites.cpo.connections == 0


def test_a_library_that_has_changed_is_not_called_unpinned(mode: Mode, library: Any) -> None:
    """Without the look at its pool: connections to whatever a name leads to, and nobody knows."""

    class Changed:
        def __init__(self, **_: Any) -> None:
            self.pool = None

    other = SimpleNamespace(
        __name__=library.__name__,
        HTTPTransport=Changed,
        AsyncHTTPTransport=Changed,
        create_ssl_context=library.create_ssl_context,
        Limits=library.Limits,
    )
    make: Any = pinned_transport if mode == "sync" else aio_pinned_transport
    with pytest.raises(RuntimeError, match=f"this version of {library.__name__} is not known"):
        make(POLICY, library=other)


# --- where answers lead ---------------------------------------------------------------------------------------------


def test_a_redirect_that_a_client_follows_is_checked(mode: Mode, library: Any, sites: Places) -> None:
    """With the transport of the library: the request arrives at INSIDE."""
    sites.cpo.answer = lambda _: httpx.Response(
        307, headers={"location": f"http://elsewhere.example.com:{sites.port}/"}
    )
    names = Names([[CPO], [INSIDE]])

    async def follow() -> None:
        transport = aio_pinned_transport(POLICY, library=library, resolver=names, verify=PLAIN)
        async with library.AsyncClient(transport=transport, follow_redirects=True) as http:
            await http.get(sites.url)

    def follow_in_place() -> None:
        transport = pinned_transport(POLICY, library=library, resolver=names, verify=PLAIN)
        with library.Client(transport=transport, follow_redirects=True) as http:
            http.get(sites.url)

    with pytest.raises(UnsafeUrl, match=r"invalid address of 'elsewhere\.example\.com'"):
        follow_in_place() if mode == "sync" else anyio.run(follow)
    assert [host for host, _ in names.asked] == [NAME, "elsewhere.example.com"]
    assert (len(sites.cpo.requests), sites.inside.connections) == (1, 0)


def emsp_with(library: Any, resolver: Any) -> Emsp:
    """An eMSP whose own clients are pinned by this resolver."""
    return make_emsp(
        url_policy=POLICY,
        http_client=lambda: library.Client(
            transport=pinned_transport(POLICY, library=library, resolver=resolver, verify=PLAIN)
        ),
        aio_http_client=lambda: library.AsyncClient(
            transport=aio_pinned_transport(POLICY, library=library, resolver=resolver, verify=PLAIN)
        ),
    )


def register(mode: Mode, emsp: Emsp, url: str) -> None:
    if mode == "sync":
        emsp.parties.register(url, token_a="A")
    else:
        anyio.run(lambda: emsp.aio.parties.register(url, token_a="A"))


def test_a_name_server_that_answers_differently_the_second_time(mode: Mode, library: Any, sites: Places) -> None:
    """A registration, and a name that leads to INSIDE once its versions are read.

    With the transport of the library: the request for the version details, and the token A in it, arrive at INSIDE.
    """
    sites.cpo.answer = sites.inside.answer = ScriptedCpo()
    with name_server([CPO], [INSIDE]) as server:
        with pytest.raises(CannotUseApi, match=f"invalid address of '{NAME}'"):
            register(mode, emsp_with(library, server.resolver), f"http://{NAME}:{sites.port}/cpo/versions")
        assert server.asked == [NAME, NAME]
    assert [each.url.path for each in sites.cpo.requests] == ["/cpo/versions"]
    assert sites.inside.connections == 0


def test_a_name_server_that_answers_differently_between_check_and_call(mode: Mode, library: Any, sites: Places) -> None:
    """Every other answer is INSIDE: where the check asks and the connection asks again, each call arrives there."""
    sites.cpo.answer = sites.inside.answer = ScriptedCpo()
    with name_server([CPO], [INSIDE]) as server, pytest.raises(CannotUseApi):
        register(mode, emsp_with(library, server.resolver), f"http://{NAME}:{sites.port}/cpo/versions")
    assert len(sites.cpo.requests) == 1
    assert sites.inside.connections == 0


def test_a_redirect_within_the_origin_resolves_anew(mode: Mode, library: Any, sites: Places) -> None:
    """The library follows a 307 to the same origin by a second call; its host may have another address by then."""
    sites.cpo.answer = lambda _: httpx.Response(307, headers={"location": "/elsewhere"})
    with pytest.raises(CannotUseApi, match=f"invalid address of '{NAME}'"):
        register(mode, emsp_with(library, Names([[CPO], [INSIDE]])), f"http://{NAME}:{sites.port}/cpo/versions")
    assert [each.url.path for each in sites.cpo.requests] == ["/cpo/versions"]
    assert sites.inside.connections == 0


# --- the client that an eMSP makes by itself ------------------------------------------------------------------------


@pytest.mark.usefixtures("library")
def test_an_emsp_by_itself_calls_no_name_that_leads_inside(
    mode: Mode, sites: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the client of the library: a connection to INSIDE, whose answer tells a port with TLS from one without."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (INSIDE, sites.port))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    with pytest.raises(CannotUseApi, match=f"invalid address of '{NAME}'"):
        register(mode, make_emsp(), f"https://{NAME}:{sites.port}/cpo/versions")
    assert sites.inside.connections == 0
