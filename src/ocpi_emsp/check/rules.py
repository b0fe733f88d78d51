"""All semantic rules, chapter by chapter, in the order of the specification's table of contents.

Rules of this module: it only orders the chapters; each chapter registers its rules in the order of its text.
"""

from __future__ import annotations

from ocpi_emsp.check.cdrs import CDRS
from ocpi_emsp.check.commands import COMMANDS
from ocpi_emsp.check.common import TRANSPORT, TYPES
from ocpi_emsp.check.credentials import CREDENTIALS, VERSIONS
from ocpi_emsp.check.locations import LOCATIONS
from ocpi_emsp.check.places import PLACES
from ocpi_emsp.check.registry import Chapter, ObjectRule
from ocpi_emsp.check.sessions import SESSIONS
from ocpi_emsp.check.tariffs import TARIFFS
from ocpi_emsp.check.tokens import TOKENS
from ocpi_emsp.codec.rules import NOT_JSON, SCHEMA_RULES
from ocpi_emsp.findings import Rule

CHAPTERS: tuple[Chapter, ...] = (
    TRANSPORT,
    VERSIONS,
    CREDENTIALS,
    LOCATIONS,
    PLACES,
    SESSIONS,
    CDRS,
    TARIFFS,
    TOKENS,
    COMMANDS,
    TYPES,
)

OBJECT_RULES: tuple[ObjectRule, ...] = tuple(rule for chapter in CHAPTERS for rule in chapter.rules)

RULES: dict[str, Rule] = {
    rule.id: rule for rule in (NOT_JSON, *SCHEMA_RULES, *(object_rule.rule for object_rule in OBJECT_RULES))
}
"""Every rule that a finding of a document may name, by id: JSON, the schema, then the chapters in order."""
