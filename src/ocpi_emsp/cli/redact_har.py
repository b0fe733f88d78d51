"""A HAR file without identifying data: only the parts that ``check`` reads of it.

Rules of this module:
- of each entry the time, the method, the URL and the status stay, redacted, and the bodies that are JSON; headers,
  cookies, addresses, timings and other bodies are left out;
- an entry without a payload stays, so that the numbers of the others do not change.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from ocpi_emsp.cli.har import NotHar, body_of, entries_of, member_of, moment_of, text_of
from ocpi_emsp.redact import Redactor

_METHODS: Final = frozenset({"GET", "PUT", "PATCH", "POST", "DELETE", "HEAD", "OPTIONS"})


def redacted_har(data: bytes, redactor: Redactor) -> bytes:
    """Return the archive without identifying data. Raises NotHar."""
    entries = entries_of(data)
    if entries is None:
        raise NotHar("not a HAR file: expected an object with log.entries")
    log = {"version": "1.2", "creator": {"name": "ocpi-emsp redact", "version": ""}}
    archive = {"log": {**log, "entries": [_entry(entry, redactor) for entry in entries]}}
    return json.dumps(archive, indent=1).encode() + b"\n"


def _entry(entry: Any, redactor: Redactor) -> dict[str, Any]:
    request, response = member_of(entry, "request"), member_of(entry, "response")
    moment = moment_of(text_of(entry, "startedDateTime"))
    method, status = text_of(request, "method"), response.get("status")
    sent, answered = _body(member_of(request, "postData"), redactor), _body(member_of(response, "content"), redactor)
    return {
        "startedDateTime": moment.isoformat() if moment else "",
        "request": {
            "method": method if method.upper() in _METHODS else "",
            "url": redactor.url(text_of(request, "url")),
            **({"postData": sent} if sent else {}),
        },
        "response": {"status": status if isinstance(status, int) else 0, "content": answered},
    }


def _body(holder: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    body = body_of(holder)
    if body is None:
        return {}
    kind = "application/json" if "json" in text_of(holder, "mimeType").lower() else "text/plain"
    redacted = redactor.document(body)
    try:
        return {"mimeType": kind, "text": redacted.decode()}
    except UnicodeDecodeError:
        return {"mimeType": kind, "text": base64.b64encode(redacted).decode(), "encoding": "base64"}
