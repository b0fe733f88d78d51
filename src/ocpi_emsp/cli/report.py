"""``ocpi-emsp report``: a partner's deviations, from its stored objects and from its rejected requests."""

from __future__ import annotations

from ocpi_emsp.cli import output
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.sinks import ReportSink
from ocpi_emsp.cli.stores import emsp_of_nobody, opened
from ocpi_emsp.errors import NotRegistered


def run(arguments: Arguments) -> int:
    """Print the report and return 0, whatever it says, since it is the result.

    Raises NotRegistered for an unknown party without stored documents.
    """
    with opened(arguments) as store:
        emsp = emsp_of_nobody(store)
        found = emsp.partner(arguments.party).report()
        if not found.documents and emsp.parties.get(arguments.party) is None:
            raise NotRegistered(f"there is no registration with {arguments.party}, and nothing of it is stored")
    with output.to_file(arguments.output):
        ReportSink(arguments.format, found).close()
    return 0
