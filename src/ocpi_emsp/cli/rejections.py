"""``ocpi-emsp rejections``: what was refused, listed, shown, and served again.

Rules of this module:
- a replay is served as the party that sent it, by this process: listeners of another one are not told;
- a body is printed as it was received where it is text, and in base64 where it is not.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import CommandFailed, Usage, reason
from ocpi_emsp.cli.listing import print_list, write_lines
from ocpi_emsp.cli.options import Arguments, require_one
from ocpi_emsp.cli.stores import emsp_of, opened, reading
from ocpi_emsp.codec import wire_time
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.errors import NotRegistered
from ocpi_emsp.flows.serving.rejections import rejection_of
from ocpi_emsp.ports import REJECTION
from ocpi_emsp.resources import Rejection
from ocpi_emsp.wire.envelope import read_envelope

if TYPE_CHECKING:
    from ocpi_emsp.storage.sql.store import SqlStore

_COLUMNS = ("id", "at", "party", "request", "findings", "why")


def run(arguments: Arguments) -> int:
    """List, show or replay; 1 where one is not there, or is refused again."""
    if arguments.action == "replay":
        return _replay(arguments)
    with opened(arguments) as store:
        if arguments.action == "show":
            _show(_get(store, arguments.id), as_json=arguments.json)
        else:
            _list(store, arguments)
    return 0


# --- list and show --------------------------------------------------------------------------------------------------


def _list(store: SqlStore, arguments: Arguments) -> None:
    def page(after: int, limit: int) -> list[Rejection]:
        with reading(store) as tx:
            entries = tx.entries(REJECTION, limit=limit, owner=arguments.party, after=after)
        return [rejection_of(entry) for entry in entries]

    def write(page: Sequence[Rejection]) -> None:
        if arguments.json:
            write_lines([_as_json(rejection) for rejection in page])
        else:
            output.write(output.table(_COLUMNS, [_row(rejection) for rejection in page]))

    print_list(arguments, page, write, "nothing was refused")


def _row(rejection: Rejection) -> tuple[str, ...]:
    return (
        rejection.id,
        wire_time(rejection.at),
        _party(rejection),
        f"{rejection.method} {rejection.path}",
        str(len(rejection.findings)),
        rejection.message,
    )


def _party(rejection: Rejection) -> str:
    return f"{rejection.country_code}-{rejection.party_id}"


def _get(store: SqlStore, rejection_id: str) -> Rejection:
    with reading(store) as tx:
        entry = tx.entry(rejection_id)
    if entry is None or entry.topic != REJECTION:
        raise CommandFailed(f"there is no rejection '{rejection_id}'")
    return rejection_of(entry)


def _show(rejection: Rejection, *, as_json: bool) -> None:
    if as_json:
        output.write_json({**_as_json(rejection), **_body(rejection.body)}, indent=None)
        return
    query = f"?{rejection.query}" if rejection.query else ""
    lines = [
        f"{rejection.method} {rejection.path}{query} of {_party(rejection)}, {wire_time(rejection.at)}",
        f"correlation id {rejection.correlation_id}",
        rejection.message,
        *(f"  {finding}" for finding in rejection.findings),
        "",
        rejection.body.decode("utf-8", "backslashreplace"),
    ]
    output.write_text("\n".join(lines))


def _as_json(rejection: Rejection) -> dict[str, Any]:
    return {
        "id": rejection.id,
        "at": wire_time(rejection.at),
        "country_code": rejection.country_code,
        "party_id": rejection.party_id,
        "route": rejection.route,
        "method": rejection.method,
        "path": rejection.path,
        "query": rejection.query,
        "correlation_id": rejection.correlation_id,
        "message": rejection.message,
        "findings": [finding.as_json() for finding in rejection.findings],
        "bytes": len(rejection.body),
    }


def _body(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


# --- replay ---------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class _Replayed:
    """What a replay was answered."""

    id: str
    accepted: bool
    http_status: int | None
    status_code: int | None
    message: str

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "accepted": self.accepted,
            "http_status": self.http_status,
            "status_code": self.status_code,
            "message": self.message,
        }

    def __str__(self) -> str:
        how = "accepted" if self.accepted else "refused again"
        answered = f", HTTP {self.http_status}, status_code {self.status_code}" if self.http_status is not None else ""
        return f"{self.id}: {how}{answered}: {self.message}"


def _replay(arguments: Arguments) -> int:
    require_one(arguments, "id", "all")
    if arguments.all and arguments.body is not None:
        raise Usage("--body corrects one rejection: name it instead of --all")
    body = None if arguments.body is None else _read(arguments.body)
    status = 0
    with emsp_of(arguments) as emsp:
        for rejection in _chosen(emsp, arguments):
            replayed = _replay_one(emsp, rejection, body)
            status = status if replayed.accepted else 1
            if arguments.json:
                output.write_json(replayed.as_json(), indent=None)
            else:
                output.write(output.printable(str(replayed)) + "\n")
    return status


def _chosen(emsp: Emsp, arguments: Arguments) -> Iterator[Rejection]:
    if not arguments.all:
        rejection = emsp.rejections.get(arguments.id)
        if rejection is None:
            raise CommandFailed(f"there is no rejection '{arguments.id}'")
        yield rejection
        return
    yield from emsp.rejections.list(arguments.party)


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


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise Usage(f"{path}: cannot be read: {why}") from None
