"""Tests of the project, without a server and without a CPO: `python manage.py test`."""

import json
from decimal import Decimal
from typing import ClassVar

from anyio.from_thread import start_blocking_portal
from django.test import TestCase

from charging.models import Charge, Driver
from ocpi_emsp.contrib.django import get_emsp
from ocpi_emsp.testing.cpo import SimulatedCpo
from ocpi_emsp.testing.cpo.server import serving

CPO = {"country_code": "NL", "party_id": "TNM", "business_details": {"name": "The New Motion"}}
LOCATION = {
    "id": "LOC1",
    "type": "ON_STREET",
    "name": "Gent Zuid",
    "address": "F.Rooseveltlaan 3A",
    "city": "Gent",
    "postal_code": "9000",
    "country": "BEL",
    "coordinates": {"latitude": "51.047599", "longitude": "3.729944"},
    "evses": [
        {
            "uid": "3256",
            "status": "AVAILABLE",
            "connectors": [
                {
                    "id": "1",
                    "standard": "IEC_62196_T2",
                    "format": "SOCKET",
                    "power_type": "AC_3_PHASE",
                    "voltage": 220,
                    "amperage": 16,
                    "last_updated": "2024-05-01T10:00:00Z",
                }
            ],
            "last_updated": "2024-05-01T10:00:00Z",
        }
    ],
    "last_updated": "2024-05-01T10:00:00Z",
}


class PartnerTest(TestCase):
    """What a CPO sends goes through the project's URLs, and is rolled back after each test."""

    cpo: ClassVar[SimulatedCpo]

    @classmethod
    def setUpClass(cls) -> None:
        """Serve a simulated CPO, which the eMSP calls when it registers."""
        super().setUpClass()
        portal = cls.enterClassContext(start_blocking_portal())
        cls.cpo = SimulatedCpo(country_code="NL", party_id="TNM")
        cls.enterClassContext(portal.wrap_async_context_manager(serving(cls.cpo)))

    def setUp(self) -> None:
        """Register the CPO, as it would register itself."""
        self.token = get_emsp().parties.invite("NL-TNM").token_a.reveal()
        invitation = self.cpo.invite()
        credentials = {**CPO, "token": invitation.token_a, "url": invitation.versions_url}
        answer = self.ask("POST", "credentials", credentials)
        self.token = answer["data"]["token"]

    def ask(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """Send what the CPO sends; give the envelope of the answer."""
        answer = self.client.generic(
            method,
            f"/ocpi/emsp/2.1.1/{path}",
            "" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"authorization": f"Token {self.token}"},
        )
        found: dict[str, object] = answer.json()
        self.assertEqual(found["status_code"], 1000, found)
        return found

    def test_a_pushed_location_is_shown(self) -> None:
        self.ask("PUT", "locations/NL/TNM/LOC1", LOCATION)
        shown = self.client.get("/locations/NL-TNM/LOC1").json()
        self.assertEqual(shown, {"name": "Gent Zuid", "city": "Gent", "evses": {"3256": "AVAILABLE"}})

    def test_a_driver_who_is_blocked_may_not_charge(self) -> None:
        self.client.post("/drivers", {"name": "Ada", "token_uid": "ADA"}, content_type="application/json")
        allowed = self.ask("POST", "tokens/ADA/authorize")["data"]
        Driver.objects.update(may_charge=False)
        refused = self.ask("POST", "tokens/ADA/authorize")["data"]
        self.assertEqual([each["allowed"] for each in (allowed, refused)], ["ALLOWED", "NOT_ALLOWED"])

    def test_a_cdr_is_billed(self) -> None:
        self.client.post("/drivers", {"name": "Ada", "token_uid": "ADA"}, content_type="application/json")
        cdr = {
            "id": "CDR1",
            "start_date_time": "2024-05-01T10:00:00Z",
            "stop_date_time": "2024-05-01T11:00:00Z",
            "auth_id": "ADA",
            "auth_method": "WHITELIST",
            "location": LOCATION,
            "currency": "EUR",
            "charging_periods": [
                {"start_date_time": "2024-05-01T10:00:00Z", "dimensions": [{"type": "ENERGY", "volume": 10}]}
            ],
            "total_cost": 3.5,
            "total_energy": 10,
            "total_time": 1,
            "last_updated": "2024-05-01T11:00:00Z",
        }
        self.ask("POST", "cdrs", cdr)
        charge = Charge.objects.get()
        self.assertEqual((charge.driver.name, charge.cost), ("Ada", Decimal("3.5")))
