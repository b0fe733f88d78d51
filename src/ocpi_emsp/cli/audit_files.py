"""The CDRs of files: each CDR is audited, other objects are skipped and named.

Rules of this module:
- the only document of a named file counts as a CDR unless it clearly is another object; so does one in a folder with a
  member that only CDRs have: a broken CDR is never skipped;
- an unreadable file or CDR does not prevent the audit of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, TypeAlias, cast

import msgspec
from attrs import define, field, fields_dict

from ocpi_emsp.cli import files, progress
from ocpi_emsp.cli.audit_sinks import AuditSink
from ocpi_emsp.cli.documents import documents
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.inputs import Named, Source
from ocpi_emsp.cli.kinds import GUESSED, Unclear, guess
from ocpi_emsp.cli.payloads import Part
from ocpi_emsp.codec.patch import members
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.models import Cdr
from ocpi_emsp.pricing import Audit, Verdict

AuditDocument: TypeAlias = Callable[[bytes], Audit]
"""Returns the audit of a CDR's bytes. Raises NotJson, InvalidObject."""

_CDR_ALONE = fields_dict(Cdr).keys() - {name for kind in GUESSED if kind is not Cdr for name in fields_dict(kind)}
"""Members that only CDRs have."""


@define
class FileAuditor:
    """Audits file by file; ``sink`` receives the results."""

    _audit: AuditDocument
    sink: AuditSink
    skipped: Named = field(factory=Named, init=False)
    """Skipped documents, which are other objects."""
    empty: Named = field(factory=Named, init=False)
    """Named files without a document."""
    all_right: bool = field(default=True, init=False)
    """True if everything could be audited, and every CDR is right."""
    files: int = field(default=0, init=False)
    _begun: bool = field(default=False, init=False)

    def file(self, source: Source, advance: progress.Advance) -> None:
        """Audit the CDRs of one file."""
        self.files += 1
        self._begun = False
        try:
            with files.opened(source.path) as stream:
                error = self._stream(cast("BinaryIO", progress.Metered(stream, advance)), source)
        except Usage as problem:
            error = str(problem).removeprefix(f"{source.path}: ")
        self.all_right = self.all_right and error is None
        if error is not None or source.named:
            self._begin(source.path)
        if self._begun:
            self.sink.end(error)

    def _begin(self, name: str) -> None:
        """Show a file once there is a result: files in a folder that only have other objects are not shown."""
        if not self._begun:
            self._begun = True
            self.sink.begin(name)

    def unreadable(self, name: str, problem: str) -> None:
        """Report a file or folder within a folder that is unreadable."""
        self.sink.begin(name)
        self.all_right = False
        self.sink.end(problem)

    def _stream(self, stream: BinaryIO, source: Source) -> str | None:
        """Return why the file cannot be audited at all, or None."""
        found, others, error = 0, 0, None
        for part in documents(stream, source.path):
            if part.envelope or part.partial:
                continue
            kind = None if part.too_long else _kind(part, named=source.named)
            if kind is not None and kind is not Cdr:
                others += 1
                self._skip(source, part, kind)
                continue
            found += 1
            problem = self._part(source.path, part)
            if problem is not None and not _place(part):
                error = problem  # the document is the whole file
            elif problem is not None:
                self._begin(source.path)
                self._failed(part, problem)
        if not found and source.named:
            if others:
                return f"it holds no CDR, but {'another object' if others == 1 else f'{others} other objects'}"
            self.empty.add(source.path)
        return error

    def _part(self, name: str, part: Part) -> str | None:
        """Audit one document; return why that failed, or None."""
        if part.too_long:
            return "too long to be audited"
        try:
            audit = self._audit(part.document)
        except (NotJson, InvalidObject) as error:
            return error.reason
        self.all_right = self.all_right and audit.verdict is Verdict.RIGHT
        self._begin(name)
        self.sink.audit(_place(part), audit)
        return None

    def _failed(self, part: Part, problem: str) -> None:
        self.all_right = False
        self.sink.failed(_place(part), _id(part.document), problem)

    def _skip(self, source: Source, part: Part, kind: type[Any]) -> None:
        place = _place(part)
        self.skipped.add(
            f"{source.path}{f': {place}' if place else ''} ({'unclear' if kind is _Other else kind.__name__})"
        )


class _Other:
    """The kind of a document that is not a CDR, and not clearly of any kind."""


def _kind(part: Part, *, named: bool) -> type[Any] | None:
    """Return the kind of a document if it is clear; None if it may be a CDR."""
    if part.kind is not None:
        return part.kind
    try:
        return guess(part.document)
    except Unclear:
        return None if named or _has_what_cdrs_alone_have(part.document) else _Other


def _has_what_cdrs_alone_have(document: bytes) -> bool:
    try:
        return not _CDR_ALONE.isdisjoint(members(document))
    except (NotJson, InvalidObject):
        return False


def _place(part: Part) -> str:
    """Return the place of a document in its file; empty if it is the whole file."""
    return " ".join(each for each in (part.place, part.pointer) if each)


def _id(document: bytes) -> str | None:
    """Return the id of a document, if it has one."""
    try:
        value = msgspec.json.decode(members(document).get("id", msgspec.Raw(b"null")))
    except (NotJson, InvalidObject, msgspec.DecodeError):
        return None
    return value if isinstance(value, str) else None
