"""The table of ``ocpi_emsp/pricing/session/country_zones.py``: ``python docs/tools/country_zones.py [zone.tab]``.

Rules of this module: a row for each country of the ``zone.tab`` of the IANA database, with its codes of ISO 3166-1.
"""

from __future__ import annotations

import sys
import textwrap
from collections import defaultdict
from pathlib import Path

from ocpi_emsp.codec.iso3166 import ALPHA3

_SYSTEM = "/usr/share/zoneinfo/zone.tab"


def rows(zone_tab: str) -> str:
    """A row for each country: alpha-2, alpha-3, and its zones; what does not fit goes on in the next line."""
    zones = defaultdict[str, list[str]](list)
    for line in zone_tab.splitlines():
        if line and not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            zones[country].append(zone)
    found = (" ".join((country, ALPHA3[country], *sorted(names))) for country, names in sorted(zones.items()))
    return "\n".join(textwrap.fill(each, 118, subsequent_indent="  ", break_on_hyphens=False) for each in found)


if __name__ == "__main__":
    sys.stdout.write(rows(Path(sys.argv[1] if len(sys.argv) > 1 else _SYSTEM).read_text("utf-8")) + "\n")
