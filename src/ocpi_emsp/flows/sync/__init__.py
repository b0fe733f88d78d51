"""Pulling what a CPO has: checkpoints, pages, what vanished, and the report of it."""
