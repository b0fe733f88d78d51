"""The codes of reasons, each with its sentence: docs/audit.md is made from this table.

Rules of this module: a code is made here and nowhere else; ``plausibility`` codes say what is suspicious beside the
price and never change a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import frozen


@frozen
class ReasonCode:
    """A code, what it means, and whether it concerns the price or what lies beside it."""

    code: str
    sentence: str
    plausibility: bool = False


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
    ReasonCode("number.absurd", "A number is too large or too small to reckon with."),
    ReasonCode("work.limit", "The document has more divisions than are looked at; its bounds are wider."),
)

REASONS: Final[Mapping[str, ReasonCode]] = MappingProxyType({each.code: each for each in _REASONS})
