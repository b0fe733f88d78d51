"""Words that identify nothing: those of OCPI 2.1.1 and 2.2.1, of OCPP, of JSON, image types, parts of URLs."""

from __future__ import annotations

from ocpi_emsp.models import OBJECTS_AND_ENUMS
from ocpi_emsp.scalars import OpenEnum

_OF_JSON = "true false null nan infinity"
_IMAGES = "jpeg jpg png gif svg webp bmp tiff"
_OF_URLS = "ocpi emsp cpo api sender receiver details authorize versions"
_OF_OCPI_2_2 = """
ad_hoc_payment ad_hoc_user along_motorway app_user bike_sharing chademo chaoji charging_profile_capable
charging_preferences_capable chargingprofiles cheap chip_card_support command contactless_card_support
credit_card_payable current debit_card_payable energy_export energy_import fast fuel_station gbt_ac gbt_dc green hub
hubclientinfo max_power metro_station min_power nap nsp on_driveway pantograph_bottom_up pantograph_top_down parking_lot
ped_terminal power regular reservation reservation_expires reservation_time sae_j3400 scsp
start_session_connector_required state_of_charge token_group_capable ac_2_phase ac_2_phase_split
cancel_reservation canceled_reservation evse_occupied evse_inoperative no_credit
"""
_OF_OCPP = "preparing occupied finishing faulted suspendedev suspendedevse starting finished"

WORDS: frozenset[str] = frozenset(
    {
        *(value.lower() for kind in OBJECTS_AND_ENUMS.values() if issubclass(kind, OpenEnum) for value in kind),
        *" ".join((_OF_JSON, _IMAGES, _OF_URLS, _OF_OCPI_2_2, _OF_OCPP)).split(),
    }
)
"""The words in lower case. A text that equals one of them in any case stays; no stand-in equals one."""
