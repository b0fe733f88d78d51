"""URLs: the host is replaced, and all but OCPI words in the path, the query and the fragment.

Rules of this module:
- the scheme, the port, the version, the country and (unless asked) the party of an object stay, and so does what
  ``ocpi-emsp check`` reads from the path;
- a segment that is an id has the stand-in of that id, however it is percent-encoded; the length stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from ocpi_emsp.codec.iso3166 import ALPHA3
from ocpi_emsp.redact.places import is_moment
from ocpi_emsp.redact.stand_ins import StandIns

_URL: Final = re.compile(
    r"(?P<scheme>https?://)(?P<host>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?",
    re.IGNORECASE | re.DOTALL,
)
_AUTHORITY: Final = re.compile(r"(?P<user>.*@)?(?P<host>\[[^\]@]*\]|[^:@\[\]]*)(?P<port>:[0-9]*)?", re.DOTALL)
_NAMED: Final = re.compile(r"[A-Za-z0-9.-]+", re.ASCII)
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "0.0.0.0"})
_IN_BRACKETS: Final = re.compile(r"[0-9A-Za-z]", re.ASCII)
_VERSION: Final = re.compile(r"[0-9]\.[0-9](?:\.[0-9])?(?:-d[0-9])?", re.ASCII)
_PARTY: Final = re.compile(r"[A-Z0-9]{3}", re.ASCII)
_PARAMETERS: Final = frozenset({"date_from", "date_to", "offset", "limit", "type"})
_COUNT: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
_UNITS: Final = re.compile(r"(?:%[89A-Fa-f][0-9A-Fa-f])+|%[0-9A-Fa-f]{2}|.", re.DOTALL)


def is_url(text: str) -> bool:
    """Return True if a text begins like an absolute URL."""
    return _URL.match(text) is not None


def redacted_url(text: str, stand_ins: StandIns) -> str:
    """Return the URL without identifying data; other text is replaced by its stand-in."""
    found = _URL.fullmatch(text)
    if found is None:
        return stand_ins.of(text)
    parts = (
        found["scheme"],
        _authority(found["host"], stand_ins),
        _path(found["path"], stand_ins),
        _query(found["query"] or "", stand_ins),
        "".join(_encoded(found["fragment"] or "", stand_ins)),
    )
    return "".join(parts)


def redacted_path(text: str, stand_ins: StandIns) -> str:
    """Return the path and query of a URL without a host, redacted."""
    path, mark, query = text.partition("?")
    return _path(path, stand_ins) + _query(mark + query, stand_ins)


def _authority(text: str, stand_ins: StandIns) -> str:
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return stand_ins.of(text)
    user, host = found["user"] or "", found["host"]
    if host.startswith("[") and host not in _LOCAL:
        host = _IN_BRACKETS.sub("1", host)
    elif _NAMED.fullmatch(host):
        host = host if host.lower() in _LOCAL else stand_ins.host(host)
    elif host not in _LOCAL:
        host = stand_ins.of(host)
    return "".join(_encoded(user, stand_ins)) + host + (found["port"] or "")


def _path(text: str, stand_ins: StandIns) -> str:
    segments = text.split("/")
    before = ["", *segments]
    return "/".join(
        stand_ins.party(each)
        if _PARTY.fullmatch(each) and previous in ALPHA3
        else each
        if _VERSION.fullmatch(each)
        else "".join(_encoded(each, stand_ins))
        for previous, each in zip(before, segments, strict=False)
    )


def _query(text: str, stand_ins: StandIns) -> str:
    return "&".join(_parameter(each, stand_ins) for each in text.split("&"))


def _parameter(text: str, stand_ins: StandIns) -> str:
    mark, bare = ("?", text[1:]) if text.startswith("?") else ("", text)
    name, equals, value = bare.partition("=")
    if name in _PARAMETERS and (_COUNT.fullmatch(value) or is_moment(value)):
        return text
    name = name if name in _PARAMETERS else "".join(_encoded(name, stand_ins))
    return mark + name + equals + "".join(_encoded(value, stand_ins))


def _encoded(text: str, stand_ins: StandIns) -> Iterator[str]:
    """Yield the stand-in of the decoded text, percent-encoded where the original is."""
    units = [(unit, each) for found in _UNITS.findall(text) for unit, each in _decoded(found)]
    said = "".join(each for _, each in units)
    for (unit, before), after in zip(units, stand_ins.of(said), strict=True):
        yield unit if before == after else quote(after, safe="") if unit.startswith("%") else after


def _decoded(unit: str) -> Iterator[tuple[str, str]]:
    """Yield each character and its written form; bytes that are not UTF-8 are lost."""
    if len(unit) < 3:
        yield unit, unit
        return
    data = bytes.fromhex(unit.replace("%", ""))
    try:
        text = data.decode()
    except UnicodeDecodeError:
        yield from (("%FF", "\ufffd") for _ in data)
        return
    for each in text:
        yield "".join(f"%{byte:02X}" for byte in each.encode()), each
