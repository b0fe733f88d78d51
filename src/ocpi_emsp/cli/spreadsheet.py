"""Rows for spreadsheets.

Rules of this module: an external text that a spreadsheet would read as a formula gets a leading apostrophe (OWASP, "CSV
Injection"), and control characters are escaped; numbers stay unchanged.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from unicodedata import normalize

from ocpi_emsp.cli import output

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe(text: str) -> str:
    """Return an external text as the content of a cell."""
    # Some programs ignore leading blanks, and read a full-width sign as the plain one.
    begins = (text[:1], normalize("NFKC", text.lstrip()[:1]))
    return output.printable(f"'{text}" if any(each.startswith(_FORMULA) for each in begins) else text)


class CsvWriter:
    """Writes rows to stdout, the header first."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._line = io.StringIO()
        self._writer = csv.DictWriter(self._line, columns, restval="", lineterminator="\n")
        self._writer.writeheader()

    def write(self, row: Mapping[str, str]) -> None:
        """Write one row; its external texts must be :func:`safe`."""
        self._writer.writerow(row)
        self._hand_over()

    def close(self) -> None:
        """End the rows."""
        self._hand_over()
        output.flush()

    def _hand_over(self) -> None:
        output.write(self._line.getvalue())
        self._line.seek(0)
        self._line.truncate()
