"""The library inside other programs; each package here needs the extra that its docstring names."""
