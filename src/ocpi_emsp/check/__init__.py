"""Findings about a document: the schema's from the codec, and the semantic rules of each chapter.

Rules of this package:
- ``check`` never raises on bad data; ``accept`` is the one place where a policy decides;
- every rule is registered beside its function, with an example that breaks it (registry.py);
  docs/reference/rules.md is made from the registry (page.py);
- memory is bounded by the document and the number of findings asked for, whatever the document holds;
- a policy is made without the rules, which are imported when a document is checked, or a rule is named.
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

if not TYPE_CHECKING:  # a type checker reads the imports above, and must not take every name for one of ours
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
