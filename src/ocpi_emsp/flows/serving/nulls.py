"""Responses to a partner that requires every member of an object (profile field absent_as_null).

Rules of this module: such a response has null for absent optional members, in its envelope and in its OCPI objects,
whatever the route.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import evolve

from ocpi_emsp.codec.nulls import with_nulls
from ocpi_emsp.codec.patch import join, members
from ocpi_emsp.models import (
    AuthorizationInfo,
    Cdr,
    Connector,
    Credentials,
    Evse,
    Location,
    Session,
    Tariff,
    Token,
    Version,
    VersionDetail,
)
from ocpi_emsp.routes import Match
from ocpi_emsp.wire import Response

KINDS: Mapping[str, type[Any]] = {
    "versions.get": Version,
    "version_details.get": VersionDetail,
    "credentials.get": Credentials,
    "credentials.post": Credentials,
    "credentials.put": Credentials,
    "credentials.patch": Credentials,
    "locations.get_location": Location,
    "locations.get_evse": Evse,
    "locations.get_connector": Connector,
    "sessions.get": Session,
    "cdrs.get": Cdr,
    "tariffs.get": Tariff,
    "tokens.list": Token,
    "tokens.authorize": AuthorizationInfo,
}
"""The object in the response of each route; the responses of other routes hold no object."""


def as_wanted(response: Response, matched: Match | None, method: str) -> Response:
    """Return the response in the form for such a party."""
    envelope = members(response.body)
    data = envelope.setdefault("data", msgspec.Raw(b"null"))
    route = matched.routes.get(method) if matched else None
    kind = KINDS.get(route.name) if route else None
    if kind is not None and response.status < 300:
        envelope["data"] = msgspec.Raw(with_nulls(kind, data))
    return evolve(response, body=join(envelope))
