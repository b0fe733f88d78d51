"""Read and check one document: its schema, then the semantic rules, then what a policy accepts.

Rules of this module: see the package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TypeVar

from ocpi_emsp.check.credits import as_charged
from ocpi_emsp.check.examples import Example
from ocpi_emsp.check.policy import Policy
from ocpi_emsp.check.registry import Context, Walk
from ocpi_emsp.check.rules import OBJECT_RULES
from ocpi_emsp.check.schema import SCHEMA_EXAMPLES
from ocpi_emsp.codec import decode_strict, untyped
from ocpi_emsp.codec.diagnose import diagnose_into
from ocpi_emsp.codec.rules import NOT_JSON
from ocpi_emsp.codec.weight import DEFAULT_BOUNDS, LIGHT, Bounds, weigh
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import MAX_FINDINGS, Collector, Finding, Report, Severity

T = TypeVar("T")

EXAMPLES: Mapping[str, Example] = MappingProxyType(
    {**SCHEMA_EXAMPLES, **{object_rule.rule.id: object_rule.example for object_rule in OBJECT_RULES}}
)
"""One document for every rule of :data:`RULES`; it breaks only this rule."""

_WALK = Walk(OBJECT_RULES)


def check(data: Any, kind: type[Any], *, now: datetime | None = None, limit: int = MAX_FINDINGS) -> Report:
    """Return every finding of ``data`` (bytes, str or parsed JSON) read as a ``kind``; never raises on bad data.

    Dates in the future or past are compared with ``now`` (aware; default: the current time). The worst ``limit``
    findings are listed, the rest are counted. Raises ValueError if ``limit`` is below 1.
    """
    return examine(data, kind, now=now, limit=limit)[1]


def examine(
    data: Any, kind: type[T], *, now: datetime | None = None, limit: int = MAX_FINDINGS
) -> tuple[T | None, Report]:
    """Return the typed view, if there is one, and every finding; see :func:`check`."""
    if limit < 1:
        raise ValueError(f"invalid limit {limit}: expected 1 or more")
    try:
        document = untyped(data, None if _is_light(data, kind) else DEFAULT_BOUNDS)
    except NotJson as error:
        return None, Report.of([Finding.of(NOT_JSON, "", error.message)])
    except InvalidObject as error:  # exceeds the bounds
        return None, Report.of(error.findings)
    return _examined(document, kind, now, limit)


def _is_light(data: Any, kind: type[Any]) -> bool:
    """Return True if the document is accepted without being weighed."""
    try:
        return isinstance(data, bytes) and len(data) <= LIGHT and decode_strict(kind, data) is not None
    except NotJson:
        return False


def _examined(
    document: Any, kind: type[T], now: datetime | None, limit: int, *, sense: bool = True, dated: bool = True
) -> tuple[T | None, Report]:
    findings = Collector(limit)
    now = now or datetime.now(UTC)
    value = diagnose_into(findings, kind, document, now if dated else None)
    if value is not None and sense:
        _WALK(as_charged(value), Context(now), findings)
    return value, findings.report()


def accept(
    data: bytes,
    kind: type[T],
    policy: Policy,
    *,
    now: datetime | None = None,
    accepted: Callable[[Finding], None] | None = None,
    dated: bool = True,
    bounds: Bounds | None = DEFAULT_BOUNDS,
) -> T:
    """Return the typed view of a received object. Raises NotJson, or InvalidObject if the policy rejects it.

    If ``dated``, ``now`` replaces a missing ``last_updated``. ``accepted`` is called with each warning that the policy
    accepts. A document beyond ``bounds`` is rejected before it is read; None skips this for a document that was weighed
    before. Semantic rules only run if the policy needs them: none of them is an error by itself.
    """
    if not policy.needs_rules:
        if bounds is not None and len(data) > LIGHT:
            weigh(data, bounds)
            bounds = None
        value = decode_strict(kind, data)
        if value is not None:
            return value
    value, report = _examined(untyped(data, bounds), kind, now, MAX_FINDINGS, sense=policy.needs_rules, dated=dated)
    judged = policy.judge(report)
    if value is None or policy.refused(judged):
        raise InvalidObject(f"{kind.__name__} rejected", findings=tuple(report if value is None else judged))
    if accepted is not None:
        for finding in judged.at_least(Severity.WARNING):
            accepted(finding)
    return value
