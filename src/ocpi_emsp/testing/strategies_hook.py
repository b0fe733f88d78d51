"""Hypothesis' entry point: ``st.from_type(Location)`` gives what ``from_model(Location)`` gives.

Rules of this module: Hypothesis calls it at the end of its own import, so it imports Hypothesis only when it is called,
and builds nothing; a strategy is built when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypothesis import strategies as st


def register() -> None:
    """Register a strategy for every model."""
    from hypothesis import strategies as st

    from ocpi_emsp import models

    for kind in models.OBJECTS_AND_ENUMS.values():
        if hasattr(kind, "__attrs_attrs__"):
            st.register_type_strategy(kind, _strategy)


def _strategy(kind: type[Any]) -> st.SearchStrategy[Any]:
    from ocpi_emsp.testing.strategies import from_model

    return from_model(kind)
