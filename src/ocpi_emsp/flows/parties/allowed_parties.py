"""Which parties a hub's connection is allowed: by name, by country, or all (docs/reference/profiles.md, Hubs).

Rules of this module: ``ES-AAA`` is one party; ``*`` stands for the rest of a code, as in ``ES-*``, ``ES-A*`` and
``*-AAA``, and alone for every party. The number of names does not affect the cost.
"""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import frozen

from ocpi_emsp.ports import Owner

PATTERN = re.compile(r"\*|(?:[A-Z]{2}|\*)-(?:[A-Z0-9]{3}|[A-Z0-9]{0,2}\*)")
"""The form of an entry among the allowed parties."""


@frozen
class AllowedParties:
    """The parties whose objects a connection may send."""

    named: frozenset[Owner]
    patterns: re.Pattern[str] | None
    """The pattern of parties that are not listed by name."""

    def allow(self, owner: Owner) -> bool:
        """Return True if the party is one of them."""
        return owner in self.named or (
            self.patterns is not None and self.patterns.fullmatch("-".join(owner)) is not None
        )


@lru_cache(maxsize=1024)
def allowed_by(texts: tuple[str, ...]) -> AllowedParties:
    """Return the parties that the texts of a profile allow."""
    patterns = [_expression(text) for text in texts if "*" in text]
    return AllowedParties(
        frozenset(owner_named(text) for text in texts if "*" not in text),
        re.compile("|".join(patterns)) if patterns else None,
    )


def _expression(text: str) -> str:
    """Return a pattern of two letters, and three letters or digits (credentials.md 2.1); no other code is a party's."""
    country_code, _, party_id = text.partition("-")
    beginning = party_id.rstrip("*")
    country = "[A-Z]{2}" if country_code == "*" else country_code
    return f"{country}-{beginning}[A-Z0-9]{{{3 - len(beginning)}}}"


def owner_named(text: str) -> Owner:
    """Return the owner of a name such as ``ES-AAA``."""
    country_code, _, party_id = text.upper().partition("-")
    return country_code, party_id
