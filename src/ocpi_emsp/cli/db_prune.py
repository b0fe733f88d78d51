"""``ocpi-emsp db prune``: deletes, or counts, data older than the retention."""

from __future__ import annotations

from attrs import asdict

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.stores import emsp_of_nobody, opened


def run(arguments: Arguments) -> int:
    """Delete old data, or with ``--dry-run`` count it."""
    if arguments.retention is None:
        raise Usage("Missing retention: set --retention, for example --retention rejections=30d,sessions=1000d")
    with opened(arguments) as store:
        emsp = emsp_of_nobody(store)
        emsp.retention(arguments.retention)
        pruned = asdict(emsp.prune(dry_run=arguments.dry_run))
    if arguments.json:
        output.write_json({"dry_run": arguments.dry_run, **pruned})
        return 0
    rows = [(name.replace("_", " "), str(number)) for name, number in pruned.items()]
    output.write(output.table(("what", "to be deleted" if arguments.dry_run else "deleted"), rows))
    return 0
