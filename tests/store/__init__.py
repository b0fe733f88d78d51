"""A package only so that its modules find support.py."""
