"""Where a session took place, and whether two places are the same.

Rules of this module: ids compare without case, and EVSE ids without their separators, which are optional (eMI3, cited
in mod_locations.md 3.2); some CPOs number EVSEs within a location, so a uid counts there alone.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator

from attrs import frozen

from ocpi_emsp.models import Location


@frozen
class ChargingPlace:
    """Where a session took place; None for what the location leaves open, with several EVSEs or connectors."""

    location_id: str
    evse_uid: str | None = None
    evse_id: str | None = None
    connector_id: str | None = None

    @classmethod
    def of(cls, location: Location) -> ChargingPlace:
        """The place that a copy of a location names."""
        if len(location.evses) == 1:
            evse = location.evses[0]
            connector_id = evse.connectors[0].id if len(evse.connectors) == 1 else None
            if evse.uid or evse.evse_id:  # an incomplete copy may name neither
                return cls(location.id, evse.uid, evse.evse_id, connector_id or None)
        return cls(location.id)


def evse_names(place: ChargingPlace) -> Iterator[Hashable]:
    """What identifies an EVSE: its uid within the location, since some number them there; its EVSE id anywhere."""
    if place.evse_uid:
        yield "uid", place.location_id.upper(), place.evse_uid.upper()
    if place.evse_id:
        yield "evse_id", plain_evse_id(place.evse_id)


def plain_evse_id(evse_id: str) -> str:
    """An EVSE id as it compares: without separators, in upper case."""
    return _SEPARATORS.sub("", evse_id).upper()


_SEPARATORS = re.compile(r"[*-]")


def place_agreement(one: ChargingPlace, other: ChargingPlace) -> float:
    """1 for the same connector; of the same EVSE 0.9 where one of them names none, 0.7 for another one.

    0.5 for the same location where one of the two names no EVSE; 0 for different places.
    """
    if one == other and one.connector_id is not None:
        return 1.0
    if one.evse_uid is None or other.evse_uid is None:
        return 0.5 if one.location_id.upper() == other.location_id.upper() != "" else 0.0
    if not set(evse_names(one)) & set(evse_names(other)):
        return 0.0
    if one.connector_id is None or other.connector_id is None:
        return 0.9
    return 1.0 if one.connector_id == other.connector_id else 0.7
