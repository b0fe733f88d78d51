"""The CPO interface of OCPI 2.1.1: which URL and method does what.

Rules obeyed: the modules' tables of CPO interface methods (mod_*.md 2.1, version_information_endpoint.md,
credentials.md 1); HTTP 401 for a missing or unknown token, 404 for an unknown resource, 405 with `Allow` for a method
that the resource has not (status_codes.md; RFC 9110, 15.5.6). URLs are absolute. A trailing slash makes no difference.

TOKEN_A gives access to the versions and to the credentials only. Not in the specification, a courtesy: GET of a single
session, CDR or tariff.
"""

import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial

import msgspec
from attrs import evolve, frozen

from ocpi_emsp.testing.cpo.catalogue import Catalogue
from ocpi_emsp.testing.cpo.commands import Commands
from ocpi_emsp.testing.cpo.failures import Failures
from ocpi_emsp.testing.cpo.fields import COMMANDS, TOKEN, check
from ocpi_emsp.testing.cpo.handshake import Handshake
from ocpi_emsp.testing.cpo.listing import Lists
from ocpi_emsp.testing.cpo.outgoing import LOG_LENGTH, path_of
from ocpi_emsp.testing.cpo.registration import Registration, authenticate
from ocpi_emsp.testing.cpo.settings import BASE_PATH, VERSION, Settings
from ocpi_emsp.testing.cpo.wire import (
    Document,
    Handler,
    Json,
    Request,
    RequestError,
    Response,
    answer,
    encode,
    merge,
    refusal,
    timestamp,
)

_BASE = tuple(BASE_PATH.strip("/").split("/"))
_LISTS = ("locations", "sessions", "cdrs", "tariffs")


@frozen(kw_only=True)
class Received:
    """A request that the CPO received. `token_format` is how a known token was written: "raw", "base64" or "none"."""

    method: str
    path: str
    query: str
    status: int
    status_code: int | None
    token_format: str


@frozen(kw_only=True)
class ReceivedToken:
    """A PUT or PATCH of a Token object. `document` is its body, None where that is not JSON."""

    method: str
    uid: str
    document: Json
    status: int
    status_code: int | None


class TokenStore:
    """The eMSP's Token objects, by country_code, party_id and uid (mod_tokens.md 2.1)."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str, str], Document] = {}

    def get(self, country_code: str, party_id: str, uid: str) -> Document | None:
        """The token, or None if it is not known."""
        return self._tokens.get((country_code, party_id, uid))

    def put(self, country_code: str, party_id: str, token: Document) -> None:
        """Adds or replaces a token."""
        self._tokens[country_code, party_id, token["uid"]] = token

    def all(self) -> list[Document]:
        """All tokens, in the order in which they were first received."""
        return list(self._tokens.values())


class Interface:
    """Routes, authenticates and answers requests below the base path."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        registration: Registration,
        handshake: Handshake,
        commands: Commands,
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._registration = registration
        self._handshake = handshake
        self._commands = commands
        self.lists = Lists(settings, catalogue)
        self.failures = Failures(settings, registration)
        self.tokens = TokenStore()
        self.received: deque[Received] = deque(maxlen=LOG_LENGTH)
        self.received_tokens: deque[ReceivedToken] = deque(maxlen=LOG_LENGTH)

    async def handle(self, request: Request) -> Response:
        """The answer to a request; always an OCPI envelope, except where `list_failure` says otherwise."""
        token_format = "none"
        try:
            token = authenticate(request, self._registration, self._settings)
            self.failures.check_token(token)
            token_format = "raw" if request.headers["authorization"].endswith(f" {token}") else "base64"
            response = await self._handle_authenticated(request, token)
        except RequestError as error:
            response = refusal(error)
        if self._settings.clock_skew:
            response = _restamped(response, self._settings.now)
        self.received.append(
            Received(
                method=request.method,
                path=request.path,
                query=request.query_string,
                status=response.status,
                status_code=response.status_code,
                token_format=token_format,
            )
        )
        self._log_token(request, response)
        return response

    async def _handle_authenticated(self, request: Request, token: str) -> Response:
        resource = self._resource(request.segments, token)
        if resource is None:
            raise RequestError(404, 2000, f"Unknown resource: {request.path}")
        method = resource.get(request.method)
        if method is None:
            allowed = {"allow": ", ".join(resource)}
            raise RequestError(405, 2000, f"Method is not allowed: {request.method}", allowed)
        return await method(request)

    def _resource(self, segments: tuple[str, ...], token: str) -> Mapping[str, Handler] | None:
        if segments[: len(_BASE)] != _BASE:
            return None
        match segments[len(_BASE) :]:
            case ("versions",):
                return {"GET": self._get_versions}
            case (version,) if version == VERSION:
                return {"GET": self._get_details}
            case (version, "credentials") if version == VERSION:
                return self._handshake.resource(token)
            case (version, module, *ids) if version == VERSION and module in self._settings.modules:
                self._require_registered(token)
                return self._module(module, ids)
        return None

    def _require_registered(self, token: str) -> None:
        if token != self._registration.server_token:
            raise RequestError(401, 2000, "The token gives access to versions and credentials only")

    def _module(self, module: str, ids: list[str]) -> Mapping[str, Handler] | None:
        """The methods of a resource in a functional module; None if there is no such resource."""
        match module, *ids:
            case (("locations" | "sessions" | "cdrs" | "tariffs"),):
                return {"GET": partial(self._get_list, module)}
            case "locations", _, *rest if len(rest) <= 2:
                return {"GET": partial(self._get_location, ids)}
            case (("sessions" | "cdrs" | "tariffs"), object_id):
                return {"GET": partial(self._get_object, module, object_id)}
            case "tokens", _, _, _:
                return self._token_resource(ids)
            case "commands", command if command in COMMANDS:
                return {"POST": partial(self._commands.post, command)}
        return None

    # Versions

    async def _get_versions(self, _: Request) -> Response:
        versions = self._settings.versions
        return answer([{"version": each, "url": self._settings.endpoint(path_of(each))} for each in versions])

    async def _get_details(self, _: Request) -> Response:
        endpoints = [
            {"identifier": module, "url": self._settings.endpoint(VERSION, path_of(module))}
            for module in self._settings.modules
        ]
        return answer({"version": VERSION, "endpoints": endpoints})

    # Locations, sessions, CDRs, tariffs

    async def _get_list(self, module: str, request: Request) -> Response:
        self.lists.requests[module] += 1
        return self.failures.answer(module, request, partial(self.lists.get, module, request))

    async def _get_location(self, ids: list[str], _: Request) -> Response:
        self._require_single_objects()
        location_id, evse_uid, connector_id = (*ids, None, None)[:3]
        found = self._catalogue.find(location_id or "", evse_uid, connector_id)
        if found is None:
            known = self._catalogue.locations.get(location_id or "") is not None
            raise RequestError(404, 2000 if known else 2003, f"Unknown location object: {'/'.join(ids)}")
        return answer(found)

    async def _get_object(self, module: str, object_id: str, _: Request) -> Response:
        self._require_single_objects()
        found = self._catalogue.collection(module).get(object_id)
        if found is None:
            raise RequestError(404, 2000, f"Unknown object in {module}: {object_id}")
        return answer(found)

    def _require_single_objects(self) -> None:
        if not self._settings.single_objects:
            raise RequestError(404, 2000, "Single objects are not served")

    # Tokens

    def _token_resource(self, ids: list[str]) -> Mapping[str, Handler]:
        methods: dict[str, Callable[[list[str], Request], Awaitable[Response]]] = {
            "GET": self._get_token,
            "PUT": self._put_token,
            "PATCH": self._patch_token,
        }
        return {method: partial(methods[method], ids) for method in self._settings.token_methods}

    def _log_token(self, request: Request, response: Response) -> None:
        """Notes what the eMSP tried to do with a token, and how it was answered."""
        if request.method not in ("PUT", "PATCH") or request.segments[:-3] != (*_BASE, VERSION, "tokens"):
            return
        self.received_tokens.append(
            ReceivedToken(
                method=request.method,
                uid=request.segments[-1],
                document=_json_or_none(request),
                status=response.status,
                status_code=response.status_code,
            )
        )

    async def _get_token(self, ids: list[str], _: Request) -> Response:
        return answer(self._known_token(ids))

    async def _put_token(self, ids: list[str], request: Request) -> Response:
        country_code, party_id, uid = self._owner_checked(ids)
        self._check_wanted(uid)
        token = check(request.json(), TOKEN)
        self._check_uid(uid, token)
        known = self.tokens.get(country_code, party_id, uid) is not None
        self.tokens.put(country_code, party_id, token)
        return answer(status=200 if known else 201)

    async def _patch_token(self, ids: list[str], request: Request) -> Response:
        status = self._settings.token_patch_status
        if status is not None:
            raise RequestError(status, 3000 if status >= 500 else 2000, "PATCH failed")
        country_code, party_id, uid = self._owner_checked(ids)
        self._check_wanted(uid)
        changes = request.json()
        if not isinstance(changes, dict):
            raise RequestError(200, 2001, "The body is not an object")
        token = check(merge(self._known_token(ids), changes), TOKEN)
        self._check_uid(uid, token)
        self.tokens.put(country_code, party_id, token)
        return answer()

    def _known_token(self, ids: list[str]) -> Document:
        token = self.tokens.get(*self._owner_checked(ids))
        if token is None:
            raise RequestError(404, 2000, f"Unknown token: {ids[-1]}")
        return token

    def _owner_checked(self, ids: list[str]) -> tuple[str, str, str]:
        """The ids of a token's URL; 404 unless they are those of the eMSP's credentials (transport_and_format.md)."""
        country_code, party_id, uid = ids
        emsp = self._registration.emsp or {}
        if (country_code, party_id) != (emsp.get("country_code"), emsp.get("party_id")):
            raise RequestError(404, 2000, f"Not the party of the credentials: {country_code}/{party_id}")
        return country_code, party_id, uid

    def _check_wanted(self, uid: str) -> None:
        pattern = self._settings.refused_tokens
        if pattern is not None and re.fullmatch(pattern, uid):
            raise RequestError(200, 2001, f"This token is not taken: {uid}")

    def _check_uid(self, uid: str, token: Document) -> None:
        """An id in the URL that differs from the object's is 2001 (transport_and_format.md, "Errors")."""
        if token["uid"] != uid:
            raise RequestError(200, 2001, f"The URL names {uid!r}, the token is {token['uid']!r}")


def _json_or_none(request: Request) -> Json:
    try:
        return request.json()
    except RequestError:
        return None


def _restamped(response: Response, now: datetime) -> Response:
    """An envelope as of `now`; anything else, and what is sent piece by piece, as it is."""
    if response.status_code is None or response.rest is not None:
        return response
    envelope: dict[str, Json] = dict(msgspec.json.decode(response.body, type=dict[str, msgspec.Raw]))
    return evolve(response, body=encode(envelope | {"timestamp": timestamp(now)}))
