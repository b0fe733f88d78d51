"""The control interface, with which another process, such as a demo, drives the simulated CPO. Not OCPI.

It needs no token, so it answers only to loopback addresses (and can be switched off: `control=False`). Below /control:

    GET  invite                                   {"versions_url", "token_a"}
    GET  state                                    registered, tokens, requests received, command results, requests sent,
                                                  received tokens, list_requests by module, deviations
    POST register {"versions_url", "token_a"}     {"registered", "error", "exchanges"}
    POST update {"method", "fields"}              the same; method PUT (default) or PATCH
    POST unregister                               {"registered", "error", "exchanges"}
    POST call {"method", "module", "path", "body", "query", "headers"}      the exchange
    POST wait-idle                                {} once no command result is pending
    POST push {"module", "id", "evse_uid", "connector_id", "changes"}       the exchange: PUT or POST of the whole
                                                                            object; PATCH of these changes
    POST change {"module", "id", "changes", "evse_uid", "connector_id"}     {}; nothing is sent to the eMSP
    POST own {"module", "document"}               {}; adds or replaces an object
    POST withdraw {"module", "ids"}               {}; the objects are no longer listed
    POST restore {"module", "ids"}                {}; they are listed again, all of them without "ids"
    POST misbehave {"preset", "deviations"}       {}; from now on, see presets.py and deviations.py
    POST behave                                   {}; from now on it obeys the specification

Only `method` and `module` of a call are required; without "body" no body is sent. An error is HTTP 400 (the request),
404 (also an unknown object), 405, 409 (not registered, no such endpoint) or 502 (no answer from the eMSP)
with {"error"}.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from ipaddress import ip_address
from typing import Final

from attrs import asdict

from ocpi_emsp.testing.cpo.calls import UnknownObjectError
from ocpi_emsp.testing.cpo.deviations import LISTS
from ocpi_emsp.testing.cpo.handshake import HandshakeError
from ocpi_emsp.testing.cpo.outgoing import EndpointMissingError, Exchange, NotRegisteredError
from ocpi_emsp.testing.cpo.running import RunningCpo
from ocpi_emsp.testing.cpo.wire import ABSENT, Answer, Document, Json, Request, RequestError, plain_json
from ocpi_emsp.transports.library import http_errors

_PUSHES: Final[Mapping[tuple[str, int], Callable[..., Awaitable[Exchange]]]] = {
    ("locations", 1): RunningCpo.push_location,
    ("locations", 2): RunningCpo.push_evse,
    ("locations", 3): RunningCpo.push_connector,
    ("sessions", 1): RunningCpo.push_session,
    ("tariffs", 1): RunningCpo.push_tariff,
    ("cdrs", 1): RunningCpo.post_cdr,
}
"""The method that sends an object, by its module and the number of its ids."""

_PATCHES: Final[Mapping[tuple[str, int], Callable[..., Awaitable[Exchange]]]] = {
    ("locations", 1): RunningCpo.patch_location,
    ("locations", 2): RunningCpo.patch_evse,
    ("locations", 3): RunningCpo.patch_connector,
    ("sessions", 1): RunningCpo.patch_session,
    ("tariffs", 1): RunningCpo.patch_tariff,
}


class Control:
    """Answers the requests below /control."""

    def __init__(self, cpo: RunningCpo) -> None:
        self._cpo = cpo
        self._routes: dict[str, tuple[str, Callable[[Document], Json | Awaitable[Json]]]] = {
            "invite": ("GET", lambda _: asdict(cpo.invite())),
            "state": ("GET", lambda _: self._state()),
            "register": ("POST", self._register),
            "update": ("POST", self._update),
            "unregister": ("POST", lambda _: self._unregister()),
            "call": ("POST", self._call),
            "wait-idle": ("POST", lambda _: cpo.wait_idle()),
            "push": ("POST", self._push),
            "change": ("POST", self._change),
            "own": ("POST", self._own),
            "withdraw": ("POST", lambda body: cpo.withdraw(_module(body), *_ids(body))),
            "restore": ("POST", lambda body: cpo.restore(_module(body), *_ids(body))),
            "misbehave": ("POST", self._misbehave),
            "behave": ("POST", lambda _: cpo.behave()),
        }

    async def answer(self, request: Request) -> Answer:
        """Return the response to a control request: plain JSON."""
        if not _is_loopback(request.client.host if request.client else None):
            return _error(403, "Control requests are accepted from this machine only")
        method, order = self._routes.get("/".join(request.ids), ("", None))
        if order is None:
            return _error(404, f"Unknown: {request.path}")
        if request.method != method:
            return _error(405, f"Use {method}")
        try:
            body = await request.document() if await request.body() else {}
            done = order(_object({"body": body}, "body"))
            return plain_json((await done if isawaitable(done) else done) or {})
        except RequestError as error:
            return _error(400, str(error))
        except UnknownObjectError as error:
            return _error(404, str(error))
        except (NotRegisteredError, EndpointMissingError) as error:
            return _error(409, str(error))
        except http_errors() as error:
            return _error(502, f"{type(error).__name__}: {error}")

    def _state(self) -> Json:
        cpo, registration = self._cpo, self._cpo.registration
        emsp = {name: value for name, value in (registration.emsp or {}).items() if name != "token"}
        return {
            "registered": registration.registered,
            "emsp": emsp or None,
            "endpoints": registration.endpoints,
            "tokens": cpo.tokens,
            "received": [asdict(each) for each in cpo.received],
            "command_results": [asdict(each) for each in cpo.command_results_sent],
            "sent": [each.summary() for each in cpo.sent],
            "received_tokens": [asdict(each) for each in cpo.received_tokens],
            "list_requests": dict(cpo.list_requests),
            "deviations": cpo.deviating,
        }

    async def _register(self, body: Document) -> Json:
        return await self._handshake(self._cpo.register(_text(body, "versions_url"), _text(body, "token_a")))

    async def _update(self, body: Document) -> Json:
        method, fields = _text(body, "method", default="PUT"), body.get("fields", [])
        if method not in ("PUT", "PATCH") or not isinstance(fields, list):
            raise RequestError(400, 2000, "method is PUT or PATCH, fields a list")
        return await self._handshake(self._cpo.update_credentials(method, fields=fields))

    async def _unregister(self) -> Json:
        return self._outcome([await self._cpo.unregister()], None)

    async def _call(self, body: Document) -> Json:
        exchange = await self._cpo.call(
            _text(body, "method"),
            _text(body, "module"),
            _text(body, "path", default=""),
            body=body.get("body", ABSENT),
            query=_texts(body, "query"),
            headers=_texts(body, "headers"),
        )
        return exchange.to_json()

    async def _push(self, body: Document) -> Json:
        """Send the named object, or changes of it, as a real CPO would send it by itself."""
        ids = [_text(body, "id"), *(each for each in _children(body) if each is not None)]
        if "connector_id" in body and len(ids) < 3:
            raise RequestError(400, 2000, "Missing or not a string: evse_uid")
        changes = [_object(body, "changes")] if "changes" in body else []
        send = (_PATCHES if changes else _PUSHES).get((_module(body), len(ids)))
        if send is None:
            raise RequestError(400, 2000, "evse_uid and connector_id are of locations only, and a CDR has no changes")
        return (await send(self._cpo, *ids, *changes)).to_json()

    def _change(self, body: Document) -> None:
        evse_uid, connector_id = _children(body)
        changes = _object(body, "changes")
        self._cpo.change(_module(body), _text(body, "id"), changes, evse_uid=evse_uid, connector_id=connector_id)

    def _own(self, body: Document) -> None:
        document = _object(body, "document")
        _text(document, "id")
        self._cpo.own(_module(body), document)

    def _misbehave(self, body: Document) -> None:
        preset = _text(body, "preset") if "preset" in body else None
        try:
            self._cpo.misbehave(preset, **_object(body, "deviations", default={}))
        except (TypeError, ValueError) as error:
            raise RequestError(400, 2000, str(error)) from None

    async def _handshake(self, handshake: Awaitable[list[Exchange]]) -> Json:
        try:
            return self._outcome(await handshake, None)
        except HandshakeError as error:
            return self._outcome(error.exchanges, f"{error.status_code}: {error}")

    def _outcome(self, exchanges: Sequence[Exchange], error: str | None) -> Json:
        """Return how a handshake ended; a rejection by the eMSP is not an error here, but visible in the last
        exchange.
        """
        done = [each.to_json() for each in exchanges]
        return {"registered": self._cpo.registered, "error": error, "exchanges": done}


def _is_loopback(client: str | None) -> bool:
    try:
        return client is not None and ip_address(client).is_loopback
    except ValueError:
        return False


def _error(status: int, message: str) -> Answer:
    return plain_json({"error": message}, status)


def _text(body: Document, name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise RequestError(400, 2000, f"Missing or not a string: {name}")
    return value


def _children(body: Document) -> tuple[str | None, str | None]:
    """Return the EVSE and the connector that are meant, None for the whole location."""
    evse_uid, connector_id = (_text(body, name, default="") or None for name in ("evse_uid", "connector_id"))
    return evse_uid, connector_id


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
