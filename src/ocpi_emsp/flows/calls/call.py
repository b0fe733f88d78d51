"""One call to a partner, judged on both layers.

Rules of this module (status_codes.md; docs/spec-choices.md row 13):
- a row that the matrix switches off is rejected before anything is sent; so is a URL that the policy forbids;
- a response only counts as success with HTTP 2xx and a status_code of 1xxx;
- a URL that we build ends with a slash if the party's profile requires one; a URL from the partner is unchanged;
- redirects within the partner's origin are followed (redirects.py); any other is an error;
- POST, PUT and PATCH are sent once: a failed call is not repeated (transport_and_format.md, offline behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from ocpi_emsp.errors import (
    AnswerUnusable,
    InvalidObject,
    MissingEndpoints,
    NotJson,
    NotRegistered,
    NotSupported,
    OcpiError,
    PartnerRefused,
)
from ocpi_emsp.flows.calls.call_log import LoggedCall, answer_excerpt, without_secrets
from ocpi_emsp.flows.calls.redirects import MOST_REDIRECTS, redirected_to, send_following
from ocpi_emsp.flows.core.context import Context, new_id
from ocpi_emsp.flows.parties.party import Party, PartyState, Profile, matrix_of
from ocpi_emsp.models import Envelope
from ocpi_emsp.routes import Route
from ocpi_emsp.wire import Request, Response, authorization, read_envelope

_WHY_OFF = {"commands.UNLOCK_CONNECTOR": ": it is for help-desk operators only (mod_commands.md 4.2)"}
"""Why a row is off by default."""


def require(context: Context, party: Party, route: Route) -> str:
    """Return the URL of the route's module at the party. Raises NotSupported, NotRegistered, MissingEndpoints."""
    if not route.on(matrix_of(party.profile, context.matrix)):
        off = f"the support matrix switches {route.method} {route.row} ({route.direction}) off"
        raise NotSupported(off + _WHY_OFF.get(route.name, ""))
    if party.state is not PartyState.REGISTERED or party.token is None:
        raise NotRegistered(f"there is no registration with {party}")
    endpoint = party.endpoint(route.module)
    if endpoint is None:
        raise MissingEndpoints(f"{party} offers no {route.module} endpoint")
    return endpoint


def url_of(context: Context, party: Party, route: Route, **params: str) -> str:
    """Return the URL of a route at the party. Raises like :func:`require`.

    The URL of the credentials is the partner's own, and gets no slash.
    """
    with_slash = party.profile.trailing_slash and route.module != "credentials"
    return route.url(require(context, party, route), trailing_slash=with_slash, **params)


async def call(
    context: Context,
    party: Party,
    route: Route,
    *,
    params: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Envelope:
    """Call one route of a party and judge the response. Raises PartnerError, and the errors of :func:`require`."""
    url = url_of(context, party, route, **(params or {}))
    request = outgoing_request(route.method, url, party.token or "", party.profile, body)
    return judge(request, await exchange(context, request, party, route.module))


def outgoing_request(method: str, url: str, token: str, profile: Profile, body: bytes = b"") -> Request:
    """Return a request with token and correlation headers, and those of the party's profile."""
    headers = {
        **profile.extra_headers(),
        "authorization": authorization(token, as_base64=profile.base64_token),
        "accept": "application/json",
        "x-request-id": new_id(),
        "x-correlation-id": new_id(),
    }
    if body:
        headers["content-type"] = "application/json"
    return Request(method, url, headers=headers, body=body)


async def exchange(context: Context, request: Request, party: Party | None = None, module: str = "") -> Response:
    """Send one request if the URL policy allows it, and log it with its party and module.

    Without a ``module``, the party's endpoints determine it. The X-Correlation-ID is that of the context, if it has
    one. Raises UnsafeUrl, TransportFailed.
    """
    context.check_url(request.url)
    if context.correlation_id:
        request = evolve(request, headers={**request.headers, "x-correlation-id": context.correlation_id})
    logged = LoggedCall.begin(context, request, party, module)
    with logged.span() as span:
        try:
            # The trace's headers come first, so none of them replaces the token.
            traced = evolve(request, headers={**span.headers(), **request.headers})
            response = await send_following(context, traced)
        except OcpiError as error:
            logged.failed(error, span)
            raise
        logged.answered(response, span)
        return response


def judge(request: Request, response: Response) -> Envelope:
    """Return the envelope of a successful response. Raises PartnerRefused, AnswerUnusable."""
    method, url = request.method, request.url
    _require_no_redirect(request, response)
    try:
        envelope = read_envelope(response.body)
    except (NotJson, InvalidObject) as error:
        words = answer_excerpt(request, response)
        if not 200 <= response.status < 300:
            answered = f"{method} {url} answered HTTP {response.status}"
            message = f"{answered}: {words}" if words else f"{answered} without an OCPI envelope"
            raise PartnerRefused(
                message, method=method, url=url, answered_http=response.status, answered_code=None
            ) from None
        if not response.body.strip():
            message = f"{method} {url}: answered HTTP {response.status} without a body"
            raise AnswerUnusable(message, method=method, url=url) from None
        quoted = f"; the answer was: {words}" if words else ""
        raise AnswerUnusable(f"{method} {url}: {error.message}{quoted}", method=method, url=url) from None
    if not 200 <= response.status < 300 or not 1000 <= envelope.status_code < 2000:
        # The message goes into reports and logs, and some partners quote the token that they reject.
        said = f": {without_secrets(request, envelope.status_message)}" if envelope.status_message else ""
        message = f"{method} {url} answered HTTP {response.status}, {envelope.status_code}{said}"
        raise PartnerRefused(
            message,
            method=method,
            url=url,
            answered_http=response.status,
            answered_code=envelope.status_code,
            data=bytes(envelope.data),
        )
    return envelope


def _require_no_redirect(request: Request, response: Response) -> None:
    """Raise PartnerRefused for a redirect that is not followed."""
    led = redirected_to(response)
    if led is None:
        return
    where = without_secrets(request, led)[:200]
    message = (
        f"{request.method} {request.url} answered HTTP {response.status}, a redirect to {where}: "
        f"only 307 and 308 to the same origin are followed, {MOST_REDIRECTS} in a row at most"
    )
    raise PartnerRefused(
        message, method=request.method, url=request.url, answered_http=response.status, answered_code=None
    )
