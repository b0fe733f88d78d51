"""Imports of optional dependencies, and names that are imported late.

Rules of this module: an import that needs an extra says how to install it, wherever it happens.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module


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


def late(package: str, places: Mapping[str, str], modules: Collection[str] = ()) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package whose names are imported when they are first used.

    ``places`` has the module of each name; ``modules`` are modules of the package, which need no import of their own.
    """

    def get(name: str) -> object:
        if name in places:
            return vars(sys.modules[package]).setdefault(name, getattr(import_module(places[name]), name))
        if name in modules:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module '{package}' has no attribute '{name}'")

    return get
