"""How much work one session may make, and what is said where that is not enough."""

from __future__ import annotations

from typing import Final

MAX_CELLS: Final = 10_000
"""Divisions (stretches of the clock times levels of energy) that are looked at in one session."""


class TooManySteps(Exception):
    """There is more to look at than the session's budget allows: the caller goes on with wider bounds."""


class Budget:
    """The divisions that may still be looked at. A period without a division costs nothing."""

    __slots__ = ("exceeded", "left")

    def __init__(self, cells: int = MAX_CELLS) -> None:
        self.left = cells
        self.exceeded = False

    def spend(self, cells: int) -> bool:
        """Take so many, if there are so many left."""
        if cells <= 1:
            return True
        if cells > self.left:
            self.exceeded = True
            return False
        self.left -= cells
        return True

    def step(self) -> None:
        """Take one. Raises TooManySteps if there is none left."""
        if not self.left:
            self.exceeded = True
            raise TooManySteps
        self.left -= 1
