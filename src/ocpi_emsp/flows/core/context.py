"""What every flow is given: identity, settings and ports.

Rules of this module:
- a limit has a default and a reason;
- an entry is in hand while its ``due`` lies ahead, and only the first pending entry of an object is ever taken in hand:
  that keeps the order per object, however many processes deliver from one store.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from attrs import evolve, frozen

from ocpi_emsp.check import Policy
from ocpi_emsp.errors import UnsafeUrl
from ocpi_emsp.events import EVENTS, Event
from ocpi_emsp.flows.core.authorize_hook import AuthorizeHook, FallbackFunction
from ocpi_emsp.flows.core.limits import Pace, Patience
from ocpi_emsp.flows.core.telemetry import SILENT, GuardedTelemetry
from ocpi_emsp.models import BusinessDetails
from ocpi_emsp.ports import EVENT, RELAY, Clock, Entry, Key, Kind, Send, Sleep, Store, Transaction, is_joined
from ocpi_emsp.routes import VERSION
from ocpi_emsp.support import SupportMatrix

ListenerHook: TypeAlias = Callable[[Event], Awaitable[None]]
UrlPolicy: TypeAlias = Literal["https", "loopback"]


@frozen(kw_only=True)
class Limits:
    """Bounds on what one request may cost."""

    body: int = 4 * 1024 * 1024
    """Bytes of a request body: a location with 100 EVSEs has 60 KB, so this leaves room for any real object."""
    answer: int = 64 * 1024 * 1024
    """Bytes of a partner's answer: pages of thousands of locations exist."""
    page: int = 100
    """Objects of a page where the partner asks for no limit."""
    page_cap: int = 1000
    """Objects of a page at most: keeps an answer below a megabyte."""
    pages: int = 100_000
    """Pages of one list that we follow: ends a partner's list that has no end."""
    token_grace: timedelta = timedelta(hours=24)
    """How long a replaced token works if the new one is never used: a day to repair a lost answer."""
    handshake: timedelta = timedelta(hours=1)
    """How long a handshake may take, both sides' requests of ``timeout_total`` together: what is older was left behind
    by a process that died."""
    timeout_connect: float = 10.0
    """Seconds that a partner has to accept a connection: it is up, or it is not; a slow network needs three."""
    timeout: float = 30.0
    """Seconds between two reads of a partner's answer: large pages are assembled before the first byte is sent."""
    timeout_total: float = 300.0
    """Seconds for one whole answer: the largest page that we take, over a line of 2 Mbit/s; ends a body that drips."""
    lease: timedelta = timedelta(seconds=60)
    """How long whoever delivers an event has it in hand: the slowest listener or broker needs less, and the events of a
    process that died wait no longer."""
    retry_first: timedelta = timedelta(seconds=1)
    """The longest wait after the first failure of an event; each further one may take four times as long."""
    retry_longest: timedelta = timedelta(hours=1)
    """The longest wait between two tries: within an hour after an outage all is delivered."""
    attempts: int = 10
    """Failures of an event before it is a dead letter: with these waits they take up to three and a half hours, about
    half of that on average, so a restart of the receiver costs nothing and its outage of a night is noticed."""
    asked: int = 100
    """Objects of a page that a sync asks for: what most partners allow at most, and one transaction here."""
    overlap: timedelta = timedelta(minutes=15)
    """How much earlier than the end of the last one a sync begins: clocks differ by minutes, and some partners write an
    object down a while after its ``last_updated``."""
    missed_syncs: int = 3
    """Full syncs in a row that do not list a location until its EVSEs become REMOVED: with one a week, a CPO has time
    to mend its list."""
    missed_apart: timedelta = timedelta(hours=1)
    """Full syncs that begin sooner after one count as the same one: it was killed near its end, and run again."""
    vanishing: float = 0.2
    """The share of a party's locations or tariffs that may vanish at once: more is a broken list, no closed network."""
    authorize_deadline: float | None = 5.0
    """Seconds that the authorize hook has, then the fallback answers: a driver stands at the plug, and a CPO that gives
    up after ten seconds has the answer in time. None: as long as it takes, and a plain hook runs where it is called."""
    authorize_threads: int = 40
    """Plain authorize hooks with a deadline that run at once: as many as a server's own threads usually are. One that
    hangs keeps its thread, so this bounds what hanging hooks cost."""
    command_deadline: timedelta = timedelta(minutes=2)
    """How long the result of a command is awaited: charge points are behind slow wireless connections (mod_commands.md
    1), which a minute covers twice; a driver who stands there waits no longer."""

    session_window: timedelta = timedelta(hours=1)
    """How long after its deadline a START_SESSION may still lead to a session: a charge point that was offline starts
    it when it is back; an hour later it is a driver who came again."""
    session_awaited: timedelta = timedelta(hours=24)
    """How much later a session may be heard of than it has to have begun: a CPO that pushes none is pulled every few
    hours, and once a day at least."""
    clocks_apart: timedelta = timedelta(minutes=5)
    """How far a CPO's clock may be from ours where a session is matched to a command: without NTP they differ by
    minutes, and a driver who is back sooner is rare."""


@frozen(kw_only=True)
class Identity:
    """Who we are; ``url`` is the public base under which our paths lie, without a trailing slash."""

    country_code: str
    party_id: str
    business_details: BusinessDetails
    url: str

    @property
    def owner(self) -> tuple[str, str]:
        """Our country_code and party_id, as keys have them."""
        return self.country_code.upper(), self.party_id.upper()

    def token_key(self, uid: str, token_type: str) -> Key:
        """The key of one of our tokens: uid and type together are unique (mod_tokens.md 3.2)."""
        return Key(Kind.TOKEN, *self.owner, uid, token_type.upper())

    @property
    def versions_url(self) -> str:
        """Where partners start."""
        return f"{self.url}/versions"

    def endpoint(self, module: str) -> str:
        """The URL of one of our modules."""
        return f"{self.url}/{VERSION}/{module}"


def _for_nobody(_uid: str) -> None:
    """Nobody awaits a command."""


@frozen(kw_only=True)
class Context:
    """Identity, settings and ports, in one mode: either none of the ports suspends, or they may."""

    identity: Identity
    matrix: SupportMatrix
    limits: Limits
    url_policy: UrlPolicy
    policy: Policy
    required_modules: frozenset[str]
    store: Store
    clock: Clock
    sleep: Sleep
    pace: Pace
    patience: Patience
    send: Send
    authorize: AuthorizeHook | None
    listeners: Sequence[tuple[type[Event], ListenerHook]]
    relayed: Sequence[type[Event]]
    authorize_fallback: FallbackFunction | None = None
    correlation_id: str = ""
    """What the calls are a part of that are made with this context; empty: each is on its own."""
    telemetry: GuardedTelemetry = SILENT
    ring: Callable[[str], None] = _for_nobody
    """Called with the id of a command once a change of it is committed: whoever awaits it in this process looks."""

    def hears(self, event: type[Event]) -> bool:
        """True where someone is told of this event: a listener, or a relay."""
        return self.has_listener(event) or any(issubclass(event, kind) for kind in self.relayed)

    def has_listener(self, event: type[Event]) -> bool:
        """True where someone in this process listens to this event."""
        return any(issubclass(event, heard) for heard, _ in self.listeners)

    async def emit(
        self, tx: Transaction, event: type[Event], key: Key, correlation_id: str, body: bytes = b"", **details: object
    ) -> Entry | None:
        """Journal an event of the change that ``tx`` makes: for listeners, for a relay, or not at all.

        Gives the entry that is in hand now, for ``deliver`` after the commit: this one, or one that waited before it.
        None where nobody listens, or somebody else has the object's events in hand.
        """
        if not self.hears(event):
            return None
        owner = {"country_code": key.country_code, "party_id": key.party_id, "correlation_id": correlation_id}
        entry = Entry(
            id=new_id(),
            topic=EVENT,
            name=event.__name__,
            key=key,
            at=self.clock.now(),
            body=body,
            details={**owner, **details},
        )
        if any(issubclass(event, kind) for kind in self.relayed):
            await tx.append(evolve(entry, id=new_id(), topic=RELAY))
        return await self._append(tx, entry) if self.has_listener(event) else None

    async def _append(self, tx: Transaction, entry: Entry) -> Entry | None:
        if is_joined(tx):
            await tx.append(entry)
            return None
        older = await tx.entries(EVENT, entry.key, 1)
        if not older:
            return await self.take(tx, entry)
        await tx.append(entry)
        return await self.take(tx, older[0])

    async def take(self, tx: Transaction, entry: Entry) -> Entry | None:
        """The entry, in hand from now on; None where it is not due, or nobody here could take it."""
        kind = EVENTS.get(entry.name)
        # One of an unknown kind is taken as well: it can only be put aside.
        is_ours = entry.topic == RELAY or kind is None or self.has_listener(kind)
        if not is_ours or not self.is_due(entry) or is_joined(tx):
            return None
        held = evolve(entry, due=self.clock.now() + self.limits.lease)
        await tx.append(held)
        return held

    def is_due(self, entry: Entry) -> bool:
        """True where nobody has the entry in hand and it does not wait for another try.

        A ``due`` further ahead than any that is ever set was set by a clock that has gone back since.
        """
        if entry.due is None:
            return True
        ahead = entry.due - self.clock.now()
        return not timedelta(0) < ahead <= max(self.limits.lease, self.limits.retry_longest)

    def correlated(self) -> Context:
        """The same with a correlation id: what is done with it belongs together."""
        return self if self.correlation_id else evolve(self, correlation_id=new_id())

    def check_url(self, url: str) -> str:
        """``url``, where the policy allows to call it. Raises UnsafeUrl."""
        scheme, _, rest = url.partition("://")
        host = _AUTHORITY_END.split(rest, maxsplit=1)[0].rpartition("@")[2]
        name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
        if not _has_usable_port(url):
            raise UnsafeUrl(f"{url[:200]!r} has a port that does not exist")
        if scheme.lower() == "https" and name:
            return url
        if scheme.lower() == "http" and self.url_policy == "loopback" and _is_loopback(name):
            return url
        raise UnsafeUrl(f"the url policy {self.url_policy!r} forbids {url[:200]!r}")


_AUTHORITY_END = re.compile(r"[/?#\\]")
"""What ends the host of a URL (RFC 3986 3.2), and the backslash, which some clients take for a slash."""


def _has_usable_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _is_loopback(name: str) -> bool:
    return name.lower() in ("localhost", "::1") or (name.startswith("127.") and name.replace(".", "").isdigit())


def new_token() -> str:
    """A token of printable ASCII without spaces, 43 characters of 256 bits (credentials.md: at most 64)."""
    return _no_option(secrets.token_urlsafe(32))


def new_id() -> str:
    """An id that nobody can guess."""
    return _no_option(secrets.token_urlsafe(18))


def _no_option(made: str) -> str:
    """A text that a command does not take for an option."""
    return f"_{made[1:]}" if made.startswith("-") else made
