"""From a HAR file (HTTP archive 1.2) to the OCPI payloads in it.

Rules of this module:
- a request's body and a response's content are payloads if the URL says so, or if their members do;
- a response is an envelope; the data of an error response, and of the response to a push, is not an object;
- entries without a payload are skipped and counted; only a file that is not a HAR at all is rejected.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from attrs import define, evolve, field

from ocpi_emsp.cli.kinds import Unclear, guess
from ocpi_emsp.cli.payloads import Part, cut, is_envelope
from ocpi_emsp.cli.urls import Call, called
from ocpi_emsp.codec.patch import members
from ocpi_emsp.errors import InvalidObject, NotJson

NAME = ".har"


class NotHar(Exception):
    """A file that is not an HTTP archive."""


@define
class Har:
    """The payloads of one HAR file."""

    _data: bytes
    entries: int = field(default=0, init=False)
    without: int = field(default=0, init=False)
    """Number of entries without an OCPI payload."""

    def parts(self) -> Iterator[Part]:
        """Yield the documents in order. Raises NotHar."""
        entries = entries_of(self._data)
        if entries is None:
            raise NotHar("not a HAR file: expected an object with log.entries")
        for entry in entries:
            self.entries += 1
            found = False
            for part in _payloads(entry, self.entries):
                found = True
                yield part
            self.without += not found


def entries_of(data: bytes) -> list[Any] | None:
    """Return the entries of an archive, None if it is not one.

    Read as the standard library reads: a byte order mark and half of a surrogate pair do occur in such files.
    """
    try:
        entries = member_of(json.loads(data), "log").get("entries")
    except (ValueError, RecursionError):
        return None
    return entries if isinstance(entries, list) else None


def _payloads(entry: Any, number: int) -> Iterator[Part]:
    request, response = member_of(entry, "request"), member_of(entry, "response")
    method, url = text_of(request, "method").upper(), text_of(request, "url")
    call = called(method, url)
    if call is None:
        return
    at, place = moment_of(text_of(entry, "startedDateTime")), f"entry {number}: {method} {_path(url)}"
    sent = body_of(member_of(request, "postData"))
    if sent is not None:
        part = Part(sent, kind=call.request, partial=method == "PATCH", at=at, entry=f"{place}, request")
        yield from _request(part, call)
    answered = body_of(member_of(response, "content"))
    if answered is not None:
        part = Part(answered, kind=call.response, at=at, entry=f"{place}, response")
        yield from _response(part, call)


def _request(part: Part, call: Call) -> Iterator[Part]:
    if call.sure:
        if part.kind is not None:
            yield part
    elif guessed := _guessed(part):
        yield guessed


def _response(part: Part, call: Call) -> Iterator[Part]:
    try:
        names = members(part.document)
    except InvalidObject:  # a list without an envelope, or other JSON
        names = {}
    except NotJson:
        if call.sure:
            yield part
        return
    if is_envelope(names):
        yield from _enveloped(part, call, succeeded=bytes(names["status_code"]).strip(b'" ')[:1] == b"1")
    elif call.sure and part.kind is not None:
        yield evolve(part, document=b"{}", envelope=True)
        yield from cut(part)
    elif not call.sure:
        yield from filter(None, map(_guessed, cut(part)))


def _enveloped(part: Part, call: Call, *, succeeded: bool) -> Iterator[Part]:
    for inner in cut(part):
        if inner.envelope:
            yield inner
        elif succeeded and call.sure:
            yield from [inner] if inner.kind is not None else []
        elif succeeded and (guessed := _guessed(inner)):
            yield guessed


def _guessed(part: Part) -> Part | None:
    try:
        kind = guess(part.document)
    except Unclear:
        return None
    return None if kind is None else evolve(part, kind=kind)


def body_of(holder: dict[str, Any]) -> bytes | None:
    """Return the JSON in a postData or a content, or None if it is something else."""
    text = text_of(holder, "text")
    encoded = "base64" in (text_of(holder, "encoding"), text_of(holder, "_encoding"))
    try:
        body = base64.b64decode(text) if encoded else text.encode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        return None
    is_json = "json" in text_of(holder, "mimeType").lower() or body.lstrip()[:1] in (b"{", b"[")
    return body if body.strip() and is_json else None


def member_of(holder: Any, name: str) -> dict[str, Any]:
    """Return a member that is an object; an empty object if there is none."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, dict) else {}


def text_of(holder: Any, name: str) -> str:
    """Return a member that is a string; an empty string if there is none."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else ""


def _path(url: str) -> str:
    """Return only the path: a query or a user may hold a secret."""
    try:
        return urlsplit(url).path or "/"
    except ValueError:
        return "/"


def moment_of(text: str) -> datetime | None:
    """Return a time of ISO 8601, None if it is not one; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
