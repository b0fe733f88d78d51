"""The five operations that bench/load.py sends, as bytes that a sender only has to fill in.

Rules of this module:
- a template is a whole HTTP request; ``MOMENT`` in it becomes a later moment each time, ``SERIAL`` a number that was
  not sent before: both are as long as what replaces them, so Content-Length stays right;
- templates are sent one after the other, and the two changes of an object are 200 requests apart, so that two of them
  are not under way at once;
- objects are chosen at random from all that are stored, the same ones in each run.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from samples import cdr, location

BASE = "/ocpi/emsp/2.1.1"
TOKEN = "token-of-the-cpo"
LOCATIONS = 10_000
"""Of two EVSEs each: L0, L1, …; EVSE 1 of L5 is E5-1."""
TOKENS = 10_000
"""T0, T1, …"""
REPLACED = 200
"""Locations of ten EVSEs that are put again: P0, P1, …"""
MOMENT = "@" * 20
SERIAL = "#" * 9
_OLD = "2010-06-29T20:00:00Z"


@frozen
class Operation:
    """What is measured: its name in the table, and the requests."""

    title: str
    templates: tuple[bytes, ...]

    def write(self, path: Path) -> Path:
        """Write the templates where a sender reads them: each after a line with its length."""
        path.write_bytes(b"".join(b"%d\n%b" % (len(each), each) for each in self.templates))
        return path

    @property
    def body_bytes(self) -> int:
        """How long the first body is."""
        return len(self.templates[0].partition(b"\r\n\r\n")[2])


def small_location(name: str, evses: int) -> dict[str, Any]:
    """A location whose EVSEs are named after it, last updated long ago."""
    made: dict[str, Any] = json.loads(location(evses))
    made |= {"id": name, "last_updated": _OLD}
    for number, evse in enumerate(made["evses"]):
        evse |= {"uid": f"E{name[1:]}-{number}", "last_updated": _OLD}
    return made


def driver_token(number: int) -> dict[str, Any]:
    """A token of ours, as it stands in a list."""
    return {
        "uid": f"T{number}",
        "type": "RFID",
        "auth_id": f"DE8ACC{number:08}",
        "visual_number": f"DE-8ACC-{number:08}",
        "issuer": "Be Charge",
        "valid": True,
        "whitelist": "ALLOWED",
        "last_updated": "2015-06-29T22:39:09Z",
    }


def stored_locations() -> Iterator[dict[str, Any]]:
    """Those that are patched, and those that are put again."""
    yield from (small_location(f"L{number}", 2) for number in range(LOCATIONS))
    yield from (small_location(f"P{number}", 10) for number in range(REPLACED))


def compact(document: object) -> bytes:
    """JSON without spaces, as partners send it."""
    return json.dumps(document, separators=(",", ":")).encode()


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {BASE}/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token {TOKEN}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def _patches() -> Iterator[bytes]:
    chosen = random.Random(1)
    for turn in range(2_000):
        place = chosen.randrange(LOCATIONS)
        body = compact({"status": ("CHARGING", "AVAILABLE")[turn % 2], "last_updated": MOMENT})
        yield _request("PATCH", f"locations/NL/TNM/L{place}/E{place}-{chosen.randrange(2)}", body)


def _puts() -> Iterator[bytes]:
    for status in ("CHARGING", "BLOCKED"):
        for number in range(REPLACED):
            put = small_location(f"P{number}", 10)
            put["last_updated"] = MOMENT
            put["evses"][number % 10] |= {"status": status, "last_updated": MOMENT}
            yield _request("PUT", f"locations/NL/TNM/P{number}", compact(put))


def _cdrs() -> Iterator[bytes]:
    yield _request("POST", "cdrs", compact(json.loads(cdr(10)) | {"id": SERIAL}))


def _authorizations() -> Iterator[bytes]:
    chosen = random.Random(2)
    for _ in range(2_000):
        place = chosen.randrange(LOCATIONS)
        body = compact({"location_id": f"L{place}", "evse_uids": [f"E{place}-0"]})
        yield _request("POST", f"tokens/T{chosen.randrange(TOKENS)}/authorize", body)


def _pages() -> Iterator[bytes]:
    yield _request("GET", "tokens?offset=0&limit=100")


_OPERATIONS: Mapping[str, tuple[str, Callable[[], Iterator[bytes]]]] = {
    "patch_evse": ("PATCH EVSE", _patches),
    "put_location": ("PUT location, 10 EVSEs, one changed", _puts),
    "post_cdr": ("POST CDR, 10 periods", _cdrs),
    "authorize": ("authorize, with a location", _authorizations),
    "tokens_page": ("GET tokens, a page of 100", _pages),
}
CASES = tuple(_OPERATIONS)


def operation(case: str) -> Operation:
    """Make the requests of a case."""
    title, templates = _OPERATIONS[case]
    return Operation(title, tuple(templates()))
