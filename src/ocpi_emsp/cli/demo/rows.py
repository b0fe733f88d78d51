"""The rows of the demo: what the support matrix says, what happened, and whether the two agree.

Rules of this module:
- every method of every row of the matrix is a line, and every line needs a result: one without has failed;
- a row that is on needs HTTP 2xx with a status_code of 1xxx, and the effect that the call is for;
- a row that is off needs 405 / 2000 if the CPO calls, and NotSupported with nothing sent if we call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from attrs import asdict, field, frozen

from ocpi_emsp.cli.demo.audited import Audited
from ocpi_emsp.findings import counted
from ocpi_emsp.support import FROM_CPO, TO_CPO, SupportMatrix


class Call(NamedTuple):
    """One method of one row of the matrix, or of what is always on."""

    module: str
    direction: str
    method: str
    path: str


VERSIONS = Call("versions", FROM_CPO, "GET", "/versions")
DETAILS = Call("versions", FROM_CPO, "GET", "/2.1.1")
GET_CREDENTIALS = Call("credentials", FROM_CPO, "GET", "/credentials")
COMMAND_RESULT = Call("commands", FROM_CPO, "POST", "/commands/:command/:uid")
THEIR_VERSIONS = Call("versions", TO_CPO, "GET", "/versions")
THEIR_DETAILS = Call("versions", TO_CPO, "GET", "/2.1.1")

ALWAYS_ON = (VERSIONS, DETAILS, GET_CREDENTIALS, COMMAND_RESULT, THEIR_VERSIONS, THEIR_DETAILS)
"""Calls without a row: the specification requires them of every eMSP."""


@frozen(kw_only=True)
class Seen:
    """The visible outcome of a call; ``what`` describes it."""

    what: str
    http_status: int | None = None
    status_code: int | None = None
    effect: bool = True
    """True if the call had its intended effect on the other side."""
    allow: str = ""
    error: str = ""
    """Why our own call failed."""
    not_supported: bool = False
    sent: int = 0
    """Requests that this process sent for it."""

    @property
    def success(self) -> bool:
        """True if both HTTP and OCPI report success."""
        status, code = self.http_status or 0, self.status_code or 0
        return 200 <= status < 300 and 1000 <= code < 2000


@frozen(kw_only=True)
class Row:
    """One line of the demo's result; its members are those of the JSON."""

    module: str
    direction: str
    method: str
    path: str
    supported: bool
    what_happened: str
    http_status: int | None = None
    status_code: int | None = None
    ok: bool


class Rows:
    """The lines of a matrix, in its order, and their results."""

    def __init__(self, matrix: SupportMatrix) -> None:
        self._supported = {
            Call(row.module, row.direction, method, row.path): row.supported
            for row in matrix.rows
            for method in row.methods.split("|")
        }
        self._supported |= dict.fromkeys(ALWAYS_ON, True)
        self._rows: dict[Call, Row] = {}

    def record(self, call: Call, seen: Seen) -> None:
        """Record the result of a call; a call without a line is ignored."""
        if call in self._supported:
            ok, what = _judge(call, self._supported[call], seen)
            self._add(call, what, ok, seen.http_status, seen.status_code)

    def fail(self, calls: Iterable[Call], why: str) -> None:
        """Mark these calls as failed, as far as they have no result yet."""
        for call in calls:
            if call in self._supported and call not in self._rows:
                self._add(call, why, ok=False)

    def close(self, why: str) -> tuple[Row, ...]:
        """Return every line in order; one without a result has failed for this reason."""
        self.fail(self._supported, why)
        return tuple(self._rows[call] for call in self._supported)

    def _add(
        self, call: Call, what: str, ok: bool, http_status: int | None = None, status_code: int | None = None
    ) -> None:
        self._rows[call] = Row(
            **call._asdict(),
            supported=self._supported[call],
            what_happened=what,
            http_status=http_status,
            status_code=status_code,
            ok=ok,
        )


def _judge(call: Call, supported: bool, seen: Seen) -> tuple[bool, str]:
    """Return whether a call behaved as its row says, and a sentence about it."""
    if not supported:
        return _judge_refusal(call, seen)
    if seen.not_supported:
        return False, f"{seen.what}: NotSupported was raised, although the row is on"
    if seen.error:
        return False, f"{seen.what}: {seen.error}"
    if not seen.success:
        return False, f"{seen.what}: not answered with success, although the row is on"
    if not seen.effect:
        return False, f"{seen.what}: answered with success, but it had no such effect"
    return True, seen.what


def _judge_refusal(call: Call, seen: Seen) -> tuple[bool, str]:
    if call.direction == TO_CPO:
        if seen.not_supported:
            nothing = "nothing was sent" if not seen.sent else f"but {counted(seen.sent, 'request')} sent"
            return not seen.sent, f"{seen.what}: NotSupported, {nothing}"
        return False, f"{seen.what}: {seen.error if not seen.sent else 'it was sent, although the row is off'}"
    if (seen.http_status, seen.status_code) == (405, 2000):
        return True, f"{seen.what}: refused, allowed is {seen.allow or 'nothing'}"
    return False, f"{seen.what}: not answered with 405 / 2000, although the row is off"


@frozen(kw_only=True)
class Result:
    """The result of the demo: the participants, the rows, and the duration."""

    parties: tuple[tuple[str, str], ...] = ()
    rows: tuple[Row, ...]
    audits: tuple[Audited, ...] = ()
    seconds: float
    failed: int = field(init=False)

    @failed.default
    def _count(self) -> int:
        return sum(not row.ok for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON document of ``--json``."""
        total = len(self.rows)
        summary = {"rows": total, "ok": total - self.failed, "failed": self.failed, "seconds": self.seconds}
        audits = [each.as_json() for each in self.audits]
        return {"rows": [asdict(row) for row in self.rows], "audits": audits, "summary": summary}

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Yield the rows as texts, for a table."""
        always = {tuple(call) for call in ALWAYS_ON}
        for row in self.rows:
            call = (row.module, row.direction, row.method, row.path)
            supported = "always" if call in always else "yes" if row.supported else "no"
            http, code = _text(row.http_status), _text(row.status_code)
            yield (*call, supported, http, code, "ok" if row.ok else "FAILED", row.what_happened)


COLUMNS = ("module", "direction", "method", "path", "supported", "HTTP", "OCPI", "result", "what happened")


def _text(number: int | None) -> str:
    return "-" if number is None else str(number)
