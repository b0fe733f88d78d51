"""``ocpi-emsp openapi``: an OpenAPI 3.1 description of the interface."""

from __future__ import annotations

from ocpi_emsp.cli import output
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.stores import ANYONE, BASE_PATH, make_emsp
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.support import SupportMatrix

_HERE = f"http://127.0.0.1:8000{BASE_PATH}"
"""The URL of ``serve`` without settings."""
_NAME = "ocpi-emsp"


def run(arguments: Arguments) -> int:
    """Print the document."""
    matrix = SupportMatrix.full() if arguments.full else SupportMatrix.default()
    who = Arguments(**vars(ANYONE) | {"url": arguments.url, "name": arguments.name or _NAME})
    details = {"business_details": None}  # only the name
    output.write_json(make_emsp(who, MemoryStore(), _HERE, matrix=matrix, **details).openapi())
    return 0
