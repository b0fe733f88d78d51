"""What is kept for the backend: our drivers' tokens, and what was refused. Each thing in two colours.

Rules of this module: each method is one line over a flow; the context is asked for at every call, so that hooks which
were registered meanwhile count.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable

from ocpi_emsp._bridge import run
from ocpi_emsp.flows import push, rejections
from ocpi_emsp.flows.context import Context
from ocpi_emsp.flows.rejections import Rejection
from ocpi_emsp.models import Token, TokenType
from ocpi_emsp.wire import Response


class Tokens:
    """Our drivers' tokens: what partners list, and what real-time authorization knows."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    def put(self, token: Token) -> None:
        """Insert or replace. Raises InvalidObject for a token that breaks the specification."""
        run(push.store_token(self._context(), token))

    def get(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token | None:
        """The token, or None."""
        return run(push.stored_token(self._context(), uid, token_type))

    def list(self, *, offset: int = 0, limit: int = 100) -> builtins.list[Token]:
        """A page of tokens, oldest first."""
        return run(push.stored_tokens(self._context(), offset, limit))


class AsyncTokens:
    """:class:`Tokens`, awaited."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    async def put(self, token: Token) -> None:
        """Insert or replace. Raises InvalidObject for a token that breaks the specification."""
        await push.store_token(self._context(), token)

    async def get(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token | None:
        """The token, or None."""
        return await push.stored_token(self._context(), uid, token_type)

    async def list(self, *, offset: int = 0, limit: int = 100) -> builtins.list[Token]:
        """A page of tokens, oldest first."""
        return await push.stored_tokens(self._context(), offset, limit)


class Rejections:
    """What partners sent and we refused, raw, with its findings."""

    def __init__(self, context: Callable[[], Context]) -> None:
        self._context = context

    def list(
        self, country_code: str | None = None, party_id: str | None = None, *, limit: int = 100
    ) -> builtins.list[Rejection]:
        """Rejections, oldest first, of one party where its codes are given."""
        return run(rejections.list_rejections(self._context(), country_code, party_id, limit))

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
        self, country_code: str | None = None, party_id: str | None = None, *, limit: int = 100
    ) -> builtins.list[Rejection]:
        """Rejections, oldest first, of one party where its codes are given."""
        return await rejections.list_rejections(self._context(), country_code, party_id, limit)

    async def show(self, rejection_id: str) -> Rejection | None:
        """The rejection with this id, or None."""
        return await rejections.get_rejection(self._context(), rejection_id)

    async def replay(self, rejection: Rejection, *, body: bytes | None = None) -> Response:
        """Serve it again as its party, with the policy of now, or with a corrected ``body``."""
        return await rejections.replay(self._context(), rejection, body)
