"""Every run of the suite draws the same examples, so that a red run can be repeated; `make fuzz` looks for new ones."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None)
settings.load_profile("repeatable")
