"""``ocpi-emsp matrix``: the published support matrix, of what is served and called."""

from __future__ import annotations

from ocpi_emsp.cli import output
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.support import SupportMatrix


def run(arguments: Arguments) -> int:
    """Print the matrix."""
    matrix = SupportMatrix.full() if arguments.full else SupportMatrix.default()
    texts = {
        "csv": matrix.to_csv,
        "json": lambda: matrix.to_json() + "\n",
        "markdown": matrix.to_markdown,
    }
    output.write(texts[arguments.format]())
    return 0
