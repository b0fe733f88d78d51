"""transport_and_format.md, response format: the envelope around every answer."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from attrs import field, frozen

from ocpi_emsp.scalars import DateTime


@frozen(kw_only=True, slots=False)
class Envelope:
    """The response envelope. ``data`` is the undecoded JSON of the answer, empty where the member is absent."""

    clause: ClassVar[str] = "transport_and_format.md#response-format"

    data: msgspec.Raw = field(factory=msgspec.Raw)
    status_code: int
    status_message: str | None = None
    timestamp: DateTime
