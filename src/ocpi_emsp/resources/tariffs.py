"""Tariffs, as partners sent them."""

from __future__ import annotations

from ocpi_emsp.models import Tariff
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources.stored import AsyncReceived, Received, Shape


class Tariffs(Received[Tariff]):
    """Tariffs, without the deleted ones."""

    _shape = Shape(Kind.TARIFF, Tariff)


class AsyncTariffs(AsyncReceived[Tariff]):
    """:class:`Tariffs`, awaited."""

    _shape = Tariffs._shape
