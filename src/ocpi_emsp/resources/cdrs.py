"""CDRs, as partners sent them."""

from __future__ import annotations

from ocpi_emsp.models import Cdr
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources.stored import AsyncReceived, Received, Shape


class Cdrs(Received[Cdr]):
    """Charge detail records: the first one under each id, which stands."""

    _shape = Shape(Kind.CDR, Cdr)


class AsyncCdrs(AsyncReceived[Cdr]):
    """:class:`Cdrs`, awaited."""

    _shape = Cdrs._shape
