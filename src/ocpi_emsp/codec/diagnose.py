"""The diagnosing lane: an untyped document into a model, with every deviation named.

Rules of this module:
- it walks the same annotations as the strict lane (``msgspec.inspect``), so each constraint is stated once;
- it collects all findings, not only the first. A value without a reading makes its object unusable but does not end the
  walk; the walk ends once there are more errors than a report lists (:attr:`ocpi_emsp.findings.Collector.enough`);
- values that fit take a fast path (quick.py); only others are read, and a finding is only made if it may be listed;
- members unknown to the specification are reported and not descended into: the models bound the depth;
- an object without a ``last_updated`` takes that of the surrounding object, or the time of receipt;
- a fault in the location copy of a CDR or session is a warning. An unreadable value there becomes empty: a text or enum
  an empty text (UNKNOWN where the specification lists it), a number 0, an optional member absent.

cattrs' detailed validation was considered for this lane: it carries a path for exceptions only, and most of what is
reported here is accepted (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from attrs import define, frozen
from msgspec import Raw, inspect

from ocpi_emsp.codec import newer, rules
from ocpi_emsp.codec.documents import dump
from ocpi_emsp.codec.quick import Quick, quick, quick_moment
from ocpi_emsp.codec.readings import (
    UNREADABLE,
    UNSAID,
    read_boolean,
    read_datetime,
    read_enum,
    read_integer,
    read_number,
    read_string,
    shown,
    type_name,
)
from ocpi_emsp.findings import MAX_DEVIATIONS, MAX_FINDINGS, Collector, Finding, Rule, Severity, pointer
from ocpi_emsp.models import Cdr, Connector, Evse, GeoLocation, Location, Session, TariffRestrictions
from ocpi_emsp.models.tariffs import UnreadRestrictions

T = TypeVar("T")
Path: TypeAlias = tuple[str | int, ...]


@frozen
class Diagnosis(Generic[T]):
    """The typed view, if there is one, and the findings in document order: all, or the worst if there are many."""

    value: T | None
    findings: list[Finding]


class Findings(Protocol):
    """A bounded :class:`ocpi_emsp.findings.Collector`, or a filter in front of one."""

    @property
    def enough(self) -> bool:
        """True once the walk may end."""

    @property
    def has_errors(self) -> bool:
        """True if an error was added."""

    def takes(self, severity: Severity, /) -> bool:
        """Return True if a finding of this severity should be created."""

    def skip(self, number: int = 1, /) -> None:
        """Count findings that were not created."""

    def append(self, finding: Finding, /) -> None:
        """Add a finding."""


def _add(findings: Findings, rule: Rule, path: Path, message: str, clause: str) -> None:
    """Add a finding, or count it."""
    if findings.takes(rule.severity):
        findings.append(Finding.of(rule, pointer(path), message, clause))
    else:
        findings.skip()


def diagnose(kind: type[T], document: Any, updated: datetime | None = None) -> Diagnosis[T]:
    """Read ``document`` (as :func:`ocpi_emsp.codec.documents.parse` returns it) as ``kind``; never raises on bad data.

    ``updated`` is used if the document has no ``last_updated``.
    """
    findings = Collector()
    value = diagnose_into(findings, kind, document, updated)
    return Diagnosis(value, list(findings.found))


def diagnose_into(findings: Findings, kind: type[T], document: Any, updated: datetime | None = None) -> T | None:
    """Read like :func:`diagnose`, but add the findings to ``findings``."""
    reader = _READERS.get(kind) or _compile(kind)
    try:
        document, names = newer.read(kind, document)
        if names:
            message = f"this is OCPI 2.2: {', '.join(names)}; read as in 2.1.1"
            findings.append(Finding.of(rules.NEWER, "", message, getattr(kind, "clause", "")))
        value = reader(document, (), findings, updated)
    except RecursionError:  # the parser accepts deeper nesting than Python code
        findings.append(Finding.of(rules.BOUNDS, "", "too many objects and lists inside each other"))
        return None
    if findings.enough and not findings.has_errors:
        message = f"more than {MAX_DEVIATIONS} deviations: no more of them are read"
        findings.append(Finding.of(rules.BOUNDS, "", message))
    return None if findings.enough or value is UNREADABLE else value


_Reader: TypeAlias = Callable[[Any, Path, Findings, datetime | None], Any]
"""Reads a value; the arguments are the value, its place, the findings and the surrounding object's ``last_updated``."""
_Scalar: TypeAlias = Callable[[Any, Callable[[Rule, str], None]], Any]


_READERS: dict[type[Any], _Reader] = {}


def _compile(kind: type[Any]) -> _Reader:
    node = inspect.type_info(kind)
    if not isinstance(node, inspect.DataclassType):
        raise TypeError(f"invalid kind {getattr(kind, '__name__', kind)}: expected a model class such as Location")
    return _READERS.setdefault(kind, _Object.of(node))


@frozen
class _Field:
    """A member: its readers, whether it is required, whether null is a value of it, and its stand-in in a location
    copy.
    """

    read: _Reader
    quick: Quick | None
    required: bool
    reads_null: bool
    blank: Any
    is_object: bool


@frozen
class _Object:
    """Reads one object; ``copied`` is True within the copy of a location."""

    kind: Any
    fields: dict[str, _Field]
    copied: bool = False

    @classmethod
    def of(cls, node: inspect.DataclassType, *, copied: bool = False) -> _Object:
        kind: Any = node.cls
        fields = {
            field.name: _Field(
                _copy(field.type)
                if kind in (Cdr, Session) and field.name == "location"
                else _node(field.type, kind.clause, copied=copied),
                quick(field.type),
                field.required,
                _reads_null(field.type),
                _blank(field.type) if field.required else _ABSENT,
                _is_object(field.type),
            )
            for field in node.fields
        }
        return cls(kind, fields, copied)

    def __call__(self, document: Any, path: Path, findings: Findings, around: datetime | None) -> Any:
        if path and _is_list_of_one(document):
            message = f"expected one {self.kind.__name__}, found a list of one; read as that object"
            _add(findings, rules.WRAPPED, path, message, self.kind.clause)
            document, path = document[0], (*path, 0)
        if not isinstance(document, dict):
            message = f"{self.kind.__name__} must be an object, found {type_name(document)}"
            _add(findings, rules.TYPE, path, message, self.kind.clause)
            return UNREADABLE
        unread = self._note_members(document, path, findings)
        values = dict[str, Any]()
        if "last_updated" in self.fields:
            updated = self._last_updated(document, path, findings, around)
            values["last_updated"], around = updated, around if updated is UNREADABLE else updated
        if not self._read_members(values, document, path, findings, around):
            return UNREADABLE
        return UnreadRestrictions(**values, unread=unread) if unread else self.kind(**values)

    def _read_members(
        self,
        values: dict[str, Any],
        document: Mapping[str, Any],
        path: Path,
        findings: Findings,
        around: datetime | None,
    ) -> bool:
        """Add the members to ``values``; return False if a member, or an earlier value, is unusable."""
        is_usable = values.get("last_updated") is not UNREADABLE
        for name, field in self.fields.items():
            value = document.get(name)
            is_absent = value is None and not field.required and not (field.reads_null and name in document)
            if is_absent or name == "last_updated":
                continue
            read = UNREADABLE if field.quick is None else field.quick(value)
            if read is UNREADABLE:
                read = self._member(name, document, path, findings, around)
            if read is UNREADABLE:
                is_usable = False
            elif read is not _ABSENT:
                values[name] = read
        return is_usable

    def _last_updated(
        self, document: Mapping[str, Any], path: Path, findings: Findings, around: datetime | None
    ) -> Any:
        """Return the object's ``last_updated``; if it has none, that of the surrounding object."""
        value = document.get("last_updated")
        read = quick_moment(value)
        if read is not UNREADABLE:
            return read
        if around is None or not _says_nothing(value, objects=False):
            updated = self._member("last_updated", document, path, findings, around)
            return around if updated is UNREADABLE and self.copied and around else updated
        message = f"last_updated is missing; read as {around:%Y-%m-%dT%H:%M:%SZ}"
        _add(findings, rules.NOT_DATED, (*path, "last_updated"), message, self.kind.clause)
        return around

    def _member(
        self, name: str, document: Mapping[str, Any], path: Path, findings: Findings, around: datetime | None
    ) -> Any:
        field = self.fields[name]
        place = (*path, *newer.place_of(document, name))
        value = document.get(name)
        if value is None and not (field.reads_null and name in document):
            if not field.required:
                return _ABSENT
            message = f"{name} is required" + (", found null" if name in document else "")
            _add(findings, rules.REQUIRED, place, message, self.kind.clause)
            return field.blank if self.copied else UNREADABLE
        if not field.required and value is not None and _says_nothing(value, objects=field.is_object):
            return self._nothing(field, value, place, findings, around)
        read = field.read(value, place, findings, around)
        return field.blank if read is UNREADABLE and self.copied else read

    def _nothing(self, field: _Field, value: Any, place: Path, findings: Findings, around: datetime | None) -> Any:
        """Treat an empty text, or an object with only null members, as absent unless its type accepts it."""
        found = Collector()
        read = field.read(value, place, found, around)
        if read is not UNREADABLE:
            _add_all(findings, found)
            return read
        message = "expected nothing, or a value; found " + (
            "an empty text" if isinstance(value, str) else "an object whose members are all null or empty"
        )
        _add(findings, rules.VALUE_EMPTY, place, message, self.kind.clause)
        return _ABSENT

    def _note_members(self, document: dict[str, Any], path: Path, findings: Findings) -> tuple[str, ...]:
        """Report members unknown to the specification; return the names of unknown tariff restrictions."""
        unread = list[str]()
        for name, value in document.items():
            if name in self.fields:
                continue
            rule, message = rules.UNKNOWN_FIELD, f"{shown(name)} is not a field of {self.kind.__name__}"
            if self.kind is TariffRestrictions and value is not None:
                rule, message = rules.UNKNOWN_RESTRICTION, f"{shown(name)} is unknown: {_UNUSABLE}"
                unread.append(name)
            _add(findings, rule, (*path, name), message, self.kind.clause)
        for name in getattr(document, "repeated", ()):
            _add(findings, rules.REPEATED, (*path, name), f"{shown(name)} is repeated", self.kind.clause)
        return tuple(unread)


_UNUSABLE = "nothing says when the element applies, so that it must not be used for a price"


def _is_list_of_one(document: Any) -> bool:
    """Return True for a list with one object, where the object itself was expected."""
    return isinstance(document, list) and len(document) == 1 and isinstance(document[0], dict)


def _says_nothing(value: Any, *, objects: bool = True) -> bool:
    """Return True for null, an empty text and, with ``objects``, an object of only such values."""
    if isinstance(value, dict):
        return objects and all(map(_says_nothing, value.values()))
    return value is None or (isinstance(value, str) and not value.strip())


# --- copies of locations --------------------------------------------------------------------------------------------


_COPIED = (Location, Evse, Connector, GeoLocation)
"""The objects that a copy is read for; unreadable parts of other objects are left out."""


def _add_all(findings: Findings, found: Collector) -> None:
    for finding in found.found:
        findings.append(finding)
    findings.skip(found.count - len(found.found))


_MAX_FAULTS = 5 * MAX_FINDINGS
"""Non-error faults of a copy after which reading ends: as many as a thousand EVSEs that each lack five members."""


@define
class _Softened:
    """Findings of a location copy: errors are reported as warnings."""

    findings: Findings
    faults: int = 0

    @property
    def enough(self) -> bool:
        return self.findings.enough or self.faults > _MAX_FAULTS

    @property
    def has_errors(self) -> bool:
        return self.findings.has_errors

    def takes(self, severity: Severity, /) -> bool:
        if severity is not Severity.ERROR:
            return self.findings.takes(severity)
        self.faults += 1
        return self.findings.takes(Severity.WARNING)

    def skip(self, number: int = 1, /) -> None:
        self.findings.skip(number)

    def append(self, finding: Finding, /) -> None:
        if finding.severity is Severity.ERROR:
            message = f"{finding.message}; the copy of the location is read without it"
            finding = Finding.of(rules.COPY, finding.pointer, message, finding.clause)
        self.findings.append(finding)


class _Unheard:
    """Drops findings, for a location copy that this library built from ids alone."""

    enough = False
    has_errors = False

    def takes(self, _: Severity, /) -> bool:
        return False

    def skip(self, _: int = 1, /) -> None:
        """Ignore them."""

    def append(self, _: Finding, /) -> None:
        """Ignore the finding."""


def _copy(node: inspect.Type) -> _Reader:
    """Return the reader of the location copy in a CDR or session."""
    location = _node(node, Location.clause, copied=True)

    def read(document: Any, path: Path, findings: Findings, around: datetime | None) -> Any:
        if isinstance(document, newer.Made):
            return location(document, path, _Unheard(), around)
        if not isinstance(document, dict) and not _is_list_of_one(document):
            return location(document, path, findings, around)
        softened = _Softened(findings)
        value = location(document, path, softened, around)
        if softened.faults <= _MAX_FAULTS:
            return value
        message = f"more than {_MAX_FAULTS} faults in the copy of a location: no more of it is read"
        _add(findings, rules.BOUNDS, path, message, rules.FORMAT)
        return UNREADABLE

    return read


def _blank(node: inspect.Type) -> Any:
    """Return the stand-in for an unreadable required value of a copy."""
    match node:
        case inspect.Metadata(type=inner):
            return _blank(inner)
        case inspect.StrType():
            return ""
        case inspect.IntType():
            return UNSAID
        case inspect.EnumType():
            enum: Any = node.cls
            return enum._value2member_map_.get("UNKNOWN") or enum.of("")
        case inspect.VarTupleType():
            return ()
        case inspect.DataclassType(cls=kind) if kind is GeoLocation:
            return GeoLocation(latitude="", longitude="")
    return UNREADABLE


_ABSENT = object()


def _node(node: inspect.Type, clause: str, reading: str | None = None, *, copied: bool = False) -> _Reader:
    """Return the reader of one schema node; ``clause`` is that of the surrounding object."""
    match node:
        case inspect.Metadata(type=inner, extra=extra):
            return _node(inner, clause, (extra or {}).get("reading"), copied=copied)
        case inspect.UnionType(types=types):
            present = next(member for member in types if not isinstance(member, inspect.NoneType))
            return _node(present, clause, copied=copied)
        case inspect.DataclassType():
            return _Object.of(node, copied=copied and node.cls in _COPIED)
        case inspect.VarTupleType():
            return _Array(_node(node.item_type, clause, copied=copied), node.min_length or 0, clause, copied)
        case inspect.RawType():
            return lambda value, _path, _findings, _around: Raw(dump(value))
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
    def reader(value: Any, path: Path, findings: Findings, _around: datetime | None) -> Any:
        return read(value, lambda rule, message: _add(findings, rule, path, message, clause))

    return reader


@frozen
class _Array:
    """Reads a list of at least ``least`` items."""

    item: _Reader
    least: int
    clause: str
    copied: bool

    def __call__(self, document: Any, path: Path, findings: Findings, around: datetime | None) -> Any:
        if document is None:  # valid where the list may be empty (terminology.md, Cardinality)
            if self.least:
                message = "expected at least one item, found null"
                _add(findings, rules.ARRAY_NULL, path, message, self.clause)
            return ()
        if not isinstance(document, list):
            return self._single(document, path, findings, around)
        if len(document) < self.least:
            _add(findings, rules.ARRAY_EMPTY, path, "expected at least one item, found none", self.clause)
        values, is_usable = list[Any](), True
        for index, each in enumerate(document):
            if findings.enough:
                return UNREADABLE
            value = self.item(each, (*path, index), findings, around)
            if value is not UNREADABLE:
                values.append(value)
            elif not self.copied:
                is_usable = False
        return tuple(values) if is_usable else UNREADABLE

    def _single(self, document: Any, path: Path, findings: Findings, around: datetime | None) -> Any:
        """Read a single item where a list was expected."""
        found = Collector()
        value = UNREADABLE if _says_nothing(document) else self.item(document, path, found, around)
        rule = rules.TYPE if value is UNREADABLE else rules.ARRAY_SINGLE
        shows = isinstance(document, str) and value is not UNREADABLE
        message = f"expected a list, found {shown(document) if shows else type_name(document)}"
        _add(findings, rule, path, message, self.clause)
        if value is UNREADABLE:
            return UNREADABLE
        _add_all(findings, found)
        return (value,)


def _is_object(node: inspect.Type) -> bool:
    if isinstance(node, inspect.UnionType):
        return any(isinstance(member, inspect.DataclassType) for member in node.types)
    return isinstance(node, inspect.DataclassType)


def _bare(node: inspect.Type) -> inspect.Type:
    """Return a node without its constraints."""
    return _bare(node.type) if isinstance(node, inspect.Metadata) else node


def _reads_null(node: inspect.Type) -> bool:
    """Return True if null is a value of the node, not an absent one: a list, or an undecoded member."""
    return isinstance(_bare(node), inspect.VarTupleType | inspect.RawType)
