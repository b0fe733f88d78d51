"""What uvicorn's workers import for bench/load.py: an eMSP on the database that the environment names."""

from __future__ import annotations

import os

from ocpi_emsp import Emsp, Limits
from ocpi_emsp.settings import InboundLimits
from ocpi_emsp.storage import SqlStore

# What one party gets is bounded by default; without that, it is the server that is measured.
_LIMITS = (
    Limits()
    if os.environ["LOAD_LIMITS"]
    else Limits(inbound=InboundLimits(requests_per_second=None, bytes_per_minute=None))
)

app = Emsp(
    country_code="IT",
    party_id="BEC",
    name="Be Charge",
    url="https://ocpi.example.com/ocpi/emsp",
    store=SqlStore(os.environ["LOAD_STORE"]),
    limits=_LIMITS,
).asgi(background=False)
