"""Our drivers' tokens."""

from __future__ import annotations

import builtins
from collections.abc import Callable

from ocpi_emsp._bridge import run
from ocpi_emsp.flows import push
from ocpi_emsp.flows.context import Context
from ocpi_emsp.models import Token, TokenType


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
