"""``ocpi-emsp rejections``: rejected requests, listed, shown, and replayed.

Rules of this module:
- a replay is served as the party that sent it, by this process: listeners of another process get no event;
- a body is printed as received if it is text, and in base64 otherwise.
"""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

from attrs import asdict, frozen

from ocpi_emsp.cli import files, output
from ocpi_emsp.cli.errors import CommandFailed, Usage
from ocpi_emsp.cli.listing import members, of_party, print_list
from ocpi_emsp.cli.options import Arguments, require_one
from ocpi_emsp.cli.stores import emsp_of, emsp_of_nobody, opened
from ocpi_emsp.codec import wire_time
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.errors import NotRegistered
from ocpi_emsp.findings import with_reason, worst_first
from ocpi_emsp.resources import Rejection
from ocpi_emsp.wire.envelope import read_envelope

_COLUMNS = ("id", "at", "party", "request", "findings", "why")


def run(arguments: Arguments) -> int:
    """List, show or replay; return 1 if one does not exist, or is rejected again."""
    if arguments.action == "replay":
        return _replay(arguments)
    with opened(arguments) as store:
        emsp = emsp_of_nobody(store)
        if arguments.action == "show":
            _show(_get(emsp, arguments.id), as_json=arguments.json)
        else:
            listed = partial(emsp.rejections.list, arguments.party)
            nothing = f"there are no rejected requests{of_party(arguments)}"
            print_list(arguments, listed, _COLUMNS, _row, _as_json, nothing)
    return 0


# --- list and show --------------------------------------------------------------------------------------------------


def _row(rejection: Rejection) -> tuple[str, ...]:
    return (
        rejection.id,
        wire_time(rejection.at),
        _party(rejection),
        f"{rejection.method} {rejection.path}",
        str(len(rejection.findings)),
        with_reason(rejection.message, rejection.findings),
    )


def _party(rejection: Rejection) -> str:
    return f"{rejection.country_code}-{rejection.party_id}"


def _get(emsp: Emsp, rejection_id: str) -> Rejection:
    rejection = emsp.rejections.get(rejection_id)
    if rejection is None:
        raise CommandFailed(f"there is no rejection '{rejection_id}'")
    return rejection


def _show(rejection: Rejection, *, as_json: bool) -> None:
    if as_json:
        output.write_json({**_as_json(rejection), **_body(rejection.body)}, indent=None)
        return
    query = f"?{rejection.query}" if rejection.query else ""
    lines = [
        f"{rejection.method} {rejection.path}{query} of {_party(rejection)}, {wire_time(rejection.at)}",
        f"correlation id {rejection.correlation_id}",
        rejection.message,
        *(f"  {finding}" for finding in worst_first(rejection.findings)),
        "",
        rejection.body.decode("utf-8", "backslashreplace"),
        *([f"(cut: the body had {rejection.cut_from} bytes)"] if rejection.cut_from is not None else []),
    ]
    output.write_text("\n".join(lines))


def _as_json(rejection: Rejection) -> dict[str, Any]:
    return {
        **members(rejection, "headers", "body", "findings", "sequence"),
        "findings": [finding.as_json() for finding in rejection.findings],
        "bytes": len(rejection.body) if rejection.cut_from is None else rejection.cut_from,
    }


def _body(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


# --- replay ---------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class _Replayed:
    """The response to a replay."""

    id: str
    accepted: bool
    http_status: int | None
    status_code: int | None
    message: str

    def __str__(self) -> str:
        how = "accepted" if self.accepted else "refused again"
        answered = f", HTTP {self.http_status}, status_code {self.status_code}" if self.http_status is not None else ""
        return f"{self.id}: {how}{answered}: {self.message}"


def _replay(arguments: Arguments) -> int:
    require_one(arguments, "id", "all")
    if arguments.all and arguments.body is not None:
        raise Usage("--body corrects one rejection: name it instead of --all")
    body = None
    if arguments.body is not None:
        with files.opened(arguments.body) as stream:
            body = stream.read()
    status = 0
    with emsp_of(arguments) as emsp:
        chosen = emsp.rejections.list(arguments.party) if arguments.all else [_get(emsp, arguments.id)]
        for rejection in chosen:
            replayed = _replay_one(emsp, rejection, body)
            status = status if replayed.accepted else 1
            if arguments.json:
                output.write_json(asdict(replayed), indent=None)
            else:
                output.write_line(str(replayed))
    return status


def _replay_one(emsp: Emsp, rejection: Rejection, body: bytes | None) -> _Replayed:
    try:
        response = emsp.rejections.replay(rejection, body=body)
    except NotRegistered as error:
        return _Replayed(id=rejection.id, accepted=False, http_status=None, status_code=None, message=error.message)
    envelope = read_envelope(response.body)
    return _Replayed(
        id=rejection.id,
        accepted=response.status < 300 and 1000 <= envelope.status_code < 2000,
        http_status=response.status,
        status_code=envelope.status_code,
        message=envelope.status_message or "",
    )
