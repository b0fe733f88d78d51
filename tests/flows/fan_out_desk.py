"""What waits to be pushed to each party."""

from collections.abc import Callable

from flows.tokens_desk import Sent, Town
from ocpi_emsp.ports import FAN_OUT, Entry

TWO = ("NL-TNM", "DE-ABC")


def entries(it: Town) -> list[Entry]:
    found: list[Entry] = it.write(lambda tx: tx.entries(FAN_OUT))
    return found


def waits(it: Town, name: str) -> tuple[int, str, bool]:
    """How often the pushes to a party failed, why, and whether it is in hand."""
    (found,) = [each for each in it.emsp.tokens.waiting() if f"{each.country_code}-{each.party_id}" == name]
    return found.attempts, found.error, found.leased


def while_pushing(it: Town, name: str, act: Callable[[], object]) -> None:
    """Do something while the party is asked for the first time."""
    left: list[Callable[[], object]] = [act]

    def script(_: Sent) -> None:
        if left:
            left.pop()()

    it.desks[name].script = script
