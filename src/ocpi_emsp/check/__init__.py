"""Findings about a document: those of the schema from the codec, and the semantic rules of each chapter.

Rules of this package:
- ``check`` never raises on bad data; only ``accept`` applies a policy;
- every rule is registered beside its function, with an example that breaks it (registry.py); docs/reference/rules.md is
  generated from the registry (page.py);
- memory is bounded by the document and the number of findings asked for, whatever the document holds;
- a policy is created without importing the rules; they are imported when a document is checked, or a rule is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocpi_emsp._extras import late

if TYPE_CHECKING:
    from ocpi_emsp.check.examining import EXAMPLES, accept, check, examine
    from ocpi_emsp.check.examples import Example
    from ocpi_emsp.check.policy import Policy
    from ocpi_emsp.check.rules import CHAPTERS, RULES

__all__ = ["CHAPTERS", "EXAMPLES", "RULES", "Example", "Policy", "accept", "check", "examine"]

if not TYPE_CHECKING:  # type checkers read the imports above; __getattr__ would make every name valid for them
    __getattr__ = late(
        __name__,
        {
            "CHAPTERS": "ocpi_emsp.check.rules",
            "EXAMPLES": "ocpi_emsp.check.examining",
            "RULES": "ocpi_emsp.check.rules",
            "Example": "ocpi_emsp.check.examples",
            "Policy": "ocpi_emsp.check.policy",
            "accept": "ocpi_emsp.check.examining",
            "check": "ocpi_emsp.check.examining",
            "examine": "ocpi_emsp.check.examining",
        },
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
