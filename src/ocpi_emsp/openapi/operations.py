"""One operation of the description for each route, and the responses that all share.

Rules of this module (the table of docs/reference/answers.md):
- every response is an envelope; HTTP 200 also carries a refusal (status_code 2xxx, or 3xxx of a registration);
- the responses of refusals are those of the classes in ``errors.py``: a new one is described without a change here;
- 400 is for routes with a body, 404 for those that name an object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ocpi_emsp import errors
from ocpi_emsp.errors import OcpiError, Refusal
from ocpi_emsp.flows.core.settings import HttpLimits
from ocpi_emsp.flows.serving.dispatch import FLOWS
from ocpi_emsp.flows.serving.nulls import KINDS
from ocpi_emsp.flows.serving.patches import OBJECTS as PATCHED
from ocpi_emsp.models import (
    Cdr,
    CommandResponse,
    CommandType,
    Connector,
    Credentials,
    Evse,
    Location,
    LocationReferences,
    Session,
    Tariff,
    Token,
    TokenType,
)
from ocpi_emsp.openapi.schemas import Schema, field_schema, plain, reference
from ocpi_emsp.routes import Route

BODIES: Final[Mapping[str, type[Any]]] = {
    "credentials.post": Credentials,
    "credentials.put": Credentials,
    "locations.put_location": Location,
    "locations.put_evse": Evse,
    "locations.put_connector": Connector,
    "sessions.put": Session,
    "cdrs.post": Cdr,
    "tariffs.put": Tariff,
    "tokens.authorize": LocationReferences,
    "commands.result": CommandResponse,
}
"""The object in the body of each PUT and POST; a PATCH body holds changes of an object of ``PATCHED``."""
_STORED: Final = frozenset({"locations", "sessions", "cdrs", "tariffs"})
"""The modules whose GET returns objects that the partner sent."""
_LISTS: Final = frozenset({"versions.get", "tokens.list"})
_OPTIONAL_BODY: Final = frozenset({"tokens.authorize"})
_CREATES: Final = frozenset({"credentials.post", "cdrs.post"})
"""The POSTs whose success is always 201; a PUT updates or creates."""

_FIELDS: Final[Mapping[str, tuple[type[Any], str, str]]] = {
    "country_code": (Credentials, "country_code", "The owner's country code: the partner's own, in any case."),
    "party_id": (Credentials, "party_id", "The owner's party id: the partner's own, in any case."),
    "location_id": (Location, "id", "The location, as the partner calls it."),
    "evse_uid": (Evse, "uid", "The EVSE, by its uid."),
    "connector_id": (Connector, "id", "The connector of the EVSE."),
    "session_id": (Session, "id", "The session."),
    "tariff_id": (Tariff, "id", "The tariff."),
    "cdr_id": (Cdr, "id", "The CDR, in any case."),
    "token_uid": (Token, "uid", "The token, as we gave it to the partner."),
}
"""The field of an object that each path parameter holds."""
_COMMAND: Final[Schema] = {"type": "string", "enum": sorted(CommandType)}
_WHOLE: Final[Schema] = {"type": "integer", "minimum": 0}
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_TEXT: Final[Schema] = {"type": "string"}

_HEADERS: Final[Mapping[str, tuple[str, Schema]]] = {
    "X-Request-ID": ("That of the request, or a new one.", _TEXT),
    "X-Correlation-ID": ("That of the request, or a new one; it travels with the change.", _TEXT),
    "X-Total-Count": ("How many objects the list has.", _WHOLE),
    "X-Limit": ("How many objects a page has at most.", {"type": "integer", "minimum": 1}),
    "Link": ("Where the next page is; none on the last one.", _TEXT),
    "Location": ("The URL of the CDR here.", {"type": "string", "format": "uri"}),
    "WWW-Authenticate": ("The scheme that is expected: Token.", _TEXT),
    "Allow": ("The methods that are supported here.", _TEXT),
    "Accept-Encoding": ("The content coding that is accepted: none.", _TEXT),
    "Retry-After": ("Seconds until the next try.", _WHOLE),
}
_ALWAYS: Final = ("X-Request-ID", "X-Correlation-ID")
_MADE: Final = "One that is missing, longer than 128 characters or not printable ASCII is replaced by ours."
_PAGED: Final = ("X-Total-Count", "X-Limit", "Link")
"""Optional headers: Link is not on the last page, and a refused request for a page has none of them."""
_OF_STATUS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    415: ("Accept-Encoding",),
    429: ("Retry-After",),
}
_OF_BODIES: Final = 400
_OF_OBJECTS: Final = 404


# --- shared by all ----------------------------------------------------------------------------------------------------


def refusals() -> dict[int, list[type[OcpiError]]]:
    """Return the errors with an HTTP status other than 200, by status; 500 for every fault of ours."""
    found: dict[int, list[type[OcpiError]]] = {}
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, Refusal) and each is not Refusal and each.http_status != 200:
            found.setdefault(each.http_status, []).append(each)
    return {**dict(sorted(found.items())), OcpiError.http_status: [OcpiError]}


def refusal_responses() -> dict[str, Schema]:
    """Return the components for the responses of refusals, by name."""
    return {_component(kinds): _refusal(status, kinds) for status, kinds in refusals().items()}


def _refusal(status: int, kinds: Sequence[type[OcpiError]]) -> Schema:
    codes = sorted({kind.status_code for kind in kinds})
    sentence = "Our fault, with a correlation id" if kinds == [OcpiError] else plain(kinds[0].__doc__)
    failure: Schema = {"allOf": [reference("Failure"), {"properties": {"status_code": {"enum": codes}}}]}
    return _response(sentence, failure, *_OF_STATUS.get(status, ()))


def header_components() -> dict[str, Schema]:
    """Return the headers of responses, by name."""
    return {
        name: {"description": text, "required": name not in _PAGED, "schema": schema}
        for name, (text, schema) in _HEADERS.items()
    }


def header_parameters() -> dict[str, Schema]:
    """Return the headers that every request may have, by name."""
    return {
        name: {"name": name, "in": "header", "description": f"An id that the answer repeats. {_MADE}", "schema": _TEXT}
        for name in _ALWAYS
    }


def _component(kinds: Sequence[type[OcpiError]]) -> str:
    return "Failed" if kinds == [OcpiError] else kinds[0].__name__


def _response(description: str, schema: Schema, *headers: str) -> Schema:
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in (*headers, *_ALWAYS)},
        "content": {"application/json": {"schema": schema}},
    }


# --- an operation -----------------------------------------------------------------------------------------------------


def operation(route: Route, schemas: Mapping[str, Schema], limits: HttpLimits) -> Schema:
    """Return the description of a route."""
    described: Schema = {
        "operationId": route.name,
        "summary": plain(FLOWS[route.name].__doc__).rstrip("."),
        "tags": [_tag(route)],
        "parameters": [*_path_parameters(route, schemas), *_query_parameters(route, limits), *_IDS],
        "responses": _responses(route),
    }
    body = _body(route)
    return described if body is None else {**described, "requestBody": body}


_IDS: Final = tuple({"$ref": f"#/components/parameters/{name}"} for name in _ALWAYS)


def _tag(route: Route) -> str:
    return "versions" if route.name.startswith("version") else route.module


def _path_parameters(route: Route, schemas: Mapping[str, Schema]) -> list[Schema]:
    return [_path_parameter(part[1:-1], schemas) for part in route.path if part.startswith("{")]


def _path_parameter(name: str, schemas: Mapping[str, Schema]) -> Schema:
    if name == "command":
        description, schema = "The command that was sent.", _COMMAND
    elif name == "uid":
        description, schema = "Our id of the command, as its response_url has it.", _TEXT
    else:
        kind, member, description = _FIELDS[name]
        schema = field_schema(schemas, kind, member)
    schema = {**schema, "minLength": 1}  # a path has no empty segment
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query_parameters(route: Route, limits: HttpLimits) -> list[Schema]:
    if route.name == "tokens.authorize":
        types: Schema = {"type": "string", "enum": sorted(TokenType), "default": TokenType.RFID.value}
        return [_query("type", "The type of the token.", types)]
    if route.name != "tokens.list":
        return []
    size: Schema = {"type": "integer", "minimum": 1, "default": limits.page_size}
    return [
        _query("date_from", "Only what was last updated then or later.", _MOMENT),
        _query("date_to", "Only what was last updated before then.", _MOMENT),
        _query("offset", "The place of the first object of the page.", {**_WHOLE, "default": 0}),
        _query("limit", f"How many objects the page has, {limits.max_page_size} at most.", size),
        _query("after", "Of a next link: the last object of the page before.", _WHOLE),
        _query("total", "Of a next link: how many objects there were when the list began.", _WHOLE),
    ]


def _query(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": dict(schema)}


def _body(route: Route) -> Schema | None:
    if route.name in PATCHED:
        schema = reference(f"{PATCHED[route.name].__name__}Changes")
    elif route.name in BODIES:
        schema = reference(BODIES[route.name].__name__)
    else:
        return None
    required = route.name not in _OPTIONAL_BODY
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _responses(route: Route) -> Schema:
    success = _success(route)
    headers = {"cdrs.post": ("Location",), "tokens.list": _PAGED}.get(route.name, ())
    refused = reference("Failure")
    answers: Schema = {}
    if route.name in _CREATES:
        answers["200"] = _response("Refused: `status_code` says why.", refused)
        answers["201"] = _response("Created.", success, *headers)
    else:
        either = {"oneOf": [success, refused]}
        answers["200"] = _response("Done, or refused: `status_code` says which.", either, *headers)
        if route.method == "PUT" and route.module != "credentials":
            answers["201"] = _response("Created.", success)
    has_body, names_object = _body(route) is not None, bool(route.path)
    for status, kinds in refusals().items():
        if (status != _OF_BODIES or has_body) and (status != _OF_OBJECTS or names_object):
            answers[str(status)] = {"$ref": f"#/components/responses/{_component(kinds)}"}
    return answers


def _success(route: Route) -> Schema:
    """Return the envelope of a success: with the object that it holds, or without data."""
    kind = KINDS.get(route.name)
    if kind is None:
        return reference("Success")
    data = reference(kind.__name__)
    if route.module in _STORED:
        data = {"anyOf": [data, reference("AsReceived")]}
    if route.name in _LISTS:
        data = {"type": "array", "items": data}
    return {"allOf": [reference("Success"), {"properties": {"data": data}, "required": ["data"]}]}
