"""mod_tariffs.md: Tariff and its parts. The rules of the package are in common.py."""

from __future__ import annotations

from typing import Annotated, ClassVar

from attrs import frozen
from msgspec import Meta

from ocpi_emsp.models.common import DisplayText
from ocpi_emsp.models.enums import DayOfWeek, TariffDimensionType
from ocpi_emsp.models.locations import EnergyMix
from ocpi_emsp.scalars import DateTime, Number, String3, String10, String36, TimeOfDay, Url, aware_times


@frozen(kw_only=True)
class PriceComponent:
    """A price per unit (excluding VAT), billed in blocks of ``step_size`` (Wh or seconds; 0 means no rounding)."""

    clause: ClassVar[str] = "mod_tariffs.md#42-pricecomponent-class"

    type: TariffDimensionType
    price: Number
    step_size: int


@frozen(kw_only=True, slots=False)
class TariffRestrictions:
    """When an element applies: local times and dates, energy in kWh, power in kW, durations in seconds."""

    clause: ClassVar[str] = "mod_tariffs.md#45-tariffrestrictions-class"

    start_time: TimeOfDay | None = None
    end_time: TimeOfDay | None = None
    start_date: String10 | None = None
    end_date: String10 | None = None
    min_kwh: Number | None = None
    max_kwh: Number | None = None
    min_power: Number | None = None
    max_power: Number | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: tuple[DayOfWeek, ...] = ()


@frozen(kw_only=True, slots=False)
class UnreadRestrictions(TariffRestrictions):
    """Restrictions that include names unknown to 2.1.1, so it is not known when their element applies."""

    unread: tuple[str, ...]
    """The names of the unknown restrictions."""


@frozen(kw_only=True, slots=False)
class TariffElement:
    """Price components with the restrictions under which they apply."""

    clause: ClassVar[str] = "mod_tariffs.md#43-tariffelement-class"

    price_components: Annotated[tuple[PriceComponent, ...], Meta(min_length=1)]
    restrictions: TariffRestrictions | None = None

    @property
    def usable(self) -> bool:
        """False if a restriction is unknown; the element must then not be used for a price."""
        return not isinstance(self.restrictions, UnreadRestrictions)


@frozen(kw_only=True, slots=False, field_transformer=aware_times)
class Tariff:
    """A tariff: the first element whose restrictions match applies."""

    clause: ClassVar[str] = "mod_tariffs.md#31-tariff-object"

    id: String36
    currency: String3
    tariff_alt_text: tuple[DisplayText, ...] = ()
    tariff_alt_url: Url | None = None
    elements: Annotated[tuple[TariffElement, ...], Meta(min_length=1)]
    energy_mix: EnergyMix | None = None
    last_updated: DateTime
