"""The content of a request and its response, by method and URL.

Rules of this module (the URL tables of each chapter):
- a whole segment of the path names a module: the first one after the version, otherwise after ``ocpi``, otherwise
  anywhere; without either before it, the URL alone does not prove that this is OCPI (``sure``);
- the segments below the module show who calls: an eMSP's objects are below country_code and party_id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from attrs import frozen

from ocpi_emsp.models import (
    AuthorizationInfo,
    Cdr,
    CommandResponse,
    Connector,
    Credentials,
    Evse,
    Location,
    LocationReferences,
    ReserveNow,
    Session,
    StartSession,
    StopSession,
    Tariff,
    Token,
    UnlockConnector,
    Version,
    VersionDetail,
)
from ocpi_emsp.routes import VERSION

_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?", re.ASCII)
_COUNTRY, _PARTY = re.compile(r"[A-Za-z]{2}", re.ASCII), re.compile(r"[A-Za-z0-9]{3}", re.ASCII)
_Kind: TypeAlias = "type[Any] | None"

_COMMANDS: dict[str, type[Any]] = {
    "RESERVE_NOW": ReserveNow,
    "START_SESSION": StartSession,
    "STOP_SESSION": StopSession,
    "UNLOCK_CONNECTOR": UnlockConnector,
}
_LISTED: dict[str, type[Any]] = {"sessions": Session, "cdrs": Cdr, "tariffs": Tariff, "tokens": Token}
_LEVELS: tuple[type[Any], ...] = (Location, Evse, Connector)
_MODULES = {"versions", "credentials", "locations", "commands", *_LISTED}


@frozen
class Call:
    """What the body of a request is, and the data of its response; None if nothing is known."""

    request: _Kind = None
    response: _Kind = None
    partial: bool = False
    sure: bool = False
    """True if the URL names OCPI 2.1.1, or OCPI without a version."""


def called(method: str, url: str) -> Call | None:
    """Return the content of this call; None if it belongs to another version of OCPI."""
    try:
        segments = [unquote(segment) for segment in urlsplit(url).path.split("/") if segment]
    except ValueError:
        return Call()
    lower = [segment.lower() for segment in segments]
    version = next((place for place, segment in enumerate(segments) if _VERSION.fullmatch(segment)), None)
    sure = "ocpi" in lower or version is not None
    start = 0
    if version is not None:
        if segments[version] != VERSION and ("ocpi" in lower or _module(lower, version + 1) is not None):
            return None
        start = version + 1
        if start == len(segments) or lower[start:] == ["details"]:
            return Call(response=VersionDetail, sure=segments[version] == VERSION)
    elif "ocpi" in lower:
        start = lower.index("ocpi") + 1
    module = _module(lower, start)
    if module is None:
        return Call()
    call = _call(method.upper(), lower[module], segments[module + 1 :])
    return Call(call.request, call.response, call.partial, sure and (call.request or call.response) is not None)


def _module(lower: Sequence[str], start: int) -> int | None:
    return next((place for place in range(start, len(lower)) if lower[place] in _MODULES), None)


def _call(method: str, module: str, below: Sequence[str]) -> Call:
    if module == "versions":
        return Call(response=VersionDetail if below else Version)
    if module == "credentials":
        carries = method in ("POST", "PUT", "PATCH")
        return Call(Credentials if carries else None, Credentials, method == "PATCH")
    if module == "commands":
        return _command(below)
    if module == "tokens" and method == "POST" and below[1:] and below[-1].lower() == "authorize":
        return Call(LocationReferences, AuthorizationInfo)
    kind = _LISTED.get(module) or _level(below)
    match method:
        case "GET":
            return Call(response=kind)
        case "PUT":
            return Call(kind)
        case "PATCH":
            return Call(kind, partial=True)
        case "POST" if module == "cdrs":
            return Call(kind)
    return Call()


def _command(below: Sequence[str]) -> Call:
    """Return the call of a command that is sent to a CPO, or of its result, which is sent to the response_url."""
    if len(below) == 1:
        return Call(_COMMANDS.get(below[0].upper()), CommandResponse)
    return Call(CommandResponse) if below else Call()


def _level(below: Sequence[str]) -> _Kind:
    """Return a location, one of its EVSEs, or a connector of one, by the depth of the path."""
    ours = len(below) > 3 or (len(below) == 3 and _COUNTRY.fullmatch(below[0]) and _PARTY.fullmatch(below[1]))
    depth = len(below) - 3 if ours else max(0, len(below) - 1)
    return _LEVELS[depth] if depth < len(_LEVELS) else None
