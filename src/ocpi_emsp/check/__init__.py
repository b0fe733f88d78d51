"""Findings about a document: the schema's from the codec, and the rules of sense of each chapter.

Rules of this package: ``check`` never raises on bad data; ``accept`` is the one place where a policy decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import attrs
from attrs import frozen

from ocpi_emsp.check.rules import OBJECT_RULES
from ocpi_emsp.codec import decode_strict, diagnose, untyped
from ocpi_emsp.codec.rules import SCHEMA_RULES
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import Finding, Report, Rule, Severity, pointer

__all__ = ["RULES", "Policy", "accept", "check", "examine"]

T = TypeVar("T")

NOT_JSON = Rule(
    id="json.syntax",
    severity=Severity.ERROR,
    clause="status_codes.md#status-codes",
    sentence="The bytes are no JSON document.",
)

RULES: dict[str, Rule] = {
    rule.id: rule for rule in (NOT_JSON, *SCHEMA_RULES, *(object_rule.rule for object_rule in OBJECT_RULES))
}
"""Every rule that a finding of a document may name, by id."""


@frozen
class Policy:
    """What is refused: findings of the severity ``refuses`` and worse."""

    refuses: Severity

    @classmethod
    def tolerant(cls) -> Policy:
        """Refuses what leaves no usable value (the default)."""
        return cls(Severity.ERROR)

    @classmethod
    def strict(cls) -> Policy:
        """Refuses warnings too."""
        return cls(Severity.WARNING)


def check(data: Any, kind: type[Any]) -> Report:
    """Every finding of ``data`` (bytes, str or parsed JSON) as a ``kind``; never raises on bad data."""
    return examine(data, kind)[1]


def examine(data: Any, kind: type[T]) -> tuple[T | None, Report]:
    """The typed view where there is one, and every finding."""
    try:
        document = untyped(data)
    except NotJson as error:
        return None, Report.of([_of_document(NOT_JSON, error.message)])
    return _examined(document, kind)


def _examined(document: Any, kind: type[T]) -> tuple[T | None, Report]:
    diagnosis = diagnose(kind, document)
    sense = _sense(diagnosis.value, ()) if diagnosis.value is not None else ()
    return diagnosis.value, Report.of([*diagnosis.findings, *sense])


def accept(data: bytes, kind: type[T], policy: Policy) -> T:
    """The typed view of a received object. Raises NotJson; InvalidObject with all findings where the policy refuses."""
    if policy.refuses is Severity.ERROR:
        value = decode_strict(kind, data)
        if value is not None:
            return value
    value, report = _examined(untyped(data), kind)
    if value is None or report.at_least(policy.refuses):
        raise InvalidObject(f"{kind.__name__} refused", findings=tuple(report))
    return value


def _sense(value: Any, path: tuple[str | int, ...]) -> Iterator[Finding]:
    """The findings of the rules of sense for a model and every model inside it."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _sense(item, (*path, index))
    elif attrs.has(type(value)):
        for object_rule in OBJECT_RULES:
            if isinstance(value, object_rule.kind):
                rule = object_rule.rule
                for below, message in object_rule.find(value):
                    yield Finding(
                        pointer=pointer((*path, *below)),
                        rule=rule.id,
                        severity=rule.severity,
                        message=message,
                        clause=rule.clause,
                    )
        for attribute in attrs.fields(type(value)):
            yield from _sense(getattr(value, attribute.name), (*path, attribute.name))


def _of_document(rule: Rule, message: str) -> Finding:
    return Finding(pointer="", rule=rule.id, severity=rule.severity, message=message, clause=rule.clause)
