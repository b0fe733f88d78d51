"""The documents of a file of any form: JSON, JSON lines, or a HAR file by its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from ocpi_emsp.cli import har, output
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.payloads import Part, read_parts


def documents(stream: BinaryIO, name: str, *, cut_envelopes: bool = True) -> Iterator[Part]:
    """Yield the documents of a file, in order. Raises OSError; Usage for a HAR file without an OCPI payload."""
    if not name.lower().endswith(har.NAME):
        yield from read_parts(stream, name, cut_envelopes=cut_envelopes)
        return
    archive = har.Har(stream.read())
    try:
        yield from archive.parts()
    except har.NotHar as problem:
        raise Usage(f"{name}: {problem}") from None
    if archive.without == archive.entries:
        entries = "entry" if archive.entries == 1 else f"{archive.entries} entries"
        raise Usage(f"{name}: no OCPI payload in its {entries}")
    if archive.without:
        output.say(f"{name}: {archive.without} of {archive.entries} entries hold no OCPI payload")
