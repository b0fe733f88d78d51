"""Imports of optional dependencies.

Rules of this module: what needs an extra says how to install it, wherever it is imported from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import an extra inside the block. Raises ModuleNotFoundError that names the extra if one is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("ocpi_emsp") or "pip install" in str(error):
            raise
        message = f"{error.name} is not installed: pip install 'ocpi-emsp[{name}]'"
        raise ModuleNotFoundError(message, name=error.name) from error
