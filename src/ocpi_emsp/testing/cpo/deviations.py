"""How a simulated CPO can deviate from OCPI 2.1.1; real partners show every deviation.

Rules of this module: the defaults obey the specification; a value is validated when it is set; `presets.py` names
useful sets of deviations, and docs/how-to/simulated-cpo.md says what a good client does with each.
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from attrs import Attribute, converters, define, field, fields, validators

from ocpi_emsp.testing.cpo.overcharging import OVERCHARGES

HUB_OWNERS: Final = ("operator.name", "evse_id")
NEXT_LINKS: Final = (
    "absolute",
    "relative",
    "loop",
    "http",
    "foreign",
    "lost-filters",
    "zero-limit",
    "two-page-loop",
    "endless-pages",
    "endless-empty",
    "none",
    "unreadable",
)
LIST_FAILURES: Final = (
    "html",
    "framework",
    "server-error",
    "ocpi-2001",
    "ocpi-3000",
    "busy",
    "rate-limited",
    "token-rotated",
    "not-json",
    "reset",
    "huge-page",
    "endless-body",
    "slow-body",
    "redirect-loop",
    "redirect-foreign",
)
URL_JOININGS: Final = ("slash", "concatenated", "joined")
COMMAND_FAILURES: Final = ("html", "server-error", "not-json", "no-answer")
RESULT_ORDERS: Final = ("after", "first", "twice", "contradicting", "never")
LISTS: Final = ("locations", "sessions", "cdrs", "tariffs")
"""The modules that a CPO lists."""
FOREIGN_ORIGIN: Final = "https://pages.example.com"
BIGGEST_PAGE: Final = 100_000
"""The objects on a page if `ignore_limit` is set."""

_NOT_NEGATIVE: Final[Any] = validators.ge(0)


def _is_pattern(_: object, attribute: "Attribute[Any]", text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"invalid {attribute.name}: expected a regular expression ({error})") from None


_IS_PATTERN: Final[Any] = _is_pattern


@define(kw_only=True, slots=False, eq=False)
class Deviations:
    """What can be wrong with a CPO.

    Handshake and tokens of the connection:

    - `accept_credentials_patch`: PATCH credentials is served like a PUT of the merged object
      (the specification says n/a)
    - `accept_base64_token`, `send_base64_token`: the token of the Authorization header in base64
    - `renews_by_delete`: credentials are renewed by DELETE, and then a new registration with the token of before

    Members:

    - `requires_members`: an object of the eMSP without one of the members of its table, optional ones too, is answered
      HTTP 422 without an envelope, as by FastAPI; null is as good as a value. Credentials that answer are refused alike

    URLs:

    - `endpoint_slash`: the version details list endpoints that end with a slash
    - `redirect_slashes`: a list is there with a slash at its end alone, what is below it without one alone; the other
      way is answered HTTP 307, as by FastAPI
    - `url_joining`: how a path is put behind an endpoint of the eMSP: with one "slash", "concatenated" with a slash
      whatever the endpoint ends with, or "joined" as a relative reference, which needs a slash at its end
    - `unusable_endpoint`: the version details list a module of OCPI 2.2 too, with an empty URL
    - `endpoint_roles`: the version details list each module but credentials twice, with the `role` of OCPI 2.2

    What carries the JSON:

    - `token_line_break`: the token that is offered ends with a line break, and so does the one that is presented in
      base64
    - `byte_order_mark`: answers and requests begin with one
    - `compressed_requests`: the bodies of requests are compressed with gzip

    Pushes:

    - `undated_patches`: every other PATCH, from the first on, has no `last_updated`, the others one of two seconds ago
    - `unmoved_parents`: a changed EVSE or connector leaves the `last_updated` of what it is in alone
    - `repeated_patches`: a PATCH is sent twice; `wrapped_patches`: in an envelope
    - `sessions_taken_back`: a session that is patched to COMPLETED is patched to INVALID, with half the kWh

    Pages:

    - `next_link`: one of `NEXT_LINKS`; see `links.py`
    - `foreign_origin`: where "foreign" links and redirects lead
    - `totals`: False leaves X-Total-Count and X-Limit out
    - `total_count`: False leaves X-Total-Count out alone; `uncounted`: it is higher by this than what is listed
    - `empty_without_data`: an empty page has no `data`
    - `ignore_limit`: a page has up to 100,000 objects, whatever `limit` and `page_limit` say
    - `shrinking`, `growing`: so many objects vanish from the beginning, or are added at the end, once per module,
      after a page with offset 0 was listed
    - `duplicates`: so many objects of the page before come again on the next
    - `repeated_ids`: the first object of a page comes again at its end
    - `unlisted_share`: this share (0 to 1) of the locations and tariffs is not there, spread evenly

    Documents:

    - `quirky_documents`: see `documents.quirky`
    - `foreign_owners`: listed objects carry country_code and party_id, some of another party
    - `hub_owners`: one of `HUB_OWNERS`, or None: the owners of locations and of their copies stand there, as in a hub's
      list
    - `faulty_copies`, `newer_names`, `half_empty`: see `documents.py`
    - `twins`: the first EVSE of a location stands twice, first with another status
    - `null_lists`, `null_members`, `missing_evses`, `upper_case_languages`, `untimed_periods`: see `documents.py`
    - `overcharging`: kinds of `overcharging.OVERCHARGES`; the CDRs are of these kinds in turn, none: all are right
    - `bad_objects`: of ten listed objects, the third has no id, the sixth lacks a required field, the ninth has a
      field of a wrong type; a GET of a single object gives the good one
    - `clock_skew`: seconds by which the CPO's clock is ahead: in envelopes, and in what it changes
    - `single_objects`: False answers the GET of a single object with 404

    Failing lists:

    - `list_failure`: one of `LIST_FAILURES`, or None; see `failures.py`
    - `failing_modules`: the lists concerned
    - `failure_after`: so many requests of a list are answered well first ("token-rotated" counts all lists together)
    - `failure_every`: from then on, the first of so many requests fails
    - `failure_times`: how often a list fails, None for ever
    - `retry_after`: seconds, or None for no such header; `retry_after_as_date` writes them as an HTTP date
    - `requests_per_second`: of "rate-limited"; `monotonic` is its clock
    - `huge_page_bytes`: of "huge-page"; `drip_seconds`: between two bytes of "slow-body"

    Commands and Token objects:

    - `bare_command_result`: a bare string in place of the CommandResponse object
    - `wrapped_command_result`: the CommandResponse in a list of one, in an envelope also where it is a request
    - `authorization_ids`: a START_SESSION without `authorization_id` is REJECTED; what follows one has it
    - `null_authorize_body`: an authorization is asked for with `null` where no location is named
    - `lower_case_uids`: an authorization is asked for by the uid in lower case
    - `command_failure`: how a command is answered, one of `COMMAND_FAILURES`, or None; it is executed nevertheless.
      "no-answer" closes the connection, and needs a server
    - `results`: one of `RESULT_ORDERS`: "after" the direct answer; "first", before it; "twice"; "contradicting": the
      opposite follows; "never"
    - `result_delay`: seconds until a result is sent, beside `command_delay`
    - `token_methods`: those that a Token object has
    - `token_patch_status`: PATCH of a token is answered with this HTTP status, None for as it should be
    - `refused_tokens`: a regular expression; a PUT or PATCH of a token whose whole uid matches is answered with 2001
    """

    accept_credentials_patch: bool = True
    accept_base64_token: bool = False
    send_base64_token: bool = False
    renews_by_delete: bool = False

    requires_members: bool = False

    endpoint_slash: bool = False
    redirect_slashes: bool = False
    url_joining: str = field(default="slash", validator=validators.in_(URL_JOININGS))
    unusable_endpoint: bool = False
    endpoint_roles: bool = False

    token_line_break: bool = False
    byte_order_mark: bool = False
    compressed_requests: bool = False

    undated_patches: bool = False
    unmoved_parents: bool = False
    repeated_patches: bool = False
    wrapped_patches: bool = False
    sessions_taken_back: bool = False

    next_link: str = field(default="absolute", validator=validators.in_(NEXT_LINKS))
    foreign_origin: str = FOREIGN_ORIGIN
    totals: bool = True
    total_count: bool = True
    uncounted: int = field(default=0, validator=_NOT_NEGATIVE)
    empty_without_data: bool = False
    ignore_limit: bool = False
    shrinking: int = field(default=0, validator=_NOT_NEGATIVE)
    growing: int = field(default=0, validator=_NOT_NEGATIVE)
    duplicates: int = field(default=0, validator=_NOT_NEGATIVE)
    repeated_ids: bool = False
    unlisted_share: float = field(default=0.0, converter=float, validator=[_NOT_NEGATIVE, validators.le(1)])

    quirky_documents: bool = False
    foreign_owners: bool = False
    hub_owners: str | None = field(default=None, validator=validators.optional(validators.in_(HUB_OWNERS)))
    faulty_copies: bool = False
    newer_names: bool = False
    half_empty: bool = False
    twins: bool = False
    null_lists: bool = False
    null_members: bool = False
    missing_evses: bool = False
    upper_case_languages: bool = False
    untimed_periods: bool = False
    overcharging: Sequence[str] = field(
        default=(),
        validator=validators.deep_iterable(validators.in_(OVERCHARGES), validators.instance_of((list, tuple))),
    )
    bad_objects: bool = False
    clock_skew: float = field(default=0.0, converter=float)
    single_objects: bool = True

    list_failure: str | None = field(default=None, validator=validators.optional(validators.in_(LIST_FAILURES)))
    failing_modules: Sequence[str] = field(
        default=LISTS, validator=validators.deep_iterable(validators.in_(LISTS), validators.instance_of((list, tuple)))
    )
    failure_after: int = field(default=0, validator=_NOT_NEGATIVE)
    failure_every: int = field(default=1, validator=validators.ge(1))
    failure_times: int | None = field(default=None, validator=validators.optional(_NOT_NEGATIVE))
    retry_after: int | None = field(
        default=None, converter=converters.optional(int), validator=validators.optional(_NOT_NEGATIVE)
    )
    retry_after_as_date: bool = False
    requests_per_second: int = field(default=5, validator=validators.ge(1))
    monotonic: Callable[[], float] = time.monotonic
    huge_page_bytes: int = field(default=50_000_000, validator=_NOT_NEGATIVE)
    drip_seconds: float = field(default=0.1, converter=float, validator=_NOT_NEGATIVE)

    bare_command_result: bool = False
    wrapped_command_result: bool = False
    authorization_ids: bool = False
    null_authorize_body: bool = False
    lower_case_uids: bool = False
    command_failure: str | None = field(default=None, validator=validators.optional(validators.in_(COMMAND_FAILURES)))
    results: str = field(default="after", validator=validators.in_(RESULT_ORDERS))
    result_delay: float = field(default=0.0, converter=float, validator=_NOT_NEGATIVE)
    token_methods: Sequence[str] = ("GET", "PUT", "PATCH")
    token_patch_status: int | None = field(
        default=None, validator=validators.optional([validators.ge(400), validators.lt(600)])
    )
    refused_tokens: str | None = field(default=None, validator=validators.optional(_IS_PATTERN))


DEVIATIONS: Final = tuple(each.name for each in fields(Deviations))
"""The names of the settings that make a CPO deviate."""


def deviations_of(settings: Deviations) -> dict[str, Any]:
    """Return the deviations that are currently set, including those at their default."""
    return {name: getattr(settings, name) for name in DEVIATIONS}
