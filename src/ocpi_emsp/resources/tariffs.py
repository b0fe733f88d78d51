"""Tariffs, as partners sent them."""

from __future__ import annotations

from ocpi_emsp.models import Tariff
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources.stored import AsyncReceived, Received, Shape

_SHAPE = Shape(Kind.TARIFF, Tariff)


class Tariffs(Received[Tariff]):
    """Tariffs, without the deleted ones."""

    _shape = _SHAPE


class AsyncTariffs(AsyncReceived[Tariff]):
    """:class:`Tariffs`, awaited."""

    _shape = _SHAPE
