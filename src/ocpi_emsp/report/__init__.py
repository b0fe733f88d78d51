"""A partner's deviations, rule by rule, in a form to paste into a mail.

Rules of this package:
- it counts and renders but reads no files: the caller adds the findings of documents. Memory is bounded by a few
  samples per rule, whatever the number of documents;
- every renderer escapes external text; a report never contains secrets.

>>> from ocpi_emsp import Location, check
>>> report = PartnerReport()
>>> document = b'{"id": "LOC1"}'
>>> report.add("LOC1.json", Location, check(document, Location), document)
>>> report.refused
1

``AuditTally`` does the same for the audits of CDRs (:mod:`ocpi_emsp.pricing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocpi_emsp._extras import late

if TYPE_CHECKING:
    from ocpi_emsp.report.aggregate import PartnerReport, PlaceCount, RuleCount, RuleSample
    from ocpi_emsp.report.audit_html import audits_to_html, quote_to_html
    from ocpi_emsp.report.audit_markdown import audits_to_markdown, quote_to_markdown
    from ocpi_emsp.report.audit_text import audits_to_text, quote_to_text
    from ocpi_emsp.report.audits import AuditTally, CurrencySums, FailedAudit, ListedAudit
    from ocpi_emsp.report.partial import check_partial
    from ocpi_emsp.report.render_html import to_html
    from ocpi_emsp.report.render_json import to_json
    from ocpi_emsp.report.render_markdown import to_markdown
    from ocpi_emsp.report.render_text import to_text

__all__ = [
    "AuditTally",
    "CurrencySums",
    "FailedAudit",
    "ListedAudit",
    "PartnerReport",
    "PlaceCount",
    "RuleCount",
    "RuleSample",
    "audits_to_html",
    "audits_to_markdown",
    "audits_to_text",
    "check_partial",
    "quote_to_html",
    "quote_to_markdown",
    "quote_to_text",
    "to_html",
    "to_json",
    "to_markdown",
    "to_text",
]

if not TYPE_CHECKING:  # type checkers read the imports above; __getattr__ would make every name valid for them
    __getattr__ = late(
        __name__,
        {
            "AuditTally": "ocpi_emsp.report.audits",
            "CurrencySums": "ocpi_emsp.report.audits",
            "FailedAudit": "ocpi_emsp.report.audits",
            "ListedAudit": "ocpi_emsp.report.audits",
            "PartnerReport": "ocpi_emsp.report.aggregate",
            "PlaceCount": "ocpi_emsp.report.aggregate",
            "RuleCount": "ocpi_emsp.report.aggregate",
            "RuleSample": "ocpi_emsp.report.aggregate",
            "audits_to_html": "ocpi_emsp.report.audit_html",
            "audits_to_markdown": "ocpi_emsp.report.audit_markdown",
            "audits_to_text": "ocpi_emsp.report.audit_text",
            "check_partial": "ocpi_emsp.report.partial",
            "quote_to_html": "ocpi_emsp.report.audit_html",
            "quote_to_markdown": "ocpi_emsp.report.audit_markdown",
            "quote_to_text": "ocpi_emsp.report.audit_text",
            "to_html": "ocpi_emsp.report.render_html",
            "to_json": "ocpi_emsp.report.render_json",
            "to_markdown": "ocpi_emsp.report.render_markdown",
            "to_text": "ocpi_emsp.report.render_text",
        },
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
