"""The version of the installed package, which is only set in pyproject.toml."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _installed() -> str:
    try:
        return version("ocpi-emsp")
    except PackageNotFoundError:  # in a frozen application, or copied into another project
        return "0+unknown"


__version__: Final = _installed()
"""The version, such as 0.1.0; 0+unknown if the package's metadata is not installed."""
