"""An eMSP on a store, and a CPO that is its partner: no network, many requests at once.

Rules of this module:
- requests are made through ``Emsp.handle`` and ``emsp.aio.handle``, as by a server: each worker is a thread of the sync
  host, or a task in the loop of the async host;
- the clock stands still, so that equal responses have equal bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
from attrs import define, field, frozen

from ocpi_emsp.emsp import Emsp
from ocpi_emsp.flows.core.settings import CredentialLimits, InboundLimits, Limits
from ocpi_emsp.flows.parties.party import Party, find_party
from ocpi_emsp.ports import AnyStore, Kind
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.testing.contract.tools import SECONDS, ContractTools
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.transports.library import http
from ocpi_emsp.wire import Request, Response

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
CPO_TOKEN = "token-of-the-cpo"
_BASE = "https://cpo.test/cpo"


class StandingClock:
    """Always the same moment."""

    def now(self) -> datetime:
        """Return NOW."""
        return NOW


@frozen
class Answer:
    """The response to a request."""

    http_status: int
    status_code: int
    message: str
    data: Any
    location: str | None
    body: bytes

    @classmethod
    def of(cls, response: Response) -> Answer:
        """Return the parsed response."""
        envelope = msgspec.json.decode(response.body)
        code, message = envelope["status_code"], str(envelope.get("status_message"))
        location = dict(response.headers).get("location")
        return cls(response.status, code, message, envelope.get("data"), location, response.body)

    @property
    def is_stored(self) -> bool:
        """True if the object was accepted and changed."""
        return self.status_code == 1000 and "stored: " not in self.message  # "not stored: why"


@define
class Site:
    """The CPO's server during a handshake. A ``meeting`` holds its visitors until all have arrived."""

    meeting: threading.Barrier | None = None
    waiting: list[anyio.Event] = field(factory=list)

    def answer(self, request: http.Request) -> http.Response:
        """Answer for the sync host."""
        if self.meeting is not None and request.url.path.endswith("/versions"):
            self.meeting.wait(SECONDS)
        return self._page(request)

    async def answer_async(self, request: http.Request) -> http.Response:
        """Answer for the async host."""
        if self.meeting is not None and request.url.path.endswith("/versions"):
            # One loop resumes all of them together; one thread each would resume some after others have ended.
            self.waiting.append(come := anyio.Event())
            if len(self.waiting) == self.meeting.parties:
                for each in self.waiting:
                    each.set()
            with anyio.fail_after(SECONDS):
                await come.wait()
        return self._page(request)

    def _page(self, request: http.Request) -> http.Response:
        if request.headers["authorization"] != f"Token {CPO_TOKEN}":
            return http.Response(401)
        endpoints = [{"identifier": name, "url": f"{_BASE}/2.1.1/{name}"} for name in ("credentials", "locations")]
        data: Any = {"version": "2.1.1", "endpoints": endpoints}
        if request.url.path.endswith("/versions"):
            data = [{"version": "2.1.1", "url": f"{_BASE}/2.1.1"}]
        return http.Response(200, json={"data": data, "status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"})


CREDENTIALS = {
    "token": CPO_TOKEN,
    "url": f"{_BASE}/versions",
    "business_details": {"name": "The New Motion"},
    "party_id": "TNM",
    "country_code": "NL",
}


_UNLIMITED = Limits(
    inbound=InboundLimits(
        requests_per_second=None, concurrent_requests=None, bytes_per_minute=None, unknown_tokens_per_minute=None
    ),
    credentials=CredentialLimits(concurrent_handshakes=100, concurrent_handshakes_of_a_party=100),
)
"""No limits: the test is about the load on the store."""


@define
class Partner:
    """The CPO NL-TNM and the eMSP that it calls."""

    contract: ContractTools
    store: AnyStore
    emsp: Emsp
    site: Site
    token: str = ""

    @classmethod
    def of(cls, contract: ContractTools, store: AnyStore) -> Partner:
        """Return a CPO that has token A."""
        site = Site()
        emsp = Emsp(
            country_code="IT",
            party_id="BEC",
            name="Be Charge",
            url="https://emsp.test/ocpi/emsp",
            store=store,
            matrix=SupportMatrix.full(),
            limits=_UNLIMITED,
            clock=StandingClock(),
            http_client=lambda: http.Client(transport=http.MockTransport(site.answer)),
            aio_http_client=lambda: http.AsyncClient(transport=http.MockTransport(site.answer_async)),
        )
        invite = (
            contract.call(lambda: emsp.aio.parties.invite("NL-TNM"))
            if is_async(contract)
            else emsp.parties.invite("NL-TNM")
        )
        return cls(contract, store, emsp, site, invite.token_a.reveal())

    def register(self) -> Partner:
        """Exchange credentials."""
        answer = self.send(self.request("POST", "credentials", CREDENTIALS))
        assert (answer.http_status, answer.status_code) == (201, 1000), answer
        self.token = answer.data["token"]
        return self

    def request(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Request:
        """Return a request; ``path`` is below /2.1.1, its ``*`` stands for the party."""
        content = b"" if body is None else body if isinstance(body, bytes) else encode(body)
        headers = {"authorization": f"Token {token or self.token}"}
        return Request(method, "/2.1.1/" + path.replace("*", "NL/TNM"), headers=headers, body=content)

    def send(self, request: Request) -> Answer:
        """Send one request."""
        ((answer,),) = self.at_once([request])
        return answer

    def at_once(self, *queues: Sequence[Request]) -> list[list[Answer]]:
        """Send all queues at the same time, the requests of each one by one; return the responses of every queue."""
        if is_async(self.contract):
            answers = self.contract.call(lambda: self._tasks(queues))
        else:
            with ThreadPoolExecutor(len(queues)) as threads:
                answers = list(threads.map(lambda queue: [self.emsp.handle(request) for request in queue], queues))
        return [[Answer.of(answer) for answer in each] for each in answers]

    def meeting(self, request: Request, *, times: int) -> list[list[Answer]]:
        """Send a request of a handshake ``times`` times at once; all of them visit us before one ends."""
        self.site.meeting = threading.Barrier(times)
        try:
            return self.at_once(*[[request]] * times)
        finally:
            self.site.meeting = None
            self.site.waiting.clear()

    async def _tasks(self, queues: Sequence[Sequence[Request]]) -> list[list[Response]]:
        answers: list[list[Response]] = [[] for _ in queues]

        async def worker(queue: Sequence[Request], into: list[Response]) -> None:
            for request in queue:
                into.append(await self.emsp.aio.handle(request))

        async with anyio.create_task_group() as group:
            for queue, into in zip(queues, answers, strict=True):
                group.start_soon(worker, queue, into)
        return answers

    def knows(self, token: str) -> bool:
        """Return True if a request with this token is served."""
        answer = self.send(self.request("GET", "credentials", token=token))
        assert answer.http_status in (200, 401), answer
        return answer.http_status == 200

    def party(self) -> Party | None:
        """Return the party that the eMSP stored for this CPO."""
        found: Party | None = self.contract.run(self.store, lambda tx: find_party(tx, "NL", "TNM"))
        return found

    def tokens_stored(self) -> int:
        """Return how many tokens belong to a party, according to the store."""
        return self.contract.records(self.store, Kind.CREDENTIAL).total


def is_async(contract: ContractTools) -> bool:
    """Return True if the contract is for async hosts."""
    return contract.mode == "async"
