"""Our drivers' tokens."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ocpi_emsp.codec import decode
from ocpi_emsp.flows.inbound import stored
from ocpi_emsp.flows.tokens import store as our_tokens
from ocpi_emsp.flows.tokens.store import FailedToken
from ocpi_emsp.listing import Items
from ocpi_emsp.models import Token, TokenType
from ocpi_emsp.party_id import PartyId, PartyLike
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources.contexts import Contexts, Resource
from ocpi_emsp.resources.modes import awaited, awaited_items, blocking

if TYPE_CHECKING:
    from ocpi_emsp.flows.tokens.push.fan_out import CallParty, Push, WaitingPush
    from ocpi_emsp.flows.tokens.push.report import TokensPushed


class Tokens(Resource):
    """Our drivers' tokens: partners list them, they are pushed to partners, and real-time authorization uses them."""

    @blocking
    async def put(self, token: Token, *, extensions: Mapping[str, Any] | None = None) -> Token:
        """Insert or replace the token with this uid and type; return it as stored.

        ``extensions``: members unknown to the specification, stored, listed and pushed with it until the next put
        (docs/how-to/extensions.md).

        If the content changed, a push to every party that gets our tokens is requested in the same transaction
        (:meth:`push_pending`); and if its ``last_updated`` is not later than the stored one's, it gets the current
        time, or a second after the stored one: a partner that pulls by date would never see the change. The same
        content changes nothing, except for a later ``last_updated``, which is stored. Raises InvalidObject for a token
        that breaks the specification.
        """
        return await our_tokens.put_token_here(self._contexts(), token, extensions)

    @blocking
    async def put_many(self, tokens: Iterable[Token | tuple[Token, Mapping[str, Any]]]) -> int:
        """Call :meth:`put` for many tokens, 500 in a transaction; return how many had changed content.

        Each is a token, or a token and its extensions. Raises InvalidObject at the first that breaks the specification:
        the batches before it stay stored.
        """
        return await our_tokens.put_tokens_here(self._contexts(), tokens)

    @blocking
    async def patch(self, /, uid: str, token_type: TokenType = TokenType.RFID, **changes: Any) -> Token:
        """Change members of a token, for example ``valid=False``; return it as stored then.

        Members: ``valid``, ``whitelist``, ``visual_number``, ``issuer``, ``language``, ``auth_id``, ``last_updated``;
        None removes an optional one. ``last_updated`` is the current time if it is not given, otherwise as for
        :meth:`put`. Raises UnknownObject if there is no such token; InvalidObject for another member, or a value that
        breaks the specification.
        """
        return await our_tokens.patch_token_here(self._contexts(), uid, token_type, changes)

    @blocking
    async def invalidate(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token:
        """Invalidate a token, since OCPI cannot delete one. Raises UnknownObject if there is none."""
        return await our_tokens.patch_token_here(self._contexts(), uid, token_type, {"valid": False})

    @blocking
    async def get(self, uid: str, token_type: TokenType = TokenType.RFID) -> Token | None:
        """Get the token, or None."""
        return await our_tokens.stored_token(self._contexts(), uid, token_type)

    def list(
        self,
        *,
        date_from: datetime | None = None,
        date_to: datetime | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> Items[Token]:
        """List tokens, in the order of their first put, last updated in ``[date_from, date_to)``."""
        context = self._contexts()
        owner = context.identity.owner
        read = stored.reader(context, Kind.TOKEN, owner, date_from=date_from, date_to=date_to)
        return Items(read, after=after, limit=limit, select=lambda record: decode(Token, record.document))

    def failures(self, party: PartyLike, *, limit: int | None = None, after: int = 0) -> Items[FailedToken]:
        """List the tokens whose last push to a party failed or was cut off, ``after`` one's ``sequence``.

        Raises NotRegistered.
        """
        read = partial(our_tokens.failed_tokens, self._contexts(), *PartyId.of(party))
        return Items(read, after=after, limit=limit)

    def waiting(self, *, limit: int | None = None, after: int = 0) -> Items[WaitingPush]:
        """List the parties that our tokens must still be pushed to, and why they lack them; oldest first."""
        from ocpi_emsp.flows.tokens.push import fan_out

        return Items(partial(fan_out.waiting_pushes, self._contexts()), after=after, limit=limit)

    @blocking
    async def push_pending(
        self, *, at_once: bool = False, stop: Callable[[], bool] | None = None
    ) -> builtins.list[TokensPushed]:
        """Push to each waiting party that is due, one after the other; return a report for each.

        ``at_once`` also tries those that wait after a failure; ``stop`` is called between two tokens. A party that
        another process pushes to is skipped. A party's faults are in its report, and it is tried again later.
        ``emsp.running()`` does this beside a server. Raises StoreFailed.
        """
        from ocpi_emsp.flows.tokens.push import fan_out

        contexts = self._contexts
        return await fan_out.fan_out_once(contexts(), pushing(contexts), at_once=at_once, stop=stop)


class AsyncTokens(Resource):
    """:class:`Tokens`, awaited."""

    put = awaited(Tokens.put)
    put_many = awaited(Tokens.put_many)
    patch = awaited(Tokens.patch)
    invalidate = awaited(Tokens.invalidate)
    get = awaited(Tokens.get)
    list = awaited_items(Tokens.list)
    failures = awaited_items(Tokens.failures)
    waiting = awaited_items(Tokens.waiting)
    push_pending = awaited(Tokens.push_pending)


def pushing(contexts: Contexts) -> CallParty:
    """Return a function that runs a push with connections to its party."""

    async def call_party(country_code: str, party_id: str, push: Push) -> TokensPushed:
        async with contexts.calling(PartyId.received(country_code, party_id)) as context:
            return await push(context)

    return call_party
