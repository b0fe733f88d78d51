"""Views of the project's own: JSON, to keep it short."""

import json
from datetime import UTC, datetime

from django.db import transaction
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from charging.models import Charge, Driver
from ocpi_emsp import Token
from ocpi_emsp.contrib.django import get_emsp
from ocpi_emsp.models import TokenType, WhitelistType


@require_GET
def location(_: HttpRequest, cpo: str, location_id: str) -> JsonResponse:
    """A location as the CPO pushed it."""
    found = get_emsp().locations.get(cpo, location_id)
    if found is None:
        raise Http404
    evses = {evse.uid: evse.status.value for evse in found.evses}
    return JsonResponse({"name": found.name, "city": found.city, "evses": evses})


@require_GET
def charges(_: HttpRequest) -> JsonResponse:
    """What is to be billed."""
    found = Charge.objects.select_related("driver").order_by("id")
    return JsonResponse(
        {"charges": [{"driver": each.driver.name, "cpo": each.cpo, "cost": str(each.cost)} for each in found]}
    )


@csrf_exempt  # a laptop's curl has no cookie; use an API key or a session
@require_POST
def new_driver(request: HttpRequest) -> JsonResponse:
    """Store a driver and their token: both or none."""
    given = json.loads(request.body)
    with transaction.atomic():
        driver = Driver.objects.create(name=given["name"], token_uid=given["token_uid"])
        get_emsp().tokens.put(
            Token(
                uid=driver.token_uid,
                type=TokenType.RFID,
                auth_id=driver.token_uid,
                issuer="Be Charge",
                valid=True,
                whitelist=WhitelistType.NEVER,
                last_updated=datetime.now(UTC),
            )
        )
    return JsonResponse({"id": driver.pk}, status=201)


@csrf_exempt
@require_POST
def start(request: HttpRequest) -> JsonResponse:
    """Start a charge. The CPO calls back meanwhile, so no transaction is open here."""
    given = json.loads(request.body)
    emsp = get_emsp()
    token = emsp.tokens.get(given["token_uid"])
    if token is None:
        raise Http404
    with emsp.partner(given["cpo"]).client() as cpo:
        pending = cpo.start_session(token=token, location_id=given["location_id"])
        result = pending.result(timeout=30)
        return JsonResponse({"result": result.value, "session": pending.session(timeout=30)})


@csrf_exempt
@require_POST
def stop(request: HttpRequest) -> JsonResponse:
    """Stop a charge; its CDR follows."""
    given = json.loads(request.body)
    with get_emsp().partner(given["cpo"]).client() as cpo:
        result = cpo.stop_session(session_id=given["session"]).result(timeout=30)
    return JsonResponse({"result": result.value})
