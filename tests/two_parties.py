"""An eMSP with two registered CPOs, of which one has something of everything, and whoever else may ask.

What the documents of NL-TNM say of themselves contains SECRET, beside ids, which others may guess.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import httpx
from attrs import frozen

from ocpi_emsp import Emsp, Limits
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.events import Event
from ocpi_emsp.ports import NAMES, TOPICS, Entry, Query, Record, Store
from ocpi_emsp.settings import InboundLimits
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document, encode
from ocpi_emsp.wire import Request, Response
from our_emsp import CPO_TOKEN, NOW, FakeClock, make_emsp, register, token
from scripted_cpo import ScriptedCpo, clients, reply

SECRET: Final = "Zebra"
OWNER: Final = ("NL", "TNM")
OTHER: Final = ("DE", "ABC")
DRIVER: Final = "T0"
_LIMITS: Final = Limits(
    inbound=InboundLimits(requests_per_second=None, bytes_per_minute=None, unknown_tokens_per_minute=None)
)
"""Thousands of requests within a moment are no flood here."""
_PLACE: Final = {**samples.location(), "name": f"{SECRET} location"}
OBJECTS: Final[dict[str, Document]] = {
    "locations/NL/TNM/LOC1": _PLACE,
    "locations/NL/TNM/LOC1/LOC1-E1": {**samples.evse(), "physical_reference": f"{SECRET} evse"},
    "locations/NL/TNM/LOC1/LOC1-E1/1": {**samples.connector(), "terms_and_conditions": f"https://{SECRET}.test"},
    "sessions/NL/TNM/SES1": {**samples.session(at=_PLACE, start=NOW), "meter_id": f"{SECRET} session"},
    "tariffs/NL/TNM/TAR1": {**samples.tariff(), "tariff_alt_url": f"https://{SECRET}.test/tariff"},
}
"""By path; the CDR has none of its own."""


@frozen
class TwoParties:
    """The eMSP, and the tokens of those who may ask it."""

    emsp: Emsp
    store: Any
    tokens: dict[str, str]
    """By who asks: the ``owner`` of the objects, the ``other`` CPO, and one that is ``invited``."""
    command: str
    """The id of a command that was sent to the owner, and has no result."""

    def push(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """A request; ``path`` is below /2.1.1."""
        sent = {"authorization": f"Token {self.tokens[who]}", **headers}
        return self.emsp.handle(Request(method, f"/2.1.1/{path}", "", sent, b"" if body is None else encode(body)))

    def stored(self) -> list[tuple[Any, ...]]:
        """All that is stored of the owner of the objects: records and entries of the journal, as they are."""
        return run(_stored(lift_store(self.store, in_place)))


def two_parties(store: Any, **settings: Any) -> TwoParties:
    """Both registered, the objects of the one stored, and a driver's token of ours."""

    cpo = ScriptedCpo(_acknowledge, token=CPO_TOKEN)
    emsp = make_emsp(
        **(
            {"store": store, "clock": FakeClock(), "limits": _LIMITS}
            | clients(cpo)
            | {"outbox_events": (Event,)}
            | settings
        )
    )
    emsp.tokens.put(token(DRIVER, last_updated=NOW))
    tokens = {
        "owner": register(emsp, *OWNER, business_details={"name": f"{SECRET} operator"}),
        "other": register(emsp, *OTHER),
        "invited": emsp.parties.invite("FR-XYZ").token_a.reveal(),
    }
    world = TwoParties(emsp, store, tokens, "")
    for path, document in OBJECTS.items():
        _accepted(world.push("owner", "PUT", path, document))
    cdr = samples.cdr(of=OBJECTS["sessions/NL/TNM/SES1"], remark=f"{SECRET} cdr")
    _accepted(world.push("owner", "POST", "cdrs", cdr))
    assert b"cdr.conflict" in world.push("owner", "POST", "cdrs", {**cdr, "remark": f"{SECRET} other"}).body
    _accepted(world.push("owner", "POST", f"tokens/{DRIVER}/authorize", {"location_id": "LOC1"}))
    assert world.push("owner", "PUT", "tariffs/NL/TNM/TAR2", {"id": f"{SECRET} tariff"}).status == 200
    partner, driver = emsp.partner("-".join(OWNER)), token(DRIVER, last_updated=NOW)
    partner.push_tokens()
    with partner.client() as client:
        client.reserve_now(token=driver, location_id="LOC1", expiry_date=NOW + timedelta(hours=1), force=True)
        sent = client.start_session(token=driver, location_id="LOC1", force=True)
    return TwoParties(emsp, store, tokens, sent.uid)


def _acknowledge(request: httpx.Request) -> httpx.Response | None:
    if "/commands/" in request.url.path:
        return reply({"result": "ACCEPTED"})
    return reply() if "/tokens/" in request.url.path and request.method == "PUT" else None


def _accepted(response: Response) -> None:
    assert b'"status_code":1000' in response.body, response.body


async def _stored(store: Store) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    async with store.transaction(read_only=True) as tx:
        for kind in NAMES:
            page = await tx.page(Query(kind=kind, country_code=OWNER[0], party_id=OWNER[1], limit=1000))
            assert page.total == len(page.records)
            found += map(_record, page.records)
        for topic in TOPICS:
            found += map(_entry, await tx.entries(topic, owner=OWNER, limit=1000))
    return found


def _record(record: Record) -> tuple[Any, ...]:
    return (
        record.key,
        record.document,
        record.last_updated,
        record.received_at,
        record.revision,
        record.missing_since,
        record.missed,
        record.correlation_id,
    )


def _entry(entry: Entry) -> tuple[Any, ...]:
    return entry.topic, entry.id, entry.name, entry.key, entry.at, entry.body, dict(entry.details), entry.attempts
