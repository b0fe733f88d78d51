"""The result of a push of our tokens to a party.

Rules of this module: it only counts, and does not depend on how tokens are sent.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

Ended: TypeAlias = Literal["done", "failed", "stopped"]


@frozen
class TokenFailure:
    """A token of which the party is not known to have our version, and why."""

    uid: str
    type: str
    error: str


@frozen(kw_only=True)
class PushProgress:
    """The progress of a push: every examined token is put, patched, unchanged or failed."""

    put: int = 0
    patched: int = 0
    unchanged: int = 0
    failed: int = 0
    verified: int = 0
    """Tokens among ``put`` and ``patched`` that a GET confirmed afterwards."""


@frozen(kw_only=True)
class TokensPushed:
    """The result of a push. Counts are tokens."""

    country_code: str
    party_id: str
    put: int = 0
    patched: int = 0
    unchanged: int = 0
    failed: int = 0
    verified: int = 0
    failures: tuple[TokenFailure, ...] = ()
    """The first thousand failures."""
    duration: float
    """Duration in seconds."""
    ended: Ended
    """``done``: everything was tried; ``failed``, ``stopped``: the next push continues with the rest."""
    why: str = ""
    """Why it ended before everything was tried, or what was left out."""
    reason: str = ""
    """Why the last failure happened, without a partner's text or a token: fit for a log."""
