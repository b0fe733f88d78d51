"""The eMSP, and what happens when a CPO asks or sends."""

import os

from asgi_backend.database import URL, transaction
from ocpi_emsp import AuthorizationInfo, AuthorizationRequest, Emsp, UrlPolicy
from ocpi_emsp.events import CdrReceived

# The command ocpi-emsp reads the same variables.
emsp = Emsp(
    country_code=os.environ["OCPI_EMSP_COUNTRY_CODE"],
    party_id=os.environ["OCPI_EMSP_PARTY_ID"],
    name=os.environ["OCPI_EMSP_NAME"],
    url=os.environ["OCPI_EMSP_URL"],
    url_policy=UrlPolicy.named(os.environ.get("OCPI_EMSP_URL_POLICY", "https")),
    store=URL,
)


@emsp.authorize
def may_charge(request: AuthorizationRequest) -> AuthorizationInfo:
    """Refuse a driver who is blocked. A plain function runs in a thread, so it may block."""
    with transaction() as connection:
        row = connection.execute("SELECT may_charge FROM drivers WHERE token_uid = ?", [request.token.uid]).fetchone()
    return request.allow() if row is not None and row["may_charge"] else request.refuse()


@emsp.on(CdrReceived)
def bill(event: CdrReceived) -> None:
    """Store a charge; an event may be delivered twice, so the row is replaced."""
    cdr, cpo = event.cdr, f"{event.country_code}-{event.party_id}"
    with transaction() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO charges VALUES (?, ?, ?, ?, ?)",
            [cpo, cdr.id, cdr.auth_id, str(cdr.total_cost), cdr.currency],
        )
