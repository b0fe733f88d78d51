"""Hypothesis' entry point: makes ``st.from_type(Location)`` the same as ``from_model(Location)``; and the profile
``ocpi``.

Rules of this module: Hypothesis calls it at the end of its own import, so it only imports Hypothesis when it is called,
and builds nothing; a strategy is built when it is first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypothesis import strategies as st


def register() -> None:
    """Register a strategy for every model, and the profile ``ocpi``, which fails fast.

    The profile has no explain phase: that one traces each executed line from the first failure on, and then draws a
    hundred more documents, to comment on the only argument of a test.
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
