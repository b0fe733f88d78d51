"""What was decided on real-time authorizations."""

from __future__ import annotations

import builtins
from collections.abc import Callable

from ocpi_emsp._bridge import run
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.tokens.authorization_records import Decision, list_decisions


class Authorizations:
    """What CPOs asked of our tokens, and what they were answered: the newest decisions."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    def list(
        self, country_code: str | None = None, party_id: str | None = None, *, limit: int = 100, after: int = 0
    ) -> builtins.list[Decision]:
        """Decisions, oldest first, on what one party asked where its codes are given, ``after`` a ``sequence``."""
        return run(list_decisions(self._context(), country_code, party_id, limit, after))


class AsyncAuthorizations:
    """:class:`Authorizations`, awaited."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    async def list(
        self, country_code: str | None = None, party_id: str | None = None, *, limit: int = 100, after: int = 0
    ) -> builtins.list[Decision]:
        """Decisions, oldest first, on what one party asked where its codes are given, ``after`` a ``sequence``."""
        return await list_decisions(self._context(), country_code, party_id, limit, after)
