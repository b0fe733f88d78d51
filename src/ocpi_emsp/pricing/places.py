"""Where a session took place, and whether two places are the same.

Rules of this module: ids are compared case-insensitively, and EVSE ids without their optional separators (eMI3, cited
in mod_locations.md 3.2). Some CPOs number EVSEs within a location, so a uid only identifies an EVSE there.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator

from attrs import frozen

from ocpi_emsp.models import Location


@frozen
class ChargingPlace:
    """The place of a session. A member is None if the location does not determine it, by having several EVSEs or
    connectors.
    """

    location_id: str
    evse_uid: str | None = None
    evse_id: str | None = None
    connector_id: str | None = None

    @classmethod
    def of(cls, location: Location) -> ChargingPlace:
        """Return the place that a location copy names."""
        if len(location.evses) == 1:
            evse = location.evses[0]
            connector_id = evse.connectors[0].id if len(evse.connectors) == 1 else None
            if evse.uid or evse.evse_id:  # an incomplete copy may have neither
                return cls(location.id, evse.uid, evse.evse_id, connector_id or None)
        return cls(location.id)


def evse_names(place: ChargingPlace) -> Iterator[Hashable]:
    """Yield the keys that identify an EVSE: its uid within the location, since some CPOs number them; its EVSE id
    anywhere.
    """
    if place.evse_uid:
        yield "uid", place.location_id.upper(), place.evse_uid.upper()
    if place.evse_id:
        yield "evse_id", plain_evse_id(place.evse_id)


def plain_evse_id(evse_id: str) -> str:
    """Return an EVSE id as it is compared: without separators, in upper case."""
    return _SEPARATORS.sub("", evse_id).upper()


_SEPARATORS = re.compile(r"[*-]")


def place_agreement(one: ChargingPlace, other: ChargingPlace) -> float:
    """Return 1 for the same connector; for the same EVSE 0.9 if one place has no connector, 0.7 if they differ.

    Returns 0.5 for the same location if one place has no EVSE; 0 for different places.
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
