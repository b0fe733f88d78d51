"""The eMSP of the project: created from ``settings.OCPI_EMSP`` on first use.

Rules of this module:
- there is one in each process, with the hooks and listeners of every installed app: those in its module ``ocpi``;
- a failure is raised at each use, until it is corrected: with only some of the listeners, events would be lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from django.apps import apps
from django.core.exceptions import AppRegistryNotReady, ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules

from ocpi_emsp import Emsp
from ocpi_emsp.contrib.django import conf
from ocpi_emsp.contrib.django.connections import closing_connections
from ocpi_emsp.emsp import AuthorizeFunction
from ocpi_emsp.events import Event

E = TypeVar("E", bound=Event)
R = TypeVar("R")
MODULE = "ocpi"
"""The module of an app with its hooks and listeners."""


class DjangoEmsp(Emsp):
    """An eMSP whose hooks and listeners leave no connection of Django open."""

    def authorize(self, hook: AuthorizeFunction, *, replace: bool = False) -> AuthorizeFunction:
        """See :meth:`Emsp.authorize`."""
        super().authorize(closing_connections(hook), replace=replace)
        return hook

    def on(self, event: type[E]) -> Callable[[Callable[[E], R]], Callable[[E], R]]:
        """See :meth:`Emsp.on`."""
        register = super().on(event)

        def register_listener(listener: Callable[[E], R]) -> Callable[[E], R]:
            register(closing_connections(listener))
            return listener

        return register_listener


def get_emsp() -> Emsp:
    """Return the eMSP that ``settings.OCPI_EMSP`` describes, the same one at each call in a process.

    The first call imports the module ``ocpi`` of every installed app, where hooks and listeners are registered. Raises
    ImproperlyConfigured for invalid settings, and AppRegistryNotReady before ``django.setup()``.
    """
    if not apps.ready:
        raise AppRegistryNotReady(
            "get_emsp() needs all apps: call it after django.setup() or get_wsgi_application(), and not in models.py"
        )
    return _discovered.emsp()


def make_emsp() -> Emsp:
    """Return the eMSP without hooks and listeners. Raises ImproperlyConfigured."""
    for problem in conf.problems():
        raise ImproperlyConfigured(" ".join(filter(None, (problem.text, problem.hint))))
    try:
        return _made()
    except (ValueError, TypeError) as error:
        raise ImproperlyConfigured(f"OCPI_EMSP: {error}") from error


@lru_cache(maxsize=1)
def _made() -> Emsp:
    given = conf.given()
    if given.store is None:
        from ocpi_emsp.contrib.django.store import DjangoStore

        store = DjangoStore(given.database)
    else:
        store = given.store
    emsp = DjangoEmsp(store=store, **given.arguments)
    if given.retention is not None:
        emsp.retention(given.retention)
    return emsp


class _Discovered:
    """The eMSP, once every app has registered its hooks and listeners."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a module that is being imported calls get_emsp(), too
        self._is_begun = self._is_complete = False

    def emsp(self) -> Emsp:
        if not self._is_complete:
            with self._lock:
                self._discover()
        return _made()

    def _discover(self) -> None:
        make_emsp()
        if self._is_begun:
            return
        self._is_begun = True
        try:
            autodiscover_modules(MODULE)
        except BaseException:
            self._is_begun = False
            raise
        self._is_complete = True


_discovered = _Discovered()
