"""When a party's next sync begins.

Rules of this module (transport_and_format.md, pull: poll in hours, and not all at once):
- functions are pure: times are seconds of any clock, randomness is passed in;
- a party has the same offset within the splay in each round, and half of the splay is random: neither all parties of
  one process nor many processes that were started together call at the same time.
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
"""Number of offsets that those bytes of a hash can name: a float holds each exactly."""


def next_round(begun: float, every: float, now: float) -> float:
    """Return when the first round after ``now`` begins, at intervals of ``every`` seconds; missed ones are skipped."""
    following = begun + (math.floor((now - begun) / every) + 1) * every
    return following if following > now else following + every


def delay(party: PartyId, splay: float, chance: Callable[[], float]) -> float:
    """Return the seconds from the start of a round to a party's turn: up to ``splay``. ``chance`` returns 0 up to 1."""
    return splay / 2 * (place(party) + chance())


def place(party: PartyId) -> float:
    """Return the offset of a party, from 0 up to 1: the same in each process."""
    digest = hashlib.sha256("-".join(party).encode()).digest()
    return int.from_bytes(digest[:_BYTES], "big") / _PLACES
