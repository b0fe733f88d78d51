"""Policies: what of a received payload is refused, as data that is stored with the party.

Rules of this module:
- a policy changes what a finding counts as, and says from which severity on a payload is refused; it never gives a
  value to a document that has none, so a rule of which every finding is an error stays one;
- what only a flow can see (url.id, cdr.conflict, body.wrapped) obeys no policy, so a policy cannot name it;
- the rules are imported when one is named: a policy without actions needs none;
- ``tolerant`` and ``strict`` are the two starting points, single rules are changed on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from ocpi_emsp import logs
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.rules import NOT_JSON, SCHEMA_RULES
from ocpi_emsp.findings import Finding, Report, Severity

IGNORE = "ignore"
ACTIONS = (IGNORE, *(severity.value for severity in Severity))
"""What a policy can do with a rule: ignore it, or count it as one of the severities."""


UNUSABLE = frozenset(rule.id for rule in (NOT_JSON, *SCHEMA_RULES) if rule.severity is Severity.ERROR)
"""The rules of which a finding leaves no value: no policy can make it count as less."""


def can_be(rule: str, action: str) -> bool:
    """False where a policy cannot do that with a rule."""
    return rule not in UNUSABLE or action == Severity.ERROR.value


def without_unknown(actions: Mapping[str, str]) -> dict[str, str]:
    """The stored actions of rules that exist; an earlier version, or a later one, may have had others."""
    if not actions:
        return {}
    from ocpi_emsp.check.rules import RULES

    for rule in actions.keys() - RULES.keys():
        logs.warning("policy.rule_unknown", rule=rule, action=actions[rule])
    return {rule: action for rule, action in actions.items() if rule in RULES}


def _read_actions(actions: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if not actions:
        return ()
    from ocpi_emsp.check.rules import RULES

    for rule, action in actions.items():
        if rule not in RULES:
            from difflib import get_close_matches

            [nearest] = get_close_matches(str(rule).lower(), RULES, n=1, cutoff=0)
            raise ValueError(
                f"invalid rule {shown(rule)}: expected a rule of docs/reference/rules.md, for example {nearest}"
            )
        if action not in ACTIONS:
            raise ValueError(f"invalid action '{action}' for the rule '{rule}': expected {', '.join(ACTIONS)}")
        if not can_be(rule, action):
            raise ValueError(f"invalid action '{action}' for the rule '{rule}': expected error, since no value is left")
    return tuple(sorted(actions.items()))


@frozen
class Policy:
    """What to reject: findings of the severity ``refuses`` and worse, after ``actions`` have changed single rules.

    Raises ValueError if a rule or an action is unknown, or cannot be done: a finding that leaves no value stays an
    error.
    """

    refuses: Severity
    actions: Any = field(factory=dict, converter=_read_actions)
    """By rule id: ``ignore``, ``note``, ``warning`` or ``error``; given as a mapping, stored as sorted pairs."""
    needs_rules: bool = field(init=False, eq=False, repr=False)
    """False if everything that the strict lane reads is accepted, so no rule has to be run for it."""

    @needs_rules.default
    def _needs_rules(self) -> bool:
        ranks = [Severity(action).rank for _, action in self.actions if action != IGNORE]
        return self.refuses is not Severity.ERROR or any(rank >= self.refuses.rank for rank in ranks)

    @classmethod
    def tolerant(cls) -> Policy:
        """Reject errors only: values that are unusable (the default)."""
        return cls(Severity.ERROR)

    @classmethod
    def strict(cls) -> Policy:
        """Reject warnings too."""
        return cls(Severity.WARNING)

    def with_rule(self, rule: str, action: str) -> Policy:
        """Return this policy with one rule changed to ``ignore``, ``note``, ``warning`` or ``error``.

        Raises ValueError for an unknown rule or action, and for one that cannot be done: see :class:`Policy`.
        """
        return evolve(self, actions={**dict(self.actions), rule: action})

    def judge(self, report: Report) -> Report:
        """Return the report under this policy: without ignored rules, with changed severities."""
        if not self.actions:
            return report
        actions = dict(self.actions)
        judged = (_judged(finding, actions.get(finding.rule)) for finding in report)
        return Report(tuple(finding for finding in judged if finding is not None), report.more)

    def refused(self, report: Report) -> bool:
        """Return True if a judged report has a finding that this policy rejects."""
        return bool(report.at_least(self.refuses))

    def as_json(self) -> dict[str, Any]:
        """Return the policy as plain JSON."""
        return {"refuses": self.refuses.value, "rules": dict(self.actions)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Policy:
        """Return the policy of :meth:`as_json`, without rules that do not exist. Raises ValueError if it is invalid."""
        return cls(Severity(data["refuses"]), without_unknown(data.get("rules", {})))


def _judged(finding: Finding, action: str | None) -> Finding | None:
    if action is None:
        return finding
    return None if action == IGNORE else evolve(finding, severity=Severity(action))
