"""The eMSP, and what happens when a CPO asks or sends."""

import os

from sqlalchemy import delete, insert, select

from litestar_backend.database import URL, charges, drivers, engine
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
async def may_charge(request: AuthorizationRequest) -> AuthorizationInfo:
    """Refuse a driver who is blocked."""
    asked = select(drivers.c.may_charge).where(drivers.c.token_uid == request.token.uid)
    async with engine.connect() as connection:
        allowed = await connection.scalar(asked)
    return request.allow() if allowed else request.refuse()


@emsp.on(CdrReceived)
async def bill(event: CdrReceived) -> None:
    """Store a charge; an event may be delivered twice, so the row is replaced."""
    cdr, cpo = event.cdr, f"{event.country_code}-{event.party_id}"
    row = {"cpo": cpo, "cdr_id": cdr.id, "driver": cdr.auth_id, "cost": str(cdr.total_cost), "currency": cdr.currency}
    async with engine.begin() as connection:
        await connection.execute(delete(charges).where(charges.c.cpo == cpo, charges.c.cdr_id == cdr.id))
        await connection.execute(insert(charges).values(row))
