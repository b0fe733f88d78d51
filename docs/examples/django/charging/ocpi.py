"""What happens when a CPO asks or sends: get_emsp() imports this module of every app."""

from charging.models import Charge, Driver
from ocpi_emsp import AuthorizationInfo, AuthorizationRequest
from ocpi_emsp.contrib.django import get_emsp
from ocpi_emsp.events import CdrReceived

emsp = get_emsp()


@emsp.authorize
def may_charge(request: AuthorizationRequest) -> AuthorizationInfo:
    """Refuse a driver who is blocked."""
    if Driver.objects.filter(token_uid=request.token.uid, may_charge=True).exists():
        return request.allow()
    return request.refuse()


@emsp.on(CdrReceived)
def bill(event: CdrReceived) -> None:
    """Store a charge; an event may be delivered twice, so it is updated or created."""
    cdr = event.cdr
    Charge.objects.update_or_create(
        cpo=f"{event.country_code}-{event.party_id}",
        cdr_id=cdr.id,
        defaults={
            "driver": Driver.objects.get(token_uid=cdr.auth_id),
            "kwh": cdr.total_energy,
            "cost": cdr.total_cost,
            "currency": cdr.currency,
        },
    )
