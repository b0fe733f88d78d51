"""Decode and schema checks, as a ratio to ``json.loads`` of the same bytes. Target: at most 1.15."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from measure import Result, compare
from ocpi_emsp import Cdr, Location, Policy
from ocpi_emsp.check import accept
from ocpi_emsp.codec import decode_strict
from samples import cdr, location


def results() -> Iterator[Result]:
    """Location with 2, 10 and 100 EVSEs; CDR with 50 periods."""
    tolerant = Policy.tolerant()
    for evses, calls in ((2, 1000), (10, 300), (100, 30)):
        data = location(evses)
        assert decode_strict(Location, data) is not None
        ours, reference = partial(accept, data, Location, tolerant), partial(json.loads, data)
        yield compare(f"Location, {evses} EVSEs", ours, reference, calls)
    data = cdr(50)
    assert decode_strict(Cdr, data) is not None
    yield compare("CDR, 50 periods", partial(accept, data, Cdr, tolerant), partial(json.loads, data), 200)
