"""Pulling a CPO's objects: checkpoints, pages, vanished objects, and the report."""
