"""``ocpi-emsp reconcile``: a party's CDRs compared with its sessions, for people, programs and spreadsheets.

Rules of this module:
- people get what needs attention, programs get everything, including the matches;
- an amount is printed with the digits of its document;
- in CSV an external text is never a formula (:mod:`ocpi_emsp.cli.spreadsheet`); JSON has it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.options import PERSON_LIMIT, Arguments
from ocpi_emsp.cli.spreadsheet import CsvWriter, safe
from ocpi_emsp.cli.stores import emsp_of_tokens, opened, say_nothing_found
from ocpi_emsp.codec import dump, wire_time
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.findings import counted
from ocpi_emsp.resources import (
    CdrDifference,
    CdrMatch,
    CdrSummary,
    ConflictingCdr,
    Reconciliation,
    SessionSummary,
    SuspiciousCdr,
    UnreadableDocument,
)

_Cell: TypeAlias = str | Decimal | float | datetime | None
_Row: TypeAlias = Mapping[str, _Cell]

_TABLE = ("finding", "CDR", "session", "what", "CDR says", "session says", "auth_id", "EVSE", "start", "match")
COLUMNS = (
    "finding", "cdr_id", "session_id", "how", "score", "what", "cdr_value", "session_value", "auth_id", "location_id",
    "evse_uid", "cdr_start", "cdr_stop", "session_start", "session_end", "session_status", "cdr_kwh", "session_kwh",
    "cdr_cost", "cdr_currency", "session_cost", "session_currency",
)  # fmt: skip
"""Columns of the CSV."""


def run(arguments: Arguments) -> int:
    """Print the findings; return 1 if there are any."""
    if arguments.json:
        arguments.format = "json"
    with opened(arguments) as store:
        emsp = emsp_of_tokens(store)
        found = _reconciled(emsp, arguments)
        _WRITERS[arguments.format](found)
        if not (found.cdrs or found.sessions or found.conflicts.count or found.unreadable.count):
            nothing = f"no CDR and no session of {arguments.party} was last updated in this period"
            say_nothing_found(emsp, arguments.party, nothing)
    return 0 if found.ok else 1


def _reconciled(emsp: Emsp, arguments: Arguments) -> Reconciliation:
    asked: dict[str, Any] = {name: getattr(arguments, name) for name in ("kwh_tolerance", "cost_tolerance")}
    default_limit = PERSON_LIMIT if arguments.format == "table" else None
    try:
        return emsp.partner(arguments.party).reconcile(
            date_from=arguments.date_from,
            date_to=arguments.date_to,
            completed_for=timedelta(hours=arguments.hours),
            limit=arguments.limit or default_limit,
            **{name: value for name, value in asked.items() if value is not None},
        )
    except ValueError as error:
        raise Usage(str(error)) from None


# --- for people -----------------------------------------------------------------------------------------------------


def _write_table(found: Reconciliation) -> None:
    output.write_text("\n".join(_summary(found)))
    rows = [_table_row(row) for name in found.findings for row in _rows(found, name)]
    if rows:
        output.write("\n" + output.table(_TABLE, rows))
    output.flush()
    for name, listed in found.findings.items():
        if listed.more:
            output.say(
                f"{counted(listed.more, 'more row')} '{_FINDINGS[name]}' not listed: set --limit, or use json or csv"
            )


def _summary(found: Reconciliation) -> Iterator[str]:
    end = "now" if found.date_to is None else wire_time(found.date_to)
    owner = f"{found.country_code}-{found.party_id}"
    period = f"last updated from {wire_time(found.date_from)} to {end}"
    yield f"{owner}, {period}: {counted(found.cdrs, 'CDR')}, {counted(found.sessions, 'session')}"
    copies = f", {found.matched_as_copies} as copies" if found.matched_as_copies else ""
    yield f"matched: {found.matched_by_id} by id, {found.matched_by_score} by score{copies}"
    hours = f"{found.completed_for / timedelta(hours=1):.12g}"
    yield f"sessions without a CDR: {found.sessions_without_cdr.count} COMPLETED for {hours} hours or more, " + (
        f"{found.sessions_not_due.count} not due"
    )
    yield f"CDRs without a session: {found.cdrs_without_session.count}"
    yield f"conflicting duplicates: {found.conflicts.count}"
    yield f"differences: {found.differences.count}"
    yield f"suspicious: {found.suspicious.count}"
    yield f"documents that cannot be read: {found.unreadable.count}"


def _table_row(row: _Row) -> Sequence[str]:
    cells = (
        row["finding"],
        row.get("cdr_id"),
        row.get("session_id"),
        row.get("what"),
        row.get("cdr_value", _amounts(row, "cdr")),
        row.get("session_value", _amounts(row, "session")),
        row.get("auth_id"),
        "/".join(_text(row[name]) for name in ("location_id", "evse_uid") if row.get(name)),
        row.get("cdr_start", row.get("session_start")),
        " ".join(_text(row[name]) for name in ("how", "score") if row.get(name)),
    )
    return [_text(cell) for cell in cells]


def _amounts(row: _Row, side: str) -> str:
    """Return energy and cost of a side, as far as known."""
    kwh, cost = row.get(f"{side}_kwh"), row.get(f"{side}_cost")
    parts = [] if kwh is None else [f"{_text(kwh)} kWh"]
    parts += [] if cost is None else [f"{_text(cost)} {_text(row.get(f'{side}_currency'))}"]
    return ", ".join(parts)


# --- for machines ---------------------------------------------------------------------------------------------------


def _write_json(found: Reconciliation) -> None:
    """Write one document, item by item: a list may be long."""
    output.write_bytes(b'{"summary": ' + dump(found.summary()))
    for name, listed in found.lists.items():
        output.write_bytes(f',\n"{name}": ['.encode())
        for number, item in enumerate(listed):
            output.write_bytes((b",\n  " if number else b"\n  ") + dump(item.as_json()))
        output.write_bytes(b"\n]" if listed.items else b"]")
    output.write_bytes(b"}\n")
    output.flush()


def _write_csv(found: Reconciliation) -> None:
    writer = CsvWriter(COLUMNS)
    for name in found.lists:
        for row in _rows(found, name):
            writer.write({column: _safe(row.get(column)) for column in COLUMNS})
    writer.close()


def _safe(cell: _Cell) -> str:
    return safe(cell) if isinstance(cell, str) else _text(cell)


def _text(cell: _Cell) -> str:
    if cell is None:
        return ""
    return wire_time(cell) if isinstance(cell, datetime) else str(cell)


_WRITERS: Mapping[str, Callable[[Reconciliation], None]] = {
    "table": _write_table,
    "json": _write_json,
    "csv": _write_csv,
}


# --- rows -----------------------------------------------------------------------------------------------------------

_FINDINGS = {
    "differences": "difference",
    "sessions_without_cdr": "session without CDR",
    "cdrs_without_session": "CDR without session",
    "conflicts": "conflicting duplicate",
    "suspicious": "suspicious",
    "unreadable": "unreadable",
    "sessions_not_due": "session not due",
    "matched": "match",
}
"""The names of a list's rows."""


_Item: TypeAlias = (
    CdrMatch | CdrDifference | CdrSummary | SessionSummary | ConflictingCdr | SuspiciousCdr | UnreadableDocument
)


def _rows(found: Reconciliation, name: str) -> Iterator[_Row]:
    for item in found.lists[name]:
        yield {"finding": _FINDINGS[name], **_row(item)}


def _row(item: _Item) -> _Row:
    match item:
        case CdrMatch():
            return _match(item)
        case CdrDifference():
            said = {"what": item.what, "cdr_value": item.cdr_value, "session_value": item.session_value}
            return {**_match(item.match), **said}
        case CdrSummary():
            return _cdr(item)
        case SessionSummary():
            return _session(item)
        case ConflictingCdr():
            return {**_cdr(item.other), "what": f"stands: {_first(item.first)}"}
        case SuspiciousCdr():
            return {**_cdr(item.cdr), "what": item.code, "cdr_value": item.message}
        case UnreadableDocument():
            column = "session_id" if item.kind == "session" else "cdr_id"
            return {column: item.id, "what": f"{item.kind}: {item.problem}"}


def _first(first: CdrSummary | None) -> str:
    """Return the retained CDR, in short."""
    if first is None:
        return "unknown"
    return f"{first.total_energy} kWh, {first.total_cost} {first.currency}, from {wire_time(first.start_date_time)}"


def _match(match: CdrMatch) -> _Row:
    return {**_session(match.session), **_cdr(match.cdr), "how": match.how, "score": match.score}


def _charged(item: CdrSummary | SessionSummary) -> _Row:
    """Return driver and place."""
    return {"auth_id": item.auth_id, "location_id": item.place.location_id, "evse_uid": item.place.evse_uid}


def _cdr(cdr: CdrSummary) -> _Row:
    return {
        "cdr_id": cdr.id,
        **_charged(cdr),
        "cdr_start": cdr.start_date_time,
        "cdr_stop": cdr.stop_date_time,
        "cdr_kwh": cdr.total_energy,
        "cdr_cost": cdr.total_cost,
        "cdr_currency": cdr.currency,
    }


def _session(session: SessionSummary) -> _Row:
    return {
        "session_id": session.id,
        **_charged(session),
        "session_start": session.start_datetime,
        "session_end": session.end_datetime,
        "session_status": session.status.value,
        "session_kwh": session.kwh,
        "session_cost": session.total_cost,
        "session_currency": session.currency,
    }
