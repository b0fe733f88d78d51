"""The codings of answers: one is asked for, one is decoded, and no bomb becomes larger than the limit."""

import gzip
import tracemalloc
import zlib
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from client.support import BASE, MODES, Mode
from client.test_transport import exchange, parts
from ocpi_emsp.errors import TransportFailed
from ocpi_emsp.transports.decoding import STEP
from ocpi_emsp.wire import Request, Response

pytestmark = pytest.mark.parametrize("mode", MODES)

LIMIT = 1_000_000
BODY = b'{"data":[],"status_code":1000}' * 100
BOMB = 64 * 1024 * 1024
WINDOWS = {"gzip": 31, "deflate": 15, "raw deflate": -15}
"""What zlib calls the formats."""


def compressed(kind: str, body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=WINDOWS[kind])
    return packer.compress(body) + packer.flush()


@cache
def bomb(kind: str, layers: int = 1) -> bytes:
    """BOMB bytes of spaces, packed once or more often."""
    packer = zlib.compressobj(wbits=WINDOWS[kind])
    packed = b"".join(packer.compress(b" " * 2**20) for _ in range(BOMB // 2**20)) + packer.flush()
    for _ in range(layers - 1):
        packed = compressed(kind, packed)
    return packed


def pieces(body: bytes, size: int) -> Iterable[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def read(mode: Mode, library: Any, body: Iterable[bytes], *codings: str, limit: int = LIMIT) -> Response:
    """An answer with this body, whose headers name these codings."""
    headers = [("content-encoding", coding) for coding in codings]
    answer = library.Response(200, content=parts(mode, body), headers=headers)
    return exchange(mode, library, lambda _: answer, Request("GET", BASE), limit=limit)


def refusal(mode: Mode, library: Any, body: Iterable[bytes], *codings: str, limit: int = LIMIT) -> str:
    with pytest.raises(TransportFailed) as caught:
        read(mode, library, body, *codings, limit=limit)
    assert not caught.value.retryable
    return str(caught.value).removeprefix(f"GET {BASE}: ")


def test_one_coding_is_asked_for(mode: Mode, library: Any) -> None:
    """Without the header of ours: gzip, deflate and whatever else the client has a decoder for."""
    seen = list[str]()

    def answer(request: Any) -> Any:
        seen.append(request.headers["accept-encoding"])
        return library.Response(200)

    exchange(mode, library, answer, Request("GET", BASE))
    exchange(mode, library, answer, Request("GET", BASE), headers={"accept-encoding": "br, zstd"})
    assert seen == ["gzip", "gzip"]


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("kind", "coding"), [("gzip", "gzip"), ("gzip", "X-GZip"), ("deflate", "deflate"), ("raw deflate", "deflate")]
)
def test_a_coding_is_decoded_however_it_is_cut(mode: Mode, library: Any, kind: str, coding: str, size: int) -> None:
    assert read(mode, library, pieces(compressed(kind, BODY), size), coding).body == BODY


@pytest.mark.parametrize(
    "codings", [(), ("",), ("identity",), ("utf-8",), ("UTF-8", "identity"), ("none",), ("binary",)]
)
def test_a_body_without_a_coding_is_read_as_it_is(mode: Mode, library: Any, codings: tuple[str, ...]) -> None:
    assert read(mode, library, pieces(BODY, 100), *codings).body == BODY


@pytest.mark.parametrize("codings", [("gzip, identity",), ("gzip", "utf-8"), (",gzip,",)])
def test_a_coding_beside_what_is_none_is_decoded(mode: Mode, library: Any, codings: tuple[str, ...]) -> None:
    assert read(mode, library, [gzip.compress(BODY)], *codings).body == BODY


def test_members_one_after_another_are_one_body(mode: Mode, library: Any) -> None:
    """RFC 1952 2.2. Both clients by themselves drop all but the first."""
    packed = gzip.compress(BODY) + gzip.compress(b"x") + gzip.compress(b"")
    for size in (1, 9, len(packed)):
        assert read(mode, library, pieces(packed, size), "gzip").body == BODY + b"x"


@pytest.mark.parametrize("kind", ["gzip", "deflate", "raw deflate"])
def test_what_follows_the_end_means_nothing(mode: Mode, library: Any, kind: str) -> None:
    packed = compressed(kind, BODY) + b"\0" * 20 + b"rest"
    assert read(mode, library, pieces(packed, 50), kind.removeprefix("raw ")).body == BODY


def test_an_empty_body_needs_no_coding(mode: Mode, library: Any) -> None:
    """Of a 204, or of a HEAD: the header is there and the body is not."""
    assert read(mode, library, [], "gzip").body == b""


@pytest.mark.parametrize(
    ("codings", "reason"),
    [
        (("gzip, gzip, gzip",), "3 content codings one on another: expected at most one"),
        (("gzip", "deflate"), "2 content codings one on another: expected at most one"),
        (("gzip, " * 1000,), "1000 content codings one on another: expected at most one"),
        (("br",), "invalid content coding 'br': expected gzip"),
        (("zstd",), "invalid content coding 'zstd': expected gzip"),
        (("compress",), "invalid content coding 'compress': expected gzip"),
        (("z" * 5000,), f"invalid content coding '{'z' * 40}': expected gzip"),
    ],
)
def test_other_codings_are_refused(mode: Mode, library: Any, codings: tuple[str, ...], reason: str) -> None:
    assert refusal(mode, library, [BODY], *codings) == f"cannot decode the response: {reason}"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "body",
    [b"no such thing", b"\x1f\x8b\x08", gzip.compress(BODY)[:-4], b"x"],
    ids=["text", "a beginning", "cut", "a letter"],
)
def test_what_is_not_in_its_coding_is_refused(mode: Mode, library: Any, coding: str, body: bytes) -> None:
    assert refusal(mode, library, pieces(body, 5), coding).startswith("cannot decode the response: ")


# --- bombs ----------------------------------------------------------------------------------------------------------


def peak(mode: Mode, library: Any, body: Iterable[bytes], *codings: str) -> int:
    """The most bytes at once while a body is refused for its size."""
    tracemalloc.start()
    try:
        assert refusal(mode, library, body, *codings) == f"the response exceeds the limit of {LIMIT} bytes"
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", WINDOWS)
def test_a_bomb_ends_at_the_limit(mode: Mode, library: Any, kind: str) -> None:
    """With the decoder of httpx 0.28 in the place of ours: 148 MB at once, from 65,251 bytes."""
    packed = bomb(kind)
    assert len(packed) < LIMIT
    assert peak(mode, library, [packed], kind.removeprefix("raw ")) < 3 * LIMIT


def test_layers_are_not_unpacked(mode: Mode, library: Any) -> None:
    """With the decoders of httpx 0.28 in the place of ours: 148 MB at once, from 252 bytes."""
    packed = bomb("gzip", 3)
    assert len(packed) < 1000
    tracemalloc.start()
    try:
        assert "3 content codings" in refusal(mode, library, [packed], "gzip, gzip, gzip")
        assert tracemalloc.get_traced_memory()[1] < LIMIT
    finally:
        tracemalloc.stop()


def test_members_of_nothing_end_at_the_limit(mode: Mode, library: Any) -> None:
    """Without counting what was sent: each of these is nothing, and they are read for good."""
    empty = gzip.compress(b"") * 5000
    sent = 0

    def forever() -> Iterable[bytes]:
        nonlocal sent
        while sent < 100:  # in place of ever
            sent += 1
            yield empty

    assert refusal(mode, library, forever(), "gzip") == f"the response exceeds the limit of {LIMIT} bytes"
    assert sent <= LIMIT // len(empty) + 1


def test_a_body_of_exactly_the_limit_is_taken(mode: Mode, library: Any) -> None:
    body = b"x" * (3 * STEP)
    assert read(mode, library, [gzip.compress(body)], "gzip", limit=len(body)).body == body
    assert "exceeds" in refusal(mode, library, [gzip.compress(body)], "gzip", limit=len(body) - 1)
