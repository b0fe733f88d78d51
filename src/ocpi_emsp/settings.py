"""Settings of an eMSP, one class for each concern; ``Limits`` itself is ``ocpi_emsp.Limits``."""

from ocpi_emsp.flows.core.addresses import Forwarded
from ocpi_emsp.flows.core.settings import (
    AuthorizeLimits,
    BodyLimits,
    CommandLimits,
    CredentialLimits,
    DeliveryLimits,
    HttpLimits,
    InboundLimits,
    QuotaLimits,
    RateLimit,
    RejectionLimits,
    Retention,
    RetryPolicy,
    SyncLimits,
)

__all__ = [
    "AuthorizeLimits",
    "BodyLimits",
    "CommandLimits",
    "CredentialLimits",
    "DeliveryLimits",
    "Forwarded",
    "HttpLimits",
    "InboundLimits",
    "QuotaLimits",
    "RateLimit",
    "RejectionLimits",
    "Retention",
    "RetryPolicy",
    "SyncLimits",
]
