"""The async side of this package, under the same names."""

from ocpi_emsp.contrib.procrastinate.deferring import awaited_defer_sync as defer_sync

__all__ = ["defer_sync"]
