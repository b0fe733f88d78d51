"""What a handshake may cost us: bytes, items and time of its answers (docs/explanation/security.md)."""

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest
from attrs import define, evolve, field

from client.support import MODES, Mode
from flows.calls_desk import stage
from flows.lifecycle_desk import Scene, scene
from ocpi_emsp import Limits, OcpiError
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import CannotUseApi, TransportFailed
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.credentials import bounds, discovery, endpoints
from ocpi_emsp.settings import CredentialLimits
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request, Response
from our_emsp import credentials
from scripted_cpo import Reply, envelope, reply

SMALL = 256 * 1024
CHUNK = 4096


# --- bytes ----------------------------------------------------------------------------------------------------------


@define
class Endless:
    """An answer without an end, in either mode, and how much of it was taken."""

    taken: int = 0

    def __call__(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=_Stream(self))


class _Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, endless: Endless) -> None:
        self._endless = endless

    def __iter__(self) -> Iterator[bytes]:
        while self._endless.taken < 100 * SMALL:
            self._endless.taken += CHUNK
            yield b" " * CHUNK

    async def __aiter__(self) -> Any:
        for chunk in self:
            yield chunk


Call = Callable[[Scene, Mode], object]


def begin(here: Scene, mode: Mode) -> object:
    """Our POST."""
    url, token = "https://tnm.test/cpo/versions", "token-a-of-the-cpo"
    if mode == "sync":
        return here.emsp.parties.register(url, token_a=token)
    return anyio.run(lambda: here.emsp.aio.parties.register(url, token_a=token))


def of_client(name: str) -> Call:
    """A call of the client."""

    async def awaited(here: Scene) -> object:
        async with here.emsp.aio.partner("NL-TNM").client() as client:
            return await getattr(client, name)()

    def call(here: Scene, mode: Mode) -> object:
        if mode == "async":
            return anyio.run(awaited, here)
        with here.emsp.partner("NL-TNM").client() as client:
            return getattr(client, name)()

    return call


def renew(here: Scene, mode: Mode) -> object:
    """Read it all again, and our PUT."""
    if mode == "sync":
        return here.emsp.partner("NL-TNM").update()
    return anyio.run(lambda: here.emsp.aio.partner("NL-TNM").update())


CALLS: dict[str, tuple[str, Call]] = {
    "register-versions": ("GET /versions", begin),
    "register-details": ("GET /2.1.1", begin),
    "register-credentials": ("POST /2.1.1/credentials", begin),
    "update-versions": ("GET /versions", renew),
    "update-credentials": ("PUT /2.1.1/credentials", renew),
    "client-versions": ("GET /versions", of_client("versions")),
    "client-details": ("GET /2.1.1", of_client("version_details")),
    "client-credentials": ("GET /2.1.1/credentials", of_client("credentials")),
    "client-put": ("PUT /2.1.1/credentials", of_client("put_credentials")),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("path", "call"), CALLS.values(), ids=CALLS)
def test_an_answer_of_a_handshake_is_read_up_to_256_kib(path: str, call: Call, mode: Mode) -> None:
    """Without the limit: all 25 MiB are read, 64 MiB are allowed."""
    here = scene(registered=call is not begin)
    endless = here.cpo.script[path] = Endless()
    with pytest.raises(OcpiError, match="the response exceeds the limit of 262144 bytes"):
        call(here, mode)
    assert endless.taken <= SMALL + 2 * CHUNK


@pytest.mark.parametrize("path", ["GET /versions", "GET /2.1.1"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_partner_that_asks_is_read_as_far(path: str, method: str) -> None:
    """Without the limit: all 25 MiB are read within the partner's request."""
    here = scene()
    endless = here.cpo.script[path] = Endless()
    assert here.cpo.renew(method) == 3001
    assert endless.taken <= SMALL + 2 * CHUNK


@pytest.mark.parametrize("mode", MODES)
def test_the_limit_is_a_setting(mode: Mode) -> None:
    here = scene(registered=False, limits=Limits(credentials=CredentialLimits(response_body=50)))
    with pytest.raises(CannotUseApi, match="the limit of 50 bytes"):
        begin(here, mode)


def test_the_doctor_reads_as_far() -> None:
    here = scene()
    endless = here.cpo.script["GET /2.1.1"] = Endless()
    diagnosis = here.emsp.partner("NL-TNM").diagnose()
    [details] = [check for check in diagnosis.checks if check.name == "details"]
    assert "the response exceeds the limit of 262144 bytes" in details.sentence
    assert endless.taken <= SMALL + 2 * CHUNK


# --- items ----------------------------------------------------------------------------------------------------------


@define
class Counted:
    """A decode that counts its calls."""

    inner: Callable[..., Any]
    calls: int = 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self.inner(*args)


def full(start: bytes, item: bytes, end: bytes = b"]") -> bytes:
    """As many items as an answer of 256 KiB has room for."""
    room = SMALL - len(start) - len(end) - len(encode(envelope()))
    return start + b",".join([item] * (room // (len(item) + 1))) + end


HOSTILE: dict[str, tuple[str, bytes]] = {
    "versions of numbers": ("GET /versions", full(b"[", b"0")),
    "versions of objects": ("GET /versions", full(b"[", b"{}")),
    "versions of lists": ("GET /versions", full(b"[", b"[]")),
    "versions of texts": ("GET /versions", full(b"[", b'"2.1.1"')),
    "versions of versions": ("GET /versions", full(b"[", b'{"version":"2.0","url":"https://x.test/"}')),
    "endpoints of objects": ("GET /2.1.1", full(b'{"version":"2.1.1","endpoints":[', b"{}", b"]}")),
    "endpoints of numbers": ("GET /2.1.1", full(b'{"version":"2.1.1","endpoints":[', b"0", b"]}")),
    "endpoints without a version": ("GET /2.1.1", full(b'{"endpoints":[', b"{}", b"]}")),
    "endpoints of endpoints": ("GET /2.1.1", full(b'{"version":"2.1.1","endpoints":[', b'{"url":"https://a"}', b"]}")),
    "endpoints in a list of one": ("GET /2.1.1", full(b'[{"version":"2.1.1","endpoints":[', b"{}", b"]}]")),
}


def raw(body: bytes) -> Reply:
    """An envelope around these very bytes."""
    answer = encode(envelope()).replace(b'"data":null', b'"data":' + body)
    return lambda _: httpx.Response(200, content=answer)


@pytest.mark.parametrize(("path", "body"), HOSTILE.values(), ids=HOSTILE)
def test_lists_of_a_handshake_are_counted_before_one_item_is_read(
    path: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the count: up to 131,000 items are diagnosed, one by one, for 5 s; 19 s for 1 MB."""
    here = scene()
    here.cpo.script[path] = raw(body)
    reads = [Counted(module.decode) for module in (discovery, endpoints)]
    for module, counted in zip((discovery, endpoints), reads, strict=True):
        monkeypatch.setattr(module, "decode", counted)
    tracemalloc.start()
    try:
        assert here.cpo.renew() == 3001
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(each.calls for each in reads) <= len(here.cpo.versions)
    assert peak < 20 * 1024 * 1024


def test_as_many_versions_and_endpoints_as_there_may_be_are_read() -> None:
    here = scene(registered=False)
    here.cpo.versions = [*(f"9.{number}" for number in range(discovery.MOST_VERSIONS - 1)), "2.1.1"]
    here.cpo.modules = [*here.cpo.modules, *(f"vendor{n}" for n in range(endpoints.MOST_ENDPOINTS - 3))]
    assert len(here.register().endpoints) == endpoints.MOST_ENDPOINTS


# --- time -----------------------------------------------------------------------------------------------------------


@define
class SlowPartner:
    """Takes some seconds for each answer, by a clock of its own."""

    takes: float
    now: float = 1000.0
    given: list[float | None] = field(factory=list)
    """The seconds that each answer could have taken."""
    error: TransportFailed | None = None

    async def __call__(self, request: Request) -> Response:
        self.given.append(request.most_seconds)
        self.now += self.takes
        if self.error is not None:
            raise self.error
        return Response(200)


def slow(takes: float, error: TransportFailed | None = None) -> tuple[SlowPartner, Context]:
    partner = SlowPartner(takes, error=error)
    return partner, evolve(stage(Response(200)).context, send=partner, monotonic=lambda: partner.now)


def test_the_calls_of_a_handshake_share_one_time() -> None:
    """Without it: each call has 300 s of its own, so the last of six ends after half an hour."""
    partner, context = slow(12)
    send = bounds.inbound(context).send
    for _ in range(3):
        run(send(Request("GET", "https://cpo.test/versions")))
    with pytest.raises(TransportFailed, match=r"longer than 30 s together \(CredentialLimits.inbound_timeout\)"):
        run(send(Request("GET", "https://cpo.test/versions")))
    assert partner.given == [30, 18, 6]


def test_an_answer_that_runs_out_of_it_is_named_by_it() -> None:
    partner, context = slow(40, TransportFailed("GET https://cpo.test/versions: waiting timed out", retryable=True))
    with pytest.raises(TransportFailed, match="took longer than 30 s together") as caught:
        run(bounds.inbound(context).send(Request("GET", "https://cpo.test/versions")))
    assert not caught.value.retryable
    partner.takes, partner.error = 1, TransportFailed("reset")
    with pytest.raises(TransportFailed, match="reset"):
        run(bounds.inbound(context).send(Request("GET", "https://cpo.test/versions")))


def test_a_handshake_within_another_has_what_that_one_left() -> None:
    partner, context = slow(80)
    outer = bounds.outbound(context)
    run(outer.send(Request("GET", "https://cpo.test/versions")))
    run(bounds.outbound(outer).send(Request("GET", "https://cpo.test/versions")))
    assert partner.given == [90, 10]


def test_a_slow_partner_is_asked_no_more_and_what_was_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the time: a partner whose every answer takes 20 s holds its request for 40 s, and for 120 s at most."""
    here = scene()
    before = here.party()
    now = [0.0]

    def late(data: Any) -> Reply:
        def answer(_: httpx.Request) -> httpx.Response:
            now[0] += 31
            return reply(data)

        return answer

    context = evolve(here.emsp._contexts(), monotonic=lambda: now[0])
    monkeypatch.setattr(here.emsp._contexts, "_made", (here.emsp._contexts.setup.changes, context))
    here.cpo.script["GET /versions"] = late([{"version": "2.1.1", "url": "https://tnm.test/cpo/2.1.1"}])
    here.cpo.requests.clear()
    assert here.cpo.renew() == 3001
    assert here.cpo.paths == ["GET /versions"]
    assert here.party() == before


# --- how many -------------------------------------------------------------------------------------------------------


def test_a_second_handshake_of_a_party_is_refused_before_the_partner_is_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without the number: the second one calls the partner as well, and so does each further one."""
    here = scene()
    seen: list[tuple[int, int, str]] = []

    def meanwhile(_: httpx.Request) -> None:
        if not seen:
            seen.append((0, 0, ""))
            before = len(here.cpo.requests)
            answer = here.emsp.handle(_put(here))
            seen[0] = (answer.status, len(here.cpo.requests) - before, answer.header("retry-after") or "")

    here.cpo.script["GET /versions"] = meanwhile
    assert here.cpo.renew() == 1000
    assert seen == [(429, 0, "30")]
    assert "inbound.limited party=NL-TNM limit=concurrent_handshakes retry_after=30" in caplog.text
    assert here.cpo.renew() == 1000, "it is free again"


def _put(here: Scene) -> Request:
    headers = {"authorization": f"Token {here.cpo.ours[-1]}"}
    return Request("PUT", "/2.1.1/credentials", headers=headers, body=encode(credentials()))


def test_a_handshake_that_fails_makes_room_again() -> None:
    here = scene(limits=Limits(credentials=CredentialLimits(concurrent_handshakes=1)))
    here.cpo.script["GET /versions"] = lambda _: reply(None, 3000)
    assert [here.cpo.renew() for _ in range(3)] == [3001] * 3
