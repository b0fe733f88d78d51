"""The report as JSON, for machines."""

from __future__ import annotations

import json

from ocpi_emsp.report.aggregate import PartnerReport


def to_json(report: PartnerReport, *, indent: int | None = 2) -> str:
    """Return the report as one JSON document in ASCII; :meth:`PartnerReport.as_json` has its shape."""
    return json.dumps(report.as_json(), indent=indent) + "\n"
