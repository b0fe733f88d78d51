"""The resources of an Emsp and of its async side, imported and created when they are first used.

Rules of this module: an eMSP that only serves, or only syncs, does not import the others; an application imports what
its requests need when it is created.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from ocpi_emsp import resources
from ocpi_emsp.resources.contexts import Resource

RESOURCES: Final = (
    "tokens",
    "parties",
    "locations",
    "evses",
    "sessions",
    "cdrs",
    "audits",
    "tariffs",
    "commands",
    "reservations",
    "authorizations",
    "rejections",
    "events",
)


class Resources(Resource):
    """Has the resources as attributes; a subclass declares their types."""

    if not TYPE_CHECKING:  # type checkers read the declarations; __getattr__ would make every name valid for them

        def __getattr__(self, name: str) -> Any:
            if name not in RESOURCES:
                raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
            prefix = "" if self._contexts.mode == "sync" else "Async"
            kind = getattr(resources, prefix + name.capitalize())
            # setdefault is atomic: of two threads that are first, both get the same object.
            return vars(self).setdefault(name, kind(self._contexts))

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *RESOURCES})
