"""Django's database connections in listeners and hooks.

Django closes the connections of a thread at the end of each request. A listener or hook runs elsewhere as well: in the
background work, in the thread of a deadline, in a worker thread of an async host.

Rules of this module:
- a connection that the function opens is treated as Django does at the end of a request: closed, unless it is younger
  than ``CONN_MAX_AGE``;
- a connection that was open before is the caller's, who may be in the middle of a query, and stays open.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections


class _Thread(threading.local):
    """What this thread is doing."""

    depth = 0
    """Number of nested functions that run in it: a listener may call another one."""

    def __init__(self) -> None:
        self.ours: dict[str, Any] = {}
        """The drivers' connections that such a function opened and that are still open, by alias."""
        self.callers: dict[str, Any] = {}
        """Those that were open when the outermost function was called."""


_thread = _Thread()


def closing_connections(function: Any) -> Any:
    """Return a listener or hook that leaves no database connection of Django behind; it retains its signature."""
    if not callable(function):
        return function  # Emsp rejects it, with a message
    if _is_async(function):
        return _closing_async(function)

    @wraps(function)
    def call(*args: Any) -> Any:
        _enter()
        try:
            return function(*args)
        finally:
            _leave()

    return call


def _closing_async(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def call(*args: Any) -> Any:
        await sync_to_async(_enter)()  # in the thread where Django's async methods have their connections
        try:
            return await function(*args)
        finally:
            await asyncio.shield(asyncio.ensure_future(sync_to_async(_leave)()))  # also if it is cancelled

    return call


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 # an object with an async __call__ is an async hook
    )


def _enter() -> None:
    _thread.depth += 1
    if _thread.depth > 1:
        return
    for each in _open():
        if _thread.ours.get(each.alias) is each.connection:
            each.close_if_unusable_or_obsolete()
    _thread.callers = {
        each.alias: each.connection for each in _open() if _thread.ours.get(each.alias) is not each.connection
    }


def _leave() -> None:
    _thread.depth -= 1
    if _thread.depth:
        return
    for each in _opened():
        each.close_if_unusable_or_obsolete()
    _thread.ours = {each.alias: each.connection for each in _opened()}
    _thread.callers = {}


def _open() -> list[Any]:
    return [each for each in connections.all(initialized_only=True) if each.connection is not None]


def _opened() -> list[Any]:
    """Return the connections that no caller had."""
    return [each for each in _open() if _thread.callers.get(each.alias) is not each.connection]
