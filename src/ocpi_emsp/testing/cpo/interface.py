"""The CPO interface of OCPI 2.1.1: which URL and method does what.

Rules obeyed: the modules' tables of CPO interface methods (mod_*.md 2.1, version_information_endpoint.md,
credentials.md 1); HTTP 401 for a missing or unknown token, 404 for an unknown resource, 405 with `Allow` for a method
that the resource does not have (status_codes.md; RFC 9110, 15.5.6). URLs are absolute. A trailing slash makes no
difference.

TOKEN_A gives access to the versions and to the credentials only. Not in the specification, a courtesy: GET of a single
session, CDR or tariff.
"""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from attrs import evolve, frozen

from ocpi_emsp.testing.cpo.calls import EmspCalls
from ocpi_emsp.testing.cpo.commands import Commands
from ocpi_emsp.testing.cpo.deviations import LISTS
from ocpi_emsp.testing.cpo.failures import Failures
from ocpi_emsp.testing.cpo.fields import COMMANDS, CREDENTIALS, TOKEN, absent
from ocpi_emsp.testing.cpo.handshake import Handshake
from ocpi_emsp.testing.cpo.listing import Lists
from ocpi_emsp.testing.cpo.outgoing import LOG_LENGTH, path_of
from ocpi_emsp.testing.cpo.registration import authenticate
from ocpi_emsp.testing.cpo.settings import BASE_PATH, VERSION
from ocpi_emsp.testing.cpo.tokens import ReceivedToken
from ocpi_emsp.testing.cpo.wire import (
    BYTE_ORDER_MARK,
    Answer,
    Document,
    Handler,
    Request,
    RequestError,
    answer,
    decode_or_none,
    plain_json,
    refusal,
)

_Methods: TypeAlias = Callable[[], Mapping[str, Handler]]


@frozen(kw_only=True)
class Received:
    """A request that the CPO received. `token_format` is how a known token was written: "raw", "base64" or "none"."""

    method: str
    path: str
    query: str
    status: int
    status_code: int | None
    token_format: str


class Interface:
    """Authenticates, answers and logs requests below the base path."""

    def __init__(self, cpo: EmspCalls, handshake: Handshake, commands: Commands) -> None:
        self._cpo = cpo
        self._handshake = handshake
        self._commands = commands
        self.lists = Lists(cpo, cpo.catalogue)
        self.failures = Failures(cpo, cpo.registration)
        self.received: deque[Received] = deque(maxlen=LOG_LENGTH)
        self.received_tokens: deque[ReceivedToken] = deque(maxlen=LOG_LENGTH)

    def routes(self) -> dict[str, Handler]:
        """Return the handler of every path; a response is an OCPI envelope, unless `list_failure` says otherwise."""
        table: list[tuple[str, str, _Methods]] = [
            ("", "versions", _only("GET", self._get_versions)),
            ("", VERSION, _only("GET", self._get_details)),
            ("", f"{VERSION}/credentials", self._handshake.methods),
            ("tokens", "/{country_code}/{party_id}/{uid}", self._cpo.token_store.methods),
        ]
        for module in LISTS:
            get = _only("GET", partial(self._get_object, module))
            children = ("/{id}/{evse_uid}", "/{id}/{evse_uid}/{connector_id}") if module == "locations" else ()
            table.append((module, "", _only("GET", partial(self._get_list, module))))
            table.extend((module, path, get) for path in ("/{id}", *children))
        for command in COMMANDS:
            table.append(("commands", f"/{command}", _only("POST", partial(self._commands.post, command))))
        return {
            f"{BASE_PATH}/{f'{VERSION}/{module}' if module else ''}{path}": partial(self._answer, module, methods)
            for module, path, methods in table
        }

    async def unknown(self, request: Request) -> Answer:
        """Answer a request for a path without a route."""
        return await self._answer("", dict, request)

    async def _answer(self, module: str, methods: _Methods, request: Request) -> Answer:
        """Return the response of a resource; that of a functional `module` needs a registration."""
        token_format = "none"
        try:
            token = authenticate(request, self._cpo.registration, self._cpo)
            self.failures.check_token(token)
            token_format = "raw" if request.headers["authorization"].endswith(f" {token}") else "base64"
            request.state.token = token
            redirected = self._redirect(module, request)
            answered = redirected or await self._answered(module, methods(), request)
        except RequestError as error:
            answered = refusal(self._cpo.now, error)
        if self._cpo.byte_order_mark and answered.body:
            answered = evolve(answered, body=BYTE_ORDER_MARK + answered.body)
        await self._log(request, module, answered, token_format)
        return answered

    async def _answered(self, module: str, methods: Mapping[str, Handler], request: Request) -> Answer:
        handler = self._handler(module, methods, request)
        return await self._lacking(module, request) or await handler(request)

    def _handler(self, module: str, methods: Mapping[str, Handler], request: Request) -> Handler:
        if not methods or (module and module not in self._cpo.modules):
            raise RequestError(404, 2000, f"Unknown resource: {request.path}")
        if module and request.state.token != self._cpo.registration.server_token:
            raise RequestError(401, 2000, "The token gives access to versions and credentials only")
        if request.method not in methods:
            allowed = {"allow": ", ".join(methods)}
            raise RequestError(405, 2000, f"Method is not allowed: {request.method}", allowed)
        return methods[request.method]

    def _redirect(self, module: str, request: Request) -> Answer | None:
        """Return the redirect to the only accepted spelling of a functional module's URL, or of a URL below it."""
        path = request.path.removesuffix("/")
        is_bare = path == f"{BASE_PATH}/{VERSION}/{path_of(module)}"
        if not (self._cpo.redirect_slashes and module) or request.path.endswith("/") == is_bare:
            return None
        query = f"?{request.query_string}" if request.query_string else ""
        location = f"{self._cpo.url.rstrip('/')}{path}{'/' if is_bare else ''}{query}"
        return Answer(status=307, body=b"", headers={"location": location})

    async def _lacking(self, module: str, request: Request) -> Answer | None:
        """Return a framework's rejection of an object without all its members, if the CPO requires them."""
        if not self._cpo.requires_members or request.method not in ("POST", "PUT"):
            return None
        name = request.path.removesuffix("/").rpartition("/")[2]
        tables = {"credentials": CREDENTIALS, "tokens": TOKEN, "commands": COMMANDS.get(name, ())}
        paths = absent(decode_or_none(await request.body()), tables.get(module or "credentials", ()))
        if not paths:
            return None
        found = [{"type": "missing", "loc": ["body", *path], "msg": "Field required"} for path in paths]
        return plain_json({"detail": found}, 422)

    async def _log(self, request: Request, module: str, answered: Answer, token_format: str) -> None:
        outcome: Document = {"method": request.method, "status": answered.status, "status_code": answered.status_code}
        self.received.append(
            Received(path=request.path, query=request.query_string, token_format=token_format, **outcome)
        )
        if module == "tokens" and request.method in ("PUT", "PATCH"):
            document = decode_or_none(await request.body())
            self.received_tokens.append(ReceivedToken(uid=request.ids[-1], document=document, **outcome))

    # Versions

    async def _get_versions(self, _: Request) -> Answer:
        versions = [{"version": each, "url": self._cpo.endpoint(path_of(each))} for each in self._cpo.versions]
        return answer(self._cpo.now, versions)

    async def _get_details(self, _: Request) -> Answer:
        slash = "/" if self._cpo.endpoint_slash else ""
        endpoints = [
            {"identifier": module, "url": self._cpo.endpoint(VERSION, path_of(module)) + slash}
            for module in self._cpo.modules
        ]
        if self._cpo.endpoint_roles:
            endpoints = [each for listed in endpoints for each in self._in_both_roles(listed)]
        if self._cpo.unusable_endpoint:
            endpoints.insert(0, {"identifier": "hubclientinfo", "url": ""})
        return answer(self._cpo.now, {"version": VERSION, "endpoints": endpoints})

    def _in_both_roles(self, endpoint: Document) -> list[Document]:
        """Return the endpoint in this CPO's role, and a URL for the other role, at which nothing is served."""
        module = endpoint["identifier"]
        if module == "credentials":
            return [endpoint]
        own, other = ("SENDER", "RECEIVER") if module in LISTS else ("RECEIVER", "SENDER")
        elsewhere = {**endpoint, "url": self._cpo.endpoint(VERSION, other.lower(), path_of(module))}
        return [{**elsewhere, "role": other}, {**endpoint, "role": own}]

    # Locations, sessions, CDRs, tariffs

    async def _get_list(self, module: str, request: Request) -> Answer:
        self.lists.requests[module] += 1
        return self.failures.answer(module, request, partial(self.lists.get, module, request))

    async def _get_object(self, module: str, request: Request) -> Answer:
        if not self._cpo.single_objects:
            raise RequestError(404, 2000, "Single objects are not served")
        catalogue, ids = self._cpo.catalogue, request.ids
        found = catalogue.find(module, *ids)
        if found is None:
            unknown_location = module == "locations" and catalogue.find(module, ids[0]) is None
            raise RequestError(404, 2003 if unknown_location else 2000, f"Unknown object in {module}: {'/'.join(ids)}")
        return answer(self._cpo.now, found)


def _only(method: str, handler: Handler) -> _Methods:
    return lambda: {method: handler}
