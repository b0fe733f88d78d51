"""docs: reference/api/, every public name; mkdocstrings reads their docstrings and signatures.

Rules of this module: a name stands on the page of the module that lists it, and the first page lists what ``ocpi_emsp``
itself offers.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Final

import ocpi_emsp

MODULES: Final = {
    "models": ("Objects of OCPI", ("ocpi_emsp.models",)),
    "resources": ("Resources of Emsp", ("ocpi_emsp.resources",)),
    "settings": ("Settings of Emsp", ("ocpi_emsp.settings",)),
    "events": ("Events", ("ocpi_emsp.events",)),
    "errors": ("Exceptions", ("ocpi_emsp.errors",)),
    "check": ("Check", ("ocpi_emsp.check",)),
    "report": ("Reports", ("ocpi_emsp.report",)),
    "redact": ("Redact", ("ocpi_emsp.redact",)),
    "pricing": ("Prices", ("ocpi_emsp.pricing",)),
    "storage": ("Stores", ("ocpi_emsp.storage",)),
    "ports": ("Ports", ("ocpi_emsp.ports",)),
    "types": ("Types in signatures", ("ocpi_emsp.types",)),
    "wire": ("Requests and responses", ("ocpi_emsp.wire",)),
    "contrib": (
        "Integrations",
        ("ocpi_emsp.contrib.otel", "ocpi_emsp.contrib.procrastinate", "ocpi_emsp.contrib.django"),
    ),
    "testing": (
        "Testing",
        (
            "ocpi_emsp.testing.backend",
            "ocpi_emsp.testing.contract",
            "ocpi_emsp.testing.payloads",
            "ocpi_emsp.testing.strategies",
        ),
    ),
    "testing-cpo": ("Simulated CPO", ("ocpi_emsp.testing.cpo",)),
}
"""The title of each page, and the modules on it."""


def pages() -> Iterator[tuple[str, str]]:
    """The first page, and one for each entry of :data:`MODULES`."""
    yield "reference/api/index.md", "\n".join(_top())
    for page, (title, modules) in MODULES.items():
        yield f"reference/api/{page}.md", "\n".join((f"# {title}", "", *_of_modules(modules)))


def names(module: ModuleType) -> list[str]:
    """What a module offers: what it lists, or else what it defines."""
    listed: list[str] | None = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    defined = (name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__)
    return sorted(name for name in defined if name[0] != "_")


def _top() -> Iterator[str]:
    elsewhere = {
        name: module for _, modules in MODULES.values() for module in modules for name in names(import_module(module))
    }
    yield "# ocpi_emsp"
    yield ""
    yield "`from ocpi_emsp import Emsp` and the names below; everything else is imported from its module."
    yield ""
    for name in ocpi_emsp.__all__:
        if name in elsewhere:
            yield f"- [`{name}`][{elsewhere[name]}.{name}]"
    for name in ocpi_emsp.__all__:
        if name not in elsewhere:
            yield f"\n::: ocpi_emsp.{name}\n"


def _of_modules(modules: tuple[str, ...]) -> Iterator[str]:
    for path in modules:
        module = import_module(path)
        if len(modules) > 1:
            yield f"## {path}\n"
        else:
            yield f"`from {path} import ...`\n"
        if module.__doc__:
            yield f"{inspect.cleandoc(module.__doc__).partition(chr(10))[0]}\n"
        for name in names(module):
            yield f"::: {path}.{name}\n"
