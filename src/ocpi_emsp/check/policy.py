"""Policies: which received payloads are rejected, as data that is stored with the party.

Rules of this module:
- a policy changes the severity of findings, and states the severity from which a payload is rejected. It cannot make an
  unreadable document usable, so a rule whose findings are all errors stays an error;
- findings that only a flow makes (url.id, cdr.conflict, body.wrapped) ignore the policy, so a policy cannot name them;
- the rules are imported when one is named: a policy without actions needs none;
- ``tolerant`` and ``strict`` are the two starting points; single rules are changed on top.
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
"""Rules whose findings leave no usable value: a policy cannot lower their severity."""


def can_be(rule: str, action: str) -> bool:
    """Return False if a policy cannot apply this action to the rule."""
    return rule not in UNUSABLE or action == Severity.ERROR.value


def without_unknown(actions: Mapping[str, str]) -> dict[str, str]:
    """Return the stored actions without those of rules that do not exist; another version may have stored them."""
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
    """Which payloads to reject: those with a finding of severity ``refuses`` or worse, after ``actions`` changed single
    rules.

    Raises ValueError if a rule or an action is unknown, or if an action would lower a rule whose findings leave no
    usable value.
    """

    refuses: Severity
    actions: Any = field(factory=dict, converter=_read_actions)
    """By rule id: ``ignore``, ``note``, ``warning`` or ``error``; given as a mapping, stored as sorted pairs."""
    needs_rules: bool = field(init=False, eq=False, repr=False)
    """False if everything that the strict lane accepts is accepted, so no semantic rule needs to run."""

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

        Raises ValueError for an unknown rule or action, and for an impossible one: see :class:`Policy`.
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
        """Return the policy of :meth:`as_json`, without rules that no longer exist. Raises ValueError if it is
        invalid.
        """
        return cls(Severity(data["refuses"]), without_unknown(data.get("rules", {})))


def _judged(finding: Finding, action: str | None) -> Finding | None:
    if action is None:
        return finding
    return None if action == IGNORE else evolve(finding, severity=Severity(action))
