"""The diagnosing lane: an untyped document into a model, with every deviation named.

Rules of this module:
- it walks the same annotations that drive the strict lane (``msgspec.inspect``), so a constraint has one place;
- all findings are collected, not the first; a value without a reading makes its object unusable, never the walk;
- members that the specification does not know are reported and not entered: depth is bounded by the models.

cattrs' detailed validation was considered for this lane: it carries a path for exceptions only, and most of what is
reported here is accepted (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from attrs import frozen
from msgspec import Raw, inspect

from ocpi_emsp.codec import rules
from ocpi_emsp.codec.documents import dump
from ocpi_emsp.codec.readings import (
    UNREADABLE,
    read_boolean,
    read_datetime,
    read_enum,
    read_integer,
    read_number,
    read_string,
    shown,
    type_name,
)
from ocpi_emsp.findings import Finding, Rule, pointer

T = TypeVar("T")
Path: TypeAlias = tuple[str | int, ...]


@frozen
class Diagnosis(Generic[T]):
    """The typed view where there is one, and every finding in document order."""

    value: T | None
    findings: list[Finding]


class Findings(Protocol):
    """A list of findings, or a bounded :class:`ocpi_emsp.findings.Collector`."""

    def append(self, finding: Finding, /) -> None:
        """Add a finding."""


def diagnose(kind: type[T], document: Any) -> Diagnosis[T]:
    """Read ``document`` (as :func:`ocpi_emsp.codec.documents.parse` gives it) as ``kind``; never raises on bad data."""
    findings: list[Finding] = []
    return Diagnosis(diagnose_into(findings, kind, document), findings)


def diagnose_into(findings: Findings, kind: type[T], document: Any) -> T | None:
    """Like :func:`diagnose`, but add the findings to those of the caller."""
    reader = _READERS.get(kind) or _compile(kind)
    value = reader(document, (), findings)
    return None if value is UNREADABLE else value


_Reader: TypeAlias = Callable[[Any, Path, Findings], Any]
_Scalar: TypeAlias = Callable[[Any, Callable[[Rule, str], None]], Any]


_READERS: dict[type[Any], _Reader] = {}


def _compile(kind: type[Any]) -> _Reader:
    node = inspect.type_info(kind)
    if not isinstance(node, inspect.DataclassType):
        raise TypeError(f"invalid kind {getattr(kind, '__name__', kind)}: expected a model class such as Location")
    return _READERS.setdefault(kind, _Object.of(node))


@frozen
class _Object:
    """Reads one object; ``fields`` maps each member to its reader, whether it is required and whether it reads null."""

    kind: Any
    fields: dict[str, tuple[_Reader, bool, bool]]

    @classmethod
    def of(cls, node: inspect.DataclassType) -> _Object:
        kind: Any = node.cls
        fields = {
            field.name: (_node(field.type, kind.clause), field.required, _reads_null(field.type))
            for field in node.fields
        }
        return cls(kind, fields)

    def __call__(self, document: Any, path: Path, findings: Findings) -> Any:
        if not isinstance(document, dict):
            message = f"{self.kind.__name__} must be an object, found {type_name(document)}"
            findings.append(Finding.of(rules.TYPE, pointer(path), message, self.kind.clause))
            return UNREADABLE
        self._note_members(document, path, findings)
        values = {name: self._member(name, document, path, findings) for name in self.fields}
        if any(value is UNREADABLE for value in values.values()):
            return UNREADABLE
        return self.kind(**{name: value for name, value in values.items() if value is not _ABSENT})

    def _member(self, name: str, document: dict[str, Any], path: Path, findings: Findings) -> Any:
        reader, required, reads_null = self.fields[name]
        value = document.get(name)
        if value is not None or (reads_null and name in document):
            return reader(value, (*path, name), findings)
        if not required:
            return _ABSENT
        message = f"{name} is required" + (", found null" if name in document else "")
        findings.append(Finding.of(rules.REQUIRED, pointer((*path, name)), message, self.kind.clause))
        return UNREADABLE

    def _note_members(self, document: dict[str, Any], path: Path, findings: Findings) -> None:
        for name in document:
            if name not in self.fields:
                message = f"{shown(name)} is not a field of {self.kind.__name__}"
                findings.append(Finding.of(rules.UNKNOWN_FIELD, pointer((*path, name)), message, self.kind.clause))
        for name in getattr(document, "repeated", ()):
            findings.append(
                Finding.of(rules.REPEATED, pointer((*path, name)), f"{shown(name)} is repeated", self.kind.clause)
            )


_ABSENT = object()


def _node(node: inspect.Type, clause: str, reading: str | None = None) -> _Reader:
    """The reader of one node of the schema; ``clause`` is that of the object around it."""
    match node:
        case inspect.Metadata(type=inner, extra=extra):
            return _node(inner, clause, (extra or {}).get("reading"))
        case inspect.UnionType(types=types):
            return _node(next(member for member in types if not isinstance(member, inspect.NoneType)), clause)
        case inspect.DataclassType():
            return _Object.of(node)
        case inspect.VarTupleType():
            return _array(node, clause)
        case inspect.RawType():
            return lambda value, _path, _findings: Raw(dump(value))
        case _:
            return _scalar(_scalar_reading(node, reading), clause)


def _scalar_reading(node: inspect.Type, reading: str | None) -> _Scalar:
    match node:
        case inspect.StrType() if reading == "secret":
            return lambda value, report: read_string(
                value, node, None, lambda rule, _: report(rule, f"{rule.sentence} (a secret, not shown)")
            )
        case inspect.StrType():
            return lambda value, report: read_string(value, node, reading, report)
        case inspect.IntType():
            return lambda value, report: read_integer(value, node, report)
        case inspect.EnumType():
            enum: Any = node.cls
            return lambda value, report: read_enum(value, enum, report)
        case inspect.DecimalType():
            return read_number
        case inspect.BoolType():
            return read_boolean
        case inspect.DateTimeType():
            return read_datetime
        case _:
            raise TypeError(f"no reader for {node}")


def _scalar(read: _Scalar, clause: str) -> _Reader:
    def reader(value: Any, path: Path, findings: Findings) -> Any:
        return read(value, lambda rule, message: findings.append(Finding.of(rule, pointer(path), message, clause)))

    return reader


def _array(node: inspect.VarTupleType, clause: str) -> _Reader:
    item, least = _node(node.item_type, clause), node.min_length or 0
    is_of_texts = isinstance(_bare(node.item_type), inspect.StrType | inspect.EnumType)

    def read(document: Any, path: Path, findings: Findings) -> Any:
        if document is None:  # valid where the list may be empty (terminology.md, Cardinality)
            if least:
                message = "expected at least one item, found null"
                findings.append(Finding.of(rules.ARRAY_NULL, pointer(path), message, clause))
            return ()
        if is_of_texts and isinstance(document, str):
            message = f"expected a list, found {shown(document)}"
            findings.append(Finding.of(rules.ARRAY_SINGLE, pointer(path), message, clause))
            document = [document]
        if not isinstance(document, list):
            message = f"expected a list, found {type_name(document)}"
            findings.append(Finding.of(rules.TYPE, pointer(path), message, clause))
            return UNREADABLE
        if len(document) < least:
            findings.append(
                Finding.of(rules.ARRAY_EMPTY, pointer(path), "expected at least one item, found none", clause)
            )
        values = tuple(item(value, (*path, index), findings) for index, value in enumerate(document))
        return UNREADABLE if any(value is UNREADABLE for value in values) else values

    return read


def _bare(node: inspect.Type) -> inspect.Type:
    """A node without its constraints."""
    return _bare(node.type) if isinstance(node, inspect.Metadata) else node


def _reads_null(node: inspect.Type) -> bool:
    """Whether null is a value to read, not an absent one: it stands for a list, or in an undecoded member."""
    return isinstance(_bare(node), inspect.VarTupleType | inspect.RawType)
