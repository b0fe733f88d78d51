"""mod_commands.md: the four commands and their response. The rules of the package are in common.py."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from ocpi_emsp.models.enums import CommandResponseType
from ocpi_emsp.models.tokens import Token
from ocpi_emsp.scalars import DateTime, String36, String39, Url, aware_times


@frozen(kw_only=True)
class CommandResponse:
    """The CPO's immediate response to a command, and later the charge point's result."""

    clause: ClassVar[str] = "mod_commands.md#31-commandresponse-object"

    result: CommandResponseType


@frozen(kw_only=True, slots=False, field_transformer=aware_times)
class ReserveNow:
    """Reserve an EVSE of a location until ``expiry_date``."""

    clause: ClassVar[str] = "mod_commands.md#32-reservenow-object"

    response_url: Url
    token: Token
    expiry_date: DateTime
    reservation_id: int
    location_id: String39
    evse_uid: String39 | None = None


@frozen(kw_only=True, slots=False)
class StartSession:
    """Start a session at a location."""

    clause: ClassVar[str] = "mod_commands.md#33-startsession-object"

    response_url: Url
    token: Token
    location_id: String39
    evse_uid: String39 | None = None


@frozen(kw_only=True)
class StopSession:
    """Stop a session."""

    clause: ClassVar[str] = "mod_commands.md#34-stopsession-object"

    response_url: Url
    session_id: String36


@frozen(kw_only=True)
class UnlockConnector:
    """Unlock a connector; for help-desk operators only (mod_commands.md 4.2)."""

    clause: ClassVar[str] = "mod_commands.md#35-unlockconnector-object"

    response_url: Url
    location_id: String39
    evse_uid: String39
    connector_id: String36
