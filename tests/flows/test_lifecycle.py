"""The life of a registration: renewed by either side, or both at once, moved, ended, killed in the middle."""

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from attrs import define, evolve, field

from flows.support import FakeClock, Peer, envelope, make_emsp
from ocpi_emsp import (
    AlreadyRegistered,
    CannotUseApi,
    Emsp,
    Event,
    InvalidObject,
    Limits,
    MissingEndpoints,
    NotRegistered,
    NotSupported,
    OcpiError,
    PartyRegistered,
    PartyUpdated,
    Request,
    StoreFailed,
    SupportMatrix,
    TransportFailed,
    UnsupportedVersion,
)
from ocpi_emsp._bridge import run
from ocpi_emsp.flows.handshake import TRANSITIONS, UNKNOWN, Nobody, PartyChange, Refused
from ocpi_emsp.flows.parties import Party, PartyState, put_party, read_party
from ocpi_emsp.flows.partner_api import MOST_ENDPOINTS
from ocpi_emsp.kept.parties import AsyncParties, Parties
from ocpi_emsp.ports import Kind, Query, Transaction
from ocpi_emsp.storage import MemoryStore

DOCS = Path(__file__).parents[2] / "docs" / "credentials.md"


class Killed(BaseException):
    """The process dies here."""


@define
class Mortal:
    """A store that this process cannot reach once it is dead; others can."""

    kept: MemoryStore = field(factory=MemoryStore)
    dead: bool = False

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        if self.dead:
            raise StoreFailed("the process is gone")
        return self.kept.transaction(read_only=read_only)


@define
class Cpo:
    """A CPO in this process. It takes the tokens in ``taken``; ``before`` is done before a request is answered."""

    emsp: Emsp | None = None
    base: str = "https://tnm.test/cpo"
    taken: list[str] = field(factory=lambda: ["token-a-of-the-cpo"])
    ours: list[str] = field(factory=list)
    """The tokens that it got from us, oldest first."""
    keeps: int = 2
    """How many of its own tokens it takes at once."""
    versions: Any = None
    details: Any = None
    before: dict[str, Callable[[httpx.Request], httpx.Response | None]] = field(factory=dict)
    requests: list[str] = field(factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = f"{request.method} {request.url.path.removeprefix('/cpo')}"
        self.requests.append(f"{request.method} {request.url}")
        token = request.headers["authorization"].removeprefix("Token ")
        if token not in self.taken:
            return httpx.Response(401, json=envelope(None, 2000))
        told = self.before[name](request) if name in self.before else None
        if told is not None:
            return told
        if request.method == "GET":
            return self.get(request)
        return self.take(request)

    def get(self, request: httpx.Request) -> httpx.Response:
        base = f"https://{request.url.host}/cpo"
        modules = ("credentials", "locations", "tokens")
        listed = [{"identifier": name, "url": f"{base}/2.1.1/{name}"} for name in modules]
        if request.url.path.endswith("/versions"):
            return httpx.Response(200, json=envelope(self.versions or [{"version": "2.1.1", "url": f"{base}/2.1.1"}]))
        return httpx.Response(200, json=envelope(self.details or {"version": "2.1.1", "endpoints": listed}))

    def take(self, request: httpx.Request) -> httpx.Response:
        """POST, PUT, PATCH: our versions are read with the token before the answer, which has a fresh one."""
        if request.method == "DELETE":
            self.taken.clear()
            return httpx.Response(200, json=envelope(None))
        ours = json.loads(request.content)["token"]
        assert opens(self.reached, ours, "/versions")
        self.ours.append(ours)
        return httpx.Response(200, json=envelope(self.credentials()))

    @property
    def reached(self) -> Emsp:
        assert self.emsp is not None
        return self.emsp

    def credentials(self, **changes: Any) -> dict[str, Any]:
        """Its credentials, with a fresh token."""
        self.taken = [*self.taken, f"token-{len(self.requests)}-{len(self.taken)}-of-the-cpo"][-self.keeps :]
        details = {"name": "The New Motion"}
        codes = {"country_code": "NL", "party_id": "TNM"}
        return {
            "token": self.taken[-1],
            "url": f"{self.base}/versions",
            "business_details": details,
            **codes,
            **changes,
        }

    def renew(self, method: str = "PUT") -> int:
        """PUT of its credentials to us; the HTTP status and, where we refuse, nothing changes."""
        before = list(self.taken)
        cpo = Peer(self.reached, FakeClock(), MemoryStore(), self.ours[-1])
        answer = cpo.push(method, "credentials", self.credentials())
        if answer.code != 1000:
            self.taken = before
            return answer.code
        self.ours.append(answer.data["token"])
        return answer.code


@define
class Scene:
    """An eMSP and its CPO."""

    cpo: Cpo
    store: Mortal
    clock: FakeClock
    events: list[Event]
    emsp: Emsp

    def register(self) -> Party:
        party = self.emsp.register("https://tnm.test/cpo/versions", token_a="token-a-of-the-cpo")
        self.cpo.taken = self.cpo.taken[-1:]
        return party

    def party(self) -> Party:
        found = self.emsp.parties.get("nl", "tnm")
        assert found is not None
        return found

    def restart(self) -> None:
        """Another process on the same store."""
        self.store = Mortal(self.store.kept)
        self.emsp = self.cpo.emsp = emsp_with(self.cpo, self.store, self.clock)

    def reaches_it(self) -> bool:
        """Whether the CPO lets us in."""
        with self.emsp.client("NL", "TNM") as client:
            try:
                return bool(client.versions())
            except OcpiError:
                return False

    def stored(self, state: PartyState) -> list[Party]:
        """Every record of a party in this state, placeholders too."""
        return [party for party in all_parties(self.store) if party.state is state]


def emsp_with(cpo: Cpo, store: Mortal, clock: FakeClock, **settings: Any) -> Emsp:
    http = lambda: httpx.Client(transport=httpx.MockTransport(cpo))  # noqa: E731 # one line says it
    return make_emsp(clock=clock, store=store, http_client=http, **settings)


def scene(*, registered: bool = True, **settings: Any) -> Scene:
    cpo, store, clock, events = Cpo(), Mortal(), FakeClock(), list[Event]()
    cpo.emsp = emsp = emsp_with(cpo, store, clock, **settings)
    emsp.on(Event)(events.append)
    made = Scene(cpo, store, clock, events, emsp)
    if registered:
        made.register()
        events.clear()
        cpo.requests.clear()
    return made


def opens(emsp: Emsp, token: str, path: str = "/2.1.1/tokens") -> bool:
    """Whether a token opens something of ours."""
    status = emsp.handle(Request("GET", path, "", {"authorization": f"Token {token}"}, b"")).status
    assert status in (200, 401), status
    return status == 200


def all_parties(store: Mortal) -> list[Party]:
    async def read() -> list[Party]:
        async with store.kept.transaction() as tx:
            return [read_party(each.document) for each in (await tx.page(Query(kind=Kind.PARTY))).records]

    return run(read())


# --- both colours ---------------------------------------------------------------------------------------------------


def test_both_colours_have_the_same_methods() -> None:
    names = [name for name, _ in inspect.getmembers(Parties, inspect.isfunction) if not name.startswith("_")]
    assert {"doctor", "examine", "get", "list", "rotate", "unregister", "update"} <= set(names)
    for name in names:
        assert inspect.signature(getattr(Parties, name)) == inspect.signature(getattr(AsyncParties, name)), name
        assert inspect.iscoroutinefunction(getattr(AsyncParties, name)), name


def test_a_registration_through_its_life_awaited() -> None:
    here = scene()
    emsp = here.cpo.emsp = emsp_with(
        here.cpo,
        here.store,
        here.clock,
        async_http_client=lambda: httpx.AsyncClient(transport=httpx.MockTransport(here.cpo)),
    )

    async def live() -> None:
        parties = emsp.async_parties
        assert [str(party) for party in await parties.list()] == ["NL-TNM"]
        first = await parties.get("NL", "TNM")
        second = await parties.rotate("NL", "TNM")
        third = await parties.update("NL", "TNM")
        assert first is not None
        assert len({first.token, second.token, third.token}) == 3
        assert (await parties.examine("NL", "TNM")).reachable
        assert (await parties.doctor("https://tnm.test/cpo/versions", here.cpo.taken[-1])).reachable
        await parties.unregister("NL", "TNM")
        assert await parties.list() == []

    anyio.run(live)


# --- who is registered ----------------------------------------------------------------------------------------------


def test_parties_are_listed_page_by_page_and_show_no_token() -> None:
    here = scene()
    here.emsp.invite("FR", "ABC", required_modules=["CDRs"])
    first, second = here.emsp.parties.list()
    assert (str(first), first.state) == ("NL-TNM", PartyState.REGISTERED)
    assert (str(second), second.state) == ("FR-ABC", PartyState.INVITED)
    assert second.profile.required_modules == ("cdrs",)
    assert here.emsp.parties.list(limit=1) == [first]
    assert here.emsp.parties.list(after=first.sequence, limit=1) == [second]
    assert here.emsp.parties.list(after=second.sequence) == []
    assert here.emsp.parties.get("fr", "abc") == second
    assert here.emsp.parties.get("XX", "XXX") is None
    assert not [token for token in here.cpo.taken if token in repr(first)]


def test_a_handshake_under_way_is_no_party_yet() -> None:
    here = scene(registered=False)
    listed: list[list[Party]] = []
    here.cpo.before["POST /2.1.1/credentials"] = lambda _: listed.append(here.emsp.parties.list(limit=1))
    here.register()
    assert listed == [[]]
    assert [str(party) for party in here.emsp.parties.list(limit=1)] == ["NL-TNM"]


# --- renewals -------------------------------------------------------------------------------------------------------


def test_rotating_exchanges_both_tokens_and_reads_the_endpoints_again() -> None:
    here = scene()
    before = here.party()
    rotated = here.emsp.parties.rotate("nl", "tnm")
    assert here.cpo.requests == [
        "PUT https://tnm.test/cpo/2.1.1/credentials",
        "GET https://tnm.test/cpo/versions",
        "GET https://tnm.test/cpo/2.1.1",
    ]
    assert rotated.token == here.cpo.taken[-1] != before.token
    old, new = here.cpo.ours
    assert opens(here.emsp, old)
    assert opens(here.emsp, new)
    assert not opens(here.emsp, old)
    assert [type(event) for event in here.events] == [PartyUpdated]


def test_the_old_token_ends_with_the_grace_time() -> None:
    here = scene(limits=Limits(token_grace=timedelta(hours=5)))
    here.emsp.parties.rotate("NL", "TNM")
    here.clock.advance(hours=4)
    assert opens(here.emsp, here.cpo.ours[0])
    here.clock.advance(hours=2)
    assert not opens(here.emsp, here.cpo.ours[0])
    assert opens(here.emsp, here.cpo.ours[1])


def only(*methods: str) -> SupportMatrix:
    """The full matrix, with our renewals by these methods alone."""
    full = (
        SupportMatrix.full().to_csv().replace("credentials,MSP -> CPO,PUT|PATCH", "credentials,MSP -> CPO,DELETE|POST")
    )
    lines = [f"credentials,MSP -> CPO,{method},/credentials,yes,\n" for method in methods]
    return SupportMatrix.from_csv(full + "".join(lines))


def test_where_the_matrix_has_only_patch_a_renewal_is_one() -> None:
    here = scene(matrix=only("PATCH"))
    here.emsp.parties.rotate("NL", "TNM")
    here.emsp.parties.update("NL", "TNM")
    assert [each.partition(" ")[0] for each in here.cpo.requests].count("PATCH") == 2


@pytest.mark.parametrize("name", ["rotate", "update"])
def test_what_the_matrix_switches_off_is_not_sent(name: str) -> None:
    here = scene(matrix=only())
    with pytest.raises(NotSupported, match="PUT and PATCH"):
        getattr(here.emsp.parties, name)("NL", "TNM")
    assert here.cpo.requests == []


@pytest.mark.parametrize("name", ["rotate", "unregister", "update"])
@pytest.mark.parametrize("state", ["invited", "unknown"])
def test_who_is_not_registered_is_not_called(name: str, state: str) -> None:
    here = scene(registered=False)
    if state == "invited":
        here.emsp.invite("NL", "TNM")
    with pytest.raises(NotRegistered, match="there is no registration with NL-TNM"):
        getattr(here.emsp.parties, name)("NL", "TNM")
    assert here.cpo.requests == []


def test_a_partner_that_moved_is_updated_where_it_is_now() -> None:
    here = scene()
    here.cpo.base = "https://new.test/cpo"
    updated = here.emsp.parties.update("NL", "TNM", versions_url="https://new.test/cpo/versions")
    assert here.cpo.requests == [
        "GET https://new.test/cpo/versions",
        "GET https://new.test/cpo/2.1.1",
        "PUT https://new.test/cpo/2.1.1/credentials",
        "GET https://new.test/cpo/versions",
        "GET https://new.test/cpo/2.1.1",
    ]
    assert updated.versions_url == "https://new.test/cpo/versions"
    assert updated.endpoint("locations") == "https://new.test/cpo/2.1.1/locations"
    assert here.reaches_it()


def test_a_partner_that_names_its_old_url_is_taken_where_it_answers() -> None:
    here = scene()

    def gone(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(404) if request.url.host == "tnm.test" else None

    here.cpo.before["GET /versions"] = gone
    updated = here.emsp.parties.update("NL", "TNM", versions_url="https://new.test/cpo/versions")
    assert updated.versions_url == "https://new.test/cpo/versions"
    assert updated.endpoint("locations") == "https://new.test/cpo/2.1.1/locations"
    assert here.reaches_it()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://emsp.test/ocpi/emsp/versions", CannotUseApi),
        ("http://plain.test/versions", CannotUseApi),
        ("versions", CannotUseApi),
        ("https://tnm.test/cpo/nothing/versions", CannotUseApi),
    ],
)
def test_an_update_to_a_url_that_cannot_be_used_changes_nothing(url: str, error: type[OcpiError]) -> None:
    here = scene()
    here.cpo.before["GET /nothing/versions"] = lambda _: httpx.Response(500)
    before = here.party()
    with pytest.raises(error):
        here.emsp.parties.update("NL", "TNM", versions_url=url)
    assert here.party() == before
    assert not [each for each in here.cpo.requests if not each.startswith("GET")]


def test_an_answer_of_somebody_else_changes_nothing_and_ends_the_token_that_was_sent() -> None:
    here = scene()
    before = here.party()
    wrong = here.cpo.credentials(party_id="XYZ")
    here.cpo.taken = [before.token or ""]

    def answer(request: httpx.Request) -> httpx.Response | None:
        here.cpo.ours.append(json.loads(request.content)["token"])
        return httpx.Response(200, json=envelope(wrong))

    here.cpo.before["PUT /2.1.1/credentials"] = answer
    with pytest.raises(CannotUseApi, match="NL-TNM answered with the credentials of NL-XYZ"):
        here.emsp.parties.rotate("NL", "TNM")
    assert here.party() == before
    assert opens(here.emsp, here.cpo.ours[0])
    assert not opens(here.emsp, here.cpo.ours[1])


# --- answers that are lost ------------------------------------------------------------------------------------------


def lost(here: Scene, *, after_it_took: bool) -> Callable[[httpx.Request], httpx.Response | None]:
    """A PUT of ours whose answer does not come."""

    def lose(request: httpx.Request) -> httpx.Response | None:
        if after_it_took:
            here.cpo.take(request)
        raise httpx.ReadTimeout("no answer", request=request)

    return lose


def test_a_rotation_that_the_cpo_took_and_whose_answer_is_lost() -> None:
    here = scene()
    here.cpo.before["PUT /2.1.1/credentials"] = lost(here, after_it_took=True)
    with pytest.raises(TransportFailed):
        here.emsp.parties.rotate("NL", "TNM")
    old, new = here.cpo.ours
    assert opens(here.emsp, old)
    assert opens(here.emsp, new)
    # It takes our old presentation of its token for a while, as we do: the rotation can be run again.
    here.cpo.before.clear()
    here.emsp.parties.rotate("NL", "TNM")
    assert here.reaches_it()
    assert opens(here.emsp, here.cpo.ours[-1])
    assert not opens(here.emsp, old)
    assert not opens(here.emsp, new)


def test_a_rotation_that_never_reached_the_cpo_locks_nobody_out() -> None:
    here = scene()
    here.cpo.before["PUT /2.1.1/credentials"] = lost(here, after_it_took=False)
    with pytest.raises(TransportFailed):
        here.emsp.parties.rotate("NL", "TNM")
    for _ in range(4):
        here.clock.advance(days=1)
        assert opens(here.emsp, here.cpo.ours[0])
    assert len(here.party().issued) == 1


def test_a_renewal_of_the_cpo_whose_answer_is_lost() -> None:
    here = scene()
    used = here.cpo.ours[-1]
    here.cpo.renew()
    here.cpo.ours = [used]
    assert here.cpo.renew() == 1000
    assert opens(here.emsp, here.cpo.ours[-1])
    assert not opens(here.emsp, used)
    assert here.reaches_it()


# --- both at once ---------------------------------------------------------------------------------------------------


def crossed(here: Scene, renewals: list[int]) -> Callable[[httpx.Request], httpx.Response | None]:
    """The CPO renews while our PUT is under way."""

    def renew(_: httpx.Request) -> httpx.Response | None:
        here.cpo.before.pop("PUT /2.1.1/credentials")
        renewals.append(here.cpo.renew())
        return None

    return renew


@pytest.mark.parametrize("days", [0, 1, 3])
@pytest.mark.parametrize("kept", ["ours", "its own"])
@pytest.mark.parametrize("keeps", [1, 3])
def test_both_sides_rotate_at_once(keeps: int, kept: str, days: int) -> None:
    """Whichever of our tokens it goes on with, and whichever of its own it still takes, both sides get in."""
    here, renewals = scene(), list[int]()
    here.cpo.keeps = keeps
    old = here.cpo.ours[-1]
    here.cpo.before["PUT /2.1.1/credentials"] = crossed(here, renewals)
    here.emsp.parties.rotate("NL", "TNM")
    assert renewals == [1000]
    _, from_its_renewal, from_our_put = here.cpo.ours
    goes_on_with = from_our_put if kept == "ours" else from_its_renewal
    for _ in range(days + 1):
        assert opens(here.emsp, goes_on_with)
        here.clock.advance(days=1)
    assert opens(here.emsp, goes_on_with)
    assert here.reaches_it()
    if days:
        assert not opens(here.emsp, old)
    here.emsp.parties.rotate("NL", "TNM")
    assert here.reaches_it()
    assert opens(here.emsp, here.cpo.ours[-1])


def test_the_token_of_our_put_counts_only_where_it_still_opens() -> None:
    """The CPO made it before its own renewal, whose token ended it."""
    here = scene()

    def answers_late(request: httpx.Request) -> httpx.Response | None:
        here.cpo.before.clear()
        answer = here.cpo.take(request)
        late = here.cpo.taken[-1]
        assert here.cpo.renew() == 1000
        here.cpo.taken = [token for token in here.cpo.taken if token != late][-1:]
        return answer

    here.cpo.before["PUT /2.1.1/credentials"] = answers_late
    here.emsp.parties.rotate("NL", "TNM")
    assert here.party().token == here.cpo.taken[-1]
    assert here.reaches_it()


def test_our_rotation_within_the_cpos_ends_the_token_that_the_cpos_brought() -> None:
    """By the time that we would take it, the CPO does not take it any more: it is told so, and nothing is lost."""
    here = scene()
    here.cpo.keeps = 2
    rotated: list[Party] = []

    def rotate(_: httpx.Request) -> httpx.Response | None:
        here.cpo.before.clear()
        brought = here.cpo.taken[-1]
        rotated.append(here.emsp.parties.rotate("NL", "TNM"))
        here.cpo.taken = [token for token in here.cpo.taken if token != brought]
        return None

    here.cpo.before["GET /2.1.1"] = rotate
    answer = Peer(here.emsp, here.clock, here.store.kept, here.cpo.ours[-1]).push(
        "PUT", "credentials", here.cpo.credentials()
    )
    assert answer.both == (200, 3001)
    assert here.party().token == rotated[0].token
    assert here.reaches_it()
    assert opens(here.emsp, here.cpo.ours[-1])


# --- the end --------------------------------------------------------------------------------------------------------


def test_unregistering_tells_the_partner_where_the_matrix_has_it() -> None:
    here = scene()
    here.emsp.parties.unregister("NL", "TNM")
    assert here.cpo.requests == ["DELETE https://tnm.test/cpo/2.1.1/credentials"]
    assert here.emsp.parties.get("NL", "TNM") is None
    assert not opens(here.emsp, here.cpo.ours[-1])
    assert [type(event).__name__ for event in here.events] == ["PartyUnregistered"]


def test_where_the_matrix_has_no_delete_the_party_can_be_forgotten_here() -> None:
    here = scene(matrix=SupportMatrix.default())
    with pytest.raises(NotSupported, match=r"tell=False \(--no-tell\) forgets NL-TNM here only"):
        here.emsp.parties.unregister("NL", "TNM")
    assert here.emsp.parties.get("NL", "TNM") is not None
    here.emsp.parties.unregister("NL", "TNM", tell=False)
    assert here.cpo.requests == []
    assert here.emsp.parties.get("NL", "TNM") is None
    assert not opens(here.emsp, here.cpo.ours[-1])


def test_an_invitation_is_taken_back() -> None:
    here = scene(registered=False)
    token_a = here.emsp.invite("NL", "TNM").token_a
    here.emsp.parties.unregister("NL", "TNM", tell=False)
    assert not opens(here.emsp, token_a, "/versions")
    assert here.events == []


def test_a_partner_that_does_not_let_us_go_stays() -> None:
    here = scene()
    before = here.party()
    here.cpo.before["DELETE /2.1.1/credentials"] = lambda _: httpx.Response(500)
    with pytest.raises(OcpiError):
        here.emsp.parties.unregister("NL", "TNM")
    assert here.party() == before


# --- killed in the middle -------------------------------------------------------------------------------------------


@contextmanager
def killed_at(here: Scene, name: str, *, after_it_took: bool = False) -> Iterator[None]:
    """The process dies when this request comes to the CPO, or once the CPO has done what it asks for."""

    def kill(request: httpx.Request) -> httpx.Response | None:
        if after_it_took:
            here.cpo.take(request)
        here.store.dead = True
        raise Killed

    here.cpo.before[name] = kill
    with pytest.raises((Killed, StoreFailed)):
        yield
    here.cpo.before.clear()
    here.restart()


@pytest.mark.parametrize(
    ("name", "after_it_took"),
    [
        ("GET /versions", False),
        ("GET /2.1.1", False),
        ("POST /2.1.1/credentials", False),
        ("POST /2.1.1/credentials", True),
    ],
)
def test_a_registration_that_is_killed_can_be_run_again(name: str, after_it_took: bool) -> None:
    here = scene(registered=False)
    here.cpo.keeps = 9
    with killed_at(here, name, after_it_took=after_it_took):
        here.register()
    posted = name.startswith("POST")
    assert len(here.stored(PartyState.REGISTERING)) == posted
    assert here.emsp.parties.list() == []
    here.cpo.taken.append("token-a-of-the-cpo")
    here.clock.advance(minutes=30)
    assert str(here.register()) == "NL-TNM"
    assert here.reaches_it()
    # What the killed one left is no longer than a handshake lasts, so it may still be one that is under way.
    assert len(here.stored(PartyState.REGISTERING)) == posted
    here.clock.advance(hours=2)
    here.emsp.invite("FR", "ABC")
    assert here.stored(PartyState.REGISTERING) == []
    if after_it_took:
        assert not opens(here.emsp, here.cpo.ours[0], "/versions")
    assert here.reaches_it()


def test_the_next_registration_sweeps_too() -> None:
    here = scene(registered=False)
    with killed_at(here, "POST /2.1.1/credentials"):
        here.register()
    here.clock.advance(hours=2)
    here.register()
    assert here.stored(PartyState.REGISTERING) == []


@pytest.mark.parametrize("after_it_took", [False, True])
def test_a_rotation_that_is_killed_can_be_run_again(after_it_took: bool) -> None:
    here = scene()
    here.cpo.keeps = 3
    old = here.cpo.ours[-1]
    with killed_at(here, "PUT /2.1.1/credentials", after_it_took=after_it_took):
        here.emsp.parties.rotate("NL", "TNM")
    assert here.party().state is PartyState.REGISTERED
    assert opens(here.emsp, old)
    assert opens(here.emsp, here.cpo.ours[-1])
    here.clock.advance(days=2)
    assert opens(here.emsp, here.cpo.ours[-1])
    here.emsp.parties.rotate("NL", "TNM")
    assert here.reaches_it()
    assert opens(here.emsp, here.cpo.ours[-1])


@pytest.mark.parametrize("name", ["GET /2.1.1", "GET /versions"])
@pytest.mark.parametrize("method", ["PATCH", "POST", "PUT"])
def test_we_die_while_the_cpo_waits_for_our_answer(name: str, method: str) -> None:
    """What was there before is there, and the CPO can send it again."""
    here = scene(registered=method != "POST")
    token = here.cpo.ours[-1] if method != "POST" else here.emsp.invite("NL", "TNM").token_a
    before = all_parties(here.store)
    body = here.cpo.credentials()
    cpo = Peer(here.emsp, here.clock, here.store.kept, token)
    with killed_at(here, name):
        cpo.push(method, "credentials", body)
    assert all_parties(here.store) == before
    answer = Peer(here.emsp, here.clock, here.store.kept, token).push(method, "credentials", body)
    assert answer.code == 1000
    assert opens(here.emsp, answer.data["token"])
    assert here.reaches_it()


@pytest.mark.parametrize("name", ["GET /2.1.1", "GET /versions"])
@pytest.mark.parametrize("method", ["PATCH", "POST", "PUT"])
def test_a_cpo_that_fails_at_a_request_of_ours_is_told_why(name: str, method: str) -> None:
    here = scene(registered=method != "POST")
    token = here.cpo.ours[-1] if method != "POST" else here.emsp.invite("NL", "TNM").token_a
    before = all_parties(here.store)

    def fail(request: httpx.Request) -> httpx.Response | None:
        raise httpx.ConnectError("connection refused", request=request)

    here.cpo.before[name] = fail
    cpo = Peer(here.emsp, here.clock, here.store.kept, token)
    answer = cpo.push(method, "credentials", here.cpo.credentials())
    assert answer.both == (200, 3001)
    assert name.removeprefix("GET ") in answer.message
    assert "connection refused" in answer.message
    assert all_parties(here.store) == before


# --- what is odd about endpoints ------------------------------------------------------------------------------------


def offers(*pairs: tuple[str, str], version: str = "2.1.1") -> dict[str, Any]:
    return {"version": version, "endpoints": [{"identifier": name, "url": url} for name, url in pairs]}


BASE = "https://tnm.test/cpo/2.1.1"
CREDENTIALS = ("credentials", f"{BASE}/credentials")


@pytest.mark.parametrize(
    ("details", "notes"),
    [
        (offers(CREDENTIALS, CREDENTIALS), []),
        (
            offers(CREDENTIALS, ("Credentials", "https://tnm.test/other")),
            [f"credentials is listed with 2 URLs, the first is taken: {BASE}/credentials"],
        ),
        (
            offers(CREDENTIALS, ("locations", "https://cdn.test/l"), ("CDRs", "https://cdn.test/c")),
            ["locations, cdrs on another server than the versions: cdn.test"],
        ),
    ],
)
def test_what_is_odd_and_harmless_is_said(details: Any, notes: list[str], caplog: pytest.LogCaptureFixture) -> None:
    here = scene(registered=False)
    here.cpo.details = details
    party = here.register()
    assert party.endpoint("credentials") == f"{BASE}/credentials"
    [event] = here.events
    assert isinstance(event, PartyRegistered)
    assert list(event.notes) == notes
    assert all(note in caplog.text for note in notes)


def test_an_event_says_the_same_after_a_renewal_of_the_cpo() -> None:
    here = scene()
    here.cpo.details = offers(CREDENTIALS, ("locations", "https://cdn.test/l"))
    here.cpo.renew()
    [event] = here.events
    assert isinstance(event, PartyUpdated)
    assert event.notes == ("locations on another server than the versions: cdn.test",)


@pytest.mark.parametrize(
    ("details", "error", "says"),
    [
        (offers(CREDENTIALS, version="2.2"), UnsupportedVersion, "those of 2.2"),
        (offers(("credentials", "/cpo/2.1.1/credentials")), CannotUseApi, "not absolute: '/cpo/2.1.1/credentials'"),
        (offers(("credentials", "https://emsp.test/ocpi/emsp/2.1.1/credentials")), CannotUseApi, "our own URL"),
        (offers(CREDENTIALS, *[("tokens", f"https://t.test/{n}") for n in range(MOST_ENDPOINTS)]), CannotUseApi, "201"),
        (offers(("locations", "https://tnm.test/l")), MissingEndpoints, "credentials"),
    ],
    ids=["another-version", "relative", "ours", "too-many", "missing"],
)
def test_endpoints_that_cannot_be_taken(details: Any, error: type[OcpiError], says: str) -> None:
    here = scene(registered=False)
    here.cpo.details = details
    with pytest.raises(error, match=says):
        here.register()
    assert all_parties(here.store) == []
    assert not [each for each in here.cpo.requests if each.startswith("POST")]


@pytest.mark.parametrize(
    ("versions", "notes"),
    [
        ([("2.1.1", BASE), ("2.1.1", BASE)], []),
        ([("2.1.1", BASE), ("2.1.1", "https://x.test/")], ["version 2.1.1 is listed with 2 URLs, the first is taken"]),
        ([(None, "x"), ("2.1.1", BASE)], ["1 entries of the versions cannot be read"]),
        ([(f"9.{n}", "https://x.test/") for n in range(5000)] + [("2.1.1", BASE)], []),
    ],
    ids=["twice", "two-urls", "unreadable", "huge"],
)
def test_versions_that_are_odd(versions: list[tuple[Any, str]], notes: list[str]) -> None:
    here = scene(registered=False)
    here.cpo.versions = [{"version": version, "url": url} for version, url in versions]
    here.register()
    [event] = here.events
    assert isinstance(event, PartyRegistered)
    assert list(event.notes) == notes


def test_a_huge_list_of_other_versions_is_not_repeated() -> None:
    here = scene(registered=False)
    here.cpo.versions = [{"version": f"9.{number}", "url": "https://x.test/"} for number in range(5000)]
    with pytest.raises(UnsupportedVersion, match=r"9\.0, .*9\.9 and 4990 more$"):
        here.register()


def test_we_are_not_invited_and_not_answered_as_ourselves() -> None:
    here = scene(registered=False)
    with pytest.raises(InvalidObject, match="IT-BEC is ourselves"):
        here.emsp.invite("it", "bec")
    token_a = here.emsp.invite("NL", "TNM").token_a
    body = here.cpo.credentials(url="https://emsp.test/ocpi/emsp/versions")
    answer = Peer(here.emsp, here.clock, here.store.kept, token_a).push("POST", "credentials", body)
    assert answer.both == (200, 3001)
    assert "is our own URL" in answer.message
    assert here.cpo.requests == []


# --- the table ------------------------------------------------------------------------------------------------------

THEIRS = {
    PartyChange.THEIR_DELETE: "DELETE",
    PartyChange.THEIR_PATCH: "PATCH",
    PartyChange.THEIR_POST: "POST",
    PartyChange.THEIR_PUT: "PUT",
}


def test_every_change_is_in_every_row() -> None:
    assert set(TRANSITIONS) == {UNKNOWN, *PartyState}
    assert all(set(row) == set(PartyChange) for row in TRANSITIONS.values())


@pytest.mark.parametrize("change", THEIRS)
@pytest.mark.parametrize("state", [UNKNOWN, *PartyState], ids=lambda state: state.name)
def test_what_a_partner_asks_is_answered_as_the_table_says(state: PartyState | Nobody, change: PartyChange) -> None:
    here = scene(registered=state is PartyState.REGISTERED)
    token = here.cpo.ours[-1] if here.cpo.ours else here.emsp.invite("NL", "TNM").token_a
    if state is UNKNOWN:
        here.emsp.parties.unregister("NL", "TNM", tell=False)
    if state is PartyState.REGISTERING:
        set_state(here, state)
    expected = TRANSITIONS[state][change]
    answer = Peer(here.emsp, here.clock, here.store.kept, token).push(
        THEIRS[change], "credentials", here.cpo.credentials()
    )
    found = here.emsp.parties.get("NL", "TNM")
    if isinstance(expected, Refused):
        assert str(answer.status) == expected.value[:3]
        assert (UNKNOWN if found is None else found.state) is state
    else:
        assert answer.code == 1000
        assert (UNKNOWN if found is None else found.state) is expected


def set_state(here: Scene, state: PartyState) -> None:
    party = here.party()

    async def write() -> None:
        async with here.store.kept.transaction() as tx:
            await put_party(tx, evolve(party, state=state), here.clock.now())

    run(write())


def test_a_registration_is_not_replaced_by_an_invitation_or_a_handshake() -> None:
    here = scene()
    with pytest.raises(AlreadyRegistered, match="NL-TNM is registered already: update renews the registration"):
        here.emsp.invite("NL", "TNM")
    here.cpo.taken.append("token-a-of-the-cpo")
    before = here.party()
    with pytest.raises(AlreadyRegistered):
        here.register()
    assert here.party() == before


def named(outcome: object) -> str:
    return outcome.value if isinstance(outcome, Refused) else getattr(outcome, "name", "")


def drawn() -> str:
    """The table as markdown, and as a diagram of what changes the state."""
    states = list(TRANSITIONS)
    lines = ["| what happens | " + " | ".join(named(state) for state in states) + " |"]
    lines.append("|---" * (len(states) + 1) + "|")
    for change in PartyChange:
        cells = (named(TRANSITIONS[state][change]) for state in states)
        lines.append(f"| {change.value} | " + " | ".join(cells) + " |")
    lines += ["", "```mermaid", "stateDiagram-v2"]
    for state in states:
        for change, outcome in TRANSITIONS[state].items():
            if not isinstance(outcome, Refused) and outcome is not state:
                ends = ("[*]" if each is UNKNOWN else named(each) for each in (state, outcome))
                lines.append(f"    {' --> '.join(ends)}: {change.value}")
    return "\n".join([*lines, "```", ""])


def test_the_table_in_the_docs_is_the_one_that_the_code_goes_through() -> None:
    assert drawn() in DOCS.read_text("utf-8")
