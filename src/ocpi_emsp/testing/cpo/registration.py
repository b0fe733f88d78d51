"""The state of the simulated CPO's connection with the eMSP: tokens and endpoints.

Rules obeyed (OCPI 2.1.1): TOKEN_A is given offline and becomes invalid once the registration is complete
(credentials.md 3.1); a missing or unknown token is answered with HTTP 401 (transport_and_format.md, "Security and
authentication").
"""

import base64
import secrets

from attrs import define, field, frozen

from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import Document, Request, RequestError

_SCHEME = "Token "


def new_token() -> str:
    """Return a fresh random token, within the 64 characters of credentials.md 2.1."""
    made = secrets.token_urlsafe(32)
    return f"_{made[1:]}" if made.startswith("-") else made  # a command would read it as an option


@frozen
class Invitation:
    """What an eMSP needs to register: the URL, and the token."""

    versions_url: str
    token_a: str = field(repr=False)


@define(kw_only=True)
class Registration:
    """The state of the connection.

    - `invitation`: TOKEN_A of an invitation that is not used yet
    - `server_token`: the eMSP presents it to this CPO; `offered_token` too, while a handshake is under way
    - `client_token`: this CPO presents it to the eMSP
    - `emsp`: the eMSP's credentials object; `endpoints`: its URLs by ModuleID
    """

    invitation: str | None = field(default=None, repr=False)
    server_token: str | None = field(default=None, repr=False)
    offered_token: str | None = field(default=None, repr=False)
    client_token: str | None = field(default=None, repr=False)
    emsp: Document | None = field(default=None, repr=False)
    endpoints: dict[str, str] = field(factory=dict)

    @property
    def registered(self) -> bool:
        """True if a handshake was completed and not revoked."""
        return self.client_token is not None

    def complete(self, *, server_token: str, client_token: str, emsp: Document, endpoints: dict[str, str]) -> None:
        """Store the outcome of a handshake; the invitation's token stops working."""
        self.invitation = None
        self.server_token = server_token
        self.client_token = client_token
        self.emsp = emsp
        self.endpoints = endpoints

    def forget(self) -> None:
        """End the registration: no token works any longer in either direction."""
        self.server_token = self.offered_token = self.client_token = self.emsp = None
        self.endpoints = {}


def authenticate(request: Request, registration: Registration, settings: Settings) -> str:
    """Return the token that the request presents, decoded. Raises `RequestError` (401) if it is missing or unknown."""
    header = request.headers.get("authorization", "")
    if not header.startswith(_SCHEME):
        raise RequestError(401, 2000, "The Authorization header is missing or not 'Token ...'")
    presented = header.removeprefix(_SCHEME)
    valid = {registration.invitation, registration.server_token, registration.offered_token} - {None}
    if presented in valid:
        return presented
    decoded = _from_base64(presented) if settings.accept_base64_token else None
    if decoded is None or decoded not in valid:
        raise RequestError(401, 2000, "The token is unknown")
    return decoded


def authorization(token: str, settings: Settings) -> str:
    """Return the value of the Authorization header that presents `token` to the eMSP."""
    if settings.token_line_break:
        token = f"{token}\n"  # as of `echo token | base64`
    written = base64.b64encode(token.encode()).decode() if settings.send_base64_token else token
    return _SCHEME + written


def _from_base64(text: str) -> str | None:
    try:
        return base64.b64decode(text, validate=True).decode("ascii")
    except ValueError:
        return None
