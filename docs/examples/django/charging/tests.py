"""Tests of the project, without a server: `python manage.py test`."""

from django.core.wsgi import get_wsgi_application
from django.test import TestCase

from charging.models import Charge, Driver
from ocpi_emsp.contrib.django import get_emsp
from ocpi_emsp.testing.local_cpo import local_cpo


class PartnerTest(TestCase):
    """A CPO in this process calls the URLs of the project; what it sends is rolled back after each test."""

    def setUp(self) -> None:
        """Register the CPO NL-TNM, which has the locations LOC1 to LOC3, and add a driver."""
        self.cpo = self.enterContext(local_cpo())
        self.cpo.register_with(get_emsp(), app=get_wsgi_application())
        self.client.post("/drivers", {"name": "Ada", "token_uid": "ADA"}, content_type="application/json")

    def test_a_pushed_location_is_shown(self) -> None:
        self.assertTrue(self.cpo.push_location("LOC1").ok)
        self.assertTrue(self.cpo.patch_evse("LOC1", "LOC1-E1", {"status": "CHARGING"}).ok)
        shown = self.client.get("/locations/NL-TNM/LOC1").json()
        self.assertEqual(shown["evses"]["LOC1-E1"], "CHARGING")

    def test_a_driver_who_is_blocked_may_not_charge(self) -> None:
        self.assertEqual(self.cpo.authorize("ADA").data["allowed"], "ALLOWED")
        Driver.objects.update(may_charge=False)
        self.assertEqual(self.cpo.authorize("ADA").data["allowed"], "NOT_ALLOWED")

    def test_a_charge_is_started_stopped_and_billed(self) -> None:
        self.assertTrue(self.cpo.push_location("LOC1").ok)
        asked = {"token_uid": "ADA", "cpo": "NL-TNM", "location_id": "LOC1"}
        started = self.client.post("/start", asked, content_type="application/json").json()
        self.assertEqual(started["result"], "ACCEPTED")
        asked = {"cpo": "NL-TNM", "session": started["session"]}
        self.assertEqual(self.client.post("/stop", asked, content_type="application/json").json()["result"], "ACCEPTED")
        self.cpo.wait_idle()  # the end of the session, and its CDR
        self.assertEqual(len(self.client.get("/charges").json()["charges"]), 1)

    def test_a_cdr_is_billed(self) -> None:
        self.cpo.change("cdrs", "CDR1", {"auth_id": "ADA"})
        self.assertTrue(self.cpo.post_cdr("CDR1").ok)
        charge = Charge.objects.get()
        self.assertEqual((charge.driver.name, charge.cpo, charge.cdr_id), ("Ada", "NL-TNM", "CDR1"))
