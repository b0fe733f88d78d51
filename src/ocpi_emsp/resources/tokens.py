"""Our drivers' tokens."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from ocpi_emsp._bridge import run
from ocpi_emsp.background import async_keep_doing, keep_doing
from ocpi_emsp.flows.tokens import store as our_tokens
from ocpi_emsp.flows.tokens.push import fan_out
from ocpi_emsp.flows.tokens.push.fan_out import Push, WaitingPush
from ocpi_emsp.flows.tokens.push.report import TokensPushed
from ocpi_emsp.flows.tokens.store import FailedToken
from ocpi_emsp.models import Token, TokenType
from ocpi_emsp.resources.contexts import AsyncReach, Reach

_WHAT: Final = "pushing tokens"


class Tokens:
    """Our drivers' tokens: what partners list, what is pushed to them, and what real-time authorization knows."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    def put(self, token: Token) -> Token:
        """Insert or replace the token with this uid and type; as it is kept.

        Where it says something new, every party that gets our tokens is noted for a push (:meth:`fan_out`), in the same
        transaction; and where its ``last_updated`` is not later than the stored one's, it gets the time of now, or a
        second after the stored one: a partner that pulls by date would never see the change. What says the same changes
        nothing, but for a later ``last_updated``, which is kept. Raises InvalidObject for a token that breaks the
        specification.
        """
        return run(our_tokens.put_token_here(self._reach.context(), token))

    def put_many(self, tokens: Iterable[Token]) -> int:
        """:meth:`put` many, 500 in a transaction; how many of them said something new.

        Raises InvalidObject at the first that breaks the specification: the batches before it stay.
        """
        return run(our_tokens.put_tokens_here(self._reach.context(), tokens))

    def patch(self, uid: str, token_type: TokenType = TokenType.RFID, **changes: Any) -> Token:
        """Change members of a token, such as ``valid=False``; as it is kept then.

        Members: ``valid``, ``whitelist``, ``visual_number``, ``issuer``, ``language``, ``auth_id``, ``last_updated``;
        None takes an optional one away. ``last_updated`` is now where it is not given; else as for :meth:`put`. Raises
        UnknownObject where there is no such token; InvalidObject for another member, or a value that breaks the
        specification.
        """
        return run(our_tokens.patch_token_here(self._reach.context(), uid, token_type, changes))

    def invalidate(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token:
        """Make a token not valid; OCPI has no way to delete one. Raises UnknownObject where there is none."""
        return self.patch(uid, token_type, valid=False)

    def get(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token | None:
        """The token, or None."""
        return run(our_tokens.stored_token(self._reach.context(), uid, token_type))

    def list(self, *, offset: int = 0, limit: int = 100, after: Token | None = None) -> builtins.list[Token]:
        """A page of tokens, in the order of their first put; ``after`` the last one of the page before.

        Raises UnknownObject where ``after`` is none of ours.
        """
        return run(our_tokens.stored_tokens(self._reach.context(), offset, limit, after))

    def failures(
        self, country_code: str, party_id: str, *, limit: int = 100, after: int = 0
    ) -> builtins.list[FailedToken]:
        """The tokens whose last push to a party failed or was cut off, ``after`` one's ``sequence``.

        Raises NotRegistered.
        """
        return run(our_tokens.failed_tokens(self._reach.context(), country_code, party_id, limit, after))

    def waiting(self, *, limit: int = 100, after: int = 0) -> builtins.list[WaitingPush]:
        """The parties that our tokens have to be pushed to yet, and why they do not have them; oldest first."""
        return run(fan_out.waiting_pushes(self._reach.context(), limit, after))

    def fan_out(self, *, at_once: bool = False, stop: Callable[[], bool] | None = None) -> builtins.list[TokensPushed]:
        """Push to each party that waits for it and is due, one after the other; a report for each.

        ``at_once`` tries those that wait after a failure, too; ``stop`` is asked between two tokens. One that another
        process pushes to is left to it. What a party does wrong is in its report, and it is tried again later. Raises
        StoreFailed.
        """
        return run(fan_out.fan_out_once(self._reach.context(), self._reaching, at_once=at_once, stop=stop))

    def fan_out_to(
        self, country_code: str, party_id: str, *, at_once: bool = False, stop: Callable[[], bool] | None = None
    ) -> TokensPushed | None:
        """:meth:`fan_out` to one party; None where it does not wait for a push, or another process has it in hand."""
        return run(
            fan_out.fan_out_to(
                self._reach.context(), self._reaching, country_code, party_id, at_once=at_once, stop=stop
            )
        )

    def keep_pushing(self, stop: threading.Event | None = None, *, every: float = 1.0) -> None:
        """:meth:`fan_out` every so many seconds until ``stop`` is set; outlives a store that fails.

        Run it beside a server, in a thread of its own, or in several: a party that is slow holds up one of them.
        """
        ends = stop or threading.Event()
        keep_doing(lambda: len(self.fan_out(stop=ends.is_set)), _WHAT, ends, every)

    async def _reaching(self, country_code: str, party_id: str, push: Push) -> TokensPushed:
        with self._reach.calling(country_code, party_id) as context:
            return await push(context)


class AsyncTokens:
    """:class:`Tokens`, awaited."""

    def __init__(self, reach: AsyncReach) -> None:
        self._reach = reach

    async def put(self, token: Token) -> Token:
        """See :meth:`Tokens.put`."""
        return await our_tokens.put_token_here(self._reach.context(), token)

    async def put_many(self, tokens: Iterable[Token]) -> int:
        """See :meth:`Tokens.put_many`."""
        return await our_tokens.put_tokens_here(self._reach.context(), tokens)

    async def patch(self, uid: str, token_type: TokenType = TokenType.RFID, **changes: Any) -> Token:
        """See :meth:`Tokens.patch`."""
        return await our_tokens.patch_token_here(self._reach.context(), uid, token_type, changes)

    async def invalidate(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token:
        """See :meth:`Tokens.invalidate`."""
        return await self.patch(uid, token_type, valid=False)

    async def get(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token | None:
        """The token, or None."""
        return await our_tokens.stored_token(self._reach.context(), uid, token_type)

    async def list(self, *, offset: int = 0, limit: int = 100, after: Token | None = None) -> builtins.list[Token]:
        """See :meth:`Tokens.list`."""
        return await our_tokens.stored_tokens(self._reach.context(), offset, limit, after)

    async def failures(
        self, country_code: str, party_id: str, *, limit: int = 100, after: int = 0
    ) -> builtins.list[FailedToken]:
        """See :meth:`Tokens.failures`."""
        return await our_tokens.failed_tokens(self._reach.context(), country_code, party_id, limit, after)

    async def waiting(self, *, limit: int = 100, after: int = 0) -> builtins.list[WaitingPush]:
        """See :meth:`Tokens.waiting`."""
        return await fan_out.waiting_pushes(self._reach.context(), limit, after)

    async def fan_out(
        self, *, at_once: bool = False, stop: Callable[[], bool] | None = None
    ) -> builtins.list[TokensPushed]:
        """See :meth:`Tokens.fan_out`."""
        return await fan_out.fan_out_once(self._reach.context(), self._reaching, at_once=at_once, stop=stop)

    async def fan_out_to(
        self, country_code: str, party_id: str, *, at_once: bool = False, stop: Callable[[], bool] | None = None
    ) -> TokensPushed | None:
        """See :meth:`Tokens.fan_out_to`."""
        return await fan_out.fan_out_to(
            self._reach.context(), self._reaching, country_code, party_id, at_once=at_once, stop=stop
        )

    async def keep_pushing(self, *, every: float = 1.0) -> None:
        """:meth:`Tokens.keep_pushing`, in a task, until it is cancelled."""

        async def once() -> int:
            return len(await self.fan_out())

        await async_keep_doing(once, _WHAT, every)

    async def _reaching(self, country_code: str, party_id: str, push: Push) -> TokensPushed:
        async with self._reach.calling(country_code, party_id) as context:
            return await push(context)
