"""PartyId: the identifier of a party, written ``NL-TNM``.

Rules of this module: country_code and party_id are case-insensitive (CiString); a user's text is validated, a partner's
own codes are accepted as they are.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

_WRITTEN = re.compile(r"[A-Z]{2}-[A-Z0-9]{3}")


class _Codes(NamedTuple):
    country_code: str
    party_id: str


class PartyId(_Codes):
    """The country_code and party_id of a party, in upper case: ``PartyId("NL", "TNM")``, written ``NL-TNM``.

    Raises ValueError for codes that no party can have.
    """

    __slots__ = ()

    def __new__(cls, country_code: str, party_id: str) -> PartyId:
        return cls.parse(f"{country_code}-{party_id}")

    @classmethod
    def parse(cls, text: str) -> PartyId:
        """Return the party that a text such as ``NL-TNM`` names. Raises ValueError."""
        written = text.strip().upper()
        if not _WRITTEN.fullmatch(written):
            raise ValueError(f"invalid party '{text}': expected CC-XXX, for example NL-TNM")
        return cls.received(*written.split("-"))

    @classmethod
    def received(cls, country_code: str, party_id: str) -> PartyId:
        """Return the party with these codes, whatever they are: some partners use longer ones."""
        return tuple.__new__(cls, (country_code.upper(), party_id.upper()))

    @classmethod
    def of(cls, party: PartyLike) -> PartyId:
        """Return the PartyId of either form. Raises ValueError for an invalid text, TypeError for anything else."""
        if isinstance(party, PartyId):
            return party
        if not isinstance(party, str):
            raise TypeError(f"invalid party '{type(party).__name__}': expected CC-XXX, for example NL-TNM")
        return cls.parse(party)

    def __str__(self) -> str:
        return "-".join(self)


PartyLike: TypeAlias = str | PartyId
"""A party, given as ``"NL-TNM"`` or a PartyId."""


def codes_of(party: PartyLike | None) -> tuple[str | None, str | None]:
    """Return the codes to select by; None for every party."""
    return (None, None) if party is None else PartyId.of(party)
