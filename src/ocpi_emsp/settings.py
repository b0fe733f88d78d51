"""Settings of an eMSP, one class for each concern; ``Limits`` itself is ``ocpi_emsp.Limits``."""

from ocpi_emsp.flows.core.settings import (
    AuthorizeLimits,
    CommandLimits,
    CredentialLimits,
    DeliveryLimits,
    HttpLimits,
    QuotaLimits,
    RateLimit,
    RejectionLimits,
    RetryPolicy,
    SyncLimits,
)

__all__ = [
    "AuthorizeLimits",
    "CommandLimits",
    "CredentialLimits",
    "DeliveryLimits",
    "HttpLimits",
    "QuotaLimits",
    "RateLimit",
    "RejectionLimits",
    "RetryPolicy",
    "SyncLimits",
]
