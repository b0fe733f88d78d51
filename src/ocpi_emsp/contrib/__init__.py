"""Integrations of the library into other programs; each package here needs the extra that its docstring names."""
