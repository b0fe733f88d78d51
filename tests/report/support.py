"""What the tests of reports share: a report of given findings, and hostile texts."""

from __future__ import annotations

from typing import Any

from ocpi_emsp import Finding, Location
from ocpi_emsp.findings import Severity
from ocpi_emsp.report import PartnerReport

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src="https://evil.example/x.png" onerror=alert(1)>',
    "a | b `code` `` c",
    "[link](https://evil.example) ![](https://evil.example/i.png)",
    "line\nbreak\r\n| x | y |\n# heading",
    "\x1b[2J\x00\x7f\u202e",
    "*bold* _it_ ~~no~~ \\| \\",
    "&lt;b&gt; &#60;script&#62;",
    "</code></td></table><style>*{display:none}</style>",
)


def finding(
    rule: str = "string.length",
    pointer: str = "/name",
    severity: Severity = Severity.WARNING,
    clause: str = "mod_locations.md#31-location-object",
) -> Finding:
    return Finding(pointer=pointer, rule=rule, severity=severity, message="m", clause=clause)


def hostile() -> PartnerReport:
    """A report in which everything that comes from outside is hostile."""
    report = PartnerReport()
    for number, text in enumerate(HOSTILE):
        member = text.replace("~", "~0").replace("/", "~1")
        document: dict[str, Any] = {text: text}
        found = finding(f"rule.{number}", f"/{member}", clause=text)
        report.add(f"folder/{text}.json", Location, [found], document)
        report.add(text, text, [finding(text, text, clause=text)], text.encode())
    return report
