"""docs: reference/reason-codes.md, the codes of audits, from their registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import audit_codes

_HEAD: Final = """\
# Reason codes

An audit of a CDR names why a line or a total is what it is by these codes ([how to audit](../how-to/audit-bills.md)):
`audit.reasons`, and `code` in the JSON of `ocpi-emsp audit`. The codes of findings about a document are the
[rules](rules.md).

## Prices

{prices}

## Plausibility

What is looked at beside the price. Each is a setting of a party's profile: `plausibility`
([profiles](profiles.md#plausibility)).

{plausibility}
"""


def pages() -> Iterator[tuple[str, str]]:
    """The page."""
    yield (
        "reference/reason-codes.md",
        _HEAD.format(prices="\n".join(audit_codes.of_prices()), plausibility="\n".join(audit_codes.of_plausibility())),
    )
