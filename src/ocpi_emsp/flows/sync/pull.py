"""One module of one party: its windows, page by page, into the store.

Rules of this module (transport_and_format.md, pagination and offline behaviour):
- checkpoint.py has the rules of a window, page.py those of a page, vanished.py those of what vanished;
- a full sync lists everything up to its start, then what changed meanwhile, and then marks what was in neither;
- a list that is circular, leads elsewhere or lacks objects is not done: the next sync requests its window again;
- a place that the partner no longer knows (an expired link) is given up, and its window started again, once;
- a token that was replaced meanwhile is read again; any other failure leaves the place for the next sync.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec
from attrs import define, evolve

from ocpi_emsp import logs
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import OcpiError, PartnerError, PartnerRefused, StoreFailed
from ocpi_emsp.findings import counted
from ocpi_emsp.flows.calls.call import call, url_of
from ocpi_emsp.flows.calls.list_trail import IncompleteList, offset_of
from ocpi_emsp.flows.calls.pagination import ListPage, first_url, walk
from ocpi_emsp.flows.calls.redirects import same_origin
from ocpi_emsp.flows.core.context import Context, new_id, whole_second
from ocpi_emsp.flows.parties import pending_resync as resync
from ocpi_emsp.flows.parties.party import PartyState, checkpoint_key, load_party
from ocpi_emsp.flows.sync import vanished
from ocpi_emsp.flows.sync.checkpoint import (
    EPOCH,
    Checkpoint,
    Phase,
    Window,
    finished,
    get_checkpoint,
    put_checkpoint,
)
from ocpi_emsp.flows.sync.page import Pull, store_page
from ocpi_emsp.flows.sync.report import SyncEnded
from ocpi_emsp.ports import Key, Kind, Transaction, prefetch
from ocpi_emsp.routes import outgoing
from ocpi_emsp.wire import PageRequest

Stop: TypeAlias = Callable[[], bool]
OnProgress: TypeAlias = Callable[[], None]

_NOTHING_YET = datetime(2100, 1, 1, tzinfo=UTC)
"""The date_from of a request whose list is empty."""
_TICK, _DAY = 60, 24 * 3600
"""Lengths in seconds."""
_TOKENS = 3
"""How often a sync continues with a new token: a partner that replaces it on every page has a problem."""


class TakenOver(OcpiError):
    """Another sync of the same module began after this one."""


@define(kw_only=True)
class _Work:
    """A pull in progress."""

    pull: Pull
    url: str
    """The URL of the list."""
    key: Key
    window: Window
    is_saved: bool
    """False for a window that the caller chose and that leaves a gap after the last one: no checkpoint records it."""
    continues: bool
    """True if an earlier sync began the window and did not finish it."""
    is_resumed: bool
    """True if the next page is one that an earlier sync was about to request."""
    requests: Sequence[resync.ResyncRequest]
    """The resync requests of the module when the window was opened."""
    on_progress: OnProgress
    stop: Stop
    stored_next: str | None
    """The last stored ``next`` of the window."""
    problem: str = ""
    done: Window | None = None
    """The window after its last page."""
    tokens: int = 0
    given: int | None = None
    """The fullest page so far, if it has fewer objects than requested."""

    @property
    def context(self) -> Context:
        return self.pull.context

    @property
    def place(self) -> Key | None:
        """The key of the checkpoint, if one is saved."""
        return self.key if self.is_saved else None

    def may_begin(self) -> bool:
        """Return True if the next page may be fetched while this one is stored."""
        return not self.stop()

    async def save(self, tx: Transaction, window: Window | None) -> None:
        """Save the place in the window or, with None, its end. Raises TakenOver."""
        if not self.is_saved:
            return
        now, run = self.context.clock.now(), self.pull.correlation_id
        checkpoint = await get_checkpoint(tx, self.key)
        if checkpoint.window is None or checkpoint.window.run != self.window.run:
            raise TakenOver("another sync of this module began later and took over")
        if checkpoint.window.next not in (self.window.next, self.stored_next):
            raise StoreFailed("the database lost pages that it had committed: sync again, which begins with them")
        checkpoint = evolve(checkpoint, given=self.given or checkpoint.given)
        if window is not None:
            await put_checkpoint(tx, self.key, evolve(checkpoint, window=window), now, run)
        elif self.problem:
            await put_checkpoint(tx, self.key, evolve(checkpoint, window=None), now, run)
        else:
            await put_checkpoint(tx, self.key, finished(checkpoint, self.done or self.window, now), now, run)
            await _settle(tx, self)


async def pull_module(
    pull: Pull, *, since: datetime | None, on_progress: OnProgress, stop: Stop, full: bool
) -> tuple[SyncEnded, str]:
    """Pull one module; return how it ended, and why it is not done. Raises a partner's errors, StoreFailed,
    TakenOver.
    """
    work = await _open(pull, since, full, on_progress, stop)
    ended, reason = await _work_off(work)
    if ended is SyncEnded.DONE and work.continues:
        # That was an earlier sync's window; later changes are in the next one.
        ended, reason = await _work_off(await _open(work.pull, None, False, on_progress, stop))
    return ended, reason


async def _work_off(work: _Work) -> tuple[SyncEnded, str]:
    pull = work.pull
    if pull.source.kind == Kind.LOCATION and work.is_saved:
        await _pull_requested(work)
    while work.window.phase is not Phase.MISSING:
        phase = work.window.phase
        if not await _list(work):
            return SyncEnded.STOPPED, "stopped on request"
        if work.problem:
            return SyncEnded.FAILED, work.problem
        if work.window.phase is phase:
            return SyncEnded.DONE, ""
    return await _mark_missing(work)


# --- windows --------------------------------------------------------------------------------------------------------


async def _open(pull: Pull, since: datetime | None, full: bool, on_progress: OnProgress, stop: Stop) -> _Work:
    """Continue the window that was not finished, or open the next one."""
    url = url_of(pull.context, pull.party, outgoing(f"{pull.source.module}.list"))
    now = whole_second(pull.context.clock.now())
    key = checkpoint_key(*pull.party.owner, pull.source.module)
    async with pull.context.store.transaction() as tx:
        await prefetch(tx, [key])
        checkpoint = await get_checkpoint(tx, key)
        resync_requests = await resync.resync_requests(tx, pull.party.owner, pull.source.module)
        requested = [request.at for request in resync_requests]
        left = checkpoint.window
        continues = left is not None and since is None and (left.full or not full)
        leaves_gap = since is not None and _leaves_gap(checkpoint, since)
        if left is not None and continues:
            window = evolve(left, run=new_id())
            if window.next is not None and not same_origin(window.next, url):
                window = evolve(window, next=None, total=None, listed=None)
        else:
            window = _next_window(pull, checkpoint, since, full, now, min(requested, default=None))
        if not leaves_gap:
            await put_checkpoint(tx, key, evolve(checkpoint, window=window), now, pull.correlation_id)
    pull.tally.offset = (offset_of(window.next) or 0) if window.next else 0
    pull = evolve(
        pull, full=window.full, requested={request.id: request.of for request in resync_requests if request.id}
    )
    return _Work(
        pull=pull,
        url=url,
        key=key,
        window=window,
        is_saved=not leaves_gap,
        continues=continues,
        is_resumed=window.next is not None,
        requests=resync_requests,
        on_progress=on_progress,
        stop=stop,
        stored_next=window.next,
    )


def _leaves_gap(checkpoint: Checkpoint, since: datetime) -> bool:
    """Return True if a window from ``since`` on skips something that the checkpoint has not covered yet."""
    if checkpoint.done_until is not None:
        return since > checkpoint.done_until
    left = checkpoint.window
    return left is not None and (left.date_from is None or since > left.date_from)


def _next_window(
    pull: Pull, checkpoint: Checkpoint, since: datetime | None, full: bool, now: datetime, requested: datetime | None
) -> Window:
    overlap = pull.context.limits.sync.overlap
    date_from = since
    if since is None and not full and checkpoint.done_until is not None:
        date_from = min(checkpoint.done_until, requested or checkpoint.done_until) - overlap
    if date_from is None and pull.source.kind == Kind.SESSION:
        date_from = EPOCH
    last, apart = checkpoint.full_at, pull.context.limits.sync.missed_syncs_apart
    repeats = full and last is not None and timedelta(0) <= now - last < apart
    return Window(run=new_id(), started_at=now, date_from=date_from, date_to=now, full=full, repeats=repeats)


def _after(work: _Work, page: ListPage) -> Window | None:
    """Return where the pull continues after a page; None if the window is done, or cannot be."""
    window = work.window
    window = evolve(
        window,
        next=page.following,
        total=page.total,
        listed=page.listed,
        unnamed=window.unnamed + page.ids.count(""),
        uncounted=window.uncounted or page.is_uncounted,
        behind=max(window.behind, _behind(page.answered_at, page.date)),
    )
    work.done = window
    if page.following is not None:
        return window
    if page.problem is not None or not window.full:
        return None
    if window.phase is Phase.LIST:
        date_from = window.started_at - work.context.limits.sync.overlap
        # Open-ended: what changes while it is listed stays in it, and does not count as vanished.
        return evolve(window, phase=Phase.CATCH_UP, date_from=date_from, date_to=None, total=None, listed=None)
    if work.pull.source.kind not in vanished.GOES_MISSING:
        return None
    if window.uncounted:
        work.pull.tally.note("X-Total-Count could not be read, so that nothing is marked missing")
        return None
    return evolve(window, phase=Phase.MISSING)


def _behind(now: datetime | None, said: datetime | None) -> int:
    """Return the seconds by which a partner's clock is behind; less than a minute or more than a day is not
    plausible.
    """
    seconds = int((now - said).total_seconds()) if now is not None and said is not None else 0
    return seconds if _TICK <= seconds <= _DAY else 0


# --- listing --------------------------------------------------------------------------------------------------------


async def _list(work: _Work) -> bool:
    """List the rest of the window's phase; return False if it was asked to stop."""
    while True:
        try:
            return await _pages(work)
        except PartnerRefused as error:
            if not await _can_go_on(work, error):
                raise


async def _pages(work: _Work) -> bool:
    window, tally = work.window, work.pull.tally
    page_request = PageRequest(date_from=window.date_from, date_to=window.date_to, limit=_asked(work))
    filters = page_request.query()
    start = window.next or first_url(work.url, filters)
    module = work.pull.source.module
    walked = walk(
        work.context,
        work.pull.party,
        start,
        filters,
        total=window.total,
        listed=window.listed,
        module=module,
        may_begin=work.may_begin,
    )
    async with aclosing(walked) as pages:
        async for given in pages:
            page = await _judged(work, given)
            following = _after(work, page)
            work.problem = page.problem.message if page.problem else ""
            work.given = max(work.given or 0, _given(work, page) or 0) or None
            await _store(work, page, following)
            work.is_resumed = False
            tally.total = page.total
            tally.add("pages")
            tally.add("bytes", page.size)
            tally.note(*page.notes)
            logs.debug(
                "sync.page",
                party=work.pull.party,
                module=module,
                objects=len(page.documents),
                total=page.total,
                correlation_id=work.pull.correlation_id,
            )
            work.on_progress()
            if following is None:
                return True
            work.window = following
            if work.stop():  # a page that was fetched meanwhile is not stored: the next sync requests it
                return False
    return True


async def _judged(work: _Work, page: ListPage) -> ListPage:
    """Return the page; its total is dropped if it counts objects outside the dates, as it does not show the window's
    end.
    """
    window = work.window
    if not isinstance(page.problem, IncompleteList) or window.date_from in (None, EPOCH):
        return page
    filters = PageRequest(date_from=_NOTHING_YET, limit=1).query()
    url, module = first_url(work.url, filters), work.pull.source.module
    async with aclosing(walk(work.context, work.pull.party, url, filters, module=module)) as pages:
        try:
            total = (await anext(pages)).total
        except PartnerError:
            return page
    if total != page.total:
        return page
    notes = (*page.notes, "X-Total-Count is the same for any dates, so that it is not compared")
    return evolve(page, problem=None, notes=notes)


def _asked(work: _Work) -> int:
    """Return the objects of a page that are requested."""
    return work.pull.party.profile.page_limit or work.context.limits.sync.page_size


def _given(work: _Work, page: ListPage) -> int | None:
    """Return the objects of a page if the partner returns fewer than requested; None if that is unknown.

    The last page of a list shows nothing, unless it has X-Limit.
    """
    sizes = [page.limit or 0, len(page.documents) if page.following is not None else 0]
    given = next((size for size in sizes if size), None)
    return given if given is not None and given < _asked(work) else None


async def _store(work: _Work, page: ListPage, following: Window | None) -> None:
    async def save(tx: Transaction, last: bool) -> None:
        await work.save(tx, following if last else work.window)

    # A page that is lost with its place, as in a power cut, is pulled again; the end of a phase makes all before
    # durable.
    is_repeated = work.is_saved and following is not None and following.phase is work.window.phase
    await store_page(work.pull, page.documents, page.url, save, place=work.place, ids=page.ids, is_repeated=is_repeated)
    work.stored_next = following.next if following is not None else None


async def _can_go_on(work: _Work, error: PartnerRefused) -> bool:
    """Return True if the page may be requested again: with a new token, or from the beginning of the window."""
    if error.answered_http == 401 and work.tokens < _TOKENS:
        party = await load_party(work.context, *work.pull.party.owner, state=PartyState.REGISTERED)
        if party.token != work.pull.party.token:
            work.tokens += 1
            work.pull = evolve(work.pull, party=party)
            work.pull.tally.note("the token was replaced; the sync continues with the new one")
            return True
    is_expired = (
        error.answered_http in (400, 404, 410, 422)
        or (error.answered_http == 200 and 2000 <= (error.answered_code or 0) < 3000)
        or (error.answered_http == 500 and _is_elsewhere(work))
    )
    if work.is_resumed and is_expired:
        work.is_resumed = False
        work.window = evolve(work.window, next=None, total=None, listed=None)
        work.pull.tally.note(f"the last sync cannot be continued ({error.message}); the window begins again")
        return True
    return False


def _is_elsewhere(work: _Work) -> bool:
    """Return True if the next page has another path than the list, from a link of the partner."""
    return urlsplit(work.window.next or work.url).path.rstrip("/") != urlsplit(work.url).path.rstrip("/")


# --- requested objects ----------------------------------------------------------------------------------------------


async def _pull_requested(work: _Work) -> None:
    """Pull the requested locations one by one; the request of one that fails stays, and does not delay the list."""
    route = outgoing("locations.get_location")
    for request in filter(lambda each: each.id, work.requests):
        try:
            envelope = await call(work.context, work.pull.party, route, params={"location_id": request.id})
            documents = [msgspec.Raw(bytes(envelope.data))]
        except PartnerError as error:
            if not (isinstance(error, PartnerRefused) and error.answered_http in (200, 404)):
                work.pull.tally.note(f"location {shown(request.id)} was not sent: {error.message}")
                continue
            work.pull.tally.note(f"location {shown(request.id)} is not known to the CPO")
            documents = []

        async def settle(tx: Transaction, last: bool, entry_id: str = request.entry_id) -> None:
            await work.save(tx, work.window)
            if last:
                await tx.settle(entry_id)

        of_request = evolve(work.pull, requested={request.id: request.of})
        await store_page(of_request, documents, f"{work.url.rstrip('/')}/{request.id}", settle, place=work.place)


async def _settle(tx: Transaction, work: _Work) -> None:
    """Settle the resync requests that the window fulfilled; requests made after it began stay."""
    if not work.requests:
        return
    window, overlap = work.window, work.context.limits.sync.overlap
    for request in await resync.resync_requests(tx, work.pull.party.owner, work.pull.source.module):
        begins = window.full or window.date_from is None or window.date_from <= request.at - overlap
        if begins and request.at < (window.date_to or window.started_at):
            await tx.settle(request.entry_id)


# --- what vanished --------------------------------------------------------------------------------------------------


async def _mark_missing(work: _Work) -> tuple[SyncEnded, str]:
    window, tally = work.window, work.pull.tally
    refusal = ""
    if window.unnamed:
        refusal = f"{counted(window.unnamed, 'listed object')} without an id: none is marked missing"
    elif not window.marked:
        refusal = await vanished.too_many(work.pull, window.started_at)
    if not refusal:

        async def save(tx: Transaction, place: vanished.Place) -> None:
            work.window = evolve(work.window, marked_owner=place.owner, marked=place.sequence)
            await work.save(tx, work.window)

        place = vanished.Place(window.marked_owner, window.marked)
        await vanished.mark(work.pull, window.started_at, place, save, repeats=window.repeats)
    else:
        tally.note(refusal)
    async with work.context.store.transaction() as tx:
        await work.save(tx, None)
    return (SyncEnded.FAILED, refusal) if refusal else (SyncEnded.DONE, "")
