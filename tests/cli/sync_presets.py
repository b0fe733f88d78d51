"""The simulated CPO, served over real HTTP, and a database that knows it: for `ocpi-emsp sync` against every preset.

Rules:
- a CPO of its own for each test, since what vanished or was added stays so, behind one server for all;
- one database for all, emptied for each test: opening one takes longer than a sync, and is tested elsewhere;
- the two know each other without a handshake: no server of ours has to run, except where a test renews the credentials;
- a wait before a retry takes no time, but moves the clocks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from typing import Any, TypeAlias, TypeVar

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cli import filled
from cli.conftest import SECONDS, Command
from ocpi_emsp import Emsp
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.parties.party import Party, PartyState, find_party, issue, put_party
from ocpi_emsp.models import Endpoint, ModuleID
from ocpi_emsp.ports import Kind, Query, Record, Transaction
from ocpi_emsp.storage import SqlStore, metadata
from ocpi_emsp.testing.cpo import SimulatedCpo
from ocpi_emsp.testing.cpo.wire import encode, timestamp
from ocpi_emsp.wire import Request
from our_emsp import make_emsp, token

Document: TypeAlias = dict[str, Any]
T = TypeVar("T")

WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url-policy", "loopback")
KINDS: Mapping[str, str] = {
    "locations": Kind.LOCATION,
    "tariffs": Kind.TARIFF,
    "sessions": Kind.SESSION,
    "cdrs": Kind.CDR,
}
"""What is pulled, in the order of a sync."""
OWNER = ("NL", "TNM")
COUNT = 12
"""Objects of each module."""
PAGE = 5
"""Objects of a page: there are three pages of each module."""
TOKENS = ("TOKEN1", "TOKEN2", "TOKEN3")
ISSUED = "the-token-that-the-CPO-presents"


@define
class Waits:
    """Waits that take no time, and clocks that go on by them."""

    seconds: list[float] = field(factory=list)

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def monotonic(self) -> float:
        """What the CPO counts requests per second by."""
        return sum(self.seconds)

    def now(self, _: object = None) -> datetime:
        """The time of the eMSP."""
        return datetime.now(UTC) + timedelta(seconds=self.monotonic())


@define
class Server:
    """A server for any CPO."""

    origin: str = ""
    application: Any = None
    requests: list[str] = field(factory=list)

    loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.loop = asyncio.get_running_loop()
        await self.application(scope, receive, send)

    def close(self, cpo: SimulatedCpo) -> None:
        """Close the connections that a CPO made when it was called."""
        if self.loop is not None:
            asyncio.run_coroutine_threadsafe(cpo.aclose(), self.loop).result(SECONDS)


@define
class World:
    """A CPO, the eMSP's database, and the command between them."""

    cpo: SimulatedCpo
    store: SqlStore
    command: Command
    waits: Waits

    def sync(self, *argv: str) -> tuple[int, dict[str, Document]]:
        """Run the command; its exit status, and its report by module."""
        ended = self.command("sync", "NL-TNM", *argv, "--json", *WHO)
        assert ended.err == ""
        assert filled.SECRET not in ended.out
        (report,) = json.loads(ended.out)["parties"]
        return ended.status, {each["module"]: each for each in report["modules"]}

    # --- the CPO ------------------------------------------------------------------------------------------------

    def misbehave(self, preset: str, **deviations: Any) -> None:
        """From now on the CPO deviates; it counts requests per second by our waits."""
        self.cpo.misbehave(preset, monotonic=self.waits.monotonic, **deviations)

    def listed(self) -> dict[str, dict[str, Document]]:
        """All that the CPO has, by module and id."""
        found = {}
        for module in KINDS:
            collection = self.cpo.catalogue.collection(module)
            documents = (collection.document(position) for position in collection.matching(None, None))
            found[module] = {each["id"]: read(encode(each)) for each in documents}
        return found

    # --- the database -------------------------------------------------------------------------------------------

    def emsp(self, url: str = "https://emsp.example.com/ocpi/emsp") -> Emsp:
        """An eMSP on the database."""
        return make_emsp(url=url, store=self.store, url_policy="loopback")

    def know(self) -> None:
        """Have the two registered with each other."""
        registration = self.cpo.registration
        registration.complete(
            server_token=filled.SECRET,
            client_token=ISSUED,
            emsp={"country_code": "IT", "party_id": "BEC", "url": "https://emsp.example.com/ocpi/emsp/versions"},
            endpoints={},
        )
        now = datetime.now(UTC)
        party = Party(
            country_code="NL",
            party_id="TNM",
            state=PartyState.REGISTERED,
            issued=(issue(ISSUED, now),),
            token=filled.SECRET,
            versions_url=self.cpo.versions_url,
            endpoints=tuple(
                Endpoint(identifier=ModuleID(name), url=self.cpo.endpoint("2.1.1", name))
                for name in (*KINDS, "tokens", "credentials")
            ),
        )
        self.in_transaction(lambda tx: put_party(tx, party, now))
        for uid in TOKENS:
            self.emsp().tokens.put(token(uid))

    def party(self) -> Party:
        """The CPO as the database has it."""
        party = self.in_transaction(lambda tx: find_party(tx, *OWNER))
        assert party is not None
        return party

    def put_party(self, party: Party) -> None:
        """Change what the database knows of the CPO."""
        self.in_transaction(lambda tx: put_party(tx, party, datetime.now(UTC)))

    def invalidate(self, uid: str) -> None:
        """A driver lost this token."""
        self.emsp().tokens.put(token(uid, valid=False, last_updated=datetime.now(UTC)))

    def tokens(self) -> dict[str, bool]:
        """The tokens that the CPO has: whether each is valid."""
        return {each["uid"]: each["valid"] for each in self.cpo.tokens}

    def push(self, method: str, path: str, body: Document) -> int:
        """A push of the CPO; the HTTP status of the answer."""
        headers = {"authorization": f"Token {ISSUED}"}
        return self.emsp().handle(Request(method, f"/2.1.1/{path}", "", headers, encode(body))).status

    def records(self, kind: str) -> Sequence[Record]:
        """Everything of a kind that is the CPO's."""
        query = Query(kind=kind, country_code="NL", party_id="TNM", limit=100_000)
        return self.in_transaction(lambda tx: tx.page(query)).records

    def stored(self) -> dict[str, dict[str, Document]]:
        """All that is stored, by module and id; each object as it was received."""
        found = {
            module: {record.key.id: read(record.document) for record in self.records(kind)}
            for module, kind in KINDS.items()
        }
        for record in self.records(Kind.EVSE):
            found["locations"][record.key.parent].setdefault("evses", []).append(read(record.document))
        return found

    def missing(self, module: str) -> list[str]:
        """The ids of what the CPO does not list any more."""
        return [record.key.id for record in self.records(KINDS[module]) if record.missing_since is not None]

    def in_transaction(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """What the work gives."""

        async def working() -> T:
            async with lift_store(self.store, in_place).transaction() as tx:
                return await work(tx)

        return run(working())


def read(document: bytes) -> Document:
    """A document, its numbers exact."""
    found: Document = json.loads(document, parse_float=Decimal)
    return found


def a_minute_ago() -> str:
    """Within the next window, and not within what was listed long ago."""
    return timestamp(datetime.now(UTC) - timedelta(minutes=1))


def self_signed() -> bytes:
    """A key, and a certificate of 127.0.0.1 that it signed itself, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CPO")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem)


def world_of(server: Server, store: SqlStore, command: Command, waits: Waits, **settings: Any) -> World:
    """A CPO with twelve objects of each module on three pages, and an empty database that knows it."""
    counts = dict.fromkeys(KINDS, COUNT) | {"evses": 1, "page_limit": PAGE}
    cpo = SimulatedCpo(**{**counts, **settings}, url=server.origin)
    server.application = cpo.app
    with store._engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    world = World(cpo, store, command, waits)
    world.know()
    return world
