"""What an audit costs, as a ratio to ``json.loads`` of the same bytes, and the memory that a month of CDRs takes.

    python bench/run.py audit
    python bench/audit.py size 100000

Rules of this module:
- a CDR has a location with its connector, and a tariff with a fee, two prices of energy by the clock and a price of
  parking: its periods begin every quarter of an hour, right ones where the price changes, undecidable ones not;
- the month is on SQLite, put there by the store; two crowds of it show that the work for a CDR is bounded;
- its memory is that of a process of its own, which audits it and does nothing else.
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from measure import ROUNDS, UNBOUNDED, Result, compare
from ocpi_emsp import Emsp, Limits, audit
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.parties.party import Party, PartyState, issue, put_party
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.pricing import Explanation, Verdict
from ocpi_emsp.storage import SqlStore
from samples import location

TITLE = "## Audit"
SIZES = {1: 100, 2: 100, 3: 100, 4: 100, 96: 10, 1_000: 1, 10_000: 1}
"""Charging periods, and how often each side is called in a round."""
MONTHS = (1_000, 20_000)
"""Stored CDRs; ``python bench/audit.py size 100000`` takes some minutes."""
LOCATIONS, DRIVERS, MONTH = 500, 5_000, timedelta(days=26)
"""Until the clocks change: the hours of a CDR are in UTC."""
CROWDS = (500, 2_000)
TOKEN = "token-of-the-cpo"
BEGIN = datetime(2024, 3, 4, 8, 0, tzinfo=UTC)
"""A Monday, 9:00 in Brussels."""
MB = 1024 * 1024
_QUARTER = timedelta(minutes=15)
_KWH = Decimal("2.75")


# --- documents ------------------------------------------------------------------------------------------------------


def _at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _tariff() -> dict[str, Any]:
    def energy(price: str) -> dict[str, Any]:
        return {"type": "ENERGY", "price": float(price), "step_size": 1}

    fees = [
        {"type": "FLAT", "price": 0.5, "step_size": 1},
        {"type": "PARKING_TIME", "price": 6.0, "step_size": 300},
    ]
    evening = {"start_time": "17:00", "end_time": "21:00"}
    return {
        "id": "11",
        "currency": "EUR",
        "elements": [
            {"price_components": [energy("0.45")], "restrictions": evening},
            {"price_components": [energy("0.35"), *fees]},
        ],
        "last_updated": "2024-01-01T00:00:00Z",
    }


def _place() -> dict[str, Any]:
    place: dict[str, Any] = json.loads(location(1))
    for evse in place["evses"]:
        evse["connectors"] = evse["connectors"][:1]
    return {**place, "time_zone": "Europe/Brussels"}


def document(periods: int, verdict: Verdict) -> dict[str, Any]:
    """A CDR with so many periods, all charging but the last of several."""
    parks = periods > 1
    begin = BEGIN
    if verdict is Verdict.UNDECIDABLE:  # it goes on over 17:00 in the middle of its first period, or of many
        begin += timedelta(hours=8) - _QUARTER / 2
    starts = [begin + _QUARTER * number for number in range(periods)]
    stop = begin + _QUARTER * periods
    charged = [
        {
            "start_date_time": _at(start),
            "dimensions": [{"type": "ENERGY", "volume": 2.75}, {"type": "TIME", "volume": 0.25}],
        }
        for start in (starts[:-1] if parks else starts)
    ]
    parked = [{"start_date_time": _at(starts[-1]), "dimensions": [{"type": "PARKING_TIME", "volume": 0.25}]}]
    made = {
        "id": "CDR0",
        "start_date_time": _at(begin),
        "stop_date_time": _at(stop),
        "auth_id": "DE8ACC12E46L89",
        "auth_method": "WHITELIST",
        "location": _place(),
        "currency": "EUR",
        "tariffs": [_tariff()],
        "charging_periods": charged + (parked if parks else []),
        "total_cost": 0,
        "total_energy": float(_KWH * len(charged)),
        "total_time": periods / 4,
        "total_parking_time": 0.25 if parks else 0,
        "last_updated": _at(stop),
    }
    return made | {"total_cost": _total(made, verdict)}


def _total(made: dict[str, Any], verdict: Verdict) -> float:
    """What makes it right, wrong by 3.00, or a total in the middle of its bounds."""
    found = audit(json.dumps(made).encode())
    if found.low is None or found.high is None:
        raise AssertionError(found.reasons)
    middle = float(round((found.low + found.high) / 2, 2))
    return middle + 3 if verdict is Verdict.WRONG else middle


def results() -> Iterator[Result]:
    """Each number of periods, with each verdict."""
    for periods, calls in SIZES.items():
        for verdict in Verdict:
            data = json.dumps(document(periods, verdict)).encode()
            found = audit(data)
            assert found.verdict is verdict, (periods, found)
            name = f"CDR, {periods:,} {'period' if periods == 1 else 'periods'}, {verdict}"
            yield compare(name, partial(audit, data), partial(json.loads, data), calls)
            if verdict is Verdict.WRONG:
                yield compare(f"{name}, explained", partial(explained, data), partial(json.loads, data), calls)


def explained(data: bytes) -> tuple[Explanation, ...]:
    """The explanations of an audit, which are looked for once they are read."""
    return audit(data).explanations


# --- a month --------------------------------------------------------------------------------------------------------


class Month(NamedTuple):
    """What the audit of a month took."""

    cdrs: int
    peak: int
    """Bytes of resident memory, the interpreter included."""
    seconds: float


def _emsp(store: SqlStore) -> Emsp:
    return Emsp(
        country_code="IT",
        party_id="BEC",
        name="Be Charge",
        url="https://e.example/ocpi/emsp",
        store=store,
        limits=Limits(inbound=UNBOUNDED),
    )


class Shape(NamedTuple):
    """How the CDRs of a month are spread."""

    title: str
    locations: int
    drivers: int
    time: timedelta


SPREAD = Shape("spread over 500 locations and 5,000 drivers", LOCATIONS, DRIVERS, MONTH)
ALIKE = Shape("of one driver, at one place and time", 1, 1, timedelta(0))
ONE_LOCATION = Shape("of one location", 1, DRIVERS, MONTH)


def fill(path: Path, cdrs: int, shape: Shape = SPREAD) -> None:
    """A database with so many CDRs of NL-TNM, right, wrong and undecidable in turn."""
    store = SqlStore(f"sqlite:///{path}")
    store.upgrade()
    made = [document(4, verdict) for verdict in Verdict]

    async def put() -> None:
        lifted = lift_store(store, in_place)
        async with lifted.transaction() as tx:
            issued = (issue(TOKEN, BEGIN),)
            party = Party(country_code="NL", party_id="TNM", state=PartyState.REGISTERED, issued=issued)
            await put_party(tx, party, BEGIN)
        for first in range(0, cdrs, 1_000):
            async with lifted.transaction() as tx:
                for number in range(first, min(cdrs, first + 1_000)):
                    at = BEGIN + shape.time * number / cdrs
                    body = _spread(made[number % 3], number, shape, at)
                    received = at + timedelta(hours=10)
                    await tx.put(Record(Key(Kind.CDR, "NL", "TNM", f"CDR{number}"), body, received, received))

    run(put())
    store.close()


def _spread(made: dict[str, Any], number: int, shape: Shape, at: datetime) -> bytes:
    """One of a month, on the day of this moment: the hours stay those that its total was made for."""
    location = {**made["location"], "id": f"LOC{number * 104_729 % shape.locations}"}
    driver = f"DE8ACC{number * 7_919 % shape.drivers:08}"
    text = json.dumps({**made, "id": f"CDR{number}", "auth_id": driver, "location": location})
    return text.replace(f"{BEGIN:%Y-%m-%d}T", f"{at:%Y-%m-%d}T").encode()


def month(path: Path) -> Month:
    """Audit a database in a process of its own."""
    line = [sys.executable, __file__, "month", str(path)]
    ended = subprocess.run(line, capture_output=True, text=True, check=True)
    return Month(*json.loads(ended.stdout))


def audit_alone(path: Path) -> None:
    """Be that process."""
    store = SqlStore(f"sqlite:///{path}")
    began = time.process_time()
    report = _emsp(store).partner("NL-TNM").audit()
    total, seconds = report.total, time.process_time() - began
    assert max(report.counts.values()) - min(report.counts.values()) <= 1, report.counts
    store.close()
    try:  # kB; getrusage on Linux counts what the process held before exec, too: the memory of whoever started it
        peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
    except OSError:  # macOS, in bytes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(json.dumps([total, peak, seconds]))


# --- the table ------------------------------------------------------------------------------------------------------


def table() -> list[str]:
    """The section of results.md."""
    ran = f"Python {platform.python_version()}, {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}."
    lines = [
        TITLE,
        "",
        f"Medians of {ROUNDS} rounds in which both sides took turns. {ran} Ratio to `json.loads` of the same bytes; "
        "targets: at most 40 for CDRs of 1 to 4 periods, 60 for 96, linear beyond.",
        "",
        "| what | ours, µs | reference, µs | ratio |",
        "|---|---|---|---|",
    ]
    for result in results():
        lines.append(f"| {result.name} | {result.ours:,.1f} | {result.reference:,.1f} | {result.ratio:.1f} |")
        print(lines[-1], flush=True)
    lines += ["", *_months(), ""]
    return lines


def _months() -> Iterator[str]:
    yield (
        "A month of stored CDRs of 4 periods on SQLite, a third each right, wrong and undecidable, by "
        "`partner.audit()` in a process of its own; target: neither the peak memory nor the time of a CDR grows."
    )
    yield ""
    yield "| CDRs | peak, MB | CPU, seconds | µs per CDR | ratio to `json.loads` |"
    yield "|---|---|---|---|---|"
    for shape, sizes in ((SPREAD, MONTHS), (ALIKE, CROWDS), (ONE_LOCATION, CROWDS)):
        for cdrs in sizes:
            yield _size(cdrs, shape)


def _size(cdrs: int, shape: Shape) -> str:
    """The row of a month."""
    with tempfile.TemporaryDirectory(prefix="ocpi-emsp-bench-") as folder:
        path = Path(folder, "emsp.db")
        fill(path, cdrs, shape)
        found = month(path)
    assert found.cdrs == cdrs, found
    each = found.seconds / cdrs
    row = f"| {cdrs:,} {shape.title} | {found.peak / MB:.0f} | {found.seconds:.1f} | {each * 1e6:.0f} "
    row += f"| {each / _reading():.0f} |"
    print(row, flush=True)
    return row


def _reading() -> float:
    """CPU seconds of ``json.loads`` of one of these CDRs."""
    data, calls = json.dumps(document(4, Verdict.RIGHT)).encode(), 2_000
    began = time.process_time()
    for _ in range(calls):
        json.loads(data)
    return (time.process_time() - began) / calls


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["month", database]:
            audit_alone(Path(database))
        case ["size", cdrs]:
            _size(int(cdrs), SPREAD)
        case _:
            table()
