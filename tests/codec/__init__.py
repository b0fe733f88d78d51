"""A package only so that its modules find strategies.py."""
