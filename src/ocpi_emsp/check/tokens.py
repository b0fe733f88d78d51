"""mod_tokens.md: Token, LocationReferences, AuthorizationInfo."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ocpi_emsp.check.examples import broken
from ocpi_emsp.check.registry import NOTE, Chapter, Hit
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.models import Allowed, AuthorizationInfo, LocationReferences, Token, WhitelistType

TOKENS = Chapter("Tokens", "mod_tokens.md")

EMA_ID = re.compile(
    r"[A-Z]{2}-?[A-Z0-9]{3}-?C[A-Z0-9]{8}(?:-?[A-Z0-9])?"  # ISO 15118 and eMI3, with or without check digit
    r"|[A-Z]{2}[*-]?[A-Z0-9]{3}[*-]?[A-Z0-9]{6}(?:[*-]?[0-9X])?",  # DIN SPEC 91286
    re.ASCII | re.IGNORECASE,
)


@TOKENS.rule(
    "authorization.location",
    "A location is present although the driver may not charge there.",
    broken(AuthorizationInfo, allowed="BLOCKED"),
)
def authorization_location(info: AuthorizationInfo) -> Iterator[Hit]:
    if info.location is not None and info.allowed != Allowed.ALLOWED:
        yield ("location",), f"a location is present, but the token is {info.allowed}"


@TOKENS.rule(
    "token.auth_id.form",
    "The auth_id does not have the recommended form of an eMA-ID.",
    broken(Token, auth_id="driver 1"),
    severity=NOTE,
)
def auth_id_form(token: Token) -> Iterator[Hit]:
    if not EMA_ID.fullmatch(token.auth_id):
        yield ("auth_id",), f"{shown(token.auth_id)} is not an eMA-ID"


@TOKENS.rule(
    "token.always.invalid",
    "The whitelist type is ALWAYS, but the token is not valid.",
    broken(Token, whitelist="ALWAYS", valid=False),
    severity=NOTE,
    clause="mod_tokens.md#44-whitelisttype-enum",
)
def always_invalid(token: Token) -> Iterator[Hit]:
    if token.whitelist == WhitelistType.ALWAYS and not token.valid:
        yield ("valid",), "the token is not valid, but its whitelist type is ALWAYS"


@TOKENS.rule(
    "location_references.connectors",
    "connector_ids is present without evse_uids.",
    broken(LocationReferences, evse_uids=...),
    severity=NOTE,
)
def references_connectors(references: LocationReferences) -> Iterator[Hit]:
    if references.connector_ids and not references.evse_uids:
        yield ("connector_ids",), "connector_ids identifies connectors within evse_uids, which is missing"
