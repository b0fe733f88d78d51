"""How much work one session may cause, and what is reported beyond that."""

from __future__ import annotations

from typing import Final

MAX_CELLS: Final = 10_000
"""Divisions (stretches of the clock times levels of energy) that are examined in one session."""


class TooManySteps(Exception):
    """The session's budget is used up: the caller continues with wider bounds."""


class Budget:
    """The divisions that may still be examined. A period without a division costs nothing."""

    __slots__ = ("exceeded", "left")

    def __init__(self, cells: int = MAX_CELLS) -> None:
        self.left = cells
        self.exceeded = False

    def spend(self, cells: int) -> bool:
        """Spend that many, if there are enough left."""
        if cells <= 1:
            return True
        if cells > self.left:
            self.exceeded = True
            return False
        self.left -= cells
        return True

    def step(self) -> None:
        """Spend one. Raises TooManySteps if there is none left."""
        if not self.left:
            self.exceeded = True
            raise TooManySteps
        self.left -= 1
