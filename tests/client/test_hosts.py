"""One eMSP under a sync and an async host, with hooks of either mode."""

import asyncio
import threading

import anyio
import httpx
import pytest

from client.support import facing, register_tnm
from flows.support import drained
from ocpi_emsp import Allowed, AuthorizationInfo, Emsp, Token
from ocpi_emsp.events import Event
from ocpi_emsp.wire import Request
from our_emsp import token
from scripted_cpo import ScriptedCpo


def nobody(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.method} {request.url} was sent")


def with_a_token() -> tuple[Emsp, Request]:
    """An eMSP with one token, and a request for its authorization."""
    emsp = facing(ScriptedCpo(nobody))
    emsp.tokens.put(token())
    return emsp, Request("POST", "/2.1.1/tokens/T0/authorize", headers={"authorization": f"Token {register_tnm(emsp)}"})


@pytest.mark.parametrize("hook_is_async", [False, True])
@pytest.mark.parametrize("host", ["sync", "async", "sync inside a loop"])
def test_an_emsp_serves_under_both_hosts_with_hooks_of_both_modes(host: str, hook_is_async: bool) -> None:
    emsp, request = with_a_token()
    threads: list[int] = []

    def decide(_token: Token, _location: object) -> AuthorizationInfo:
        threads.append(threading.get_ident())
        return AuthorizationInfo(allowed=Allowed.NO_CREDIT)

    async def decide_later(token: Token, location: object) -> AuthorizationInfo:
        await asyncio.sleep(0)
        return decide(token, location)

    emsp.authorize(decide_later if hook_is_async else decide)

    async def serve_async() -> bytes:
        return (await emsp.aio.handle(request)).body

    async def serve_inside() -> bytes:
        return emsp.handle(request).body

    match host:
        case "sync":
            body = emsp.handle(request).body
        case "async":
            body = anyio.run(serve_async)
        case _:
            body = anyio.run(serve_inside)
    assert b"NO_CREDIT" in body
    # a hook that has a deadline leaves its host's thread, unless both are async
    elsewhere = not hook_is_async or host != "async"
    assert (threads[0] != threading.get_ident()) == elsewhere


def test_both_shells_of_one_emsp_share_its_store_and_listeners() -> None:
    emsp, request = with_a_token()
    heard: list[Event] = []
    emsp.on(Event)(heard.append)

    async def host() -> int:
        await emsp.aio.handle(Request("PUT", "/2.1.1/tariffs/NL/TNM/T", headers=request.headers, body=b"{"))
        return await emsp.aio.redeliver()

    assert anyio.run(host) == 0
    assert anyio.run(lambda: emsp.aio.tokens.get("T0")) == emsp.tokens.get("T0") == token()
    assert [each.uid for each in anyio.run(drained, emsp.aio.tokens.list())] == ["T0"]
    assert len(list(emsp.rejections.list())) == 1
    assert anyio.run(drained, emsp.aio.rejections.list()) == list(emsp.rejections.list())


def test_a_token_that_was_put_by_either_shell_is_there_for_both() -> None:
    emsp, _ = with_a_token()
    anyio.run(emsp.aio.tokens.put, token("T1"))
    assert [each.uid for each in emsp.tokens.list()] == ["T0", "T1"]


def test_an_invitation_of_either_shell_is_the_same_kind() -> None:
    emsp, _ = with_a_token()
    plain = emsp.parties.invite("DE-ABC")
    awaited = anyio.run(lambda: emsp.aio.parties.invite("DE-ABC"))
    assert plain.versions_url == awaited.versions_url == "https://emsp.test/ocpi/emsp/versions"
    assert plain.token_a != awaited.token_a
    assert anyio.run(lambda: emsp.aio.commands.get("NL-TNM", "nobody")) is None
