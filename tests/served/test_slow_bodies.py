"""The head of a request is looked at before its body, and a body has a time: both adapters, real servers."""

from __future__ import annotations

import io
from typing import Any

import anyio
import httpx
import pytest

from ocpi_emsp import Limits, adapters
from ocpi_emsp.settings import Forwarded, HttpLimits, InboundLimits
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import make_emsp
from served.partner import Connect, FakeCpo, invite, register as partner_of
from served.sockets import connected, head
from served.support import BASE, Host, Logs, Ocpi, emsp_at
from served.test_adapters_alone import Message, chunk, early, http_scope, wsgi
from served.test_connections import bounded

TARIFF = "/2.1.1/tariffs/NL/TNM/TAR1"
BODY = encode(samples.tariff())
QUICK = Limits(http=HttpLimits(body_timeout=0.3, body_grace=0.1, body_rate=100))


def announced(length: int, *more: str) -> tuple[str, ...]:
    return (f"Content-Length: {length}", "Content-Type: application/json", *more)


# --- the token comes first --------------------------------------------------------------------------------------------


def test_a_stranger_is_answered_before_the_body_is_read() -> None:
    """With the body read first: the application asks for it before it sends anything."""
    log: list[str] = []

    async def receive() -> Message:
        log.append("receive")
        return chunk(b"a" * 65536, True)

    async def send(message: Any) -> None:
        log.append(message["type"])
        sent.append(message)

    sent: list[Message] = []
    headers = [(b"authorization", b"Token unknown"), (b"content-length", b"4000000000")]
    app = make_emsp(url=f"https://emsp.example{BASE}").asgi()
    anyio.run(app, {**http_scope(f"{BASE}{TARIFF}"), "method": "PUT", "headers": headers}, receive, send)
    assert early(sent) == 401
    assert log[:2] == ["http.response.start", "http.response.body"]
    assert 8 * 64 <= log.count("receive") <= 8 * 64 + 1  # what is dropped is bounded: eight bodies of 4 MiB


def test_a_stranger_under_wsgi_is_answered_before_the_body_is_read() -> None:
    stream = io.BytesIO(b"a" * 5000)
    more = {"HTTP_AUTHORIZATION": "Token unknown", "wsgi.input": stream, "CONTENT_LENGTH": "5000"}
    assert wsgi(make_emsp().wsgi(), "PUT", TARIFF, b"a" * 5000, more)[0] == 401
    assert stream.tell() == 0


def test_expect_100_continue(connect: Connect, uvicorn_running: Host) -> None:
    """Whoever asks first is told: 401 to a stranger, who then sends nothing, and 100 to a partner.

    With the body read first: the stranger is told to go on.
    """
    partner = connect()
    with connected(partner.host.origin) as stranger:
        stranger.send(head("PUT", TARIFF, "unknown", *announced(4_000_000, "Expect: 100-continue")))
        if partner.host is uvicorn_running:
            status, headers, envelope = stranger.answer()
            assert (status, headers["connection"], envelope["status_code"]) == (401, "close", 2000)
            assert stranger.has_ended()
    with connected(partner.host.origin) as cpo:
        cpo.send(head("PUT", TARIFF, partner.ocpi.token, *announced(len(BODY), "Expect: 100-continue")))
        assert cpo.head()[0] == "http/1.1 100 continue"
        cpo.send(BODY)
        assert cpo.answer()[0] == 201


def test_a_stranger_who_sends_it_all_first_gets_the_answer(connect: Connect) -> None:
    """Without reading on: the connection is reset while 2 MB are under way, and the answer may be lost."""
    origin = connect().host.origin
    with connected(origin) as stranger:
        stranger.send(head("PUT", TARIFF, "unknown", *announced(2_000_000)) + b"a" * 2_000_000)
        status, _, envelope = stranger.answer()
        assert (status, envelope["status_code"]) == (401, 2000)


def test_a_partner_over_its_limit_is_answered_before_the_body_is_read(connect: Connect, uvicorn_running: Host) -> None:
    """Without the limit: it is asked for its body, again and again."""
    partner = connect(limits=Limits(inbound=InboundLimits(requests_per_second=1, burst=60)))
    statuses = [partner.ocpi("GET", "/versions").status for _ in range(60)]
    assert set(statuses) == {200, 429}
    with connected(partner.host.origin) as cpo:
        cpo.send(head("PUT", TARIFF, partner.ocpi.token, *announced(4_000_000, "Expect: 100-continue")))
        if partner.host is uvicorn_running:  # waitress asks for the body before it calls an application
            status, headers, envelope = cpo.answer()
            assert (status, envelope["status_code"]) == (429, 2000)
            assert int(headers["retry-after"]) >= 1
            assert cpo.has_ended()


def test_the_address_of_a_stranger_through_the_adapters() -> None:
    """Two headers of one name are one list, and only a named proxy is believed: this machine, here."""
    hops = (("198.51.100.1", "203.0.113.9"), ("198.51.100.2", "203.0.113.9"), ("203.0.113.9", "198.51.100.3"))
    for forwarded, expected in ((None, [401, 429, 429]), (Forwarded(["127.0.0.1"]), [401, 429, 401])):
        settings: dict[str, Any] = {
            "limits": Limits(inbound=InboundLimits(unknown_tokens_per_minute=1)),
            "forwarded": forwarded,
        }
        seen = []
        with bounded(make_emsp(**settings).asgi(background=False)) as origin:
            for each in hops:
                with connected(origin) as stranger:
                    stranger.send(head("GET", "/versions", "unknown", *(f"X-Forwarded-For: {hop}" for hop in each)))
                    seen.append(stranger.answer()[0])
        assert seen == expected
        app, environ = make_emsp(**settings).wsgi(), {"REMOTE_ADDR": "127.0.0.1", "HTTP_AUTHORIZATION": "Token unknown"}
        more = [{**environ, "HTTP_X_FORWARDED_FOR": ",".join(each)} for each in hops]
        assert [wsgi(app, "GET", "/versions", more=each)[0] for each in more] == expected


# --- the time of a body -----------------------------------------------------------------------------------------------


@pytest.fixture
def quick(uvicorn_running: Host, http: httpx.Client, logs: Logs, fake_cpo: FakeCpo) -> tuple[str, str]:
    """Where an eMSP with little time is, and the token of its partner; waitress reads a body before it calls us."""
    emsp = emsp_at(uvicorn_running, limits=QUICK)
    uvicorn_running.mount(emsp)
    ocpi = Ocpi(http, uvicorn_running.url, logs)
    return uvicorn_running.origin, partner_of(invite(ocpi, emsp, fake_cpo), fake_cpo).token


def test_half_a_body_ends(quick: tuple[str, str]) -> None:
    """Without the time: 100 half bodies of 4 MiB cost 420 MB, and are never closed."""
    origin, token = quick
    with connected(origin) as one, connected(origin) as other:
        for each in (one, other):
            each.send(head("PUT", TARIFF, token, *announced(4_000_000)) + b"a" * 100_000)
        for each in (one, other):
            status, headers, envelope = each.answer()
            assert (status, headers["connection"], envelope["status_code"]) == (408, "close", 2000)
            assert "too slowly" in envelope["status_message"]
            assert each.has_ended()


@pytest.mark.parametrize("framing", ["Content-Length: 4000", "Transfer-Encoding: chunked"])
def test_a_body_that_drips_ends(quick: tuple[str, str], framing: str) -> None:
    """With a time between two reads alone: a byte now and then keeps the connection for ever."""
    origin, token = quick
    piece = b"1\r\na\r\n" if "chunked" in framing else b"a"
    with connected(origin) as cpo:
        cpo.send(head("PUT", TARIFF, token, framing))
        assert cpo.drip(piece, 100) > 1
        assert cpo.answer()[0] == 408
        assert cpo.has_ended()


def test_a_body_in_pieces_is_taken_while_it_is_fast_enough(quick: tuple[str, str]) -> None:
    origin, token = quick
    with connected(origin) as cpo:
        cpo.send(head("PUT", TARIFF, token, *announced(len(BODY))))
        for start in range(0, len(BODY), 200):
            assert not cpo.has_answer(0.001)
            cpo.send(BODY[start : start + 200])
        assert cpo.answer()[0] == 201
        cpo.send(head("GET", "/versions", token))  # the connection is used again
        assert cpo.answer()[0] == 200


def test_a_caller_who_leaves_within_a_body_is_no_failure(quick: tuple[str, str]) -> None:
    origin, token = quick
    with connected(origin) as cpo:
        cpo.send(head("PUT", TARIFF, token, *announced(4000)) + b"{")
    with connected(origin) as cpo:
        cpo.send(head("GET", "/versions", token))
        assert cpo.answer()[0] == 200


class _Dripping(io.BytesIO):
    """Takes a second for each read."""

    def __init__(self, content: bytes, clock: list[float]) -> None:
        super().__init__(content)
        self._clock = clock

    def read(self, size: int | None = -1) -> bytes:
        self._clock[0] += 1.0
        return super().read(size)


@pytest.mark.parametrize(("length", "status"), [(3 * adapters.CHUNK, 400), (200 * adapters.CHUNK, 408)])
def test_the_time_of_a_body_under_wsgi(monkeypatch: pytest.MonkeyPatch, length: int, status: int) -> None:
    """Without the look between two reads: all 200 are read, 200 seconds."""
    clock = [0.0]
    monkeypatch.setattr("ocpi_emsp.adapters.monotonic", lambda: clock[0])
    emsp = make_emsp()
    stream = _Dripping(b"a" * length, clock)
    token = emsp.parties.invite("NL-TNM").token_a.reveal()
    more = {"HTTP_AUTHORIZATION": f"Token {token}", "wsgi.input": stream, "CONTENT_LENGTH": str(length)}
    assert wsgi(emsp.wsgi(), "POST", "/2.1.1/credentials", b"a" * length, more)[0] == status
    assert clock[0] <= HttpLimits().body_timeout + 1
