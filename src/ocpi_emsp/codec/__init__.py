"""Bytes to models and back: the strict lane, the diagnosing lane, encoding, merge-patch.

Rules of this package: parse permissively, check explicitly, construct strictly, store exactly.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from ocpi_emsp.codec.diagnose import Diagnosis, diagnose
from ocpi_emsp.codec.documents import dump, dumped, parse
from ocpi_emsp.codec.encode import encode, encode_valid, wire_time
from ocpi_emsp.codec.patch import merge_patch
from ocpi_emsp.codec.strict import decode_strict
from ocpi_emsp.codec.weight import DEFAULT_BOUNDS, Bounds, require_shallow, weigh
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.findings import Report

__all__ = [
    "Diagnosis",
    "decode",
    "decode_strict",
    "diagnose",
    "dump",
    "encode",
    "encode_valid",
    "merge_patch",
    "parse",
    "untyped",
    "wire_time",
]

T = TypeVar("T")


def decode(kind: type[T], data: Any, *, updated: datetime | None = None) -> T:
    """Return the typed view of a document, read tolerantly.

    ``data`` is bytes, str, or parsed JSON (dict; decimals as Decimal or float). ``updated`` is used if the document has
    no ``last_updated``.
    Raises NotJson if ``data`` is not JSON, InvalidObject with the findings if a deviation leaves no usable value.
    """
    if isinstance(data, bytes | bytearray | memoryview | msgspec.Raw):
        data = bytes(data).removeprefix(BOM_UTF8)
        value = decode_strict(kind, data)
        if value is not None:
            return value
    diagnosis = diagnose(kind, untyped(data), updated)
    if diagnosis.value is None:
        report = Report.of(diagnosis.findings)
        raise InvalidObject(f"{kind.__name__} is not usable", findings=tuple(report))
    return diagnosis.value


def untyped(data: Any, bounds: Bounds | None = DEFAULT_BOUNDS) -> Any:
    """Return the untyped document of bytes, str or parsed JSON; a float becomes its shortest decimal.

    Raises NotJson if ``data`` is not JSON, InvalidObject if it nests too deeply or holds more than ``bounds``.
    ``bounds=None`` skips the latter check, for a document that was weighed before.
    """
    if isinstance(data, bytes | bytearray | memoryview | msgspec.Raw):
        found: bytes | str = bytes(data)
    elif isinstance(data, str):
        found = data
    else:
        found = dumped(data)
    seen = found if isinstance(found, bytes) else found.encode("utf-8", "replace")
    if bounds is not None:
        weigh(seen, bounds)
    require_shallow(seen)
    return parse(found)
