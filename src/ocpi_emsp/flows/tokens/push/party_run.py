"""All our tokens to one party: what changed since the last push, and what failed then (mod_tokens.md 1.1 and 2.1).

Rules of this module:
- what a party has of a token is a record of its own, written right after each response, so a killed push continues
  where it was; before a request the record becomes unknown, since an unanswered request may have succeeded;
- new and changed tokens are PUT; if only ``valid`` differs it is a PATCH; invalidations are sent before everything
  else, and those that occur during a long push do not wait for its end;
- a PATCH that was answered with a failure is followed by GET, and by PUT unless the party already has the token
  (transport_and_format.md, PATCH); one without a response is not: the connection failed, and the next push checks;
- no other request is repeated: the next push sends a token in its current state, never an old message (offline
  behaviour);
- if a token changed while it was sent, another push may have sent it before: it is unknown which one the party
  processed last, so it is pushed again;
- tokens are read in pages, twice over, and never held as a list; no transaction is open during a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Literal, NamedTuple, TypeAlias

from attrs import asdict, define, evolve, field, frozen

from ocpi_emsp.codec import decode, encode_valid
from ocpi_emsp.codec.extensions import extensions_in, with_members
from ocpi_emsp.errors import (
    AnswerUnusable,
    InvalidObject,
    MissingEndpoints,
    NotJson,
    NotRegistered,
    NotSupported,
    PartnerError,
    PartnerRefused,
    PartnerUnavailable,
    UnsafeUrl,
)
from ocpi_emsp.flows.calls.call import require
from ocpi_emsp.flows.core.context import Context, new_id
from ocpi_emsp.flows.parties.party import Party, PartyState, get_party, load_party, matrix_of
from ocpi_emsp.flows.parties.pending_push import gets_tokens, request_push
from ocpi_emsp.flows.tokens.push.client import differences, fetch_token, patch_token, put_document
from ocpi_emsp.flows.tokens.push.failures import is_outage, is_unauthorized, reason_of, short
from ocpi_emsp.flows.tokens.push.report import Ended, PushProgress, TokenFailure, TokensPushed
from ocpi_emsp.flows.tokens.push.state import (
    PushedToken,
    content_of,
    look_from,
    pushed_key,
    read_pushed_token,
    save_checkpoint,
)
from ocpi_emsp.models import Token, TokenType
from ocpi_emsp.ports import Key, Kind, Query, Record, Send, Transaction
from ocpi_emsp.routes import outgoing
from ocpi_emsp.wire import Request, Response

_PAGE = 500
"""Tokens that are examined in one transaction."""
_SILENT = 3
"""Consecutive requests without a response that end a push: one may be an accident, three are an outage."""
_OVERTAKING = timedelta(seconds=10)
"""How often a push looks for new invalidations, and the overlap with its previous look: clocks differ."""
_LISTED_FAILURES = 1000
"""Failures that a report names: enough to see what is wrong, and a bound on memory."""

Watch: TypeAlias = Callable[[PushProgress], object]
Stop: TypeAlias = Callable[[], bool]
RenewLease: TypeAlias = Callable[[], Awaitable[None]]
"""Called before each request and each page, to renew the lease of the push. Its exceptions end the push."""


async def push_tokens(
    context: Context,
    party: Party,
    *,
    verify: bool = False,
    full: bool = False,
    watch: Watch | None = None,
    stop: Stop | None = None,
    renew: RenewLease | None = None,
) -> TokensPushed:
    """Send a party the tokens that changed since the last push, and those that failed before.

    ``full`` examines every token. ``verify`` requests each token that was sent; a difference counts as a failure.
    ``watch`` is called after each token, ``stop`` between two, ``renew`` before slow steps. Raises NotRegistered,
    UnsafeUrl, StoreFailed; the party's faults are in the report.
    """
    started = context.clock.now()
    context = context.correlated()
    if renew is not None:
        context = evolve(context, send=_renewing(context.send, renew))
    matrix = matrix_of(party.profile, context.matrix)
    can_get = outgoing("tokens.get").on(matrix)
    push = _Push(
        context=context,
        party=party,
        can_patch=outgoing("tokens.patch").on(matrix),
        can_get=can_get,
        verify=verify and can_get,
        watch=watch,
        stop=stop,
        renew=renew,
        looked=started,
    )
    if not party.profile.push_tokens:
        return push.report(started, "done", "nothing was pushed: push_tokens is off in the party's profile")
    try:
        context.check_url(require(context, party, outgoing("tokens.put")))
    except (NotSupported, MissingEndpoints) as error:
        return push.report(started, "done", f"nothing was pushed: {error.message}")
    push.since = None if full else await look_from(context, party)
    ended, why = await push.run()
    if ended == "done":
        await save_checkpoint(context, party, started)
        if verify and not can_get:
            why = "nothing was verified: GET tokens is off in the support matrix"
    return push.report(started, ended, why)


async def push_tokens_to(
    context: Context,
    country_code: str,
    party_id: str,
    *,
    verify: bool = False,
    full: bool = False,
    stop: Stop | None = None,
    renew: RenewLease | None = None,
) -> TokensPushed:
    """Run :func:`push_tokens` for the party with these codes. Raises NotRegistered if there is none."""
    party = await load_party(context, country_code, party_id, state=PartyState.REGISTERED)
    return await push_tokens(context, party, verify=verify, full=full, stop=stop, renew=renew)


def _renewing(send: Send, renew: RenewLease) -> Send:
    """Return ``send`` with a renewal of the lease before each request."""

    async def held(request: Request) -> Response:
        await renew()
        return await send(request)

    return held


# --- one push -------------------------------------------------------------------------------------------------------


def _token_or_none(record: Record | None) -> Token | None:
    """Return the token; None if it is missing, or has no usable reading."""
    try:
        return decode(Token, record.document) if record else None
    except (InvalidObject, NotJson):
        return None


_End: TypeAlias = tuple[Ended, str]
"""How a push ends, and why."""
_STOPPED: Final[_End] = ("stopped", "stopped on request")


class _Page(NamedTuple):
    """Tokens to send, and the sequence to continue after; None at the end."""

    keys: list[Key]
    after: int | None


@frozen(kw_only=True)
class _Job:
    key: Key
    party: Party
    token: Token
    body: bytes
    """The body of a PUT."""
    stored: str
    """The hash of the content stored here."""
    patch: bool


@define(kw_only=True)
class _Push:
    context: Context
    party: Party
    can_patch: bool
    can_get: bool
    verify: bool
    watch: Watch | None
    stop: Stop | None
    renew: RenewLease | None
    since: datetime | None = None
    id: str = field(factory=new_id)
    progress: PushProgress = field(factory=PushProgress)
    failures: list[TokenFailure] = field(factory=list)
    silent: int = 0
    """Consecutive requests without a response."""
    looked: datetime
    """When invalidations were looked for."""
    is_answered: bool = False
    """True if the party answered any request."""
    reason: str = ""
    """Why the last failure happened, in words that a log may contain."""

    async def run(self) -> _End:
        """Send everything. Tokens that failed before come last, or three such tokens would delay all others."""
        for invalidations in (True, False):
            for source in (self._changed, self._pending):
                if end := await self._each(source, invalidations):
                    return end
        if self.silent and not self.is_answered:
            return "failed", f"{self.party} did not answer: {self.failures[-1].error}"
        return "done", ""

    async def _each(self, source: Callable[[int, bool], Awaitable[_Page]], invalidations: bool) -> _End | None:
        after: int | None = 0
        while after is not None:
            if self.renew is not None:
                await self.renew()
            page = await source(after, invalidations)
            for key in page.keys:
                if not invalidations and (end := await self._overtake()):
                    return end
                if self._is_stopped():
                    return _STOPPED
                if why := await self._try(key):
                    return "failed", why
            if self._is_stopped():
                return _STOPPED
            after = page.after
        return None

    async def _overtake(self) -> _End | None:
        """Send new invalidations every few seconds: they do not wait for a million other tokens."""
        now = self.context.clock.now()
        if abs(now - self.looked) < _OVERTAKING:
            return None
        newer_than, self.looked = self.looked - _OVERTAKING, now
        return await self._each(partial(self._changed, newer_than=newer_than), invalidations=True)

    def _is_stopped(self) -> bool:
        return self.stop is not None and self.stop()

    def report(self, started: datetime, ended: Ended, why: str) -> TokensPushed:
        return TokensPushed(
            country_code=self.party.country_code,
            party_id=self.party.party_id,
            **asdict(self.progress),
            failures=tuple(self.failures),
            duration=max(0.0, (self.context.clock.now() - started).total_seconds()),
            ended=ended,
            why=short(why),
            reason=short(self.reason),
        )

    def _count(self, **more: int) -> None:
        self.progress = evolve(self.progress, **{name: getattr(self.progress, name) + n for name, n in more.items()})
        if self.watch is not None:
            self.watch(self.progress)

    # what to send

    async def _changed(self, after: int, invalidations: bool, newer_than: datetime | None = None) -> _Page:
        """Return a page of tokens that were stored since the last push and have not failed.

        With ``newer_than``, only those stored since then, including some that this push has sent.
        """
        keys, unchanged = list[Key](), 0
        identity = self.context.identity
        query = self._query(Kind.TOKEN, identity.country_code, identity.party_id, after)
        query = evolve(query, received_from=newer_than or query.received_from)
        async with self.context.store.transaction(read_only=True) as tx:
            records = (await tx.page(query)).records
            for record in records:
                token = _token_or_none(record)
                if invalidations and (token is None or token.valid):
                    continue
                pushed = await self._pushed_token(tx, record.key)
                if pushed and (pushed.is_pending or (pushed.push == self.id and newer_than is None)):
                    continue
                if pushed and token and pushed.equals(token, record.document):
                    unchanged += not invalidations
                elif not invalidations or pushed is None or pushed.valid:
                    keys.append(record.key)
        if unchanged:
            self._count(unchanged=unchanged)
        return _Page(keys, records[-1].sequence if len(records) == _PAGE else None)

    async def _pending(self, after: int, invalidations: bool) -> _Page:
        """Return a page of tokens whose last attempt failed, or was cut off.

        Every push that ends tries all of these, and writes their records again. So they are among the records that were
        written since the last push began.
        """
        keys = list[Key]()
        query = self._query(Kind.PUSHED, self.party.country_code, self.party.party_id, after)
        async with self.context.store.transaction(read_only=True) as tx:
            records = (await tx.page(query)).records
            for record in records:
                pushed = read_pushed_token(record)
                if pushed is None or not pushed.is_pending or pushed.push == self.id:
                    continue
                key = self.context.identity.token_key(record.key.id, record.key.parent)
                stored = await tx.get(key)
                token = _token_or_none(stored)
                if stored and (not invalidations or (token and not token.valid)):
                    keys.append(key)
        return _Page(keys, records[-1].sequence if len(records) == _PAGE else None)

    def _query(self, kind: str, country_code: str, party_id: str, after: int) -> Query:
        return Query(
            kind=kind,
            country_code=country_code,
            party_id=party_id,
            received_from=self.since,
            after=after,
            limit=_PAGE,
            count=False,
        )

    async def _pushed_token(self, tx: Transaction, key: Key) -> PushedToken | None:
        return read_pushed_token(await tx.get(pushed_key(self.party, key)))

    # one token

    async def _try(self, key: Key) -> str:
        """Send one token and record the result; return why the push cannot continue, or an empty text."""
        try:
            job = await self._prepare(key)
            if job is None:
                return ""
            how = await self._deliver(job)
            self.is_answered = True
            wrong = differences(job.token, await self._fetch(job)) if self.verify else ""
        except (MissingEndpoints, NotRegistered, NotSupported, PartnerUnavailable, UnsafeUrl) as error:
            self.reason = reason_of(error)
            return error.message  # it was not sent, whatever the token is
        except PartnerError as error:
            await self._fail(key, error.message, reason_of(error))
            return self._verdict(error)
        except (InvalidObject, NotJson) as error:
            await self._fail(key, str(error), "the stored token cannot be sent")
            return ""
        self.silent = 0
        if wrong:
            await self._fail(key, f"the partner has another token: {wrong}", "the partner has another token")
            return ""
        await self._took(job)
        self._count(**{how: 1, "verified": int(self.verify)})
        return ""

    async def _prepare(self, key: Key) -> _Job | None:
        """Return what to send of a token, which is read again since its page is a while old; None for nothing.

        The party is read again, too: its token may have been rotated. Raises InvalidObject, NotJson, NotRegistered.
        """
        async with self.context.store.transaction(read_only=True) as tx:
            record = await tx.get(key)
            party = await get_party(tx, self.party.country_code, self.party.party_id)
            pushed = await self._pushed_token(tx, key)
            has_twin = await _has_twin(tx, key)
        if not gets_tokens(party):
            raise NotRegistered(f"push_tokens was switched off in the profile of {self.party}")
        if record is None:
            return None
        token = decode(Token, record.document)
        body = with_members(encode_valid(token), extensions_in(Token, record.document))
        if pushed and pushed.equals(token, record.document):
            self._count(unchanged=1)
            return None
        if pushed and not pushed.is_pending:
            await self._note_unknown(key, pushed.failures, pushed.error)
        only_valid = pushed is not None and pushed.content == content_of(token, record.document)
        patch = only_valid and self.can_patch and not has_twin
        return _Job(key=key, party=party, token=token, body=body, stored=record.content_hash, patch=patch)

    async def _deliver(self, job: _Job) -> Literal["put", "patched"]:
        """Send it; return the method that succeeded. Raises PartnerError."""
        if job.patch and await self._patch(job):
            return "patched"
        await put_document(self.context, job.party, job.token.uid, job.body)
        return "put"

    async def _patch(self, job: _Job) -> bool:
        """PATCH; if the response was a failure, return whether a GET shows that the party has the token
        nevertheless.
        """
        changes = {"valid": job.token.valid, "last_updated": job.token.last_updated}
        try:
            await patch_token(self.context, job.party, job.token.uid, changes)
            return True
        except (PartnerRefused, AnswerUnusable) as error:
            if is_unauthorized(error):
                raise
        if not self.can_get:
            return False
        try:
            return not differences(job.token, await self._fetch(job))
        except (PartnerRefused, AnswerUnusable) as error:
            if is_unauthorized(error):
                raise
            return False

    async def _fetch(self, job: _Job) -> Token:
        return await fetch_token(self.context, job.party, job.token.uid)

    def _verdict(self, error: PartnerError) -> str:
        """Return why the push cannot continue after this failure, or an empty text."""
        if is_unauthorized(error):
            return error.message
        if is_outage(error):
            self.silent += 1
        else:
            self.silent, self.is_answered = 0, True
        return f"{_SILENT} times in a row: {error.message}" if self.silent == _SILENT else ""

    async def _fail(self, key: Key, error: str, reason: str) -> None:
        """Record a failure; the next push will PUT the token."""
        error, self.reason = short(error), reason
        async with self.context.store.transaction(read_only=True) as tx:
            pushed = await self._pushed_token(tx, key)
        failures = pushed.failures + 1 if pushed else 1
        await self._note_unknown(key, failures, error)
        if len(self.failures) < _LISTED_FAILURES:
            self.failures.append(TokenFailure(key.id, key.parent, error))
        self._count(failed=1)

    async def _took(self, job: _Job) -> None:
        """Record that a party has a token; it is pushed again if the token changed meanwhile."""
        async with self.context.store.transaction() as tx:
            record = await tx.get(job.key)
            await tx.put(self._record(job.key, content_of(job.token, job.body), job.token.valid))
            if record is not None and record.content_hash != job.stored:
                await request_push(tx, job.party, self.context.clock.now())

    async def _note_unknown(self, key: Key, failures: int, error: str) -> None:
        """Record that it is unknown what the party has of a token."""
        async with self.context.store.transaction() as tx:
            await tx.put(self._record(key, None, None, failures, error))

    def _record(self, key: Key, content: str | None, valid: bool | None, failures: int = 0, error: str = "") -> Record:
        now = self.context.clock.now()
        pushed = PushedToken(content=content, valid=valid, at=now, push=self.id, failures=failures, error=error)
        correlation_id = self.context.correlation_id
        return Record(pushed_key(self.party, key), pushed.document(), now, now, correlation_id=correlation_id)


async def _has_twin(tx: Transaction, key: Key) -> bool:
    """Return True if a token of another type has the same uid: the URL of a PATCH cannot distinguish the two."""
    others = (each.value for each in TokenType if each.value != key.parent)
    return any([await tx.get(key._replace(parent=other)) for other in others])
