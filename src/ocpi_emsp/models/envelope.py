"""transport_and_format.md, response format: the envelope around every response."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from attrs import frozen

from ocpi_emsp.scalars import DateTime, aware_times

_ABSENT = msgspec.Raw()
"""A default, not a factory: with a factory, msgspec rejects every value of a Raw field of an attrs class."""


@frozen(kw_only=True, slots=False, field_transformer=aware_times)
class Envelope:
    """The response envelope. ``data`` is the undecoded JSON of the member; it is empty if the member is absent."""

    clause: ClassVar[str] = "transport_and_format.md#response-format"

    data: msgspec.Raw = _ABSENT
    status_code: int
    status_message: str | None = None
    timestamp: DateTime
