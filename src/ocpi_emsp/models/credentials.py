"""credentials.md: Credentials. The rules of the package are in common.py."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from ocpi_emsp.models.common import BusinessDetails
from ocpi_emsp.scalars import Secret64, String2, String3, Url


@frozen(kw_only=True)
class Credentials:
    """The URL and token with which the other party calls us; the repr omits ``token``."""

    clause: ClassVar[str] = "credentials.md#21-credentials-object"

    token: Secret64 = field(repr=False)
    url: Url
    business_details: BusinessDetails
    party_id: String3
    country_code: String2
