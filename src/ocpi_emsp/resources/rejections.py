"""What partners sent and we refused."""

from __future__ import annotations

import builtins
from collections.abc import Callable

from ocpi_emsp._bridge import run
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.serving import rejections
from ocpi_emsp.flows.serving.rejections import Rejection
from ocpi_emsp.wire import Response


class Rejections:
    """What partners sent and we refused, raw, with its findings."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    def list(
        self, country_code: str | None = None, party_id: str | None = None, *, limit: int = 100, after: int = 0
    ) -> builtins.list[Rejection]:
        """Rejections, oldest first, of one party where its codes are given, ``after`` a rejection's ``sequence``."""
        return run(rejections.list_rejections(self._context(), country_code, party_id, limit, after))

    def show(self, rejection_id: str) -> Rejection | None:
        """The rejection with this id, or None."""
        return run(rejections.get_rejection(self._context(), rejection_id))

    def replay(self, rejection: Rejection, *, body: bytes | None = None) -> Response:
        """Serve it again as its party, with the policy of now, or with a corrected ``body``.

        One that is accepted leaves the list. Raises NotRegistered where the party is gone.
        """
        return run(rejections.replay(self._context(), rejection, body))


class AsyncRejections:
    """:class:`Rejections`, awaited."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    async def list(
        self, country_code: str | None = None, party_id: str | None = None, *, limit: int = 100, after: int = 0
    ) -> builtins.list[Rejection]:
        """Rejections, oldest first, of one party where its codes are given, ``after`` a rejection's ``sequence``."""
        return await rejections.list_rejections(self._context(), country_code, party_id, limit, after)

    async def show(self, rejection_id: str) -> Rejection | None:
        """The rejection with this id, or None."""
        return await rejections.get_rejection(self._context(), rejection_id)

    async def replay(self, rejection: Rejection, *, body: bytes | None = None) -> Response:
        """Serve it again as its party, with the policy of now, or with a corrected ``body``."""
        return await rejections.replay(self._context(), rejection, body)
