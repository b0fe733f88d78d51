"""A package only so that its modules find rule_cases.py."""
