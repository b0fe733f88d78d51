"""Calls to one partner: :class:`Client`, and :class:`AsyncClient` with the same methods, awaited.

Rules of this module:
- a call that the support matrix switches off raises NotSupported before anything is sent;
- the party is read from the store for every call, so a rotated token or endpoint is used at once;
- a pending command holds no connection: it can also be awaited after the client was closed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from ocpi_emsp._command_waiter import Waiting
from ocpi_emsp.flows.calls import fetch_one as fetch
from ocpi_emsp.flows.calls.fetch_one import FetchedPage
from ocpi_emsp.flows.commands import send as command
from ocpi_emsp.flows.commands.reservations import new_reservation_id
from ocpi_emsp.flows.commands.states import Command
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.credentials import discovery as partner_api, register, renew as lifecycle
from ocpi_emsp.flows.inbound.stored import require_zone
from ocpi_emsp.flows.parties.party import Party, PartyState, load_party
from ocpi_emsp.flows.tokens.push import client as push
from ocpi_emsp.listing import Listing
from ocpi_emsp.models import (
    Cdr,
    Connector,
    Credentials,
    Evse,
    Location,
    ReserveNow,
    Session,
    StartSession,
    StopSession,
    Tariff,
    Token,
    UnlockConnector,
    Version,
    VersionDetail,
)
from ocpi_emsp.party_id import PartyId
from ocpi_emsp.resources.commands import PendingCommand, awaited_pending, pending_of
from ocpi_emsp.resources.contexts import Close
from ocpi_emsp.resources.modes import awaited, awaited_listing, blocking
from ocpi_emsp.routes import outgoing
from ocpi_emsp.wire import PageRequest

T = TypeVar("T")
P = ParamSpec("P")


class _Calls:
    """What both clients share."""

    def __init__(self, context: Context, party: PartyId, close: Close, waiting: Waiting) -> None:
        self.party = party
        self._context = context
        self._close = close
        self._waiting = waiting

    async def _registered(self) -> Party:
        return await load_party(self._context, *self.party, state=PartyState.REGISTERED)

    async def _call(
        self, flow: Callable[Concatenate[Context, Party, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await flow(self._context, await self._registered(), *args, **kwargs)

    async def _send(self, kind: type[Command], timeout: float | None, force: bool, **members: Any) -> PendingCommand:
        answered = await self._call(command.send_command, kind, timeout=timeout, force=force, **members)
        return pending_of(self._waiting, answered.command, answered.findings)

    def _list(
        self,
        module: str,
        kind: type[T],
        date_from: datetime | None,
        date_to: datetime | None,
        offset: int,
        limit: int | None,
    ) -> Listing[T]:
        require_zone("date_from", date_from)
        require_zone("date_to", date_to)
        page = PageRequest(date_from=date_from, date_to=date_to, offset=offset, limit=limit)
        return Listing(self._pages(module, kind, page))

    async def _pages(self, module: str, kind: type[T], page: PageRequest) -> AsyncIterator[FetchedPage[T]]:
        party, route = await self._registered(), outgoing(f"{module}.list")
        async for fetched in fetch.fetch_pages(self._context, party, route, kind, page):
            yield fetched


class Client(_Calls):
    """Calls to one CPO, blocking. A context manager: its connections close at the end."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @blocking
    async def close(self) -> None:
        """Close the connections."""
        await self._close()

    @blocking
    async def versions(self) -> list[Version]:
        """Get the versions that the CPO offers."""
        return await self._call(partner_api.party_versions)

    @blocking
    async def version_details(self) -> VersionDetail:
        """Get the CPO's endpoints of 2.1.1. Raises UnsupportedVersion, which names the offered versions."""
        return await self._call(partner_api.party_version_details)

    @blocking
    async def credentials(self) -> Credentials:
        """Get the CPO's credentials object for us."""
        return await self._call(register.fetch_credentials)

    @blocking
    async def put_credentials(self) -> Party:
        """Renew our credentials and the CPO's endpoints; both sides get fresh tokens."""
        return await self._call(lifecycle.update_credentials, "PUT")

    @blocking
    async def patch_credentials(self) -> Party:
        """Do the same as :meth:`put_credentials`, by PATCH."""
        return await self._call(lifecycle.update_credentials, "PATCH")

    @blocking
    async def delete_credentials(self) -> None:
        """Unregister."""
        await self._call(lifecycle.unregister)

    def locations(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> Listing[Location]:
        """List locations last updated in ``[date_from, date_to)``; ``limit`` is the page size to ask for."""
        return self._list("locations", Location, date_from, date_to, offset, limit)

    @blocking
    async def location(self, location_id: str) -> Location:
        """Get one location."""
        return await self._call(
            fetch.fetch_object, outgoing("locations.get_location"), Location, location_id=location_id
        )

    @blocking
    async def evse(self, location_id: str, evse_uid: str) -> Evse:
        """Get one EVSE."""
        route = outgoing("locations.get_evse")
        return await self._call(fetch.fetch_object, route, Evse, location_id=location_id, evse_uid=evse_uid)

    @blocking
    async def connector(self, location_id: str, evse_uid: str, connector_id: str) -> Connector:
        """Get one connector."""
        route = outgoing("locations.get_connector")
        ids = {"location_id": location_id, "evse_uid": evse_uid, "connector_id": connector_id}
        return await self._call(fetch.fetch_object, route, Connector, **ids)

    def sessions(
        self,
        *,
        date_from: datetime,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> Listing[Session]:
        """List sessions last updated in ``[date_from, date_to)``; ``date_from`` is required (mod_sessions.md 2.1.1)."""
        return self._list("sessions", Session, date_from, date_to, offset, limit)

    def cdrs(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> Listing[Cdr]:
        """List CDRs last updated in ``[date_from, date_to)``."""
        return self._list("cdrs", Cdr, date_from, date_to, offset, limit)

    def tariffs(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> Listing[Tariff]:
        """List tariffs last updated in ``[date_from, date_to)``."""
        return self._list("tariffs", Tariff, date_from, date_to, offset, limit)

    @blocking
    async def token(self, uid: str) -> Token:
        """Get one of our tokens as the CPO has it."""
        return await self._call(push.fetch_token, uid)

    @blocking
    async def put_token(self, token: Token, *, extensions: Mapping[str, Any] | None = None) -> None:
        """Push a token, with members unknown to the specification (docs/how-to/extensions.md)."""
        await self._call(push.put_token, token, extensions)

    @blocking
    async def patch_token(self, /, uid: str, **changes: Any) -> None:
        """Change members of a pushed token, for example ``valid=False``."""
        await self._call(push.patch_token, uid, changes)

    @blocking
    async def reserve_now(
        self,
        *,
        token: Token,
        location_id: str,
        expiry_date: datetime,
        reservation_id: int | None = None,
        evse_uid: str | None = None,
        timeout: float | None = None,
        force: bool = False,
        authorization_id: str | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> PendingCommand:
        """Send RESERVE_NOW until ``expiry_date``; an existing ``reservation_id`` replaces that reservation, None
        creates one.

        ``timeout``, ``force`` and the errors: see :meth:`start_session`; also ValueError for an ``expiry_date`` without
        a zone.
        """
        return await self._send(
            ReserveNow,
            timeout,
            force,
            token=token,
            location_id=location_id,
            expiry_date=expiry_date,
            reservation_id=new_reservation_id() if reservation_id is None else reservation_id,
            evse_uid=evse_uid,
            authorization_id=authorization_id,
            extensions=extensions,
        )

    @blocking
    async def start_session(
        self,
        *,
        token: Token,
        location_id: str,
        evse_uid: str | None = None,
        timeout: float | None = None,
        force: bool = False,
        authorization_id: str | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> PendingCommand:
        """Send START_SESSION; the pending command has the CPO's acknowledgement, and awaits the charge point's result.

        ``timeout``: the seconds until the command is TIMED_OUT (``CommandLimits.result_timeout``). ``force`` sends it
        even if the checks before sending found an error. ``extensions``: members unknown to the specification;
        ``authorization_id`` is one of them, by which the session is found (docs/how-to/extensions.md). Raises
        InvalidObject with findings, NotSupported, NotRegistered, MissingEndpoints: nothing was sent; PartnerError,
        whose ``command_uid`` names the stored command; UnsafeUrl; StoreFailed, with a ``command_uid`` if it was sent;
        ValueError if ``timeout`` is not positive (docs/how-to/commands.md).
        """
        return await self._send(
            StartSession,
            timeout,
            force,
            token=token,
            location_id=location_id,
            evse_uid=evse_uid,
            authorization_id=authorization_id,
            extensions=extensions,
        )

    @blocking
    async def stop_session(
        self,
        *,
        session_id: str,
        timeout: float | None = None,
        force: bool = False,
        extensions: Mapping[str, Any] | None = None,
    ) -> PendingCommand:
        """Send STOP_SESSION; see :meth:`start_session`."""
        return await self._send(StopSession, timeout, force, session_id=session_id, extensions=extensions)

    @blocking
    async def unlock_connector(
        self,
        *,
        location_id: str,
        evse_uid: str,
        connector_id: str,
        timeout: float | None = None,
        force: bool = False,
        extensions: Mapping[str, Any] | None = None,
    ) -> PendingCommand:
        """Send UNLOCK_CONNECTOR; for help-desk operators only (mod_commands.md 4.2); see :meth:`start_session`."""
        return await self._send(
            UnlockConnector,
            timeout,
            force,
            location_id=location_id,
            evse_uid=evse_uid,
            connector_id=connector_id,
            extensions=extensions,
        )


class AsyncClient(_Calls):
    """:class:`Client`, awaited. An async context manager."""

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    close = awaited(Client.close)
    versions = awaited(Client.versions)
    version_details = awaited(Client.version_details)
    credentials = awaited(Client.credentials)
    put_credentials = awaited(Client.put_credentials)
    patch_credentials = awaited(Client.patch_credentials)
    delete_credentials = awaited(Client.delete_credentials)
    locations = awaited_listing(Client.locations)
    location = awaited(Client.location)
    evse = awaited(Client.evse)
    connector = awaited(Client.connector)
    sessions = awaited_listing(Client.sessions)
    cdrs = awaited_listing(Client.cdrs)
    tariffs = awaited_listing(Client.tariffs)
    token = awaited(Client.token)
    put_token = awaited(Client.put_token)
    patch_token = awaited(Client.patch_token)
    reserve_now = awaited_pending(Client.reserve_now)
    start_session = awaited_pending(Client.start_session)
    stop_session = awaited_pending(Client.stop_session)
    unlock_connector = awaited_pending(Client.unlock_connector)
