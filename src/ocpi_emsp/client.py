"""Calls to one partner: :class:`Client` and :class:`AsyncClient`, side by side, each method one line over a flow.

Rules of this module:
- both have the same methods with the same signatures (a test holds them together); nothing is inherited;
- a call that the support matrix switches off raises NotSupported before anything is sent;
- the party is read from the store for every call, so a rotated token or endpoint is used at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from attrs import frozen

from ocpi_emsp._bridge import iterate, run
from ocpi_emsp.flows import command, fetch, push, register
from ocpi_emsp.flows.command import SentCommand
from ocpi_emsp.flows.context import Context
from ocpi_emsp.flows.fetch import FetchedPage, RejectedItem
from ocpi_emsp.flows.parties import Party
from ocpi_emsp.models import Cdr, Connector, Credentials, Evse, Location, Session, Tariff, Token, Version, VersionDetail
from ocpi_emsp.routes import outgoing
from ocpi_emsp.wire import PageRequest

T = TypeVar("T")
P = ParamSpec("P")

_KEPT_REJECTED = 1000
"""Unusable objects that a listing remembers: enough to report, and a bound on memory."""


@frozen
class _At:
    """Where calls go."""

    context: Context
    country_code: str
    party_id: str

    async def party(self) -> Party:
        return await register.registered_party(self.context, self.country_code, self.party_id)


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


class Listing(Generic[T]):
    """The objects of a list, lazily: a page is requested when its first object is wanted."""

    def __init__(self, pages: Iterator[FetchedPage[T]]) -> None:
        self._pages = pages
        self.total: int | None = None
        """X-Total-Count of the last page, where the partner says it."""
        self.rejected: list[RejectedItem] = []
        """Objects without a usable reading so far, the first thousand."""
        self.notes: list[str] = []
        """What was wrong with the pages themselves so far."""

    def pages(self) -> Iterator[FetchedPage[T]]:
        """The pages that are left."""
        for page in self._pages:
            _remember(self, page)
            yield page

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items


class AsyncListing(Generic[T]):
    """:class:`Listing`, awaited."""

    def __init__(self, pages: AsyncIterator[FetchedPage[T]]) -> None:
        self._pages = pages
        self.total: int | None = None
        self.rejected: list[RejectedItem] = []
        self.notes: list[str] = []

    async def pages(self) -> AsyncIterator[FetchedPage[T]]:
        """The pages that are left."""
        async for page in self._pages:
            _remember(self, page)
            yield page

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item


def _remember(listing: Listing[T] | AsyncListing[T], page: FetchedPage[T]) -> None:
    listing.total = page.total
    listing.notes.extend(page.notes)
    listing.rejected.extend(page.rejected[: _KEPT_REJECTED - len(listing.rejected)])


class Client:
    """Calls to one CPO, blocking. A context manager: its connections close at the end."""

    def __init__(self, context: Context, country_code: str, party_id: str, close: Callable[[], None]) -> None:
        self._at = _At(context, country_code, party_id)
        self._close = close

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
        return run(_call(self._at, register.party_versions))

    def version_details(self) -> VersionDetail:
        """The CPO's endpoints of 2.1.1. Raises UnsupportedVersion naming what is offered."""
        return run(_call(self._at, register.party_version_details))

    def credentials(self) -> Credentials:
        """The CPO's credentials object for us."""
        return run(_call(self._at, register.fetch_credentials))

    def put_credentials(self) -> Party:
        """Renew our credentials and the CPO's endpoints; both sides get fresh tokens."""
        return run(_call(self._at, register.update_credentials, "PUT"))

    def patch_credentials(self) -> Party:
        """Like :meth:`put_credentials`, by PATCH."""
        return run(_call(self._at, register.update_credentials, "PATCH"))

    def delete_credentials(self) -> None:
        """Unregister."""
        run(_call(self._at, register.unregister))

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
        reservation_id: int,
        evse_uid: str | None = None,
    ) -> SentCommand:
        """RESERVE_NOW; the result comes as a CommandResultReceived event."""
        return run(
            _call(
                self._at,
                command.reserve_now,
                token=token,
                location_id=location_id,
                expiry_date=expiry_date,
                reservation_id=reservation_id,
                evse_uid=evse_uid,
            )
        )

    def start_session(self, *, token: Token, location_id: str, evse_uid: str | None = None) -> SentCommand:
        """START_SESSION; the result comes as a CommandResultReceived event."""
        return run(_call(self._at, command.start_session, token=token, location_id=location_id, evse_uid=evse_uid))

    def stop_session(self, *, session_id: str) -> SentCommand:
        """STOP_SESSION; the result comes as a CommandResultReceived event."""
        return run(_call(self._at, command.stop_session, session_id=session_id))

    def unlock_connector(self, *, location_id: str, evse_uid: str, connector_id: str) -> SentCommand:
        """UNLOCK_CONNECTOR; for help-desk operators only."""
        return run(
            _call(
                self._at,
                command.unlock_connector,
                location_id=location_id,
                evse_uid=evse_uid,
                connector_id=connector_id,
            )
        )


class AsyncClient:
    """:class:`Client`, awaited."""

    def __init__(
        self, context: Context, country_code: str, party_id: str, close: Callable[[], Awaitable[None]]
    ) -> None:
        self._at = _At(context, country_code, party_id)
        self._close = close

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
        return await _call(self._at, register.party_versions)

    async def version_details(self) -> VersionDetail:
        """The CPO's endpoints of 2.1.1. Raises UnsupportedVersion naming what is offered."""
        return await _call(self._at, register.party_version_details)

    async def credentials(self) -> Credentials:
        """The CPO's credentials object for us."""
        return await _call(self._at, register.fetch_credentials)

    async def put_credentials(self) -> Party:
        """Renew our credentials and the CPO's endpoints; both sides get fresh tokens."""
        return await _call(self._at, register.update_credentials, "PUT")

    async def patch_credentials(self) -> Party:
        """Like :meth:`put_credentials`, by PATCH."""
        return await _call(self._at, register.update_credentials, "PATCH")

    async def delete_credentials(self) -> None:
        """Unregister."""
        await _call(self._at, register.unregister)

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
        reservation_id: int,
        evse_uid: str | None = None,
    ) -> SentCommand:
        """RESERVE_NOW; the result comes as a CommandResultReceived event."""
        return await _call(
            self._at,
            command.reserve_now,
            token=token,
            location_id=location_id,
            expiry_date=expiry_date,
            reservation_id=reservation_id,
            evse_uid=evse_uid,
        )

    async def start_session(self, *, token: Token, location_id: str, evse_uid: str | None = None) -> SentCommand:
        """START_SESSION; the result comes as a CommandResultReceived event."""
        return await _call(self._at, command.start_session, token=token, location_id=location_id, evse_uid=evse_uid)

    async def stop_session(self, *, session_id: str) -> SentCommand:
        """STOP_SESSION; the result comes as a CommandResultReceived event."""
        return await _call(self._at, command.stop_session, session_id=session_id)

    async def unlock_connector(self, *, location_id: str, evse_uid: str, connector_id: str) -> SentCommand:
        """UNLOCK_CONNECTOR; for help-desk operators only."""
        return await _call(
            self._at,
            command.unlock_connector,
            location_id=location_id,
            evse_uid=evse_uid,
            connector_id=connector_id,
        )
