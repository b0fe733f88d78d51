"""``ocpi-emsp report``: what a partner deviates in, from what it sent and from what was refused."""

from __future__ import annotations

from ocpi_emsp.cli import output
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.sinks import ReportSink
from ocpi_emsp.cli.stores import emsp_of_nobody, opened


def run(arguments: Arguments) -> int:
    """Print the report; it is the answer, so the status is 0 whatever it says."""
    with opened(arguments) as store:
        found = emsp_of_nobody(store).partner(arguments.party).report()
    with output.to_file(arguments.output):
        ReportSink(arguments.format, found).close()
    return 0
