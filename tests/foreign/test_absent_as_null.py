"""Partners that require every member of an object, optional ones too (issue 11, number 17).

`PATHS` is the table of all that such a partner gets of us; the members of each object stand in members/*.json.
"""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeAlias

import httpx
import pytest
from attrs import frozen

from client.support import facing, register_tnm
from foreign.cases import named
from ocpi_emsp import AuthorizationRequest, Emsp
from ocpi_emsp.models import BusinessDetails, DisplayText, Image, ImageCategory
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import CPO_TOKEN, NOW, FakeClock, credentials, token
from scripted_cpo import ScriptedCpo, page, reply
from sync.support import cdr, location, session, tariff
from testing.support import API, COMMANDS, Pair, pair

MEMBERS = {name: case["outcome"]["members"] for name, case in named("members").items()}
LOGO = Image(url="https://be.test/logo.png", category=ImageCategory.OPERATOR, type="png")
Document: TypeAlias = Any


@frozen
class World:
    """An eMSP, and a partner that remembers what it got."""

    emsp: Emsp
    cpo: ScriptedCpo
    token: str

    def answer(self, method: str, path: str, body: Any = None) -> Any:
        """The data of our answer."""
        headers = {"authorization": f"Token {self.token}"}
        content = b"" if body is None else encode(body)
        response = self.emsp.handle(Request(method, f"/2.1.1/{path}", headers=headers, body=content))
        envelope = json.loads(response.body)
        assert envelope["status_code"] == 1000, envelope
        return envelope["data"]

    def sent(self, method: str, send: Callable[[], object]) -> Any:
        """The body of what we send then."""
        self.cpo.asked.clear()
        send()
        [body] = [json.loads(each.content) for each in self.cpo.asked if each.method == method]
        return body

    def push(self, path: str, document: Document) -> None:
        method = "POST" if path == "cdrs" else "PUT"
        headers = {"authorization": f"Token {self.token}"}
        response = self.emsp.handle(Request(method, f"/2.1.1/{path}", headers=headers, body=encode(document)))
        assert response.status == 201, response.body

    def send_by_client(self, name: str, **members: Any) -> Any:
        method = "PUT" if name == "put_token" else "POST"
        with self.emsp.partner("NL-TNM").client() as client:
            return self.sent(method, lambda: getattr(client, name)(**members))

    def renew_by_client(self, method: str) -> Any:
        with self.emsp.partner("NL-TNM").client() as client:
            return self.sent(method, getattr(client, f"{method.lower()}_credentials"))


def made(store: Any = None, *, absent_as_null: bool = True, **settings: Any) -> World:
    """The two, registered with each other by the partner's POST."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/credentials"):
            return reply(credentials(url="https://cpo.test/cpo/versions"))
        return page([], total=0) if request.method == "GET" else reply({"result": "ACCEPTED"})

    cpo = ScriptedCpo(answer)
    kept = {} if store is None else {"store": store}
    details = BusinessDetails(name="Be Charge", logo=LOGO)
    emsp = facing(cpo, **{"clock": FakeClock(), "business_details": details, **kept, **settings})
    world = World(emsp, cpo, register_tnm(emsp))
    emsp.partner("NL-TNM").set_profile(absent_as_null=absent_as_null, without_locations=True)
    emsp.tokens.put(token())
    return world


# --- what a partner gets ----------------------------------------------------------------------------------------------


def our_post(world: World) -> Document:
    wanted = world.emsp.partner("NL-TNM").profile().absent_as_null
    world.emsp.partner("NL-TNM").unregister(tell=False)
    url = "https://cpo.test/cpo/versions"
    return world.sent("POST", lambda: world.emsp.parties.register(url, token_a=CPO_TOKEN, absent_as_null=wanted))


def answer_to_their_post(world: World) -> Document:
    wanted = world.emsp.partner("NL-TNM").profile().absent_as_null
    world.emsp.partner("NL-TNM").unregister(tell=False)
    token_a = world.emsp.parties.invite("NL-TNM", absent_as_null=wanted).token_a.reveal()
    theirs = World(world.emsp, world.cpo, token_a)
    return theirs.answer("POST", "credentials", credentials(url="https://cpo.test/cpo/versions"))


def given_back(path: str, put: str, document: Callable[[], Document]) -> Callable[[World], Document]:
    def get(world: World) -> Document:
        world.push(put, document())
        return world.answer("GET", path)

    return get


def pushed(world: World) -> Document:
    return world.sent("PUT", lambda: world.emsp.partner("NL-TNM").push_tokens())


def pushed_as_pending(world: World) -> Document:
    world.emsp.tokens.put(token(issuer="Other"))
    return world.sent("PUT", lambda: world.emsp.tokens.push_pending(at_once=True))


def authorized(place: Document | None, **allowed: Any) -> Callable[[World], Document]:
    def ask(world: World) -> Document:
        world.push("locations/NL/TNM/LOC1", location(1))

        @world.emsp.authorize
        def decide(request: AuthorizationRequest) -> Any:
            return request.allow(**allowed)

        return world.answer("POST", "tokens/T0/authorize", place)

    return ask


_HELLO = DisplayText(language="en", text="Welcome")
_PUT_AGAIN = credentials(url="https://cpo.test/cpo/versions")
_RESERVED = {"expiry_date": NOW + timedelta(hours=1), "reservation_id": 7}
_OBJECT: dict[str, tuple[str, str, Callable[[], Document]]] = {
    "location": ("locations/NL/TNM/LOC1", "locations/NL/TNM/LOC1", lambda: location(1)),
    "evse": ("locations/NL/TNM/LOC1/LOC1-E1", "locations/NL/TNM/LOC1", lambda: location(1)),
    "connector": ("locations/NL/TNM/LOC1/LOC1-E1/1", "locations/NL/TNM/LOC1", lambda: location(1)),
    "session": ("sessions/NL/TNM/SES1", "sessions/NL/TNM/SES1", lambda: session(1)),
    "cdr": ("cdrs/CDR1", "cdrs", lambda: cdr(1, tariffs=[tariff(1)])),
    "tariff": ("tariffs/NL/TNM/TAR1", "tariffs/NL/TNM/TAR1", lambda: tariff(1)),
}
PATHS: dict[str, tuple[str, Callable[[World], Document]]] = {
    "our POST": ("credentials", our_post),
    "our PUT by rotate": ("credentials", lambda world: world.sent("PUT", world.emsp.partner("NL-TNM").rotate)),
    "our PUT by update": ("credentials", lambda world: world.sent("PUT", world.emsp.partner("NL-TNM").update)),
    "our PUT by a client": ("credentials", lambda world: world.renew_by_client("PUT")),
    "our PATCH by a client": (
        "credentials",
        lambda world: world.renew_by_client("PATCH"),
    ),
    "our answer to POST": ("credentials", answer_to_their_post),
    "our answer to PUT": ("credentials", lambda world: world.answer("PUT", "credentials", _PUT_AGAIN)),
    "our answer to PATCH": ("credentials", lambda world: world.answer("PATCH", "credentials", {"party_id": "TNM"})),
    "our answer to GET": ("credentials", lambda world: world.answer("GET", "credentials")),
    "our list of tokens": ("token", lambda world: world.answer("GET", "tokens")[0]),
    "a push of tokens": ("token", pushed),
    "a push that waits": ("token", pushed_as_pending),
    "a PUT of a token": ("token", lambda world: world.send_by_client("put_token", token=token())),
    "START_SESSION": (
        "start-session",
        lambda world: world.send_by_client("start_session", token=token(), location_id="LOC1"),
    ),
    "RESERVE_NOW": (
        "reserve-now",
        lambda world: world.send_by_client("reserve_now", token=token(), location_id="LOC1", **_RESERVED),
    ),
    "STOP_SESSION": ("stop-session", lambda world: world.send_by_client("stop_session", session_id="S", force=True)),
    "UNLOCK_CONNECTOR": (
        "unlock-connector",
        lambda world: world.send_by_client(
            "unlock_connector", location_id="LOC1", evse_uid="E1", connector_id="1", force=True
        ),
    ),
    "an authorization nowhere": ("authorization-info", authorized(None)),
    "an authorization at a location": ("authorization-info", authorized({"location_id": "LOC1"}, info=_HELLO)),
    "an extended authorization": ("authorization-info", authorized({"location_id": "LOC1"}, authorization_id="A")),
    **{f"a {name} given back": (name, given_back(*way)) for name, way in _OBJECT.items()},
}
HAVE_ALL = {"STOP_SESSION", "UNLOCK_CONNECTOR"}
"""Objects without optional members."""


@pytest.mark.stores_in_turn
@pytest.mark.parametrize("path", PATHS)
def test_what_may_be_absent_is_null_for_a_partner_that_requires_it(path: str, any_store: Any) -> None:
    case, get = PATHS[path]
    document = get(made(any_store))
    assert list(lacking(document, MEMBERS[case])) == []


@pytest.mark.parametrize("path", PATHS)
def test_nothing_else_changes(path: str) -> None:
    case, get = PATHS[path]
    plain, whole = get(made(absent_as_null=False)), get(made())
    assert bool(list(lacking(plain, MEMBERS[case]))) == (path not in HAVE_ALL), "it is absent by default"
    secrets = ("token", "response_url")
    for document in (plain, whole):
        document |= {name: "" for name in secrets if isinstance(document.get(name), str)}
    assert without_nulls(whole) == without_nulls(plain)


def lacking(document: Document, members: dict[str, list[str]]) -> Iterator[str]:
    """The members of the tables that an object, or an object in it, has not."""
    for pointer, names in members.items():
        for place in at(document, pointer):
            assert isinstance(place, dict), pointer
            yield from (f"{pointer}/{name}" for name in names if name not in place)


def at(document: Document, pointer: str) -> list[Document]:
    """What stands at a pointer, in which a * is every item; what is null holds nothing."""
    found = [document]
    for step in pointer.split("/")[1:]:
        inner = [each for each in found if each is not None]
        found = [item for each in inner for item in (each if step == "*" else [each[step]] if step in each else [])]
    return [each for each in found if each is not None]


def without_nulls(document: Document) -> Document:
    if isinstance(document, dict):
        return {name: without_nulls(value) for name, value in document.items() if value is not None}
    return [without_nulls(each) for each in document] if isinstance(document, list) else document


# --- whole exchanges --------------------------------------------------------------------------------------------------


def test_envelopes_have_null_for_data_too() -> None:
    world = made()
    headers = {"authorization": f"Token {world.token}"}
    pushes = [
        Request("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", headers=headers, body=encode(tariff(1))),
        Request("GET", "/2.1.1/tariffs/NL/TNM/TAR2", headers=headers),
        Request("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", headers=headers, body=b"no JSON"),
    ]
    for request in pushes:
        envelope = json.loads(world.emsp.handle(request).body)
        assert "data" in envelope, envelope
    refused = Request("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", headers=headers, body=b"{}")
    assert json.loads(world.emsp.handle(refused).body)["data"], "findings stay what they are"


def test_a_patch_of_a_token_clears_nothing() -> None:
    world = made()
    world.emsp.partner("NL-TNM").push_tokens()
    world.emsp.tokens.invalidate("T0")
    assert set(world.sent("PATCH", world.emsp.partner("NL-TNM").push_tokens)) == {"valid", "last_updated"}


def test_a_partner_that_has_a_token_with_nulls_has_it() -> None:
    world = made()
    partner = world.emsp.partner("NL-TNM")
    assert partner.push_tokens().put == 1
    partner.set_profile(absent_as_null=False)
    assert partner.push_tokens(full=True).unchanged == 1


def test_it_is_for_one_partner() -> None:
    world = made()
    world.emsp.partner("NL-TNM").set_profile(absent_as_null=None)
    assert "visual_number" not in world.answer("GET", "tokens")[0]


def test_the_simulated_cpo_refuses_what_a_framework_refuses() -> None:
    async def scenario(peer: Pair) -> None:
        peer.cpo.misbehave("required-members")
        body = {"token": "t", "url": "https://e.test/v", "business_details": {"name": "Be"}}
        answered = await peer.http.put(f"{API}/credentials", json=body)
        assert answered.status_code == 422
        found = answered.json()["detail"]
        assert {tuple(each["loc"]) for each in found} == {
            ("body", "party_id"),
            ("body", "country_code"),
            ("body", "business_details", "website"),
            ("body", "business_details", "logo"),
        }
        assert {each["msg"] for each in found} == {"Field required"}
        lacking_one = {**COMMANDS["START_SESSION"], "evse_uid": None}
        answered = await peer.http.post(f"{API}/commands/START_SESSION", json=lacking_one)
        [*of_token] = [each["loc"][1:] for each in answered.json()["detail"]]
        assert all(path[0] == "token" for path in of_token), "null is as good as a value"
        assert (await peer.http.get(f"{API}/locations")).status_code == 200
        peer.cpo.behave()
        assert (await peer.http.post(f"{API}/commands/START_SESSION", json=lacking_one)).status_code == 200

    pair(scenario)
