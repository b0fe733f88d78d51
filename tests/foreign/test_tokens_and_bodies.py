"""Tokens with line breaks, JSON behind a byte order mark, compressed bodies (issue 11, number 18)."""

import base64
import codecs
import gzip
from collections.abc import Callable
from typing import Any, TypeAlias

import httpx
import pytest

from client.support import MODES, Mode, facing, register_tnm
from foreign.cases import cases
from foreign.test_being_called import CALLS, by_asgi, by_handle, by_wsgi
from foreign.test_connecting import HOST, PATHS, each_path, partner
from ocpi_emsp import Cdr, Emsp, Location
from ocpi_emsp.codec import decode as decode_object
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import decode, encode
from ocpi_emsp.wire import Request
from our_emsp import credentials, token
from scripted_cpo import ScriptedCpo, page, reply

Case: TypeAlias = dict[str, Any]
BOM = b"\xef\xbb\xbf"
URL = f"{HOST}/cpo/versions"


def cpo_with(theirs: str) -> ScriptedCpo:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/credentials"):
            return reply(credentials(url=URL, token=theirs))
        return page([], total=0)

    return ScriptedCpo(answer)


def push_credentials(emsp: Emsp, method: str, ours: str, theirs: str) -> None:
    body = encode(credentials(url=URL, token=theirs))
    answer = emsp.handle(Request(method, "/2.1.1/credentials", headers={"authorization": f"Token {ours}"}, body=body))
    said = decode(answer.body)
    if said["status_code"] != 1000:
        raise OcpiError(said["status_message"])


def their_post(emsp: Emsp, theirs: str) -> None:
    push_credentials(emsp, "POST", emsp.parties.invite("NL-TNM").token_a.reveal(), theirs)


def their_put(emsp: Emsp, theirs: str) -> None:
    push_credentials(emsp, "PUT", register_tnm(emsp), theirs)


def their_patch(emsp: Emsp, theirs: str) -> None:
    push_credentials(emsp, "PATCH", register_tnm(emsp), theirs)


def our_post(emsp: Emsp, _: str) -> None:
    try:
        emsp.parties.register(URL, token_a="token-a")
    except OcpiError:
        assert [*emsp.parties.list()] == []
        raise
    list(emsp.partner("NL-TNM").client().locations())


def token_a(emsp: Emsp, theirs: str) -> None:
    if not theirs.strip():
        with pytest.raises(
            ValueError, match="invalid token_a: expected the token that the CPO gave, found an empty one"
        ):
            emsp.parties.register(URL, token_a=theirs)
        raise OcpiError("the partner's token is empty")
    emsp.parties.register(URL, token_a=theirs)


def our_put(emsp: Emsp, _: str) -> None:
    register_tnm(emsp)
    before = emsp.parties.get("NL-TNM")
    try:
        emsp.partner("NL-TNM").update()
    except OcpiError:
        after = emsp.parties.get("NL-TNM")
        assert (after and after.endpoints) == (before and before.endpoints)
        raise
    list(emsp.partner("NL-TNM").client().locations())


WAYS = {each.__name__: each for each in (their_post, their_put, their_patch, our_post, token_a, our_put)}


@cases("tokens")
@pytest.mark.parametrize("way", WAYS)
def test_a_token_of_theirs_is_sent_or_named(way: str, case: Case) -> None:
    theirs = case["input"]["token"]
    cpo = cpo_with(theirs)
    emsp = facing(cpo)
    if "refused" in case["outcome"]:
        with pytest.raises(OcpiError) as caught:
            WAYS[way](emsp, theirs)
        assert case["outcome"]["refused"] in str(caught.value)
        assert not theirs.strip() or theirs not in str(caught.value)
        assert "LocalProtocolError" not in str(caught.value)
        return
    WAYS[way](emsp, theirs)
    assert case["outcome"]["sent"] in [each.headers["authorization"] for each in cpo.requests]


@cases("tokens")
def test_a_diagnosis_names_the_token(case: Case) -> None:
    found = facing(cpo_with("")).parties.diagnose(URL, token=case["input"]["token"])
    (check,) = [each for each in found.checks if each.name == "token"]
    assert case["outcome"].get("refused", "the token is known raw") in check.sentence


@pytest.mark.parametrize("made", [lambda it: f"{it}\n", lambda it: f"{it}\r\n", lambda it: f" {it}\n\n", str])
@pytest.mark.parametrize("send", [by_handle, by_asgi, by_wsgi])
def test_our_token_may_be_presented_as_echo_and_base64_write_it(
    send: Callable[..., int], made: Callable[[str], str]
) -> None:
    emsp = facing(ScriptedCpo())
    presented = base64.b64encode(made(register_tnm(emsp)).encode()).decode()
    headers = {"authorization": f"Token {presented}"}
    assert send(emsp, "GET", "https://emsp.test/ocpi/emsp/2.1.1/tokens", headers, b"") == 200
    headers["authorization"] = f"Token {base64.b64encode(b'another token').decode()}"
    assert send(emsp, "GET", "https://emsp.test/ocpi/emsp/2.1.1/tokens", headers, b"") == 401


@pytest.mark.parametrize("send", [by_handle, by_asgi, by_wsgi])
def test_json_behind_a_byte_order_mark_is_read(send: Callable[..., int]) -> None:
    emsp = facing(ScriptedCpo())
    headers = {"authorization": f"Token {register_tnm(emsp)}"}
    emsp.tokens.put(token())
    for method, module, path, body in CALLS:
        url = f"https://emsp.test/ocpi/emsp/2.1.1/{module}/{path}"
        content = b"" if body is None else BOM + encode(body)
        assert send(emsp, method, url, headers, content) in (200, 201), f"{method} {url}"
    assert emsp.locations.get("NL-TNM", "LOC1") is not None
    assert emsp.cdrs.get("NL-TNM", "CDR1") is not None
    assert not list(emsp.rejections.list())


@each_path
@pytest.mark.parametrize("mode", MODES)
def test_an_answer_behind_a_byte_order_mark_is_read(mode: Mode, path: str) -> None:
    of = PATHS[path]

    def marked(_: httpx.Request) -> httpx.Response:
        answer = page([], total=0) if of.data is None and of.method == "GET" else reply(of.data)
        return httpx.Response(200, content=BOM + answer.content, headers={"x-total-count": "0"})

    _, emsp = partner(of, turns=marked)
    of.make(emsp, mode)


def test_a_document_behind_a_byte_order_mark_is_read() -> None:
    location, cdr = encode(samples.location()), encode(samples.cdr())
    assert decode_object(Location, BOM + location) == decode_object(Location, location)
    assert decode_object(Cdr, BOM + cdr) == decode_object(Cdr, cdr)


@pytest.mark.parametrize("send", [by_handle, by_asgi, by_wsgi])
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "gzip, identity"])
def test_a_compressed_body_is_refused_by_name(send: Callable[..., int], encoding: str) -> None:
    emsp = facing(ScriptedCpo())
    headers = {"authorization": f"Token {register_tnm(emsp)}", "content-encoding": encoding}
    for method, module, path, body in CALLS:
        if body is not None:
            url = f"https://emsp.test/ocpi/emsp/2.1.1/{module}/{path}"
            assert send(emsp, method, url, headers, gzip.compress(encode(body))) == 415, f"{method} {url}"
    answer = emsp.handle(Request("POST", "/2.1.1/cdrs", "", headers, gzip.compress(encode(samples.cdr()))))
    assert f"Content-Encoding '{encoding.lower()}' is not supported" in decode(answer.body)["status_message"]
    assert ("accept-encoding", "identity") in answer.headers
    plain = {**headers, "content-encoding": "identity"}
    assert emsp.handle(Request("POST", "/2.1.1/cdrs", "", plain, encode(samples.cdr()))).status == 201


KINDS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "UTF-16": (lambda body: body.decode().encode("utf-16"), "the body is UTF-16, expected UTF-8"),
    "UTF-16 BE": (lambda body: codecs.BOM_UTF16_BE + body.decode().encode("utf-16-be"), "the body is UTF-16"),
    "UTF-32": (lambda body: body.decode().encode("utf-32"), "the body is UTF-32"),
    "Latin-1": (lambda body: body[:-1] + b',"x":"\xe9"}', "invalid UTF-8"),
    "gzip": (gzip.compress, "the body is compressed with gzip"),
    "empty": (lambda _: b"", "the body is empty"),
    "blank": (lambda _: b" \n", "the body is empty"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_that_is_no_json_is_named_by_what_it_is(kind: str) -> None:
    make, words = KINDS[kind]
    emsp = facing(ScriptedCpo())
    headers = {"authorization": f"Token {register_tnm(emsp)}"}
    for method, module, path, body in CALLS:
        if body is not None:
            answer = emsp.handle(Request(method, f"/2.1.1/{module}/{path}", "", headers, make(encode(body))))
            assert words in decode(answer.body)["status_message"], f"{method} {module}/{path}: {answer.body!r}"
            assert answer.status == (415 if kind == "gzip" else 400), answer
    assert [*emsp.locations.list("NL-TNM")] == [*emsp.cdrs.list("NL-TNM")] == []


@pytest.mark.parametrize("kind", ["UTF-16", "UTF-32", "gzip"])
def test_an_answer_that_is_no_json_is_named_by_what_it_is(kind: str) -> None:
    make, words = KINDS[kind]
    cpo = ScriptedCpo(lambda _: httpx.Response(200, content=make(page([], total=0).content)))
    emsp = facing(cpo)
    register_tnm(emsp)
    with pytest.raises(OcpiError, match=words):
        list(emsp.partner("NL-TNM").client().locations())
