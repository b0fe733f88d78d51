"""``ocpi-emsp export``: everything in the store as JSON lines.

Rules of this module:
- everything is read in one transaction, so that the file shows one moment, while others write;
- it is read page by page, so that a store of any size needs little memory;
- it includes the tokens for calls to partners: only its owner can read the file, and a message says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ocpi_emsp.cli import output
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.portable import end_line, entry_line, header_line, record_line
from ocpi_emsp.cli.stores import PAGE, opened, pages, reading
from ocpi_emsp.ports import NAMES, TOPICS, BlockingTransaction, Entry, Query


def run(arguments: Arguments) -> int:
    """Write the export."""
    with opened(arguments, snapshot=True) as store, reading(store) as tx:
        output.say("the export holds secrets: the tokens that partners accept; store it where only you can read it")
        with output.to_file(arguments.output):
            counts = _export(tx)
    output.say(f"exported {summary(counts)}")
    return 0


def summary(counts: Counter[str]) -> str:
    """Return the number of objects of each kind and topic."""
    return ", ".join(f"{name}: {number}" for name, number in counts.items() if number) or "nothing"


def _export(tx: BlockingTransaction) -> Counter[str]:
    counts = Counter[str]()
    output.write_bytes(header_line(datetime.now(UTC)))
    for kind, name in NAMES.items():
        for records in pages(tx, Query(kind=kind)):
            output.write_bytes(b"".join(map(record_line, records)))
            counts[name] += len(records)
    for topic in TOPICS:
        for entries in _entries(tx, topic):
            output.write_bytes(b"".join(map(entry_line, entries)))
            counts[f"{topic} entries"] += len(entries)
    output.write_bytes(end_line(counts.total()))
    output.flush()
    return counts


def _entries(tx: BlockingTransaction, topic: str) -> Iterator[Sequence[Entry]]:
    after = 0
    while entries := tx.entries(topic, limit=PAGE, after=after):
        yield entries
        after = entries[-1].sequence
