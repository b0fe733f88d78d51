"""The eMSP, and what happens when a CPO asks or sends."""

import os

from flask_backend.database import URL, Charge, Driver, Session
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
    """Refuse a driver who is blocked."""
    with Session() as session:
        driver = session.get(Driver, request.token.uid)
    return request.allow() if driver is not None and driver.may_charge else request.refuse()


@emsp.on(CdrReceived)
def bill(event: CdrReceived) -> None:
    """Store a charge; an event may be delivered twice, so it is merged."""
    cdr = event.cdr
    charge = Charge(
        cpo=f"{event.country_code}-{event.party_id}",
        cdr_id=cdr.id,
        driver=cdr.auth_id,
        cost=str(cdr.total_cost),
        currency=cdr.currency,
    )
    with Session.begin() as session:
        session.merge(charge)
