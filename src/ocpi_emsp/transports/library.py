"""The HTTP library for calls: httpx2, or httpx if only that is installed.

Rules of this module:
- no other module of this package imports either, and it imports one when the first call needs it: a process that only
  serves or checks needs neither;
- both have the same API; features that only one has are not used;
- httpx2 is preferred: httpx had no release since December 2024, and its issues are closed; httpx2 is its successor, by
  the same first author. It trusts the authorities of the system (truststore), httpx those of certifi.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import httpx2 as http

__all__ = ["LIBRARIES", "AsyncTransport", "core_library", "http", "http_errors", "http_library", "library_of"]

LIBRARIES = ("httpx2", "httpx")
"""The first of these that is installed is used for the clients."""
_CORES = {"httpx2": "httpcore2", "httpx": "httpcore"}


class AsyncTransport(Protocol):
    """An ``AsyncBaseTransport`` of either library."""

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request."""

    async def aclose(self) -> None:
        """Close the connections."""


def http_library() -> Any:
    """Return the module httpx2, or httpx. Raises ModuleNotFoundError that names the extras if neither is installed."""
    for name in LIBRARIES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    raise ModuleNotFoundError(
        "calls to partners need httpx2 or httpx, and neither is installed: pip install 'ocpi-emsp[httpx2]' "
        "(or 'ocpi-emsp[httpx]')",
        name=LIBRARIES[0],
    )


def library_of(made: object) -> Any:
    """Return the library of a client or a transport; for an object of neither, the library of new clients."""
    for base in type(made).__mro__:
        name = base.__module__.partition(".")[0]
        if name in _CORES:
            return sys.modules[name]
    return http_library()


def core_library(library: ModuleType) -> Any:
    """Return the module httpcore2 for httpx2, httpcore for httpx."""
    return importlib.import_module(_CORES[library.__name__])


def http_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the errors of a client without a response, for each loaded library, and ``others``."""
    loaded = [sys.modules[name] for name in _CORES if name in sys.modules]
    return (*(error for each in loaded for error in (each.HTTPError, each.InvalidURL, each.StreamError)), *others)


def __getattr__(name: str) -> Any:
    """Return ``http``, the library, loaded on first use."""
    if name == "http":
        return http_library()
    raise AttributeError(f"module {__name__} has no attribute {name}")
