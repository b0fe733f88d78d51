"""mod_tokens.md: Token, LocationReferences, AuthorizationInfo. The rules of the package are in common.py."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from ocpi_emsp.models.common import DisplayText
from ocpi_emsp.models.enums import Allowed, TokenType, WhitelistType
from ocpi_emsp.scalars import DateTime, String2, String36, String39, String64, aware_times


@frozen(kw_only=True, slots=False, field_transformer=aware_times)
class Token:
    """A driver's token; ``uid`` and ``type`` together are unique within the eMSP."""

    clause: ClassVar[str] = "mod_tokens.md#32-token-object"

    uid: String36
    type: TokenType
    auth_id: String36
    visual_number: String64 | None = None
    issuer: String64
    valid: bool
    whitelist: WhitelistType
    language: String2 | None = None
    last_updated: DateTime


@frozen(kw_only=True, slots=False)
class LocationReferences:
    """A location, and optionally its EVSEs and connectors, by id."""

    clause: ClassVar[str] = "mod_tokens.md#42-locationreferences-class"

    location_id: String39
    evse_uids: tuple[String39, ...] = ()
    connector_ids: tuple[String36, ...] = ()


@frozen(kw_only=True, slots=False)
class AuthorizationInfo:
    """The answer to an authorization request; ``location`` lists only what the driver may use."""

    clause: ClassVar[str] = "mod_tokens.md#31-authorizationinfo-object"

    allowed: Allowed
    location: LocationReferences | None = None
    info: DisplayText | None = None
