"""Makes payloads safe to publish: identifying data is replaced, deviations stay.

Rules of this package:
- everything is replaced that is not known to be harmless. Harmless are words of OCPI, times and numbers where OCPI has
  them, codes of languages, currencies and countries, and texts of up to two ASCII letters or digits;
- a stand-in has the length of its original and a character of the same class at each place, so each finding of
  :func:`ocpi_emsp.check` has the same rule and pointer before and after;
- with one key, equal texts have equal stand-ins everywhere, and different texts have different ones;
- white space, the order of members, repetitions, spellings of numbers and escapes stay; a payload that is not JSON
  stays invalid.
"""

from __future__ import annotations

from ocpi_emsp.redact.redactor import Redactor

__all__ = ["Redactor"]
