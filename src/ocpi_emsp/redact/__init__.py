"""Payloads made safe to publish: what identifies is replaced, what deviates stays.

Rules of this package:
- what is not known to be harmless is replaced: harmless are words of OCPI, times and numbers where OCPI has them, codes
  of languages, currencies and countries, and texts of up to two ASCII letters or digits;
- a stand-in has the length of its original and a character of the same class at each place, so that each finding of
  :func:`ocpi_emsp.check` has the same rule and the same pointer before and after;
- one key gives one text the same stand-in wherever it stands, and two texts different ones;
- white space, the order of members, repetitions, spellings of numbers and escapes stay as they are, and what is no JSON
  stays none.
"""

from __future__ import annotations

from ocpi_emsp.redact.redactor import Redactor

__all__ = ["Redactor"]
