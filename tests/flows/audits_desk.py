"""CDRs for audits: that of the specification, whose TIME of 1.973 h costs 4.00 at 2.00 per hour in blocks of 300 s."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from ocpi_emsp.wire import Request, Response

_EXAMPLE = Path(__file__).parent.parent / "vectors" / "examples" / "cdrs" / "cdr.json"
START = datetime(2015, 6, 29, 21, 39, 9, tzinfo=UTC)


def cdr(number: int = 1, total: str = "4.00", **changes: Any) -> bytes:
    """A CDR of the specification; each number is a minute later than the one before."""
    document = json.loads(_EXAMPLE.read_text("utf-8"), parse_float=Decimal)
    updated = START + timedelta(minutes=number)
    document |= {"id": f"CDR{number}", "last_updated": updated.strftime("%Y-%m-%dT%H:%M:%SZ"), **changes}
    text = json.dumps({**document, "total_cost": "TOTAL"}, default=float)
    return text.replace('"TOTAL"', total).encode()


def post(emsp: Any, token: str, body: bytes) -> Response:
    """POST a CDR to an eMSP as a server would."""
    headers = {"authorization": f"Token {token}", "x-correlation-id": "c-1"}
    response: Response = emsp.handle(Request("POST", "/2.1.1/cdrs", "", headers, body))
    assert json.loads(response.body)["status_code"] == 1000, response.body
    return response
