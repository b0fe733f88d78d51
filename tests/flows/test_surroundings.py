"""What is stored around a CDR is found, on every store: each story is a party of its own, with a driver of its own."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import anyio
from attrs import define, frozen

from flows.reconcile_desk import START, changed, place
from flows.support import offline_emsp, stamp
from ocpi_emsp._bridge import run
from ocpi_emsp.codec import decode
from ocpi_emsp.flows.cdrs.neighbours import NEIGHBOURS, SESSIONS
from ocpi_emsp.flows.cdrs.surroundings import Gatherer
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.models import Cdr
from ocpi_emsp.ports import Key, Kind, Page, Query, Record, Transaction
from ocpi_emsp.pricing import REASONS
from ocpi_emsp.pricing.plausibility import Surroundings, suspicions
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document, encode, parse_timestamp

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@frozen
class Told:
    """A party and its driver, and what they did."""

    number: int

    @property
    def party(self) -> str:
        return f"{self.number:03}"

    @property
    def driver(self) -> str:
        return f"DE8ACC{self.number:06}"

    def record(self, kind: str, document: Document, key_id: str, parent: str = "", party: str = "") -> Record:
        key = Key(kind, "NL", party or self.party, key_id, parent)
        moment = parse_timestamp(document["last_updated"])
        return Record(key, encode(document), moment, moment)

    def session(self, name: str = "S1", at: float = 0, **changes: Any) -> Record:
        made = samples.session(name, start=START + at * HOUR, auth_id=self.driver, at=place())
        return self.record(Kind.SESSION, changed(made, changes), name)

    def cdr(self, name: str = "C1", at: float = 0, party: str = "", **changes: Any) -> Record:
        made = samples.session(start=START + at * HOUR, auth_id=self.driver, at=place())
        return self.record(Kind.CDR, changed(samples.cdr(name, of=made), changes), name.upper(), party=party)

    def credit(self, name: str = "CREDIT", cost: str = "-4.25", **changes: Any) -> Record:
        return self.cdr(name, total_cost=Decimal(cost), **changes)

    def location(self, name: str = "LOC1") -> list[Record]:
        whole = samples.location(name)
        bare = changed(whole, {"evses": ...})
        evses = [self.record(Kind.EVSE, each, each["uid"], name) for each in whole["evses"]]
        return [self.record(Kind.LOCATION, bare, name), *evses]

    def tariff(self, name: str, currency: str, **changes: Any) -> Record:
        return self.record(Kind.TARIFF, changed(samples.tariff(name, currency=currency), changes), name)

    def token(self, uid: str = "", **changes: Any) -> Record:
        made = samples.token(uid or f"U{self.number}", auth_id=self.driver)
        document = changed(made, changes)
        return Record(Key(Kind.TOKEN, "IT", "BEC", document["uid"], "RFID"), encode(document), START, START)


def at(location: str, evse: int | None = 0, **changes: Any) -> Document:
    """A changed copy of a place."""
    return place(location, evse, **changes)


def weak() -> Document:
    """A connector of 11 kW: in the hour of a session, with a tenth more, 12.1 kWh."""
    return samples.connector() | {"amperage": 16}


def ending(after: timedelta) -> Document:
    """A session that ends so long after its start."""
    return {"stop_date_time": stamp(START + after), "last_updated": stamp(START + after + HOUR)}


def period(minute: int) -> Document:
    """A charging period, so many minutes after the start."""
    energy = {"type": "ENERGY", "volume": Decimal("12.5")}
    return {"start_date_time": stamp(START + minute * HOUR / 60), "dimensions": [energy]}


OTHER_EVSE: dict[str, Any] = {"evse_id": "NL*TNM*E999"}
Story = tuple[str, Callable[[Told], Sequence[Record | list[Record]]], list[str]]

STORIES: list[Story] = [
    ("all is known", lambda it: [it.cdr(), it.session(), it.token(), it.location()], []),
    ("a duplicate", lambda it: [it.cdr(), it.cdr("C2"), it.token()], ["duplicate"]),
    ("a duplicate, the driver in another case",
     lambda it: [it.cdr(), it.cdr("C2", auth_id=it.driver.lower()), it.token()], ["duplicate"]),
    ("a duplicate over another connection",
     lambda it: [it.cdr(), it.cdr("C1", party="HUB", location=at("X1")), it.token()], ["duplicate"]),
    ("at once at another CPO", lambda it: [it.cdr(), it.cdr("C1", party="FAR", location=at("LOC1", **OTHER_EVSE)),
                                           it.token()], ["session.overlap"]),
    ("back to back", lambda it: [it.cdr(), it.cdr("C2", at=1.25), it.cdr("C3", at=-1.25), it.token()], []),
    ("at two places", lambda it: [it.cdr(), it.cdr("C2", at=1, location=at("LOC2", **OTHER_EVSE)), it.token()],
     ["session.overlap"]),
    ("two drivers on a connector", lambda it: [it.cdr(), it.cdr("C2", at=1, auth_id=f"{it.driver}X"), it.token()],
     ["connector.shared"]),
    ("two drivers at LOC1 of two CPOs",
     lambda it: [it.cdr(), it.cdr("C2", at=1, auth_id=f"{it.driver}X", party="ABC"), it.token()], []),
    ("no token of ours", lambda it: [it.cdr()], ["token.unknown"]),
    ("a token in another case", lambda it: [it.cdr(auth_id=it.driver.lower()), it.token()], []),
    ("a token without its separators", lambda it: [it.cdr(auth_id=f"DE-8AC-C{it.number:06}"), it.token()], []),
    ("the uid for the auth_id", lambda it: [it.cdr(auth_id=f"u{it.number}"), it.token(auth_id="OTHER")], []),
    ("blocked before", lambda it: [it.cdr(), it.token(valid=False, last_updated=stamp(START - DAY))],
     ["token.blocked"]),
    ("blocked after", lambda it: [it.cdr(), it.token(valid=False, last_updated=stamp(START + DAY))], []),
    ("one of two tokens is blocked",
     lambda it: [it.cdr(), it.token(valid=False, last_updated=stamp(START - DAY)), it.token(f"V{it.number}")], []),
    ("no such location", lambda it: [it.cdr(), it.location("LOC2"), it.token()], ["location.unknown"]),
    ("a location in another case", lambda it: [it.cdr(), it.location("loc1"), it.token()], []),
    ("no such EVSE", lambda it: [it.cdr(location=at("LOC1", uid="E9", **OTHER_EVSE)), it.location(), it.token()],
     ["evse.unknown"]),
    ("an EVSE in another case", lambda it: [it.cdr(location=at("LOC1", uid="loc1-e1")), it.location(), it.token()], []),
    ("an EVSE by its id alone", lambda it: [it.cdr(location=at("LOC1", uid="X", evse_id="nltnme000001-1")),
                                            it.location(), it.token()], []),
    ("no such connector", lambda it: [it.cdr(location=at("LOC1", connectors=[samples.connector("9")])), it.location(),
                                      it.token()], ["connector.unknown"]),
    ("ahead of the clock", lambda it: [it.cdr(at=24 * 30), it.token()], ["time.ahead"]),
    ("late", lambda it: [it.cdr(last_updated=stamp(START + 60 * DAY)), it.token()], ["cdr.late"]),
    ("another currency", lambda it: [it.cdr(currency="SEK"), it.tariff("T1", "EUR"), it.tariff("T2", "EUR"),
                                     it.token()], ["currency.unusual"]),
    ("the currency of a tariff", lambda it: [it.cdr(currency="SEK"), it.tariff("T1", "EUR"), it.tariff("T2", "SEK"),
                                             it.token()], []),
    ("a credit", lambda it: [it.credit(), it.cdr(), it.token()], []),
    ("a credit without an original", lambda it: [it.credit(), it.cdr(at=8), it.token()], ["credit.without_original"]),
    ("a credit that names its CDR",
     lambda it: [it.credit(credit_reference_id="c1"), it.cdr(at=8), it.token()], []),
    ("a credit given twice", lambda it: [it.credit(), it.cdr(), it.credit("AGAIN"), it.token()], ["credit.repeated"]),
    ("a credit of another amount", lambda it: [it.credit(cost="-4.00"), it.cdr(), it.token()], ["credit.amount"]),
    ("other times than the session",
     lambda it: [it.cdr(), it.session(end_datetime=stamp(START + HOUR)), it.token()], ["session.times"]),
    ("the session is that of another CDR", lambda it: [it.cdr(), it.cdr("S1", at=1.25), it.session(at=1.25),
                                                       it.token()], []),
    ("a month at the charger, and twice",
     lambda it: [long(it.cdr()), long(it.cdr("C2")), it.token()], ["duplicate", "session.long"]),
    ("more than the connector gives", lambda it: [it.cdr(total_energy=Decimal(25)), it.token()], ["power.exceeded"]),
    ("the stored connector is the stronger one",
     lambda it: [it.cdr(total_energy=Decimal(25), location=at("LOC1", connectors=[weak()])), it.location(), it.token()],
     ["power.exceeded"]),
    ("all of 16 A", lambda it: [it.cdr(location=at("LOC1", connectors=[weak()])), it.token()], ["power.exceeded"]),
    ("all of 16 A, stored with 32", lambda it: [it.cdr(location=at("LOC1", connectors=[weak()])), it.location(),
                                                it.token()], []),
    ("a total of 0 of a stored tariff",
     lambda it: [it.cdr(total_cost=Decimal(0)), it.tariff("TAR1", "EUR"), it.token()],
     ["energy.without_cost", "cost.zero"]),
    ("a total of 0 of a tariff that came later",
     lambda it: [it.cdr(total_cost=Decimal(0)), it.tariff("TAR1", "EUR", last_updated=stamp(START + DAY)), it.token()],
     ["energy.without_cost"]),
    ("cost without energy", lambda it: [it.cdr(total_energy=Decimal(0)), it.token()], ["cost.without_energy"]),
    ("a tariff dearer than the published one",
     lambda it: [it.cdr(tariffs=[samples.tariff(energy_price=Decimal("0.31"))]), it.tariff("TAR1", "EUR"), it.token()],
     ["tariff.dearer"]),
    ("a tariff cheaper than the published one",
     lambda it: [it.cdr(tariffs=[samples.tariff(energy_price=Decimal("0.29"))]), it.tariff("TAR1", "EUR"), it.token()],
     []),
    ("a day and a bit", lambda it: [it.cdr(**ending(25 * HOUR)), it.token()], ["session.long"]),
    ("half a minute", lambda it: [it.cdr(**ending(HOUR / 120)), it.token()],
     ["power.exceeded", "session.short", "periods.after_stop"]),
    ("the first period is late", lambda it: [it.cdr(charging_periods=[period(10)]), it.token()], ["periods.late"]),
    ("the last period is after the end", lambda it: [it.cdr(charging_periods=[period(0), period(80)]), it.token()],
     ["periods.after_stop"]),
    ("2,000 kWh in a month", lambda it: [it.cdr(total_energy=Decimal(2000), **ending(10 * DAY)), it.token()],
     ["session.long", "energy.high"]),
    ("nothing else can be read", lambda it: [it.cdr(), it.token(), *broken(it)], []),
]  # fmt: skip


def long(record: Record) -> Record:
    """Of a car that stayed for 11 days."""
    document = decode(Cdr, record.document)
    text = record.document.replace(stamp(document.stop_date_time).encode(), stamp(START + 11 * DAY).encode())
    return Record(record.key, text, START + 11 * DAY, START + 11 * DAY)


def broken(it: Told) -> list[Record]:
    """Documents of the party that have no reading."""
    keys = [
        Key(Kind.SESSION, "NL", it.party, "C1"),
        Key(Kind.CDR, "NL", it.party, "C9"),
        Key(Kind.TARIFF, "NL", it.party, "T1"),
        Key(Kind.LOCATION, "NL", it.party, "LOC1"),
        Key(Kind.EVSE, "NL", it.party, "LOC1-E1", "LOC1"),
    ]
    return [Record(key, b"{}", START, START) for key in keys]


def test_an_audit_and_a_reconciliation_name_what_is_suspicious(any_store: MemoryStore | SqlStore) -> None:
    emsp = offline_emsp(store=any_store)
    context = emsp._contexts()
    told = [Told(number) for number in range(len(STORIES))]
    written = [flat(tell(it)) for it, (_, tell, _) in zip(told, STORIES, strict=True)]

    async def put() -> None:
        async with context.store.transaction() as tx:
            for each in written:
                for record in sorted(each, key=lambda record: record.key.kind == Kind.EVSE):
                    await tx.put(record)

    run(put())
    for (name, _, expected), records in zip(STORIES, written, strict=True):
        _, country_code, party_id, cdr_id, _ = records[0].key
        party = f"{country_code}-{party_id}"
        audited = [each.code for each in emsp.cdrs.audit(party, cdr_id).reasons if REASONS[each.code].plausibility]
        found = emsp.partner(party).reconcile(date_from=START - 9 * DAY).suspicious
        reconciled = [each.code for each in found if each.cdr.id.upper() == cdr_id]
        # the times of a session are a difference in a reconciliation
        assert (name, audited, reconciled) == (name, expected, [code for code in expected if code != "session.times"])


def test_it_is_the_same_awaited() -> None:
    emsp, it = offline_emsp(), Told(1)
    context = emsp._contexts()

    async def put() -> None:
        async with context.store.transaction() as tx:
            for record in (it.cdr(), it.cdr("C2"), it.token()):
                await tx.put(record)

    async def look() -> list[str]:
        audit = await emsp.aio.cdrs.audit("NL-001", "C1")
        found = await emsp.aio.partner("NL-001").reconcile()
        return [each.code for each in (*audit.reasons, *found.suspicious)]

    run(put())
    assert anyio.run(look) == ["tariff.missing", "duplicate", "duplicate", "duplicate"]


def flat(records: Sequence[Record | list[Record]]) -> list[Record]:
    return [each for some in records for each in (some if isinstance(some, list) else [some])]


async def suspected(gatherer: Gatherer, tx: Transaction, key: Key, party: Party | None = None) -> list[str]:
    record = await tx.get(key)
    assert record is not None
    cdr = decode(Cdr, record.document, updated=record.last_updated)
    around = await gatherer.around(tx, record, cdr, party)
    assert isinstance(around, Surroundings)
    return [reason.code for reason in suspicions(cdr, None, around=around)]


@define
class Counted:
    """A transaction that counts what is asked and what is read."""

    tx: Transaction
    asked: int = 0
    read: int = 0

    async def get(self, key: Key) -> Record | None:
        self.asked += 1
        return await self.tx.get(key)

    async def children(self, key: Key) -> Sequence[Record]:
        self.asked += 1
        return await self.tx.children(key)

    async def page(self, query: Query) -> Page:
        self.asked += 1
        assert query.limit <= NEIGHBOURS + 1
        found = await self.tx.page(query)
        self.read += len(found.records)
        return found


def test_the_work_for_a_cdr_does_not_grow_with_the_store() -> None:
    store, it = MemoryStore(), Told(1)
    context = offline_emsp(store=store)._contexts()
    parts = flat([it.cdr(), it.session(), it.token(), it.location()])

    async def look() -> tuple[int, int]:
        async with context.store.transaction(read_only=True) as tx:
            counted = Counted(tx)
            assert await suspected(Gatherer(context), cast("Transaction", counted), parts[0].key) == []
        return counted.asked, counted.read

    async def put(records: Sequence[Record]) -> None:
        async with context.store.transaction() as tx:
            for record in records:
                await tx.put(record)

    run(put(parts))
    asked, read = run(look())
    assert (asked <= 16, read <= 8) == (True, True)
    run(put([it.cdr(f"E{number}", at=30 + number) for number in range(500)]))
    assert run(look()) == (asked, read + 49), "the party's usual currency is known from 50 CDRs"
    run(put([it.cdr(f"D{number}") for number in range(500)]))

    async def doubled() -> tuple[int, int]:
        async with context.store.transaction(read_only=True) as tx:
            counted = Counted(tx)
            found = await suspected(Gatherer(context), cast("Transaction", counted), parts[0].key)
            assert found == ["duplicate", "neighbours.limit"]
        return counted.asked, counted.read

    crowded = asked + 4, read + 49 + 2 * (NEIGHBOURS + NEIGHBOURS // 2)
    assert run(doubled()) == crowded, "of the driver and of the location: the first, then those before and after"
    run(put([it.cdr(f"D{number}") for number in range(500, 1000)]))
    run(put([it.session(f"S{number}") for number in range(2, 100)]))
    more = run(doubled())
    assert more == (asked + 6, crowded[1] + SESSIONS + SESSIONS // 2)
    run(put([it.session(f"S{number}") for number in range(100, 200)]))
    assert run(doubled()) == more
