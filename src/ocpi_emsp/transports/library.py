"""The HTTP library that calls go through: httpx2, or httpx where only that is installed.

Rules of this module:
- nothing else of this package imports either, and it imports one when the first call needs it: who only serves or
  checks needs neither;
- both have the same API; what one alone has is not used;
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
"""The first of them that is installed makes the clients."""
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
    """Return the library that a client or a transport is of; that of new clients if it is of neither."""
    for base in type(made).__mro__:
        name = base.__module__.partition(".")[0]
        if name in _CORES:
            return sys.modules[name]
    return http_library()


def core_library(library: ModuleType) -> Any:
    """Return the module httpcore2 for httpx2, httpcore for httpx."""
    return importlib.import_module(_CORES[library.__name__])


def http_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what a client raises that has no answer, of each of the two libraries that is loaded, and ``others``."""
    loaded = [sys.modules[name] for name in _CORES if name in sys.modules]
    return (*(error for each in loaded for error in (each.HTTPError, each.InvalidURL, each.StreamError)), *others)


def __getattr__(name: str) -> Any:
    """``http``: the library, loaded when it is first asked for."""
    if name == "http":
        return http_library()
    raise AttributeError(f"module {__name__} has no attribute {name}")
