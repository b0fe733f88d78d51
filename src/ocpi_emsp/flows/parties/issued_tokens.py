"""Which tokens of ours work for a party, once another one is given out, confirmed, or taken back.

Rules of this module (docs/spec-choices.md row 19): a replaced token works until a newer one is first used.
"""

from __future__ import annotations

from datetime import datetime

from attrs import evolve

from ocpi_emsp.flows.parties.party import IssuedToken, Party, issue, token_hash

_UNSETTLED = 10
"""Tokens issued before the latest that keep working beside the one in use: each renewal whose answer was lost issued
one, and a party that is cut off tries again a few times."""


def reissue(party: Party, token: str, now: datetime, *, offered: bool = False) -> tuple[IssuedToken, ...]:
    """The tokens that work once ``token`` is given out: until it is used, the one in use and the last ones stay.

    The first is the one in use: the use of a later one ends those before it. One that we give while another is
    ``offered`` in a PUT of ours is as unsettled as that one: which of the two the party keeps shows by its use.
    """
    open_offer = offered or any(each.offered for each in party.issued)
    return (*party.issued[:1], *party.issued[1:][-_UNSETTLED:], evolve(issue(token, now), offered=open_offer))


def confirm(party: Party, token: str) -> tuple[IssuedToken, ...]:
    """The tokens that work once the party has answered the PUT that offered ``token``.

    Where another one was issued meanwhile, the party may use either.
    """
    if not party.issued or party.issued[-1].sha256 != token_hash(token):
        return party.issued
    return (*party.issued[:-1], evolve(party.issued[-1], offered=False))


def withdraw(party: Party, token: str) -> tuple[IssuedToken, ...]:
    """The tokens that work once the party has refused the PUT that offered ``token``."""
    return tuple(each for each in party.issued if each.sha256 != token_hash(token))
