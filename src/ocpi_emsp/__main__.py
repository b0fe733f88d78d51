"""``python -m ocpi_emsp`` is the ``ocpi-emsp`` command."""

from __future__ import annotations

import sys

from ocpi_emsp.cli import main

if __name__ == "__main__":
    sys.exit(main())
