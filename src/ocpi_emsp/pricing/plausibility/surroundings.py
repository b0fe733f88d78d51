"""What is known around a CDR: plain data, collected by a flow or built by hand.

Rules of this module: None means that something was not looked up; no suspicion follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from attrs import field, frozen

from ocpi_emsp.models import Cdr, Connector, Tariff
from ocpi_emsp.pricing.places import ChargingPlace

SAME_START: Final = 60
"""Largest difference in seconds between two clocks that show the same moment."""


@frozen(kw_only=True)
class Neighbour:
    """Another CDR, or a session, of the same driver or at the same place."""

    id: str
    auth_id: str
    place: ChargingPlace
    start_date_time: datetime
    stop_date_time: datetime
    total_energy: Decimal
    total_cost: Decimal
    currency: str
    last_updated: datetime

    @classmethod
    def of(cls, cdr: Cdr) -> Neighbour:
        """Return what is compared of a CDR."""
        return cls(
            id=cdr.id,
            auth_id=cdr.auth_id,
            place=ChargingPlace.of(cdr.location),
            start_date_time=cdr.start_date_time,
            stop_date_time=cdr.stop_date_time,
            total_energy=cdr.total_energy,
            total_cost=cdr.total_cost,
            currency=cdr.currency,
            last_updated=cdr.last_updated,
        )

    @property
    def driver(self) -> str:
        """The ``auth_id`` as it is compared: in upper case."""
        return self.auth_id.upper()

    @property
    def is_credit(self) -> bool:
        """True for a negative total (docs/spec-choices.md)."""
        return self.total_cost < 0


@frozen
class Amounts:
    """What a session costs under a tariff: equal bounds if the cost is certain, None for no bound."""

    low: Decimal | None = None
    high: Decimal | None = None


@frozen(kw_only=True)
class KnownPlace:
    """The parts of a place that the party has; None for a part that is unknown."""

    location: bool | None = None
    evse: bool | None = None
    connector: bool | None = None


@frozen(kw_only=True)
class KnownToken:
    """The stored facts about the token of a CDR."""

    is_ours: bool
    blocked_since: datetime | None = None
    """When the token became invalid; None if it is valid, or if that is unknown."""


@frozen(kw_only=True)
class KnownSession:
    """The times of the session of a CDR."""

    id: str
    start_datetime: datetime
    end_datetime: datetime | None = None


@frozen(kw_only=True)
class Surroundings:
    """What is known around one CDR."""

    now: datetime | None = None
    received_at: datetime | None = None
    """When the CDR was received, if the party could have sent it at once: it was connected when the session ended."""
    others: Sequence[Neighbour] = ()
    """Other CDRs of the driver or at the place, in the time of the session; other originals and credits of it."""
    are_all: bool = False
    """True if ``others`` is complete: then a credit whose original is not among them has none."""
    of_driver_beyond: Sequence[str] = ()
    """Further documents of the driver around the CDR, such as "100 CDRs"; only the nearest were collected."""
    at_location_beyond: str = ""
    """Further documents of the location around the CDR."""
    reference: str | None = None
    """The id of the CDR that a credit names (``credit_reference_id`` of OCPI 2.2)."""
    session: KnownSession | None = None
    place: KnownPlace = KnownPlace()
    connector: Connector | None = None
    """The used connector as stored."""
    token: KnownToken | None = None
    published: Amounts | None = None
    """The cost of the session under the tariff that was published when it began."""
    published_id: str = ""
    published_tariff: Tariff | None = None
    """The tariff that was published when the session began; :mod:`ocpi_emsp.pricing.beside` reckons with it."""
    currencies: Mapping[str, int] = field(factory=dict)
    """Number of the party's other CDRs, sessions and tariffs per currency; a sample."""
