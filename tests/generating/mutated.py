"""Requests that are damaged at random: cheap enough for 10,000 of them in a few seconds. `make fuzz` looks further.

Every run makes the same ones: they come from a seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

from cross_party.attempts import OBJECTS, Attempt
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import credentials
from two_parties import DRIVER

_METHODS: Final = ("PUT", "PATCH", "POST", "GET", "HEAD", "TRACE", "", "put")
_VALUES: Final[tuple[Any, ...]] = (
    None, True, -1, 0, 1e308, 10**400, "", " ", "x" * 300, "\0", "\ud800", "\u202e", "٣", "2024-13-01T00:00:00Z",
    "2024-01-01T00:00:00+99:99", "0000-00-00T00:00:00Z", [], [[]], [None], [{}] * 50, {}, {"": ""}, {"id": 1}, "NaN",
)  # fmt: skip
_BYTES: Final = (
    b"\xff", b"\x00", b'"', b"{", b"}", b"[" * 3000, b"null", b"NaN", b"-", b"1e99999", b"9" * 4000, b"\\ud800", b"//",
    b"\xef\xbb\xbf", b"\x1f\x8b\x08", b",", b":", b"  ", b"\r\n", b"Infinity", b"0x1",
)  # fmt: skip
_SEGMENTS: Final = (
    "", "..", ".", "%", "%ZZ", "%00", "%FF", "%2F", "x" * 400, "é", "\xff", "*", "{location_id}", ";", "a b",
    "%F0%9F%94%8C",
)  # fmt: skip
_QUERIES: Final = (
    "limit=-1", "limit=1e3", "limit=" + "9" * 50, "offset=%00", "offset=%D9%A3", "date_from=yesterday", "date_to=0000",
    "after=x",
    "date_from=2024-01-01T00:00:00Z&date_to=2023-01-01T00:00:00Z", "&&==&", "%", "type=", "type=%FF", "limit=1&limit=2",
    "date_from=9999-12-31T23:59:59Z", "date_from=0001-01-01T00:00:00%2B14:00", "a" * 5000,
)  # fmt: skip
_HEADERS: Final[tuple[Mapping[str, str], ...]] = (
    {"content-encoding": "gzip"}, {"content-type": "text/xml; charset=utf-16"},
    {"x-request-id": "x" * 5000},
    {"x-correlation-id": "a\r\nb"}, {"content-length": "-1"}, {"transfer-encoding": "chunked"}, {"accept": "text/html"},
)  # fmt: skip


def requests(command: Callable[[], str], number: int) -> Iterator[Attempt]:
    """So many requests; ``command`` gives the id of one that was sent."""
    chance = random.Random(12)
    for _ in range(number):
        path, methods, document = chance.choice(_whole(command()))
        yield Attempt(
            chance.choice(methods if chance.random() < 0.9 else _METHODS),
            "/2.1.1/" + (_path(chance, path) if chance.random() < 0.15 else path),
            chance.choice(_QUERIES) if chance.random() < 0.3 else "",
            _body(chance, document),
            chance.choice(_HEADERS) if chance.random() < 0.3 else {},
        )


def _whole(command: str) -> Sequence[tuple[str, Sequence[str], Any]]:
    """Paths, the methods that they have, and the documents that belong there."""
    return [
        *((path, ("PUT", "PUT", "PATCH", "PATCH", "GET"), document) for path, document in OBJECTS.items()),
        ("tariffs/NL/TNM/TAR1", ("DELETE",), None),
        ("cdrs", ("POST",), {**_CDR, "id": "CDR2"}),
        ("cdrs/CDR1", ("GET",), None),
        ("tokens", ("GET",), None),
        (f"tokens/{DRIVER}/authorize", ("POST",), _ASKED),
        (f"commands/START_SESSION/{command}", ("POST",), {"result": "ACCEPTED"}),
        ("credentials", (*("GET",) * 9, "POST", "PUT", "PATCH", "DELETE"), credentials()),
    ]


_CDR: Final = samples.cdr()
_ASKED: Final = {"location_id": "LOC1", "evse_uids": ["LOC1-E1"], "connector_ids": ["1"]}


def _path(chance: random.Random, path: str) -> str:
    segments = path.split("/")
    place = chance.randrange(len(segments) + 1)
    segments[place : place + chance.randrange(2)] = [chance.choice(_SEGMENTS)]
    return "/".join(segments)


def _body(chance: random.Random, document: Any) -> bytes:
    damages: tuple[Callable[[random.Random, Any], bytes], ...] = (_as_is, _other_values, _other_values, _other_bytes)
    return chance.choice(damages)(chance, document)


def _as_is(_: random.Random, document: Any) -> bytes:
    return encode(document)


def _other_values(chance: random.Random, document: Any) -> bytes:
    """With values of other kinds in a few places, members that are gone, and some that are new."""
    changed = json.loads(encode(document))
    for _ in range(chance.randint(1, 4)):
        changed = _with_other_value(chance, changed)
    return json.dumps(changed).encode()


def _with_other_value(chance: random.Random, node: Any) -> Any:
    if not isinstance(node, dict | list) or not node or chance.random() < 0.2:
        return deepcopy(chance.choice(_VALUES))  # it may be changed again
    place = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
    if chance.random() < 0.2:
        del node[place]
    elif isinstance(node, dict) and chance.random() < 0.1:
        node[chance.choice(("", "x", "id ", "__class__", "last_updated", "a" * 200))] = deepcopy(chance.choice(_VALUES))
    else:
        node[place] = _with_other_value(chance, node[place])
    return node


def _other_bytes(chance: random.Random, document: Any) -> bytes:
    """With a few bytes more, less, or others."""
    body = encode(document)
    for _ in range(chance.randint(1, 3)):
        place = chance.randint(0, len(body))
        body = body[:place] + chance.choice(_BYTES) + body[place + chance.randint(0, 4) :]
    return body if chance.random() < 0.8 else body[: chance.randint(0, len(body))]
