"""Calls to one partner: :class:`Client` and :class:`AsyncClient`, side by side, each method one line over a flow.

Rules of this module:
- both have the same methods with the same signatures (a test holds them together); nothing is inherited;
- a call that the support matrix switches off raises NotSupported before anything is sent;
- the party is read from the store for every call, so a rotated token or endpoint is used at once;
- what a command gives holds no connection: it is awaited after the client was closed as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from attrs import frozen

from ocpi_emsp._bridge import iterate, run
from ocpi_emsp._command_waiter import Waiting
from ocpi_emsp.flows.calls import fetch_one as fetch
from ocpi_emsp.flows.calls.fetch_one import FetchedPage
from ocpi_emsp.flows.commands import send as command
from ocpi_emsp.flows.commands.send import CommandAcknowledgement
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.credentials import discovery as partner_api
from ocpi_emsp.flows.credentials import register
from ocpi_emsp.flows.credentials import renew as lifecycle
from ocpi_emsp.flows.parties.party import Party, PartyState, load_party
from ocpi_emsp.flows.tokens.push import client as push
from ocpi_emsp.listing import AsyncListing, Listing
from ocpi_emsp.models import Cdr, Connector, Credentials, Evse, Location, Session, Tariff, Token, Version, VersionDetail
from ocpi_emsp.resources.commands import AsyncPendingCommand, PendingCommand
from ocpi_emsp.routes import outgoing
from ocpi_emsp.wire import PageRequest

T = TypeVar("T")
P = ParamSpec("P")


@frozen
class _At:
    """Where calls go."""

    context: Context
    country_code: str
    party_id: str

    async def party(self) -> Party:
        return await load_party(self.context, self.country_code, self.party_id, state=PartyState.REGISTERED)


async def _call(
    at: _At, flow: Callable[Concatenate[Context, Party, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    return await flow(at.context, await at.party(), *args, **kwargs)


async def _pages(
    at: _At,
    module: str,
    kind: type[T],
    date_from: datetime | None,
    date_to: datetime | None,
    offset: int,
    limit: int | None,
) -> AsyncIterator[FetchedPage[T]]:
    page = PageRequest(date_from=date_from, date_to=date_to, offset=offset, limit=limit)
    async for fetched in fetch.fetch_pages(at.context, await at.party(), outgoing(f"{module}.list"), kind, page):
        yield fetched


class Client:
    """Calls to one CPO, blocking. A context manager: its connections close at the end."""

    def __init__(
        self, context: Context, country_code: str, party_id: str, close: Callable[[], None], waiting: Waiting
    ) -> None:
        self._at = _At(context, country_code, party_id)
        self._close = close
        self._waiting = waiting

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._close()

    def versions(self) -> list[Version]:
        """The versions that the CPO offers."""
        return run(_call(self._at, partner_api.party_versions))

    def version_details(self) -> VersionDetail:
        """The CPO's endpoints of 2.1.1. Raises UnsupportedVersion naming what is offered."""
        return run(_call(self._at, partner_api.party_version_details))

    def credentials(self) -> Credentials:
        """The CPO's credentials object for us."""
        return run(_call(self._at, register.fetch_credentials))

    def put_credentials(self) -> Party:
        """Renew our credentials and the CPO's endpoints; both sides get fresh tokens."""
        return run(_call(self._at, lifecycle.update_credentials, "PUT"))

    def patch_credentials(self) -> Party:
        """Like :meth:`put_credentials`, by PATCH."""
        return run(_call(self._at, lifecycle.update_credentials, "PATCH"))

    def delete_credentials(self) -> None:
        """Unregister."""
        run(_call(self._at, lifecycle.unregister))

    def locations(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> Listing[Location]:
        """Locations last updated in ``[date_from, date_to)``; ``limit`` is the page size to ask for."""
        return Listing(iterate(_pages(self._at, "locations", Location, date_from, date_to, offset, limit)))

    def location(self, location_id: str) -> Location:
        """One location."""
        return run(_call(self._at, fetch.location, location_id))

    def evse(self, location_id: str, evse_uid: str) -> Evse:
        """One EVSE."""
        return run(_call(self._at, fetch.evse, location_id, evse_uid))

    def connector(self, location_id: str, evse_uid: str, connector_id: str) -> Connector:
        """One connector."""
        return run(_call(self._at, fetch.connector, location_id, evse_uid, connector_id))

    def sessions(
        self,
        *,
        date_from: datetime,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> Listing[Session]:
        """Sessions last updated in ``[date_from, date_to)``; ``date_from`` is required here (mod_sessions.md 2.1.1)."""
        return Listing(iterate(_pages(self._at, "sessions", Session, date_from, date_to, offset, limit)))

    def cdrs(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> Listing[Cdr]:
        """CDRs last updated in ``[date_from, date_to)``."""
        return Listing(iterate(_pages(self._at, "cdrs", Cdr, date_from, date_to, offset, limit)))

    def tariffs(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> Listing[Tariff]:
        """Tariffs last updated in ``[date_from, date_to)``."""
        return Listing(iterate(_pages(self._at, "tariffs", Tariff, date_from, date_to, offset, limit)))

    def token(self, uid: str) -> Token:
        """One of our tokens as the CPO has it."""
        return run(_call(self._at, push.fetch_token, uid))

    def put_token(self, token: Token) -> None:
        """Push a token."""
        run(_call(self._at, push.put_token, token))

    def patch_token(self, uid: str, **changes: Any) -> None:
        """Change members of a pushed token, such as ``valid=False``."""
        run(_call(self._at, push.patch_token, uid, changes))

    def reserve_now(
        self,
        *,
        token: Token,
        location_id: str,
        expiry_date: datetime,
        reservation_id: int | None = None,
        evse_uid: str | None = None,
        timeout: float | None = None,
        force: bool = False,
    ) -> PendingCommand:
        """RESERVE_NOW until ``expiry_date``; the ``reservation_id`` of another replaces it, none makes a new one.

        ``timeout``, ``force`` and what it raises: see :meth:`start_session`; ValueError for an ``expiry_date`` without
        a zone, too.
        """
        flow = _call(
            self._at,
            command.reserve_now,
            token=token,
            location_id=location_id,
            expiry_date=expiry_date,
            reservation_id=reservation_id,
            evse_uid=evse_uid,
            timeout=timeout,
            force=force,
        )
        return self._pending(run(flow))

    def start_session(
        self,
        *,
        token: Token,
        location_id: str,
        evse_uid: str | None = None,
        timeout: float | None = None,
        force: bool = False,
    ) -> PendingCommand:
        """START_SESSION; what is given holds the CPO's acknowledgement, and awaits the charge point's result.

        ``timeout``: the seconds until the command is TIMED_OUT (``CommandLimits.result_timeout``). ``force`` sends it
        although the checks before found an error. Raises InvalidObject with findings, NotSupported, NotRegistered,
        MissingEndpoints: nothing was sent; PartnerError, whose ``command_uid`` names the command as it is kept;
        UnsafeUrl; StoreFailed, with a ``command_uid`` where it was sent; ValueError for a timeout without sense
        (docs/commands.md).
        """
        flow = _call(
            self._at,
            command.start_session,
            token=token,
            location_id=location_id,
            evse_uid=evse_uid,
            timeout=timeout,
            force=force,
        )
        return self._pending(run(flow))

    def stop_session(self, *, session_id: str, timeout: float | None = None, force: bool = False) -> PendingCommand:
        """STOP_SESSION; see :meth:`start_session`."""
        flow = _call(self._at, command.stop_session, session_id=session_id, timeout=timeout, force=force)
        return self._pending(run(flow))

    def unlock_connector(
        self,
        *,
        location_id: str,
        evse_uid: str,
        connector_id: str,
        timeout: float | None = None,
        force: bool = False,
    ) -> PendingCommand:
        """UNLOCK_CONNECTOR; for help-desk operators only (mod_commands.md 4.2); see :meth:`start_session`."""
        flow = _call(
            self._at,
            command.unlock_connector,
            location_id=location_id,
            evse_uid=evse_uid,
            connector_id=connector_id,
            timeout=timeout,
            force=force,
        )
        return self._pending(run(flow))

    def _pending(self, answered: CommandAcknowledgement) -> PendingCommand:
        return PendingCommand(command=answered.command, findings=answered.findings, waiting=self._waiting)


class AsyncClient:
    """:class:`Client`, awaited."""

    def __init__(
        self,
        context: Context,
        country_code: str,
        party_id: str,
        close: Callable[[], Awaitable[None]],
        waiting: Waiting,
    ) -> None:
        self._at = _At(context, country_code, party_id)
        self._close = close
        self._waiting = waiting

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._close()

    async def versions(self) -> list[Version]:
        """The versions that the CPO offers."""
        return await _call(self._at, partner_api.party_versions)

    async def version_details(self) -> VersionDetail:
        """The CPO's endpoints of 2.1.1. Raises UnsupportedVersion naming what is offered."""
        return await _call(self._at, partner_api.party_version_details)

    async def credentials(self) -> Credentials:
        """The CPO's credentials object for us."""
        return await _call(self._at, register.fetch_credentials)

    async def put_credentials(self) -> Party:
        """Renew our credentials and the CPO's endpoints; both sides get fresh tokens."""
        return await _call(self._at, lifecycle.update_credentials, "PUT")

    async def patch_credentials(self) -> Party:
        """Like :meth:`put_credentials`, by PATCH."""
        return await _call(self._at, lifecycle.update_credentials, "PATCH")

    async def delete_credentials(self) -> None:
        """Unregister."""
        await _call(self._at, lifecycle.unregister)

    def locations(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> AsyncListing[Location]:
        """Locations last updated in ``[date_from, date_to)``; ``limit`` is the page size to ask for."""
        return AsyncListing(_pages(self._at, "locations", Location, date_from, date_to, offset, limit))

    async def location(self, location_id: str) -> Location:
        """One location."""
        return await _call(self._at, fetch.location, location_id)

    async def evse(self, location_id: str, evse_uid: str) -> Evse:
        """One EVSE."""
        return await _call(self._at, fetch.evse, location_id, evse_uid)

    async def connector(self, location_id: str, evse_uid: str, connector_id: str) -> Connector:
        """One connector."""
        return await _call(self._at, fetch.connector, location_id, evse_uid, connector_id)

    def sessions(
        self,
        *,
        date_from: datetime,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> AsyncListing[Session]:
        """Sessions last updated in ``[date_from, date_to)``; ``date_from`` is required here (mod_sessions.md 2.1.1)."""
        return AsyncListing(_pages(self._at, "sessions", Session, date_from, date_to, offset, limit))

    def cdrs(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> AsyncListing[Cdr]:
        """CDRs last updated in ``[date_from, date_to)``."""
        return AsyncListing(_pages(self._at, "cdrs", Cdr, date_from, date_to, offset, limit))

    def tariffs(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> AsyncListing[Tariff]:
        """Tariffs last updated in ``[date_from, date_to)``."""
        return AsyncListing(_pages(self._at, "tariffs", Tariff, date_from, date_to, offset, limit))

    async def token(self, uid: str) -> Token:
        """One of our tokens as the CPO has it."""
        return await _call(self._at, push.fetch_token, uid)

    async def put_token(self, token: Token) -> None:
        """Push a token."""
        await _call(self._at, push.put_token, token)

    async def patch_token(self, uid: str, **changes: Any) -> None:
        """Change members of a pushed token, such as ``valid=False``."""
        await _call(self._at, push.patch_token, uid, changes)

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
    ) -> AsyncPendingCommand:
        """RESERVE_NOW until ``expiry_date``; the ``reservation_id`` of another replaces it, none makes a new one.

        ``timeout``, ``force`` and what it raises: see :meth:`start_session`; ValueError for an ``expiry_date`` without
        a zone, too.
        """
        flow = _call(
            self._at,
            command.reserve_now,
            token=token,
            location_id=location_id,
            expiry_date=expiry_date,
            reservation_id=reservation_id,
            evse_uid=evse_uid,
            timeout=timeout,
            force=force,
        )
        return self._pending(await flow)

    async def start_session(
        self,
        *,
        token: Token,
        location_id: str,
        evse_uid: str | None = None,
        timeout: float | None = None,
        force: bool = False,
    ) -> AsyncPendingCommand:
        """START_SESSION; what is given holds the CPO's acknowledgement, and awaits the charge point's result.

        ``timeout``: the seconds until the command is TIMED_OUT (``CommandLimits.result_timeout``). ``force`` sends it
        although the checks before found an error. Raises InvalidObject with findings, NotSupported, NotRegistered,
        MissingEndpoints: nothing was sent; PartnerError, whose ``command_uid`` names the command as it is kept;
        UnsafeUrl; StoreFailed, with a ``command_uid`` where it was sent; ValueError for a timeout without sense
        (docs/commands.md).
        """
        flow = _call(
            self._at,
            command.start_session,
            token=token,
            location_id=location_id,
            evse_uid=evse_uid,
            timeout=timeout,
            force=force,
        )
        return self._pending(await flow)

    async def stop_session(
        self, *, session_id: str, timeout: float | None = None, force: bool = False
    ) -> AsyncPendingCommand:
        """STOP_SESSION; see :meth:`start_session`."""
        flow = _call(self._at, command.stop_session, session_id=session_id, timeout=timeout, force=force)
        return self._pending(await flow)

    async def unlock_connector(
        self,
        *,
        location_id: str,
        evse_uid: str,
        connector_id: str,
        timeout: float | None = None,
        force: bool = False,
    ) -> AsyncPendingCommand:
        """UNLOCK_CONNECTOR; for help-desk operators only (mod_commands.md 4.2); see :meth:`start_session`."""
        flow = _call(
            self._at,
            command.unlock_connector,
            location_id=location_id,
            evse_uid=evse_uid,
            connector_id=connector_id,
            timeout=timeout,
            force=force,
        )
        return self._pending(await flow)

    def _pending(self, answered: CommandAcknowledgement) -> AsyncPendingCommand:
        return AsyncPendingCommand(command=answered.command, findings=answered.findings, waiting=self._waiting)
