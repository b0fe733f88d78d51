"""Find the readings that make most of a partner's CDRs right: suggested, never applied.

Rules of this module:
- a bounded sample is audited, spread evenly over the period, a bounded number of times;
- one reading is changed at a time; the change stays if more CDRs of the sample are right with it; all readings are
  tried again until none helps;
- a value that makes no wrong CDR right costs no audit of the right ones; suspicions beside the price are ignored here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from attrs import define, evolve, field, frozen

from ocpi_emsp.flows.cdrs.audit import Known, look_up
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.inbound.stored import require_zone
from ocpi_emsp.flows.parties.hub_owners import connection_of
from ocpi_emsp.flows.parties.profile_readings import readings_of_party
from ocpi_emsp.ports import Kind, Owner, Query
from ocpi_emsp.pricing import CHOICES, Readings, Verdict
from ocpi_emsp.pricing.verdict.cdr_case import CdrCase
from ocpi_emsp.pricing.verdict.explanations import explain
from ocpi_emsp.pricing.verdict.ruling import Ruling

SAMPLE: Final = 100
"""CDRs that are audited; a partner's habit shows in fewer."""
MAX_AUDITS: Final = 5000
"""Audits of one search: some seconds."""
_AT_ONCE: Final = 10
"""CDRs that are read at one place of the period."""
_RATES: Final = 3
"""VAT rates that are tried: those that explain the most CDRs."""
_HOPELESS: Final = frozenset({"tariff.missing", "tariff.not_yet", "tariff.empty", "remark.not_significant"})
"""Reasons that no reading can remove."""


@frozen(kw_only=True)
class ReadingsStep:
    """A changed reading, and the number of CDRs of the sample that are right with it."""

    name: str
    value: str
    right: int


@frozen(kw_only=True)
class ReadingsSuggestion:
    """Readings that make more of a partner's CDRs right than its current ones; nothing is applied."""

    current: Readings
    """The readings of its profile."""
    suggested: Readings
    """The suggested readings; equal to the current ones if none makes more CDRs right."""
    cdrs: int
    """Number of CDRs in the sample."""
    before: Mapping[Verdict, int]
    """Number of RIGHT, WRONG and UNDECIDABLE CDRs under the current readings."""
    after: Mapping[Verdict, int]
    """The same under the suggested readings."""
    steps: tuple[ReadingsStep, ...] = ()
    """The changes, in the order in which they were found."""
    audits: int
    """Number of audits made."""
    is_complete: bool
    """False if the search ended at its limit of audits: another reading might help as well."""

    @property
    def improves(self) -> bool:
        """True if something is suggested."""
        return bool(self.steps)

    @property
    def settings(self) -> dict[str, str]:
        """The argument of ``partner.set_profile(readings=...)``."""
        return self.suggested.differing()

    @property
    def call(self) -> str:
        """The call that applies the suggestion, as Python."""
        return f"set_profile(readings={json.dumps(self.settings) if self.settings else None})"

    def as_json(self) -> dict[str, object]:
        """Return the suggestion as a JSON object."""
        return {
            "readings": self.settings,
            "cdrs": self.cdrs,
            "before": {verdict.value: self.before[verdict] for verdict in Verdict},
            "after": {verdict.value: self.after[verdict] for verdict in Verdict},
            "steps": [{"name": each.name, "value": each.value, "right": each.right} for each in self.steps],
            "audits": self.audits,
            "complete": self.is_complete,
            "call": self.call,
        }


async def fit_readings(
    context: Context, owner: Owner, *, date_from: datetime | None = None, date_to: datetime | None = None
) -> ReadingsSuggestion:
    """Search readings for CDRs last updated in ``[date_from, date_to)``. See ``Partner.fit_readings``."""
    for name, moment in (("date_from", date_from), ("date_to", date_to)):
        require_zone(name, moment)
    query = Query(kind=Kind.CDR, country_code=owner[0], party_id=owner[1], date_from=date_from, date_to=date_to)
    sample = await _sample(context, owner, query)
    async with context.store.transaction(read_only=True) as tx:
        current = readings_of_party(await connection_of(tx, owner))
    return await context.aside(_search, sample, current)


async def _sample(context: Context, owner: Owner, query: Query) -> list[Known]:
    """Return CDRs of the period, evenly spread in the order of their receipt."""
    async with context.store.transaction(read_only=True) as tx:
        total = (await tx.page(evolve(query, limit=1))).total
    places = list(range(0, total, _AT_ONCE))
    if total > SAMPLE:
        number = SAMPLE // _AT_ONCE
        places = [each * (total - _AT_ONCE) // (number - 1) for each in range(number)]
    found: list[Known] = []
    for offset in places:
        async with context.store.transaction(read_only=True) as tx:
            party = await connection_of(tx, owner)
            for record in (await tx.page(evolve(query, offset=offset, limit=_AT_ONCE, count=False))).records:
                known = await look_up(tx, record, party, None)
                found += [known] if known.cdr is not None else []
    return found


def _search(sample: Sequence[Known], current: Readings) -> ReadingsSuggestion:
    """Change one reading at a time as long as more CDRs become right."""
    cases = [CdrCase.of(each.cdr, each.tariffs, each.location, each.time_zone) for each in sample if each.cdr]
    search = _Search(cases, current)
    before = Counter(search.verdicts)
    while search.has_budget and search.go_through():
        pass
    return ReadingsSuggestion(
        current=current,
        suggested=search.best,
        cdrs=len(search.verdicts),
        before=before,
        after=Counter(search.verdicts),
        steps=tuple(search.steps),
        audits=search.audits,
        is_complete=search.has_budget,
    )


@define
class _Search:
    """The sample, the best readings so far, and the verdicts under them."""

    sample: list[CdrCase]
    best: Readings
    verdicts: list[Verdict] = field(factory=list)
    audits: int = 0
    steps: list[ReadingsStep] = field(factory=list)
    _rates: Counter[str] = field(factory=Counter)
    """VAT rates that explain a total, with their number."""
    _hopeless: set[int] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        for place, case in enumerate(self.sample):
            ruling = self._ruled(case, self.best)
            self.verdicts.append(ruling.verdict)
            if not _HOPELESS.isdisjoint(each.code for each in ruling.reasons):
                self._hopeless.add(place)
            explanations = explain(case, ruling, self.best)
            self._rates.update(each.settings["vat"] for each in explanations if "vat" in each.settings)

    @property
    def has_budget(self) -> bool:
        """True if more audits may be made."""
        return self.audits < MAX_AUDITS

    @property
    def right(self) -> int:
        """Number of CDRs that are right."""
        return self.verdicts.count(Verdict.RIGHT)

    def values_of(self, name: str) -> Iterator[str | None]:
        """Yield the other values of a reading."""
        rates = (None, *(rate for rate, _ in self._rates.most_common(_RATES)))
        values: Sequence[str | None] = CHOICES.get(name, rates)
        current = self.best.as_json()[name]
        return (value for value in values if value != current)

    def go_through(self) -> bool:
        """Try each reading once; return False if none helped."""
        helped = [self.improve(name, self.values_of(name)) for name in (*CHOICES, "vat")]
        return any(helped)

    def improve(self, name: str, values: Iterator[str | None]) -> bool:
        """Use the value of a reading with which most CDRs are right; return False if none is better than the current
        one.
        """
        chosen: tuple[int, str | None, list[Verdict]] | None = None
        for value in values:
            verdicts = self._tried(self.best.changed(**{name: value}), chosen[0] if chosen else self.right)
            if verdicts is not None:
                chosen = verdicts.count(Verdict.RIGHT), value, verdicts
        if chosen is None:
            return False
        right, value, self.verdicts = chosen
        self.best = self.best.changed(**{name: value})
        self.steps.append(ReadingsStep(name=name, value=value or "none", right=right))
        return True

    def _tried(self, readings: Readings, least: int) -> list[Verdict] | None:
        """Return the verdicts under other readings, if more than ``least`` CDRs are right; wrong CDRs are audited
        first.
        """
        verdicts, right = list(self.verdicts), self.right
        places = sorted(set(range(len(verdicts))) - self._hopeless, key=lambda each: verdicts[each] is Verdict.RIGHT)
        if len(places) <= least:
            return None
        for place in places:
            was_right = self.verdicts[place] is Verdict.RIGHT
            if not self.has_budget or (was_right and right <= least):
                return None
            verdicts[place] = self._ruled(self.sample[place], readings).verdict
            right += (verdicts[place] is Verdict.RIGHT) - was_right
        return verdicts if right > least else None

    def _ruled(self, case: CdrCase, readings: Readings) -> Ruling:
        self.audits += 1
        return case.rule(readings)
