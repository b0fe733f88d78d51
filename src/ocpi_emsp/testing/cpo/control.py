"""The control interface: lets another process, such as a demo, drive the simulated CPO. Not OCPI.

It needs no token, so it answers only to loopback addresses (and can be switched off: `control=False`). Below /control:

    GET  invite                                   {"versions_url", "token_a"}
    GET  state                                    registered, tokens, requests received, command results, requests sent,
                                                  received tokens, list_requests by module, deviations
    POST register {"versions_url", "token_a"}     {"registered", "error", "exchanges"}
    POST update {"method", "fields"}              the same; method PUT (default) or PATCH
    POST unregister                               {"registered", "error", "exchanges"}
    POST call {"method", "module", "path", "body", "query", "headers"}      the exchange
    POST wait-idle                                {} once no command result is pending
    POST change {"module", "id", "changes", "evse_uid", "connector_id"}     {}; nothing is sent to the eMSP
    POST own {"module", "document"}               {}; adds or replaces an object
    POST withdraw {"module", "ids"}               {}; the objects are not listed any more
    POST restore {"module", "ids"}                {}; they are again, all of them without "ids"
    POST misbehave {"preset", "deviations"}       {}; from now on, see presets.py and deviations.py
    POST behave                                   {}; from now on it obeys the specification

Only `method` and `module` of a call are required; without "body" no body is sent. An error is HTTP 400 (the request),
404 (also an object that is not known), 405, 409 (not registered, no such endpoint) or 502 (no answer from the eMSP)
with {"error"}.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Protocol

import httpx
from attrs import asdict

from ocpi_emsp.testing.cpo.calls import UnknownObjectError
from ocpi_emsp.testing.cpo.commands import CommandResult
from ocpi_emsp.testing.cpo.deviations import LISTS
from ocpi_emsp.testing.cpo.handshake import HandshakeError
from ocpi_emsp.testing.cpo.interface import Received, ReceivedToken
from ocpi_emsp.testing.cpo.outgoing import EndpointMissingError, Exchange, NotRegisteredError
from ocpi_emsp.testing.cpo.registration import Invitation, Registration
from ocpi_emsp.testing.cpo.wire import (
    ABSENT,
    Absent,
    Document,
    Json,
    Request,
    RequestError,
    Response,
    plain_json,
)


class Controlled(Protocol):
    """What the control interface uses of a simulated CPO."""

    @property
    def registration(self) -> Registration: ...
    @property
    def tokens(self) -> list[Document]: ...
    @property
    def received(self) -> Sequence[Received]: ...
    @property
    def command_results_sent(self) -> Sequence[CommandResult]: ...
    @property
    def sent(self) -> Sequence[Exchange]: ...
    @property
    def received_tokens(self) -> Sequence[ReceivedToken]: ...
    @property
    def list_requests(self) -> Mapping[str, int]: ...
    @property
    def deviating(self) -> dict[str, Any]: ...

    def invite(self) -> Invitation: ...
    async def register(self, versions_url: str, token_a: str) -> list[Exchange]: ...
    async def update_credentials(self, method: str = "PUT", *, fields: Sequence[str] = ()) -> list[Exchange]: ...
    async def unregister(self) -> Exchange: ...
    async def call(
        self,
        method: str,
        module: str,
        path: str = "",
        *,
        body: Json | Absent = ABSENT,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange: ...
    async def wait_idle(self) -> None: ...
    def change(
        self,
        module: str,
        object_id: str,
        changes: Document,
        *,
        evse_uid: str | None = None,
        connector_id: str | None = None,
    ) -> None: ...
    def own(self, module: str, document: Document) -> None: ...
    def withdraw(self, module: str, *object_ids: str) -> None: ...
    def restore(self, module: str, *object_ids: str) -> None: ...
    def misbehave(self, preset: str | None = None, **deviations: Any) -> None: ...
    def behave(self) -> None: ...


class Control:
    """Answers the requests below /control."""

    def __init__(self, cpo: Controlled) -> None:
        self._cpo = cpo
        self._routes: dict[str, tuple[str, Callable[[Document], Awaitable[Response]]]] = {
            "invite": ("GET", self._invite),
            "state": ("GET", self._state),
            "register": ("POST", self._register),
            "update": ("POST", self._update),
            "unregister": ("POST", self._unregister),
            "call": ("POST", self._call),
            "wait-idle": ("POST", self._wait_idle),
            "change": ("POST", self._change),
            "own": ("POST", self._own),
            "withdraw": ("POST", self._withdraw),
            "restore": ("POST", self._restore),
            "misbehave": ("POST", self._misbehave),
            "behave": ("POST", self._behave),
        }

    async def handle(self, request: Request) -> Response:
        """The answer to a control request: plain JSON."""
        if not _is_loopback(request.client):
            return _error(403, "Control is for this machine only")
        route = self._routes.get("/".join(request.segments[1:]))
        if route is None:
            return _error(404, f"Unknown: {request.path}")
        method, answer = route
        if request.method != method:
            return _error(405, f"Use {method}")
        try:
            return await answer(_body(request))
        except RequestError as error:
            return _error(400, str(error))
        except UnknownObjectError as error:
            return _error(404, str(error))
        except (NotRegisteredError, EndpointMissingError) as error:
            return _error(409, str(error))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return _error(502, f"{type(error).__name__}: {error}")

    async def _invite(self, _: Document) -> Response:
        return plain_json(asdict(self._cpo.invite()))

    async def _state(self, _: Document) -> Response:
        registration = self._cpo.registration
        emsp = {name: value for name, value in (registration.emsp or {}).items() if name != "token"}
        return plain_json(
            {
                "registered": registration.registered,
                "emsp": emsp or None,
                "endpoints": registration.endpoints,
                "tokens": self._cpo.tokens,
                "received": [asdict(each) for each in self._cpo.received],
                "command_results": [asdict(each) for each in self._cpo.command_results_sent],
                "sent": [_summary(each) for each in self._cpo.sent],
                "received_tokens": [asdict(each) for each in self._cpo.received_tokens],
                "list_requests": dict(self._cpo.list_requests),
                "deviations": self._cpo.deviating,
            }
        )

    async def _register(self, body: Document) -> Response:
        versions_url, token_a = _text(body, "versions_url"), _text(body, "token_a")
        return await self._handshake(self._cpo.register(versions_url, token_a))

    async def _update(self, body: Document) -> Response:
        method, fields = _text(body, "method", default="PUT"), body.get("fields", [])
        if method not in ("PUT", "PATCH") or not isinstance(fields, list):
            return _error(400, "method is PUT or PATCH, fields a list")
        return await self._handshake(self._cpo.update_credentials(method, fields=fields))

    async def _unregister(self, _: Document) -> Response:
        return self._outcome([await self._cpo.unregister()], None)

    async def _call(self, body: Document) -> Response:
        exchange = await self._cpo.call(
            _text(body, "method"),
            _text(body, "module"),
            _text(body, "path", default=""),
            body=body.get("body", ABSENT),
            query=_texts(body, "query"),
            headers=_texts(body, "headers"),
        )
        return plain_json(exchange.to_json())

    async def _wait_idle(self, _: Document) -> Response:
        await self._cpo.wait_idle()
        return plain_json({})

    async def _change(self, body: Document) -> Response:
        self._cpo.change(
            _module(body),
            _text(body, "id"),
            _object(body, "changes"),
            evse_uid=_text(body, "evse_uid", default="") or None,
            connector_id=_text(body, "connector_id", default="") or None,
        )
        return plain_json({})

    async def _own(self, body: Document) -> Response:
        document = _object(body, "document")
        _text(document, "id")
        self._cpo.own(_module(body), document)
        return plain_json({})

    async def _withdraw(self, body: Document) -> Response:
        self._cpo.withdraw(_module(body), *_ids(body))
        return plain_json({})

    async def _restore(self, body: Document) -> Response:
        self._cpo.restore(_module(body), *_ids(body))
        return plain_json({})

    async def _misbehave(self, body: Document) -> Response:
        preset = _text(body, "preset") if "preset" in body else None
        try:
            self._cpo.misbehave(preset, **_object(body, "deviations", default={}))
        except (TypeError, ValueError) as error:
            return _error(400, str(error))
        return plain_json({})

    async def _behave(self, _: Document) -> Response:
        self._cpo.behave()
        return plain_json({})

    async def _handshake(self, handshake: Awaitable[list[Exchange]]) -> Response:
        try:
            return self._outcome(await handshake, None)
        except HandshakeError as error:
            return self._outcome(error.exchanges, f"{error.status_code}: {error}")

    def _outcome(self, exchanges: Sequence[Exchange], error: str | None) -> Response:
        """How a handshake ended; refused by the eMSP is not an error here, but seen in the last exchange."""
        return plain_json(
            {
                "registered": self._cpo.registration.registered,
                "error": error,
                "exchanges": [each.to_json() for each in exchanges],
            }
        )


def _is_loopback(client: str | None) -> bool:
    try:
        return client is not None and ip_address(client).is_loopback
    except ValueError:
        return False


def _error(status: int, message: str) -> Response:
    return plain_json({"error": message}, status)


def _body(request: Request) -> Document:
    body = request.json() if request.body else {}
    if not isinstance(body, dict):
        raise RequestError(400, 2000, "The body is not an object")
    return body


def _text(body: Document, name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise RequestError(400, 2000, f"Missing or not a string: {name}")
    return value


def _module(body: Document) -> str:
    module = _text(body, "module")
    if module not in LISTS:
        raise RequestError(400, 2000, f"module is none of {', '.join(LISTS)}")
    return module


def _ids(body: Document) -> list[str]:
    ids = body.get("ids", [])
    if not (isinstance(ids, list) and all(isinstance(each, str) for each in ids)):
        raise RequestError(400, 2000, "ids is not a list of strings")
    return ids


def _object(body: Document, name: str, default: Document | None = None) -> Document:
    value = body.get(name, default)
    if not isinstance(value, dict):
        raise RequestError(400, 2000, f"Missing or not an object: {name}")
    return value


def _texts(body: Document, name: str) -> dict[str, str]:
    value = {} if body.get(name) is None else body[name]
    if not isinstance(value, dict):
        raise RequestError(400, 2000, f"Not an object: {name}")
    return {key: str(each) for key, each in value.items()}


def _summary(exchange: Exchange) -> Document:
    return {
        "method": exchange.method,
        "url": exchange.url,
        "status": exchange.status,
        "status_code": exchange.status_code,
    }
