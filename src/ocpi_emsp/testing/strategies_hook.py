"""Hypothesis' entry point: ``st.from_type(Location)`` gives what ``from_model(Location)`` gives; the profile ``ocpi``.

Rules of this module: Hypothesis calls it at the end of its own import, so it imports Hypothesis only when it is called,
and builds nothing; a strategy is built when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypothesis import strategies as st


def register() -> None:
    """Register a strategy for every model, and the profile ``ocpi``, which fails soon.

    It has no explain phase: that one traces each line that runs from the first failure on, and then draws a hundred
    more documents, to say of the one argument of a test whether it matters.
    """
    from hypothesis import Phase, settings, strategies as st

    from ocpi_emsp import models

    settings.register_profile("ocpi", phases=[phase for phase in Phase if phase is not Phase.explain])

    for kind in models.OBJECTS_AND_ENUMS.values():
        if hasattr(kind, "__attrs_attrs__"):
            st.register_type_strategy(kind, _strategy)


def _strategy(kind: type[Any]) -> st.SearchStrategy[Any]:
    from ocpi_emsp.testing.strategies import from_model

    return from_model(kind)
