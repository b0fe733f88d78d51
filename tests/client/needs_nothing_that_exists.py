"""Stands for a library whose installation is broken."""

import no_such_module_anywhere  # type: ignore[import-not-found]  # noqa: F401
