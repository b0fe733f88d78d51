"""What `ocpi-emsp sync` makes of each preset of the simulated CPO, as a table.

Rules:
- a row says everything that the report of a module holds: what is not said is as with a CPO that is well;
- a row may say what happens before the sync, and between it and the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from cli.sync_presets import COUNT, PAGE, TOKENS, World, a_minute_ago
from ocpi_emsp import Limits
from ocpi_emsp.flows.parties.party import Profile
from ocpi_emsp.settings import HttpLimits
from served.support import waitress_server

Step: TypeAlias = Callable[[World], object]
RETRIES = 4
"""Of a GET that never succeeds."""
SMALL = Limits(http=HttpLimits(response_body=200_000, total_timeout=0.2))
"""Limits that the command has no arguments for; by default they are 64 MB and five minutes."""


def nothing(_: World) -> None: ...


@frozen(kw_only=True)
class Expected:
    """What becomes of a sync. Numbers are those of each of the four modules that are pulled."""

    status: int = 0
    ended: str = "done"
    reason: str = ""
    """A part of it; empty for none."""
    notes: Sequence[str] = ()
    """A part of each."""
    created: int = COUNT
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    beside: int = 0
    """Rejections of what is stored otherwise: of EVSEs that stand twice."""
    missing: int = 0
    pages: int = 3
    retries: int = 0
    asked: int | None = None
    """Requests of the list; None: one for each page and each retry."""
    modules: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    """What is otherwise for one module; tokens are all created unless said here."""
    before: Step = nothing
    deviations: Mapping[str, Any] = field(factory=dict)
    limits: Limits | None = None
    argv: Sequence[str] = ()
    well: Step = nothing
    """What else happens once the CPO is well again."""
    then: Sequence[str] = ()
    """The arguments of the sync after that."""
    again: int | None = 0
    """Objects of each module that the next sync lists and has already; None where each has another number of them."""
    conflicts: int = 0
    """CDRs that come with another content in the next sync: they are no success, whoever was wrong."""
    left: int = 0
    """Objects of each module that are stored in the end although the CPO has them no more."""
    valid: Mapping[str, bool] = field(factory=lambda: dict.fromkeys(TOKENS, True))
    """The tokens that the CPO has in the end."""

    def of(self, module: str) -> Expected:
        """What is expected of one module."""
        if module != "tokens":
            return evolve(self, **self.modules.get(module, {}))
        plain = Expected(created=len(TOKENS), pages=0)
        return evolve(plain, **self.modules.get(module, {}))


# --- what happens besides -------------------------------------------------------------------------------------------


def synced(world: World) -> None:
    assert world.sync()[0] == 0
    world.waits.seconds.append(2)  # a window ends and begins with a whole second


def wants_raw(world: World) -> None:
    world.put_party(evolve(world.party(), profile=Profile()))


def wants_base64(world: World) -> None:
    world.put_party(evolve(world.party(), profile=Profile(base64_token=True)))


def wants_every_member(world: World) -> None:
    world.put_party(evolve(world.party(), profile=Profile(absent_as_null=True)))


def announces_slashes(world: World) -> None:
    known = world.party()
    world.put_party(evolve(known, endpoints=tuple(evolve(each, url=f"{each.url}/") for each in known.endpoints)))


def token_changes(world: World) -> None:
    synced(world)
    world.invalidate(TOKENS[0])


def unknown_location(world: World) -> None:
    """A location is patched that was not there when its list was pulled: it is wished for."""
    world.cpo.withdraw("locations", "LOC3")
    synced(world)
    world.cpo.restore("locations")
    world.cpo.change("locations", "LOC3", {"last_updated": a_minute_ago()})
    changes = {"status": "CHARGING", "last_updated": a_minute_ago()}
    assert world.push("PATCH", "locations/NL/TNM/LOC3/LOC3-E1", changes) == 404


def new_token(world: World) -> None:
    """A rotation over HTTP, as the operator of an eMSP does it: we PUT our credentials, the CPO reads our endpoints."""
    emsp = world.emsp()
    with waitress_server(lambda environ, start: emsp.wsgi()(environ, start)) as origin:
        emsp = world.emsp(f"{origin}/ocpi/emsp")
        with emsp.partner("NL-TNM").client() as client:
            before = world.party().token
            client.put_credentials()
            assert world.party().token != before


# --- the table ------------------------------------------------------------------------------------------------------

NOTHING: dict[str, Any] = {"created": 0, "pages": 0}
FAILED: dict[str, Any] = {"status": 1, "ended": "failed"}
FIRST_PAGE: dict[str, Any] = {**FAILED, "created": PAGE, "pages": 1}
KNOWN: dict[str, Any] = {"created": 0, "unchanged": len(TOKENS)}
PATCHED: dict[str, Any] = {
    "before": token_changes,
    "created": 0,
    "pages": 1,
    "modules": {"tokens": {"created": 1, "unchanged": 2}},
    "valid": dict.fromkeys(TOKENS, True) | {TOKENS[0]: False},
}

TWICE = "is listed 2 times on one page"
FOREIGN = "the next link leads to another origin, the token is not sent there: http://127.0.0.1"

TABLE: dict[str, Expected] = {
    "plain": Expected(),
    "base64": Expected(before=wants_base64, well=wants_raw),
    "hub-renews": Expected(),
    "bare-command-result": Expected(),
    "required-members": Expected(before=wants_every_member),
    "slash-endpoints": Expected(before=announces_slashes),
    "slash-redirects": Expected(),
    "concatenated-urls": Expected(),
    "joined-urls": Expected(),
    "unusable-endpoint": Expected(),
    "endpoint-roles": Expected(),
    "token-line-break": Expected(),
    "byte-order-mark": Expected(),
    "compressed-requests": Expected(),
    "undated-patches": Expected(),
    "unmoved-parents": Expected(),
    "repeated-patches": Expected(),
    "wrapped-patches": Expected(),
    "sessions-taken-back": Expected(),
    "wrapped-command-result": Expected(),
    "authorization-ids": Expected(),
    "null-authorize-body": Expected(),
    "lower-case-uids": Expected(),
    "result-first": Expected(),
    "result-twice": Expected(),
    "contradicting-results": Expected(),
    "late-result": Expected(),
    "no-result": Expected(),
    "command-html": Expected(),
    "command-server-error": Expected(),
    "command-not-json": Expected(),
    "command-no-answer": Expected(),
    # Pages that lie
    "no-totals": Expected(),
    "relative-link": Expected(),
    "loop": Expected(notes=("the next link was followed before",)),
    "two-page-loop": Expected(unchanged=PAGE, pages=4, notes=("the same objects were listed before",)),
    "http-link": Expected(notes=(FOREIGN,)),
    "foreign-link": Expected(notes=(FOREIGN,)),
    "lost-filters": Expected(notes=("the next link lacks date_", "the next link lacks date_")),
    "zero-limit": Expected(notes=("limit=0", "limit=0")),
    "endless-pages": Expected(
        **FAILED,
        created=PAGE,
        unchanged=PAGE,
        pages=2,
        reason="the same objects were listed before",
        notes=("the same objects were listed before",),
        again=PAGE,
    ),
    "endless-empty": Expected(pages=4),
    "endless-empty-without-totals": Expected(pages=5),
    "no-links": Expected(),
    "unreadable-link": Expected(notes=("the next link is not a URL: http://[::1/locations; X-Total-Count is 12, so",)),
    "uncounted": Expected(
        **FAILED,
        pages=4,
        reason="X-Total-Count is 13, and 12 distinct objects were listed",
        notes=("there is no next link; X-Total-Count is 13", "X-Total-Count is 13, and 12 distinct objects"),
        again=COUNT,
    ),
    "empty-without-data": Expected(before=synced, created=0, pages=1, modules={"tokens": KNOWN}),
    "page-of-100000": Expected(pages=1),
    "shrinking-total": Expected(
        pages=4, unchanged=5, notes=("X-Total-Count fell from 12 to 10; continued from ",), left=2
    ),
    "growing-total": Expected(created=COUNT + 2),
    "duplicates": Expected(unchanged=2),
    "repeated-ids-in-a-page": Expected(unchanged=3, notes=(TWICE,) * 3),
    "vanishing": Expected(
        before=synced,
        argv=("--full",),
        created=0,
        unchanged=COUNT,
        pages=4,
        modules={
            "locations": {"unchanged": COUNT - 1, "missing": 1},
            "tariffs": {"unchanged": COUNT - 1, "missing": 1},
            "tokens": KNOWN,
        },
        then=("--full",),
        again=COUNT,
    ),
    # Documents
    "quirky": Expected(),
    "foreign-owner": Expected(status=1, created=8, rejected=4, then=("--full",), again=None, conflicts=4),
    "hub-operator-name": Expected(),
    "hub-evse-ids": Expected(),
    "faulty-copies": Expected(),
    "ocpi-2.2-names": Expected(),
    "half-empty": Expected(),
    "twins": Expected(beside=COUNT, modules={"locations": {"notes": ("2 EVSEs have the uid",) * COUNT}}),
    "null-lists": Expected(),
    "null-members": Expected(then=("--full",), again=COUNT),
    "missing-evses": Expected(then=("--full",), again=None),
    "upper-case-languages": Expected(then=("--full",), again=COUNT),
    "untimed-periods": Expected(),
    "overcharging": Expected(),
    "bad-objects": Expected(status=1, created=9, rejected=3, then=("--full",), again=9),
    "clock-skew": Expected(),
    "no-single-objects": Expected(
        before=unknown_location,
        created=0,
        pages=1,
        modules={
            "locations": {"created": 1, "notes": ("location 'LOC3' is not known to the CPO",)},
            "tokens": KNOWN,
        },
        again=None,
    ),
    # Lists that fail
    "html-errors": Expected(**FAILED, **NOTHING, retries=RETRIES, asked=5, reason="answered HTTP 502: Bad Gateway"),
    "framework-errors": Expected(**FAILED, **NOTHING, asked=1, reason="answered HTTP 422: date_from: Field required"),
    "server-error": Expected(
        **FAILED, **NOTHING, retries=RETRIES, asked=5, reason="answered HTTP 500, 3000: Something went"
    ),
    "server-error-once": Expected(retries=1),
    "ocpi-2001": Expected(**FAILED, **NOTHING, asked=1, reason="answered HTTP 200, 2001: Invalid or missing"),
    "ocpi-3000": Expected(**FAILED, **NOTHING, asked=1, reason="answered HTTP 200, 3000: Generic server error"),
    "ocpi-3000-once": Expected(**FAILED, **NOTHING, asked=1, reason="answered HTTP 200, 3000: Generic server error"),
    "busy": Expected(retries=3),
    "busy-date": Expected(retries=3),
    "rate-limited": Expected(modules={"tariffs": {"retries": 1}, "cdrs": {"retries": 1}}),
    "token-rotated": Expected(
        **FAILED,
        **NOTHING,
        asked=0,
        reason="answered HTTP 401, 2000: The token is unknown",
        modules={
            "locations": {"created": PAGE, "pages": 1, "asked": 2},
            "tokens": {
                "ended": "failed",
                "reason": "answered HTTP 401, 2000: The token is unknown",
                "created": 0,
                "rejected": 1,
            },
        },
        well=new_token,
    ),
    "not-json": Expected(pages=4, notes=("invalid JSON",)),
    "reset": Expected(retries=1),
    "reset-always": Expected(**FIRST_PAGE, retries=RETRIES, asked=6, reason="without sending complete message body"),
    "huge-page": Expected(
        **FAILED, **NOTHING, asked=1, limits=SMALL, reason="the response exceeds the limit of 200000 bytes"
    ),
    "endless-body": Expected(
        **FAILED, **NOTHING, asked=1, limits=SMALL, reason="the response exceeds the limit of 200000 bytes"
    ),
    "slow-body": Expected(
        **FAILED,
        **NOTHING,
        asked=1,
        limits=SMALL,
        deviations={"drip_seconds": 0.01},
        reason="the response took longer than the limit of 0.2 s",
    ),
    "redirect-loop": Expected(**FAILED, **NOTHING, asked=1, reason="answered HTTP 302, a redirect to http://127.0.0.1"),
    "redirect-foreign": Expected(
        **FAILED, **NOTHING, asked=1, reason="answered HTTP 302, a redirect to http://127.0.0.1"
    ),
    # Token objects
    "read-only-tokens": Expected(status=1, modules={"tokens": {"created": 0, "rejected": 3}}),
    "failing-patch": Expected(**PATCHED),
    "failing-patch-404": Expected(**PATCHED),
    "refuses-tokens": Expected(status=1, modules={"tokens": {"created": 2, "rejected": 1}}),
}
