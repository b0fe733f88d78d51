"""The identity of this eMSP, and its settings: one class per concern.

Rules of this module:
- each limit has a default and a reason;
- a value that cannot work is rejected when it is given; the message names the setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from types import NoneType
from typing import Any

from attrs import Attribute, field, frozen

from ocpi_emsp.codec.weight import DEFAULT_BOUNDS
from ocpi_emsp.models import BusinessDetails
from ocpi_emsp.ports import Key, Kind, Mode
from ocpi_emsp.routes import VERSION
from ocpi_emsp.scalars import given

CONCURRENT_HANDSHAKES: Mapping[Mode, int] = {"sync": 2, "async": 50}
"""Handshakes of all partners that a process runs at once, unless ``CredentialLimits`` sets another number."""
MIN_RATE = Decimal("0.01")
"""The lowest requests per second: with fewer, a list of a few pages takes too long."""
_ZERO = timedelta(0)


@frozen(kw_only=True)
class Identity:
    """The identity of this eMSP; ``url`` is the public base of its paths, without a trailing slash."""

    country_code: str
    party_id: str
    business_details: BusinessDetails
    url: str
    credentials_extensions: Mapping[str, Any] = field(factory=dict)
    """Members of our credentials that are unknown to the specification."""

    @property
    def owner(self) -> tuple[str, str]:
        """Our country_code and party_id, in the form that keys use."""
        return self.country_code.upper(), self.party_id.upper()

    def token_key(self, uid: str, token_type: str) -> Key:
        """Return the key of one of our tokens: uid and type together are unique (mod_tokens.md 3.2)."""
        return Key(Kind.TOKEN, *self.owner, uid, token_type.upper())

    @property
    def versions_url(self) -> str:
        """The URL at which partners start."""
        return f"{self.url}/versions"

    def endpoint(self, module: str) -> str:
        """Return the URL of one of our modules."""
        return f"{self.url}/{VERSION}/{module}"


# --- what a setting must be -----------------------------------------------------------------------------------------


def is_usable_rate(rate: Decimal) -> bool:
    """Return True if requests can be sent at this rate."""
    return rate.is_finite() and rate >= MIN_RATE


def _is(
    kind: type | tuple[type, ...], expected: str, is_usable: Callable[[Any], bool] = lambda _: True, example: str = ""
) -> Callable[[object, Attribute[Any], Any], None]:
    """Return a validator; its message uses the default as the example."""

    def validate(instance: object, attribute: Attribute[Any], value: Any) -> None:
        is_kind = isinstance(value, kind) and not isinstance(value, bool)
        if is_kind and is_usable(value):
            return
        default = attribute.default
        shown = f"timedelta(seconds={default.total_seconds():g})" if isinstance(default, timedelta) else str(default)
        setting = f"{type(instance).__name__}.{attribute.name}"
        error = ValueError if is_kind else TypeError
        raise error(f"invalid {setting} '{given(value)}': expected {expected}, for example {example or shown}")

    return validate


_COUNT = _is(int, "a whole number of 1 or more", lambda it: it >= 1)
_COUNT_OR_NONE = _is((int, NoneType), "a whole number of 1 or more, or None", lambda it: it is None or it >= 1, "2")
_COUNT_OR_0 = _is(int, "a whole number of 0 or more", lambda it: it >= 0)
_SECONDS = _is((int, float), "seconds above 0", lambda it: it > 0)
_SECONDS_OR_NONE = _is((int, float, NoneType), "seconds above 0, or None", lambda it: it is None or it > 0)
_RATE_OR_NONE = _is(
    (Decimal, NoneType), f"a Decimal of {MIN_RATE} or more", lambda it: it is None or is_usable_rate(it), "2"
)
_COUNT_OR_NONE = _is((int, NoneType), "a whole number of 1 or more, or None", lambda it: it is None or it >= 1)
_FACTOR = _is((int, float), "a number of 0 or more", lambda it: it >= 0)
_SHARE = _is((int, float), "a share from 0 to 1", lambda it: 0 <= it <= 1)
_TIME = _is(timedelta, "a timedelta above 0", lambda it: it > _ZERO)
_TIME_OR_NONE = _is(
    (timedelta, NoneType),
    "a timedelta above 0, or None",
    lambda it: it is None or it > _ZERO,
    "timedelta(days=90)",
)
_WAIT = _is(timedelta, "a timedelta of 0 or more", lambda it: it >= _ZERO)


def _part(kind: type) -> Any:
    return field(factory=kind, validator=_is(kind, f"the class {kind.__name__}", example=f"{kind.__name__}()"))


# --- limits ---------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class HttpLimits:
    """Bounds on one request and on one answer."""

    request_body: int = field(default=4 * 1024 * 1024, validator=_COUNT)
    """Maximum bytes of a request body: a location with 100 EVSEs has 60 KB, so this leaves room for any real object."""
    body_timeout: float = field(default=60.0, validator=_SECONDS)
    """Seconds for receiving a whole request body: the largest one over a line of 560 kbit/s."""
    body_grace: float = field(default=5.0, validator=_SECONDS)
    """Seconds after which ``body_rate`` applies: a new connection begins slowly, and a lost packet costs one or two."""
    body_rate: int = field(default=1024, validator=_COUNT)
    """Bytes per second at which a request body must arrive, on average, once the grace is over: an eighth of a modem's
    rate; ends a body that drips.
    """
    response_body: int = field(default=64 * 1024 * 1024, validator=_COUNT)
    """Maximum bytes of a partner's response: pages of thousands of locations exist."""
    page_size: int = field(default=100, validator=_COUNT)
    """Objects of a page if the partner asks for no limit."""
    max_page_size: int = field(default=1000, validator=_COUNT)
    """Most objects of a page: holds a response below a megabyte."""
    max_pages: int = field(default=100_000, validator=_COUNT)
    """Pages of one list that are followed: ends a partner's list that has no end."""
    max_objects: int = field(default=5_000_000, validator=_COUNT)
    """Objects of one list that are received: the largest CPO has fewer, and recognising each again takes 70 bytes of
    memory. A sync ends there, and the next one continues from there.
    """
    max_objects_of_page: int = field(default=200_000, validator=_COUNT)
    """Objects of one received page: this many tariffs fill ``response_body``, and other objects are larger."""
    connect_timeout: float = field(default=10.0, validator=_SECONDS)
    """Seconds in which a partner must accept a connection: a slow network needs three."""
    read_timeout: float = field(default=30.0, validator=_SECONDS)
    """Seconds between two reads of a partner's response: large pages are assembled before the first byte is sent."""
    total_timeout: float = field(default=300.0, validator=_SECONDS)
    """Seconds for one whole response: the largest accepted page, over a line of 2 Mbit/s; ends a body that drips."""


@frozen(kw_only=True)
class InboundLimits:
    """What a party, or an address without a known token, may send to one process. None: no such limit."""

    requests_per_second: int | None = field(default=200, validator=_COUNT_OR_NONE)
    """Requests of a party per second, on average: a CPO of 100,000 charge points has some 50 status changes."""
    burst: int = field(default=1000, validator=_COUNT)
    """Requests of a party at once before the rate applies: they pile up while either side restarts."""
    concurrent_requests: int | None = field(default=100, validator=_COUNT_OR_NONE)
    """Requests of a party that are served at once: a hub with a driver at each of 100 plugs. With bodies just below
    ``large_body`` they hold 6 MiB.
    """
    bytes_per_minute: int | None = field(default=256 * 1024 * 1024, validator=_COUNT_OR_NONE)
    """Bytes of a party's bodies per minute, on average: 40,000 locations with ten EVSEs each."""
    burst_bytes: int = field(default=64 * 1024 * 1024, validator=_COUNT)
    """Bytes of a party at once before the rate applies: 10,000 such locations, the whole network of a large CPO."""
    large_body: int = field(default=64 * 1024, validator=_COUNT)
    """Bytes from which a body is large; a party's large bodies take turns. A location with 100 EVSEs has 60 KB."""
    large_bodies: int = field(default=4, validator=_COUNT)
    """Large bodies of a party that are read at once, and wait for their turn: four of 4 MiB."""
    large_body_wait: float = field(default=10.0, validator=_SECONDS)
    """Seconds that a further large body waits before it is read, under ASGI: callers usually wait as long for a
    response. Under WSGI it is rejected at once: a waiting thread serves no caller.
    """
    large_body_rest: float = field(default=2.0, validator=_FACTOR)
    """Under ASGI, a party's next large body waits this many times as long as its last one took: with 2, large bodies
    take a third of the time, and other parties get the rest.
    """
    unknown_tokens_per_minute: int | None = field(default=300, validator=_COUNT_OR_NONE)
    """Unknown tokens of one address per minute, and at once. A partner with an old token calls less often. The limit
    bounds the cost of queries; guessing a token is impossible at any rate. Beyond it, valid tokens are still accepted.
    """
    unknown_tokens_of_all_per_minute: int | None = field(default=3000, validator=_COUNT_OR_NONE)
    """The same for the unknown tokens of all addresses together, however many addresses there are."""
    addresses: int = field(default=10_000, validator=_COUNT)
    """Addresses whose failures are counted; the one that failed longest ago is dropped. 5 MB at most."""


@frozen(kw_only=True)
class BodyLimits:
    """Bounds on the content of one request, and on where it is read: they bound the work, whatever the number of bytes.

    A request beyond a bound is rejected (2001, rule ``document.bounds``) with the place and the bound, before it is
    read, and is stored among the rejections. Documents that are read elsewhere have the default bounds.
    """

    values: int = field(default=DEFAULT_BOUNDS.values, validator=_COUNT)
    """Members and items, at all depths together: a location of 4 MiB has 220,000 of them."""
    objects: int = field(default=DEFAULT_BOUNDS.objects, validator=_COUNT)
    """Objects, at all depths together: a CDR of 4 MiB, a dimension per period, has 95,000."""
    items: int = field(default=DEFAULT_BOUNDS.items, validator=_COUNT)
    """Items of one list: a session of a day with a period every five seconds has 17,280."""
    members: int = field(default=DEFAULT_BOUNDS.members, validator=_COUNT)
    """Members of one object: the largest of OCPI has 21, and partners add a few."""
    digits: int = field(default=DEFAULT_BOUNDS.digits, validator=_COUNT)
    """Digits of one number, or in a row in a text: a double has 17, its longest exact decimal 767."""
    patched: int = field(default=10_000, validator=_COUNT)
    """Objects of a PATCH of a location or EVSE, which are merged one by one: 3,000 EVSEs with two connectors are 9,000,
    more than in any PATCH that was observed.
    """
    aside: int = field(default=64 * 1024, validator=_COUNT)
    """Bytes above which a body is weighed first, and read before its flow starts: on an async host in a thread, so that
    the event loop continues to serve. A PATCH counts together with the document that it changes. A location with 100
    EVSEs is smaller; smaller bodies are only weighed if they deviate.
    """
    threads: int = field(default=2, validator=_COUNT)
    """Bodies of one event loop that are read at once, each in its own thread; further ones wait."""


@frozen(kw_only=True)
class CredentialLimits:
    """How long tokens and handshakes last."""

    token_grace: timedelta = field(default=timedelta(hours=24), validator=_WAIT)
    """How long a replaced token works if the new one is never used: a day to repair a lost response."""
    invitation_lifetime: timedelta = field(default=timedelta(days=7), validator=_TIME)
    """How long the token A of an invitation works: a week for people on both sides to register; after that it only
    remains in mails and tickets.
    """
    renewal_window: timedelta = field(default=timedelta(days=7), validator=_WAIT)
    """How long a partner that ended its registration may begin a new one with its token: a hub that renews with DELETE
    and POST does both within minutes, or within days if people are involved.
    """
    handshake_timeout: timedelta = field(default=timedelta(hours=1), validator=_WAIT)
    """How long a handshake may take, both sides' requests of ``HttpLimits.total_timeout`` together: an older one was
    abandoned by a process that died.
    """
    response_body: int = field(default=256 * 1024, validator=_COUNT)
    """Bytes of a response with versions, version details or credentials: those of large partners have 3 KB."""
    request_body: int = field(default=256 * 1024, validator=_COUNT)
    """Bytes of credentials that a partner sends: they have 500, and a logo is a URL."""
    inbound_timeout: float = field(default=30.0, validator=_SECONDS)
    """Seconds for all our calls of a handshake that a partner starts, versions and details together, however slowly it
    answers: the partner waits for our response meanwhile, and so does a thread of a WSGI server.
    """
    outbound_timeout: float = field(default=90.0, validator=_SECONDS)
    """Seconds for all our calls of a handshake that we start: versions, details and credentials, each with
    ``HttpLimits.read_timeout`` for its first byte; a partner calls us back before it answers the last of them.
    """
    concurrent_handshakes: int | None = field(default=None, validator=_COUNT_OR_NONE)
    """Handshakes of all partners that run in a process at once. Each holds a thread of a WSGI server, so leave some of
    these free. None: 2 under :meth:`Emsp.wsgi`, half of the default threads of waitress, and 50 under
    :meth:`Emsp.asgi`, where one holds a socket and a response of ``response_body``.
    """
    concurrent_handshakes_of_a_party: int = field(default=1, validator=_COUNT)
    """Handshakes of one partner that run in a process at once: a second one would undo the first."""


@frozen(kw_only=True)
class AuthorizeLimits:
    """Bounds on the authorize hook."""

    timeout: float | None = field(default=5.0, validator=_SECONDS_OR_NONE)
    """Seconds for the hook; then the fallback answers: a driver stands at the plug, and a CPO that times out after ten
    seconds gets the answer in time. None: no timeout, and a plain hook runs in the caller's thread.
    """
    threads: int = field(default=40, validator=_COUNT)
    """Plain hooks with a timeout that run at once: as many as a server usually has threads. A hanging hook holds its
    thread, so this bounds the cost of hanging hooks.
    """
    decisions: int = field(default=100_000, validator=_COUNT)
    """Decisions that are stored per party, the newest ones: a large partner asks a thousand times a day."""
    decision_bytes: int = field(default=128 * 1024 * 1024, validator=_COUNT)
    """Bytes of a party's stored decisions: enough for that many of usual size."""


@frozen(kw_only=True)
class RejectionLimits:
    """How many rejected requests are stored; if a party sends more, its oldest rejections are deleted first.

    A process checks the bounds after each 64th of one, and at the first rejection that it stores of a party: meanwhile
    each process may exceed a bound by that much.
    """

    count: int = field(default=100_000, validator=_COUNT)
    """Rejections of one party: enough for the first sync of a large partner, if every object is rejected."""
    bytes: int = field(default=128 * 1024 * 1024, validator=_COUNT)
    """Bytes of one party's rejections: 50,000 rejected objects of usual size."""
    total_bytes: int = field(default=1024 * 1024 * 1024, validator=_COUNT)
    """Bytes of all rejections: small enough for any disk. Those of the parties with the most are deleted first."""
    body: int = field(default=1024 * 1024, validator=_COUNT)
    """Bytes of a rejected body that are stored: a whole location of 1,000 EVSEs. Of a larger body only the beginning is
    stored, which shows what was sent and cannot be replayed.
    """


@frozen(kw_only=True)
class QuotaLimits:
    """How much one party may store here. An object that would exceed a quota is rejected; a replacement that does not
    grow is stored. A profile may have its own ``max_objects`` and ``max_bytes``.

    A process counts what it adds, and checks the stored amount after each 16th of a quota: meanwhile each process may
    exceed the quota by that much.
    """

    objects: int = field(default=10_000_000, validator=_COUNT)
    """Locations, EVSEs, sessions, tariffs, CDRs and their conflicts: years of the largest network."""
    bytes: int = field(default=64 * 1024 * 1024 * 1024, validator=_COUNT)
    """Bytes of their documents: as many objects of 6 KB each."""
    cdr_conflicts: int = field(default=10_000, validator=_COUNT)
    """CDRs that are stored beside another one with the same id: a network with a thousand has a problem."""
    tariff_versions: int = field(default=10_000, validator=_COUNT)
    """Ended versions of one tariff; beyond them the oldest are deleted, and nothing is rejected: more than a year of a
    price that changes every hour.
    """
    tariff_version_bytes: int = field(default=1024 * 1024 * 1024, validator=_COUNT)
    """Bytes of all ended versions of a party's tariffs; beyond them the oldest are deleted: half a million versions of
    2 KB.
    """
    events: int = field(default=4 * 1024 * 1024 * 1024, validator=_COUNT)
    """Bytes of a party's events that wait for a listener or a relay, or failed: those of an outage of days."""
    owners: int = field(default=5_000, validator=_COUNT)
    """Parties whose objects were received over a hub's connection: the largest hubs have a thousand."""
    evses: int = field(default=10_000, validator=_COUNT)
    """EVSEs of a location that were PUT one by one: the largest sites have a thousand."""
    connectors: int = field(default=100, validator=_COUNT)
    """Connectors of an EVSE that were PUT one by one: there are chargers with four."""


@frozen(kw_only=True)
class CommandLimits:
    """How long the result of a command, and its session, are awaited."""

    result_timeout: timedelta = field(default=timedelta(minutes=2), validator=_TIME)
    """How long the result of a command is awaited: a minute covers a slow wireless connection of a charge point
    (mod_commands.md 1) twice, and a driver at the charge point does not wait longer.
    """
    session_window: timedelta = field(default=timedelta(hours=1), validator=_WAIT)
    """How long after its deadline a START_SESSION may still lead to a session: an offline charge point starts it once
    it is back; an hour later it is a driver who came again.
    """
    session_delay: timedelta = field(default=timedelta(hours=24), validator=_WAIT)
    """How much later than its last possible start a session may be received: a CPO that pushes none is pulled every few
    hours, and once a day at least.
    """
    clock_skew: timedelta = field(default=timedelta(minutes=5), validator=_WAIT)
    """How far a CPO's clock may differ from ours when a session is matched to a command: without NTP clocks differ by
    minutes, and a driver rarely comes back sooner.
    """


@frozen(kw_only=True)
class DeliveryLimits:
    """How journalled events are delivered."""

    lease: timedelta = field(default=timedelta(seconds=60), validator=_TIME)
    """How long a process leases an event that it delivers: the slowest listener or broker needs less, and the events of
    a process that died wait no longer.
    """
    first_wait: timedelta = field(default=timedelta(seconds=1), validator=_WAIT)
    """The longest wait after the first failure of an event; each further wait may be four times as long."""
    longest_wait: timedelta = field(default=timedelta(hours=1), validator=_WAIT)
    """The longest wait between two attempts: within an hour after an outage all events are delivered."""
    attempts: int = field(default=10, validator=_COUNT)
    """Failures of an event before it is a dead letter: with these waits up to three and a half hours, about half of
    that on average, so a restart of the receiver costs nothing and its outage of a night is noticed.
    """


@frozen(kw_only=True)
class SyncLimits:
    """How a partner's lists are pulled."""

    page_size: int = field(default=100, validator=_COUNT)
    """Objects of a page that a sync asks for: the most that most partners allow, and one transaction here."""
    overlap: timedelta = field(default=timedelta(minutes=15), validator=_WAIT)
    """How much earlier than the end of the last sync a sync begins: clocks differ by minutes, and some partners store
    an object a while after its ``last_updated``.
    """
    missed_syncs: int = field(default=3, validator=_COUNT)
    """Full syncs in a row that do not list a location before its EVSEs become REMOVED: with one sync a week, a CPO has
    time to correct its list.
    """
    missed_syncs_apart: timedelta = field(default=timedelta(hours=1), validator=_WAIT)
    """Full syncs that begin within this time count as one: the first was killed near its end, and run again."""
    vanishing_share: float = field(default=0.2, validator=_SHARE)
    """The share of a party's locations or tariffs that may vanish at once: more means a broken list, not a closed
    network.
    """


@frozen(kw_only=True)
class Limits:
    """Bounds on the cost of partners, hooks and listeners, with one part for each concern.

    Raises ValueError or TypeError for a value that cannot work.
    """

    bodies: BodyLimits = _part(BodyLimits)  # noqa: RUF009 # a field, no value
    http: HttpLimits = _part(HttpLimits)  # noqa: RUF009 # a field, no value
    inbound: InboundLimits = _part(InboundLimits)  # noqa: RUF009 # a field, no value
    credentials: CredentialLimits = _part(CredentialLimits)  # noqa: RUF009 # a field, no value
    authorize: AuthorizeLimits = _part(AuthorizeLimits)  # noqa: RUF009 # a field, no value
    rejections: RejectionLimits = _part(RejectionLimits)  # noqa: RUF009 # a field, no value
    quotas: QuotaLimits = _part(QuotaLimits)  # noqa: RUF009 # a field, no value
    commands: CommandLimits = _part(CommandLimits)  # noqa: RUF009 # a field, no value
    delivery: DeliveryLimits = _part(DeliveryLimits)  # noqa: RUF009 # a field, no value
    sync: SyncLimits = _part(SyncLimits)  # noqa: RUF009 # a field, no value


# --- how long things are stored -------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Retention:
    """How long data is stored; older data is deleted by the background work, or by ``Emsp.prune``. None, the default of
    each: data is not deleted because of its age. Raises ValueError or TypeError like :class:`Limits`.
    """

    rejections: timedelta | None = field(default=None, validator=_TIME_OR_NONE)
    """Rejected requests, counted from their receipt."""
    dead_events: timedelta | None = field(default=None, validator=_TIME_OR_NONE)
    """Events that failed too often, counted from when they happened. Waiting events are not deleted."""
    authorizations: timedelta | None = field(default=None, validator=_TIME_OR_NONE)
    """Decisions on real-time authorizations, counted from their request."""
    sessions: timedelta | None = field(default=None, validator=_TIME_OR_NONE)
    """Sessions that ended, counted from their last update and receipt."""
    cdr_conflicts: timedelta | None = field(default=None, validator=_TIME_OR_NONE)
    """CDRs that are stored beside another one with the same id, counted from their receipt."""
    audits: timedelta | None = field(default=None, validator=_TIME_OR_NONE)
    """Stored audits of CDRs, counted from their creation."""
    commands: timedelta | None = field(default=None, validator=_TIME_OR_NONE)
    """Finished commands and reservations for which no session is awaited, counted from their last change."""
    tariff_versions: timedelta | None = field(default=None, validator=_TIME_OR_NONE)
    """Previous versions of tariffs, counted from when they ended: an audit of older CDRs does not find them."""


# --- calls to a partner ---------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class RetryPolicy:
    """How a sync repeats failed GETs, and when its circuit breaker opens. Raises ValueError or TypeError like
    :class:`Limits`.
    """

    attempts: int = field(default=5, validator=_COUNT)
    """Attempts of one GET, the first included: their waits take up to 7.5 seconds, about what a load balancer needs to
    switch to another server; a longer outage is left to the next sync.
    """
    first_wait: timedelta = field(default=timedelta(seconds=0.5), validator=_WAIT)
    """The longest wait after the first failure: a reset connection is opened again at once."""
    growth: int = field(default=2, validator=_COUNT)
    """How many times as long each further wait may be."""
    longest_wait: timedelta = field(default=timedelta(seconds=30), validator=_WAIT)
    """The longest wait that this library chooses: with more attempts, each waits for half a minute at most."""
    longest_retry_after: timedelta = field(default=timedelta(seconds=300), validator=_WAIT)
    """The longest ``Retry-After`` that a sync waits for: usual rate limits count in minutes; after a longer one, a
    later sync asks again.
    """
    retries_per_sync: int = field(default=100, validator=_COUNT_OR_0)
    """Retries of one sync: one per page of a large partner now and then; more means that it has a problem."""
    waiting_per_sync: timedelta = field(default=timedelta(seconds=600), validator=_WAIT)
    """Total waits of one sync before retries: two full ``Retry-After``; a sync must not delay the next ones."""
    breaker_failures: int = field(default=5, validator=_COUNT)
    """Failed calls in a row, each after its retries, until the circuit breaker opens: with the default attempts these
    are 25 requests without a response.
    """
    breaker_wait: timedelta = field(default=timedelta(seconds=60), validator=_TIME)
    """How long the breaker stays open: a restart takes less. Doubled after each failed probe."""
    longest_breaker_wait: timedelta = field(default=timedelta(minutes=15), validator=_TIME)
    """The longest time that the breaker stays open: a partner is called again within a quarter of an hour after its
    outage.
    """


@frozen(kw_only=True)
class RateLimit:
    """How many requests a partner gets from all clients. Raises ValueError or TypeError like :class:`Limits`."""

    requests_per_second: Decimal | None = field(default=None, validator=_RATE_OR_NONE)
    """Requests to one partner per second, evenly spaced; None for no such limit: the specification names none."""
    concurrent_requests: int = field(default=4, validator=_COUNT)
    """Requests to one partner at once: one per pulled module, so that no module waits for another."""
    slot_timeout: timedelta = field(default=timedelta(seconds=600), validator=_TIME)
    """How long a call waits while the allowed number of others is in progress: twice ``HttpLimits.total_timeout``, so
    each of those has ended.
    """
