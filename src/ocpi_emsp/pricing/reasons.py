"""The codes of reasons, each with its sentence: docs/how-to/audit-bills.md is generated from this table.

Rules of this module: all codes are defined here; ``plausibility`` codes name suspicions beside the price and never
change a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import frozen


@frozen
class ReasonCode:
    """A code, its meaning, and whether it concerns the price or plausibility."""

    code: str
    sentence: str
    plausibility: bool = False
    default: str = ""
    """The default setting of a plausibility code: ``on``, ``off``, or the limit from which it is reported."""
    unit: str = ""
    """The unit of the limit; empty for a code without a limit."""


_REASONS = (
    ReasonCode("tariff.missing", "Neither the CDR nor what is stored has a tariff for this session."),
    ReasonCode("tariff.not_yet", "Every known tariff was last updated after the session began."),
    ReasonCode("tariff.ambiguous", "Several tariffs may apply, and they give different amounts."),
    ReasonCode("tariff.empty", "The tariff has no element with a price."),
    ReasonCode("currency.differs", "The tariff has another currency than the CDR."),
    ReasonCode("remark.not_significant", "A remark that begins with [?] says that the total is not significant."),
    ReasonCode("dimension.missing", "The tariff has a price for a dimension that no charging period reports."),
    ReasonCode("energy.contradiction", "The ENERGY volumes of the periods do not add up to total_energy."),
    ReasonCode("boundary.unknown", "A price changes inside of a charging period, and the division is not known."),
    ReasonCode("power.unknown", "Whether a limit of power is reached is not known from the currents of the period."),
    ReasonCode("restriction.unknown", "A restriction is not one of 2.1.1, or cannot be read."),
    ReasonCode("price_type.unknown", "A price component has a type that is not one of 2.1.1."),
    ReasonCode("zone.unknown", "The time zone of the location is not known, and the amounts differ between zones."),
    ReasonCode("step_size.negative", "The step_size of a price that applies is negative."),
    ReasonCode("volume.negative", "A volume is negative."),
    ReasonCode("session.reversed", "The session stops before it starts."),
    ReasonCode("number.absurd", "A number is too large or too small to calculate with."),
    ReasonCode("work.limit", "The document has more divisions than are calculated; its bounds are wider."),
)


def _beside(code: str, sentence: str, default: str = "on", unit: str = "") -> ReasonCode:
    return ReasonCode(code, sentence, plausibility=True, default=default, unit=unit)


_BESIDE = (
    _beside("duplicate", "Another CDR has the same driver, EVSE, start and energy."),
    _beside("session.overlap", "The driver charged at two places, or twice at one, for longer than this.", "60", "s"),
    _beside("connector.shared", "Two drivers charged on one connector at once, for longer than this.", "60", "s"),
    _beside("neighbours.limit", "The driver has more CDRs or sessions around this CDR than are compared."),
    _beside("token.unknown", "No token of ours has this auth_id."),
    _beside("token.blocked", "The token was not valid any more when the session began."),
    _beside(
        "power.exceeded",
        "The energy is more than this times what the connector can deliver in the time.",
        "1.1",
        "times",
    ),
    _beside("energy.without_cost", "Energy was delivered, and the total is 0."),
    _beside("cost.without_energy", "There is a total, and no energy was delivered."),
    _beside("cost.zero", "The total is 0, and the tariff is not free."),
    _beside("session.long", "The session took longer than this.", "24", "h"),
    _beside("session.short", "The session was shorter than this.", "60", "s"),
    _beside("energy.low", "The energy is below this.", "off", "kWh"),
    _beside("energy.high", "The energy is above this.", "1000", "kWh"),
    _beside("cost.low", "The total is below this.", "off", "in the currency of the CDR"),
    _beside("cost.high", "The total is above this.", "off", "in the currency of the CDR"),
    _beside("periods.late", "The first charging period begins later than this after the session.", "60", "s"),
    _beside("periods.after_stop", "A charging period begins after the session stopped."),
    _beside("time.ahead", "The session starts or stops later than the current time, by more than this.", "60", "s"),
    _beside("cdr.late", "The CDR came later than this after the session.", "35", "days"),
    _beside("location.unknown", "The party has no such location."),
    _beside("evse.unknown", "The location has no such EVSE."),
    _beside("connector.unknown", "The EVSE has no such connector."),
    _beside(
        "tariff.dearer",
        "Under the tariff that was published when the session began it costs less, by more than this.",
        "0.005",
        "in the currency of the CDR",
    ),
    _beside("currency.unusual", "The party's CDRs have another currency: at most this share has that one.", "10", "%"),
    _beside("credit.without_original", "No CDR is known that this one gives credit for."),
    _beside("credit.repeated", "Credit is given more than once for a CDR."),
    _beside(
        "credit.amount",
        "The credit is not the total of its CDR, by more than this.",
        "0.005",
        "in the currency of the CDR",
    ),
    _beside("session.times", "Start or end differ from those of the session by more than this.", "60", "s"),
)

REASONS: Final[Mapping[str, ReasonCode]] = MappingProxyType({each.code: each for each in (*_REASONS, *_BESIDE)})
