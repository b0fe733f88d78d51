"""JSON Schemas (2020-12) of the contents of requests and responses, from the annotations of the models.

Rules of this module:
- an object may have more members than its schema lists: OCPI calls them extensions;
- a ``number`` is a JSON number; a pattern is an ECMA-262 one, as in JSON Schema;
- ``<Object>Changes`` describes a PATCH: any members, at least one; items of lists with an identity require theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from ocpi_emsp.findings import Finding
from ocpi_emsp.models import (
    AuthorizationInfo,
    Cdr,
    CommandResponse,
    Connector,
    Credentials,
    Evse,
    Location,
    LocationReferences,
    Session,
    Tariff,
    Token,
    Version,
    VersionDetail,
)

Schema: TypeAlias = dict[str, Any]

_KINDS: Final = (
    Version,
    VersionDetail,
    Credentials,
    Location,
    Evse,
    Connector,
    Session,
    Cdr,
    Tariff,
    Token,
    LocationReferences,
    AuthorizationInfo,
    CommandResponse,
    Finding,
)
_KEYED: Final[Mapping[str, tuple[str, str]]] = {"evses": ("Evse", "uid"), "connectors": ("Connector", "id")}
"""Lists that a PATCH merges item by item: the item's object, and the member that identifies it."""
_SCHEMAS: Final = "#/components/schemas/"
_MARKUP: Final = re.compile(r"(?::\w+:)?`+([^`]*)`+")

SUCCESS: Final[Schema] = {
    "title": "Success",
    "description": "The envelope of a success; `status_message` names what was accepted although it deviates.",
    "type": "object",
    "properties": {
        "status_code": {"const": 1000},
        "status_message": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
    },
    "required": ["status_code", "status_message", "timestamp"],
}
FAILURE: Final[Schema] = {
    "title": "Failure",
    "description": "The envelope of a refusal; `data` lists what was found, if the object was refused for it.",
    "type": "object",
    "properties": {
        **SUCCESS["properties"],
        "status_code": {"type": "integer", "minimum": 2000, "maximum": 3999},
        "data": {"type": ["array", "null"], "items": {"$ref": f"{_SCHEMAS}Finding"}},
    },
    "required": SUCCESS["required"],
}
STORED: Final[Schema] = {
    "title": "AsReceived",
    "description": "An object as its sender wrote it, where it deviates and was accepted all the same.",
    "type": "object",
}


def reference(name: str) -> Schema:
    """Return the reference to a schema among the components."""
    return {"$ref": f"{_SCHEMAS}{name}"}


def component_schemas(changed: Iterable[type[Any]]) -> dict[str, Schema]:
    """Return every schema by name, including those of the ``changed`` objects' PATCHes."""
    _, found = msgspec.json.schema_components(_KINDS, ref_template=f"{_SCHEMAS}{{name}}")
    schemas: dict[str, Schema] = {name: _adapted(schema) for name, schema in found.items()}
    for kind in changed:
        schemas[f"{kind.__name__}Changes"] = _changes(schemas[kind.__name__])
    own = {schema["title"]: schema for schema in (SUCCESS, FAILURE, STORED)}
    return dict(sorted({**schemas, **own}.items()))


def field_schema(schemas: Mapping[str, Schema], kind: type[Any], name: str) -> Schema:
    """Return the schema of a field of an object."""
    return dict(schemas[kind.__name__]["properties"][name])


def plain(text: str | None) -> str:
    """Return the first paragraph of a docstring, as CommonMark."""
    paragraph = " ".join((text or "").strip().partition("\n\n")[0].split())
    return _MARKUP.sub(r"`\1`", paragraph)


def _adapted(node: Any) -> Any:
    """Return a schema of msgspec in our form: numbers, patterns, texts; no defaults, since null stands for absent
    there.
    """
    if isinstance(node, list):
        return [_adapted(each) for each in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "decimal":
        return {"type": "number"}
    adapted = {name: _adapted(each) for name, each in node.items() if name != "default"}
    if isinstance(node.get("description"), str):
        adapted["description"] = plain(node["description"])
    if isinstance(node.get("pattern"), str):
        adapted["pattern"] = node["pattern"].replace(r"\Z", "$")
    if isinstance(node.get("enum"), list):
        adapted["type"] = "string"
    return adapted


def _changes(schema: Schema) -> Schema:
    properties = {name: _keyed(*_KEYED[name]) if name in _KEYED else of for name, of in schema["properties"].items()}
    return {
        "title": f"{schema['title']}Changes",
        "description": "The members that change, at least one (JSON Merge Patch, RFC 7396).",
        "type": "object",
        "properties": properties,
        "minProperties": 1,
    }


def _keyed(name: str, identity: str) -> Schema:
    return {"type": "array", "items": {"allOf": [reference(f"{name}Changes"), {"required": [identity]}]}}
