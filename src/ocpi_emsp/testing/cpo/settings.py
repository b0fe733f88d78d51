"""The settings of a simulated CPO: its identity, its data, its limits and its deviations.

The defaults obey OCPI 2.1.1. `deviations.py` has the deviations.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from attrs import define, field, validators

from ocpi_emsp.testing.cpo.deviations import Deviations
from ocpi_emsp.testing.cpo.wire import utc_now
from ocpi_emsp.transports.library import AsyncTransport

MODULES: Final = ("cdrs", "commands", "credentials", "locations", "sessions", "tariffs", "tokens")
"""The ModuleIDs of OCPI 2.1.1 (version_information_endpoint.md)."""
VERSION: Final = "2.1.1"
BASE_PATH: Final = "/ocpi/cpo"


class Clock(Protocol):
    """The source of the current time."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""


@define(kw_only=True, slots=False, eq=False)
class Settings(Deviations):
    """All settings, with those of `Deviations`; they may be changed while it runs, except the numbers of documents.

    Identity:

    - `url`: the base of every URL published, such as `http://127.0.0.1:1234`; set it once the port is known
    - `token_a`: the token of the first invitation, valid from the start; a fresh random one unless given
    - `versions`, `modules`: what the versions and the version details endpoint list; only 2.1.1 is served
    - `required_endpoints`: what an eMSP must offer, or it is refused with 3003

    Data (generated on demand, so 100,000 locations cost no memory):

    - `locations`, `evses` (of each location), `sessions`, `cdrs`, `tariffs`: how many
    - `auth_ids`: those of the sessions and CDRs, in turn

    Limits:

    - `page_limit`: the most objects on a page
    - `require_date_from`: GET sessions without date_from is answered with 2001 (mod_sessions.md 2.1.1)
    - `timeout`: seconds, for each request made to the eMSP

    Commands, by CommandType:

    - `command_acknowledgements`: the direct answer; ACCEPTED unless given
    - `command_results`: what is sent later to the response_url; ACCEPTED unless given, None sends nothing
    - `command_delay`: seconds between the two
    - `sessions_follow_commands`: an accepted START_SESSION creates and pushes a session, an accepted
      STOP_SESSION completes it and posts its CDR; False leaves it at the result
    - `session_seconds`: after so many seconds such a session ends without a STOP_SESSION, as if the driver had left;
      None lets it go on

    `clock` says the time, with the method `now`; the machine's unless given. `transport` is an `AsyncBaseTransport` of
    httpx2 or httpx for the requests made to the eMSP. `control` serves the control interface.
    """

    country_code: str = "NL"
    party_id: str = "TNM"
    name: str = "The New Motion"
    url: str = "http://cpo.test"
    token_a: str | None = field(default=None, repr=False)
    versions: Sequence[str] = (VERSION,)
    modules: Sequence[str] = MODULES
    required_endpoints: Sequence[str] = ("credentials",)

    locations: int = 3
    evses: int = 2
    sessions: int = 4
    cdrs: int = 4
    tariffs: int = 2
    auth_ids: Sequence[str] = field(default=("DE8ACC12E46L89",), validator=validators.min_len(1))

    page_limit: int = field(default=10, validator=validators.ge(1))
    require_date_from: bool = True
    timeout: float = 10.0

    command_acknowledgements: Mapping[str, str] = field(factory=dict)
    command_results: Mapping[str, str | None] = field(factory=dict)
    command_delay: float = 0.0
    sessions_follow_commands: bool = True
    session_seconds: float | None = None

    clock: Clock | None = field(default=None, repr=False)
    transport: AsyncTransport | None = None
    control: bool = True

    @property
    def now(self) -> datetime:
        """Return the time by the CPO's clock, in UTC."""
        return self.true_time + timedelta(seconds=self.clock_skew)

    @property
    def true_time(self) -> datetime:
        """The time of a clock without skew, in UTC."""
        return utc_now() if self.clock is None else self.clock.now()

    @property
    def versions_url(self) -> str:
        """The absolute URL of the versions endpoint."""
        return self.endpoint("versions")

    def endpoint(self, *segments: str) -> str:
        """Return an absolute URL below the base path; `segments` are already encoded."""
        return "/".join((self.url.rstrip("/") + BASE_PATH, *segments))
