"""When a party's next sync begins.

Rules of this module (transport_and_format.md, pull: poll in hours, and not all at once):
- it is pure: times are seconds of any clock, chance is given;
- a party keeps its place within the splay from round to round, and half of the splay is chance: neither all parties of
  one process nor many processes that were started together ask at the same time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import TypeAlias

PartyId: TypeAlias = tuple[str, str]
"""country_code and party_id, in upper case."""

_BYTES = 6
_PLACES = 2.0 ** (8 * _BYTES)
"""How many places those bytes of a hash can name: a float holds each exactly."""


def next_round(begun: float, every: float, now: float) -> float:
    """When the first round after now begins, of those that begin every so many seconds; what was missed is left out."""
    following = begun + (math.floor((now - begun) / every) + 1) * every
    return following if following > now else following + every


def delay(party: PartyId, splay: float, chance: Callable[[], float]) -> float:
    """How long after the beginning of a round a party's turn is: up to ``splay``. ``chance`` gives 0 up to 1."""
    return splay / 2 * (place(party) + chance())


def place(party: PartyId) -> float:
    """Where a party stands among all that there could be, from 0 up to 1: the same in each process."""
    digest = hashlib.sha256("-".join(party).encode()).digest()
    return int.from_bytes(digest[:_BYTES], "big") / _PLACES
