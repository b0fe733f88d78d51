"""What an operation costs on SQLite and PostgreSQL, small and large, against the bare driver.

Rules of this module:
- ours is a request through ``Emsp.handle``: token, checks, transaction, answer; the bare side writes or reads the same
  bytes to and from the same tables with the driver alone, and knows the row that it wants;
- both sides and all sizes take turns within one run; what is counted is the clock on the wall, since a commit waits for
  the disk: both databases are fully durable (fsync on);
- the tables are filled by SQL from one location with ten EVSEs and one token that were put through the eMSP.
"""

from __future__ import annotations

import json
import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from attrs import define, field, frozen
from sqlalchemy import create_engine, make_url, text

from measure import UNBOUNDED
from samples import cdr, location

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from ocpi_emsp import Emsp, Limits, Token
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.parties.party import Party, PartyState, issue, put_party
from ocpi_emsp.models import TokenType, WhitelistType
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.wire import Request
from postgres import PrivatePostgres

SIZES: tuple[int, ...] = (1_000, 100_000, 1_000_000)
ROUNDS = 15
CALLS = 20
TOKEN = "token-of-the-cpo"
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)


@frozen
class Cost:
    """Medians of one call in microseconds, at one size."""

    database: str
    operation: str
    size: int
    ours: float
    bare: float


@define
class Filled:
    """A database with so many EVSEs and tokens, reached through the eMSP and through the bare driver."""

    size: int
    emsp: Emsp
    bare: Any
    mark: str
    """The driver's placeholder."""
    numbers: random.Random = field(factory=lambda: random.Random(1))
    made: int = 0

    def call(self, method: str, path: str, body: bytes = b"", query: str = "") -> None:
        """A request of NL-TNM, which has to succeed."""
        headers = {"authorization": f"Token {TOKEN}"}
        answer = self.emsp.handle(Request(method, "/2.1.1/" + path, query, headers, body))
        assert json.loads(answer.body)["status_code"] == 1000, answer.body

    def execute(self, *statements: tuple[str, Sequence[Any]]) -> None:
        """One transaction of the bare driver."""
        if self.mark == "?":
            self.bare.execute("BEGIN IMMEDIATE")
        for statement, values in statements:
            self.bare.execute(statement.replace("?", self.mark), values)
        self.bare.commit()

    def next(self) -> int:
        """A number that was not used yet."""
        self.made += 1
        return self.made

    def at(self, number: int) -> tuple[str, Any]:
        """A later moment for each number, as the wire and as the driver has it."""
        moment = BEGIN + timedelta(seconds=number)
        wired = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        return wired, moment if self.mark != "?" else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_LOCATION = location(10)
_EVSE = json.dumps(json.loads(location(1))["evses"][0])
_EVSES = [(each["uid"], each["evse_id"], json.dumps(each)) for each in json.loads(_LOCATION)["evses"]]
_SHELL = json.dumps({name: value for name, value in json.loads(_LOCATION).items() if name != "evses"})
_CDR = json.dumps({**json.loads(cdr(10)), "id": "CDR0"})


# --- operations: ours, and the bare driver's ------------------------------------------------------------------------


def patch_evse(db: Filled) -> None:
    number, place = db.next(), db.numbers.randrange(db.size)
    wired, _ = db.at(number)
    body = json.dumps({"status": ("CHARGING", "AVAILABLE")[number % 2], "last_updated": wired}).encode()
    db.call("PATCH", f"locations/NL/TNM/L{place // 10}/E{place // 10}-{place % 10}", body)


def bare_patch_evse(db: Filled) -> None:
    number, place = db.next(), db.numbers.randrange(db.size)
    _, moment = db.at(number)
    name = f"E{place // 10}-{place % 10}"
    document = _EVSE.replace("32560", name)
    keys = ("NL", "TNM", f"L{place // 10}")
    db.execute(
        (
            "UPDATE ocpi_evses SET received=?, last_updated=?, received_at=?, content_hash=?, revision=revision+1, "
            "status=? WHERE country_code=? AND party_id=? AND location_id=? AND id=?",
            (document, moment, moment, "0" * 32, "CHARGING", *keys, name),
        ),
        (
            "UPDATE ocpi_locations SET last_updated=?, received_at=?, revision=revision+1 "
            "WHERE country_code=? AND party_id=? AND id=?",
            (moment, moment, *keys),
        ),
    )


def put_location(db: Filled) -> None:
    name = f"N{db.next()}"
    db.call("PUT", f"locations/NL/TNM/{name}", _LOCATION.replace(b'"LOC1"', f'"{name}"'.encode()))


def bare_put_location(db: Filled) -> None:
    number = db.next()
    _, moment = db.at(number)
    common = (moment, moment, "0" * 32)
    db.execute(
        (
            "INSERT INTO ocpi_locations (country_code, party_id, id, received, last_updated, received_at, "
            "content_hash, revision, country, city, latitude, longitude) VALUES (?,?,?,?,?,?,?,1,?,?,?,?)",
            ("NL", "TNM", f"B{number}", _SHELL, *common, "BEL", "Gent", 51.047599, 3.729944),
        ),
        *(
            (
                "INSERT INTO ocpi_evses (country_code, party_id, location_id, id, received, last_updated, "
                "received_at, content_hash, revision, status, evse_id) VALUES (?,?,?,?,?,?,?,?,1,?,?)",
                ("NL", "TNM", f"B{number}", uid, document, *common, "AVAILABLE", evse_id),
            )
            for uid, evse_id, document in _EVSES
        ),
    )


def post_cdr(db: Filled) -> None:
    db.call("POST", "cdrs", _CDR.replace("CDR0", f"N{db.next()}").encode())


def bare_post_cdr(db: Filled) -> None:
    number = db.next()
    _, moment = db.at(number)
    document = _CDR.replace("CDR0", f"B{number}")
    db.execute(
        (
            "INSERT INTO ocpi_cdrs (country_code, party_id, id, received, last_updated, received_at, content_hash, "
            "revision, auth_id, start_date_time, stop_date_time, currency, total_cost) "
            "VALUES (?,?,?,?,?,?,?,1,?,?,?,?,?)",
            ("NL", "TNM", f"B{number}", document, moment, moment, "0" * 32, "A", moment, moment, "EUR", "4.00"),
        )
    )


def first_page(db: Filled) -> None:
    db.call("GET", "tokens", query="offset=0&limit=100")


def last_page(db: Filled) -> None:
    db.call("GET", "tokens", query=f"offset={db.size - 100}&limit=100")


def bare_page(db: Filled) -> None:
    sql = "SELECT received FROM ocpi_tokens WHERE country_code=? AND party_id=? AND place>=? ORDER BY place LIMIT 100"
    rows = db.bare.execute(sql.replace("?", db.mark), ("IT", "BEC", db.size - 100)).fetchall()
    assert len(rows) == 100
    db.bare.commit()


OPERATIONS: tuple[tuple[str, Callable[[Filled], None], Callable[[Filled], None]], ...] = (
    ("PATCH EVSE status", patch_evse, bare_patch_evse),
    ("PUT location with 10 EVSEs", put_location, bare_put_location),
    ("POST CDR", post_cdr, bare_post_cdr),
    ("page of 100 tokens, first", first_page, bare_page),
    ("page of 100 tokens, last", last_page, bare_page),
)


def costs(database: str, sizes: Sequence[Filled]) -> Iterator[Cost]:
    """Every operation at every size, in turns."""
    for name, ours, bare in OPERATIONS:
        taken: dict[tuple[int, str], list[float]] = {}
        for turn in range(ROUNDS + 1):
            for db in sizes:
                for side, act in (("ours", ours), ("bare", bare)):
                    began = time.perf_counter()
                    for _ in range(CALLS):
                        act(db)
                    if turn:  # the first warms up
                        taken.setdefault((db.size, side), []).append((time.perf_counter() - began) / CALLS * 1e6)
        for db in sizes:
            yield Cost(database, name, db.size, median(taken[db.size, "ours"]), median(taken[db.size, "bare"]))


# --- databases ------------------------------------------------------------------------------------------------------


@contextmanager
def sqlite(folder: Path) -> Iterator[list[Filled]]:
    """A file of each size."""
    with ExitStack() as stack:
        filled = []
        for size in SIZES:
            path = folder / f"{size}.db"
            emsp = _emsp(SqlStore(f"sqlite:///{path}"), stack)
            _fill(f"sqlite:///{path}", size)
            bare = sqlite3.connect(path, isolation_level=None)
            bare.execute("PRAGMA synchronous = FULL")
            bare.execute("PRAGMA foreign_keys = ON")
            stack.callback(bare.close)
            filled.append(Filled(size, emsp, bare, "?"))
        yield filled


@contextmanager
def postgresql() -> Iterator[list[Filled]]:
    """A database of each size, on a server that is fully durable."""
    with ExitStack() as stack:
        server = stack.enter_context(PrivatePostgres())
        for setting in ("fsync=on", "full_page_writes=on", "shared_buffers='512MB'", "max_wal_size='4GB'"):
            server._execute(f"ALTER SYSTEM SET {setting}")
        server.restart()
        filled = []
        for size in SIZES:
            url = stack.enter_context(server.database())
            store = SqlStore(url)
            store.upgrade()
            emsp = _emsp(store, stack)
            _fill(url, size)
            bare = psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
            stack.callback(bare.close)
            filled.append(Filled(size, emsp, bare, "%s"))
        yield filled


def _emsp(store: SqlStore, stack: ExitStack) -> Emsp:
    """An eMSP with NL-TNM registered, one token, and one location with ten EVSEs."""
    emsp = Emsp(
        country_code="IT",
        party_id="BEC",
        name="Be Charge",
        url="https://e.example/ocpi/emsp",
        store=store,
        limits=Limits(inbound=UNBOUNDED),
    )
    stack.callback(store.close)

    async def register() -> None:
        async with lift_store(store, in_place).transaction() as tx:
            issued = (issue(TOKEN, BEGIN),)
            party = Party(country_code="NL", party_id="TNM", state=PartyState.REGISTERED, issued=issued)
            await put_party(tx, party, BEGIN)

    run(register())
    emsp.tokens.put(
        Token(
            uid="T0",
            type=TokenType.RFID,
            auth_id="DE8ACC12E46L89",
            issuer="Be Charge",
            valid=True,
            whitelist=WhitelistType.ALLOWED,
            last_updated=BEGIN,
        )
    )
    document = location(10).replace(b'"LOC1"', b'"L0"')
    for number in range(10):
        document = document.replace(f'"3256{number}"'.encode(), f'"E0-{number}"'.encode())
    document = document.replace(b"2015-06-2", b"2010-06-2")
    headers = {"authorization": f"Token {TOKEN}"}
    answer = emsp.handle(Request("PUT", "/2.1.1/locations/NL/TNM/L0", "", headers, document))
    assert answer.status == 201, answer
    return emsp


_SERIES = {
    "sqlite": "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < :last)",
    "postgresql": "WITH series AS (SELECT generate_series(1, :last) AS n)",
}
_COPIES = (
    """INSERT INTO ocpi_locations (country_code, party_id, id, received, last_updated, received_at, content_hash,
       revision, country, city, latitude, longitude)
       {series} SELECT country_code, party_id, 'L' || n, replace(received, '"L0"', '"L' || n || '"'), last_updated,
       received_at, content_hash, 1, country, city, latitude, longitude
       FROM series, ocpi_locations WHERE id = 'L0' AND :last > 0 ORDER BY n""",
    """INSERT INTO ocpi_evses (country_code, party_id, location_id, id, received, last_updated, received_at,
       content_hash, revision, status, evse_id)
       {series} SELECT country_code, party_id, 'L' || n, replace(id, 'E0-', 'E' || n || '-'),
       replace(received, '"E0-', '"E' || n || '-'), last_updated, received_at, content_hash, 1, status, evse_id
       FROM series, ocpi_evses WHERE location_id = 'L0' ORDER BY n""",
)
_TOKENS = """INSERT INTO ocpi_tokens (country_code, party_id, type, id, received, last_updated, received_at,
       content_hash, revision, uid, auth_id, valid, whitelist, place)
       {series} SELECT country_code, party_id, type, 'T' || n, replace(received, '"T0"', '"T' || n || '"'),
       last_updated, received_at, content_hash, 1, 'T' || n, auth_id, valid, whitelist, n
       FROM series, ocpi_tokens WHERE id = 'T0' ORDER BY n"""


def _fill(url: str, size: int) -> None:
    engine = create_engine(url)
    series = _SERIES[engine.dialect.name]
    with engine.begin() as connection:
        for statement in _COPIES:
            connection.execute(text(statement.format(series=series)), {"last": size // 10 - 1})
        connection.execute(text(_TOKENS.format(series=series)), {"last": size - 1})
    with engine.connect() as connection:
        vacuum = connection.execution_options(isolation_level="AUTOCOMMIT")
        vacuum.exec_driver_sql("VACUUM ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE")
    engine.dispose()


# --- the table ------------------------------------------------------------------------------------------------------


def table() -> list[str]:
    """The section of results.md."""
    lines = [
        "## Storage",
        "",
        f"Medians of {ROUNDS} rounds of {CALLS} calls in which all took turns, on the wall's clock, both databases "
        "with fsync. Ours is a request through `Emsp.handle`, one after the other; bare is the driver alone that "
        "writes or reads the same bytes. Targets: rate at least 0.5 of bare; the cost at 1,000,000 EVSEs and tokens at "
        "most 1.5 times that at 1,000.",
        "",
        "| database | operation | size | ours, µs | per second | bare, µs | rate / bare | cost / cost at 1,000 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    memory = []
    with tempfile.TemporaryDirectory(prefix="ocpi-emsp-bench-") as folder:
        for name, opened in (("SQLite", sqlite(Path(folder))), ("PostgreSQL", postgresql())):
            with opened as sizes:
                smallest: dict[str, float] = {}
                for cost in costs(name, sizes):
                    first = smallest.setdefault(cost.operation, cost.ours)
                    lines.append(
                        f"| {name} | {cost.operation} | {cost.size:,} | {cost.ours:,.0f} | {1e6 / cost.ours:,.0f} | "
                        f"{cost.bare:,.0f} | {cost.bare / cost.ours:.2f} | {cost.ours / first:.2f} |"
                    )
                    print(lines[-1], flush=True)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            memory.append(f"{peak} MB after {name}")
    lines += ["", f"Peak memory of the process: {', '.join(memory)}.", ""]
    print(lines[-2], flush=True)
    return lines


if __name__ == "__main__":
    SIZES = tuple(int(each) for each in sys.argv[1:]) or SIZES
    table()
