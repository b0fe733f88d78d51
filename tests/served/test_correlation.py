"""X-Correlation-ID and X-Request-ID over HTTP, on both servers: on every answer, and on the calls that follow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define

from ocpi_emsp import Limits
from ocpi_emsp.cli import stores
from ocpi_emsp.events import Event
from ocpi_emsp.ports import NAMES, Query
from ocpi_emsp.settings import HttpLimits
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import samples
from our_emsp import FakeClock
from served.cases import TOKEN
from served.partner import Connect, Partner, says
from served.support import Host, Ocpi

IDS = {"x-correlation-id": "c-1", "x-request-id": "r-1"}


@pytest.mark.parametrize(
    ("method", "path", "content", "token", "status"),
    [
        ("GET", "/versions", b"", True, 200),
        ("GET", "/versions", b"", False, 401),
        ("GET", "/2.1.1/nowhere", b"", True, 404),
        ("POST", "/versions", b"{}", True, 405),
        ("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", b"{", True, 400),
        ("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", b"x" * 2000, True, 413),
    ],
)
def test_ids_are_echoed_whatever_is_answered(
    connect: Connect, method: str, path: str, content: bytes, token: bool, status: int
) -> None:
    partner = connect(limits=Limits(http=HttpLimits(request_body=1000)))
    asks = partner.ocpi if token else Ocpi(partner.ocpi.http, partner.ocpi.base, partner.ocpi.logs)
    answer = asks(method, path, content=content or None, headers=IDS)
    assert answer.status == status
    assert (answer.headers["x-correlation-id"], answer.headers["x-request-id"]) == ("c-1", "r-1")
    made = asks(method, path, content=content or None)
    assert len({made.headers["x-correlation-id"], made.headers["x-request-id"], "c-1", "r-1"}) == 4


def test_a_failure_of_ours_has_the_ids_too(partner: Partner) -> None:
    @partner.emsp.on(Event)
    def fail(_event: object) -> None:
        raise RuntimeError("a bug of a listener")

    answer = partner.ocpi("PUT", partner.path("tariffs", "TAR1"), samples.tariff("TAR1"), headers=IDS)
    assert answer.both == (500, 3000)
    assert (answer.headers["x-correlation-id"], answer.headers["x-request-id"]) == ("c-1", "r-1")
    assert "c-1" in answer.message


@pytest.mark.parametrize("given", ["x" * 129, "\xe9", "a\tb"])
def test_an_id_that_is_none_is_replaced(partner: Partner, given: str) -> None:
    answer = partner.ocpi("GET", "/versions", headers={"x-correlation-id": given, "x-request-id": given})
    for name in ("x-correlation-id", "x-request-id"):
        assert len(answer.headers[name]) == 24
        assert answer.headers[name].isalnum()


# --- what is stored -------------------------------------------------------------------------------------------------


@pytest.fixture(params=["postgresql", "sqlite"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host, http: httpx.Client
) -> Iterator[SqlStore]:
    """A store in a database, empty."""
    monkeypatch.chdir(tmp_path)  # its key lies where it is made
    is_sqlite = request.param == "sqlite"
    schema = request.getfixturevalue("sqlite_with_schema" if is_sqlite else "postgres_with_schema")
    store = SqlStore(f"sqlite:///{schema}" if is_sqlite else schema)
    yield store

    async def dispose(_scope: object, _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """In the loop of the server, to which the connections belong."""
        await store.aclose()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    if host.kind == "uvicorn":
        host.application = dispose
        assert http.get(host.origin).status_code == 204
    store.close()


def stored(store: SqlStore) -> dict[str, str]:
    """Under which correlation id each record was written last."""
    with stores.reading(store) as tx:
        records = [record for kind in NAMES for record in tx.page(Query(kind=kind, limit=1000)).records]
    return {f"{record.key.kind} {record.key.id}".strip(): record.correlation_id for record in records}


@define
class Under:
    """Sends each request of a registered CPO under an id of its own, and looks at what has that id then."""

    partner: Partner
    store: SqlStore

    def __call__(self, method: str, path: str, body: Any = None, *, number: int) -> set[str]:
        given = {"x-correlation-id": f"c-{number}"}
        answer = self.partner.ocpi(method, path, body, headers=given)
        assert answer.code == 1000, answer.text
        return {name for name, written in stored(self.store).items() if written == f"c-{number}"}


def test_every_record_has_the_id_of_the_request_that_wrote_it(connect: Connect, database: SqlStore) -> None:
    clock = FakeClock()
    partner = connect(store=database, clock=clock)
    under = Under(partner, database)
    own = partner.path
    assert {name.split()[0] for name in under("GET", "/versions", number=1)} == {"party", "credential"}
    place = samples.location("LOC1", evses=2)
    assert under("PUT", own("locations", "LOC1"), place, number=2) == {
        "location LOC1", "evse LOC1-E1", "evse LOC1-E2",
    }  # fmt: skip
    status = {"status": "CHARGING", "last_updated": "2024-05-15T00:00:00Z"}
    assert under("PATCH", own("locations", "LOC1", "LOC1-E1"), status, number=3) == {"location LOC1", "evse LOC1-E1"}
    assert under("PUT", own("tariffs", "TAR1"), samples.tariff("TAR1"), number=4) == {"tariff TAR1"}
    assert under("POST", "/2.1.1/cdrs", samples.cdr("CDR1"), number=5) == {"cdr CDR1"}
    assert under("PUT", own("sessions", "SES0"), samples.session("SES0"), number=6) == {"session SES0"}

    partner.emsp.tokens.put(TOKEN)
    for name in ("START_SESSION", "RESERVE_NOW"):
        partner.cpo.script[f"/2.1.1/commands/{name}"] = says({"result": "ACCEPTED"})
    with partner.emsp.partner("NL-TNM").client() as client:
        until = clock.now() + timedelta(hours=1)
        reserved = client.reserve_now(
            token=TOKEN, location_id="LOC1", expiry_date=until, reservation_id=7, force=True
        ).uid
        started = client.start_session(token=TOKEN, location_id="LOC1", force=True).uid
    result = {"result": "ACCEPTED"}
    assert under("POST", f"/2.1.1/commands/RESERVE_NOW/{reserved}", result, number=7) == {
        f"command {reserved}", "reservation 7",
    }  # fmt: skip
    assert under("POST", f"/2.1.1/commands/START_SESSION/{started}", result, number=8) == {f"command {started}"}
    session = samples.session("SES1", at=place, auth_id=TOKEN.auth_id, start=clock.now(), status="ACTIVE")
    assert under("PUT", own("sessions", "SES1"), session, number=9) == {
        "session SES1", f"command {started}", "reservation 7",
    }  # fmt: skip

    under("POST", f"/2.1.1/tokens/{TOKEN.uid}/authorize", {"location_id": "LOC1"}, number=10)
    assert list(partner.emsp.authorizations.list())[-1].correlation_id == "c-10"
    partner.cpo.fresh_token()
    renewed = under("PUT", "/2.1.1/credentials", partner.cpo.credentials(), number=11)
    assert {name.split()[0] for name in renewed} == {"party", "credential"}
    assert [name for name, written in stored(database).items() if not written] == [], "no record is without an id"
