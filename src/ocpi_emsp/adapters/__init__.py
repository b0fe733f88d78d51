"""Adapters translate between a server interface and the library, nothing else."""

from __future__ import annotations

DRAIN = 8
"""How many times the body limit is read and dropped before the answer, so that the partner receives 413."""
