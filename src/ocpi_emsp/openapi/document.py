"""The whole document."""

from __future__ import annotations

from typing import Any, Final

from ocpi_emsp._version import __version__
from ocpi_emsp.flows.core.settings import HttpLimits
from ocpi_emsp.flows.serving.patches import OBJECTS as PATCHED
from ocpi_emsp.openapi.operations import header_components, header_parameters, operation, refusal_responses
from ocpi_emsp.openapi.schemas import Schema, component_schemas
from ocpi_emsp.routes import INCOMING, VERSION, Route
from ocpi_emsp.support import SupportMatrix

_SPECIFICATION: Final = "https://github.com/ocpi/ocpi/tree/release-2.1.1-bugfixes"
_DESCRIPTION: Final = (
    "Every answer is an OCPI envelope, also to a path or a method that is not listed here (404, 405). A request is "
    "described as the specification has it; what deviates from that with one clear reading is accepted, and the "
    "`status_message` names it. Objects may have members beyond those that are listed. Ids in a path are "
    "percent-encoded; a slash at its end is ignored. A support matrix or `absent_as_null` in a partner's profile "
    "changes what that partner is served."
)
_SCHEME: Final[Schema] = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "`Token` and, after a space, the token that we gave to the partner; also in base64.",
}


def describe(*, name: str, url: str, matrix: SupportMatrix, limits: HttpLimits) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of an eMSP with this name, below this public base."""
    schemas = component_schemas(PATCHED.values())
    routes = [route for route in INCOMING if route.on(matrix)]
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(_path(route), {})[route.method.lower()] = operation(route, schemas, limits)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{name}: the eMSP interface of OCPI {VERSION}",
            "description": _DESCRIPTION,
            "version": VERSION,
            "x-generator": f"ocpi-emsp {__version__}",
        },
        "externalDocs": {"description": f"OCPI {VERSION}", "url": _SPECIFICATION},
        "servers": [{"url": url}],
        "security": [{"Token": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(_tags(paths))],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusal_responses(),
            "headers": header_components(),
            "parameters": header_parameters(),
            "securitySchemes": {"Token": _SCHEME},
        },
    }


def _path(route: Route) -> str:
    start = () if route.module in ("versions", VERSION) else (VERSION,)
    return "/" + "/".join((*start, route.module, *route.path))


def _tags(paths: dict[str, Schema]) -> list[str]:
    return [tag for methods in paths.values() for each in methods.values() for tag in each["tags"]]
