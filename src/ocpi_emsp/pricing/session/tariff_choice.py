"""Which tariff a CDR is priced by.

Rules of this module (mod_cdrs.md 3.1: "list of relevant tariff elements"):
- the tariffs in the CDR count. If it has none, the given ones count: for each id the newest that was not updated after
  the session began, which is an assumption;
- of several, the one that the connector names; if none is named, or two have that id, any of them may apply;
- ids are compared as written, then case-insensitively, which is an assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from ocpi_emsp.models import Cdr, Tariff
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.reasons import REASONS
from ocpi_emsp.pricing.result import Reason
from ocpi_emsp.pricing.session.features import ids


@frozen(kw_only=True)
class Candidate:
    """A tariff that may apply, and its place in the document; None if it was given separately."""

    tariff: Tariff
    pointer: str | None = None


@frozen(kw_only=True)
class TariffChoice:
    """The tariffs of which one applies; empty, with the reason, if no tariff is known."""

    candidates: tuple[Candidate, ...] = ()
    reason: Reason | None = None
    notes: tuple[str, ...] = ()


def choose(cdr: Cdr, given: Sequence[Tariff], tariff_id: str | None, readings: Readings) -> TariffChoice:
    """Return the tariffs of which one applies; ``tariff_id`` is that of the used connector."""
    notes = tuple[str, ...]()
    if cdr.tariffs:
        found = [Candidate(tariff=each, pointer=f"/tariffs/{index}") for index, each in enumerate(cdr.tariffs)]
    elif not given:
        return TariffChoice(reason=_reason("tariff.missing"))
    else:
        found = [Candidate(tariff=each) for each in in_force(given, cdr.start_date_time)]
        if not found:
            return TariffChoice(reason=_reason("tariff.not_yet", f" They are {ids(given)}."))
    if len(found) > 1:
        found, notes = _narrowed(found, tariff_id, readings)
    elif tariff_id is not None and not cdr.tariffs and found[0].tariff.id.casefold() != tariff_id.casefold():
        notes = (f"the connector names the tariff {tariff_id}, which is not known: {found[0].tariff.id} is used",)
    if not cdr.tariffs:
        notes = (*notes, f"the CDR has no tariff: {ids(each.tariff for each in found)} is taken from the store")
    return TariffChoice(candidates=_different(found), notes=notes)


def in_force(tariffs: Sequence[Tariff], start: datetime) -> list[Tariff]:
    """Return, for each id, the newest tariff that was not updated after a moment, in the order given."""
    newest = dict[str, Tariff]()
    for each in tariffs:
        before = newest.get(each.id)
        if each.last_updated <= start and (before is None or each.last_updated > before.last_updated):
            newest[each.id] = each
    return list(newest.values())


def _narrowed(
    found: list[Candidate], tariff_id: str | None, readings: Readings
) -> tuple[list[Candidate], tuple[str, ...]]:
    """Return the tariffs of which one applies, out of several, and what was assumed."""
    if readings.tariffs == "first":
        return found[:1], ()
    if tariff_id is None:
        return found, ()
    named = [each for each in found if each.tariff.id == tariff_id]
    if named:
        return named, ()
    named = [each for each in found if each.tariff.id.casefold() == tariff_id.casefold()]
    if named:
        return named, (f"the connector names the tariff {tariff_id}: {named[0].tariff.id} is used",)
    return found, (f"the connector names the tariff {tariff_id}, which is not among them",)


def _different(found: list[Candidate]) -> tuple[Candidate, ...]:
    """Return each price list once, even if a tariff is written twice."""
    if len(found) == 1:
        return tuple(found)
    return tuple({(each.tariff.currency.upper(), each.tariff.elements): each for each in reversed(found)}.values())[
        ::-1
    ]


def _reason(code: str, more: str = "") -> Reason:
    return Reason(code=code, pointer="", message=REASONS[code].sentence + more)
