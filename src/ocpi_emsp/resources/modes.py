"""A method of a resource is written once, as a flow, and called in two modes.

Rules of this module:
- ``blocking`` runs the flow in place, ``awaited`` leaves it to the caller's event loop; both retain its signature;
- modules that only an async host needs are imported by its calls, here and in listing.py;
- the twin of a class has the same attributes, made for its own mode: nothing is inherited, nothing generated.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from ocpi_emsp._bridge import run
from ocpi_emsp.listing import AsyncItems, AsyncListing, Items, Listing

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")
L = TypeVar("L")
A = TypeVar("A")


def blocking(method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[S, P], T]:
    """Return the method for a sync host: the flow runs to its end in the caller's thread."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(method(self, *args, **kwargs))

    return call


def awaited(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return the twin of a ``blocking`` method, for an async host: the flow, its transactions in pieces."""
    flow = cast("Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]", inspect.unwrap(method))

    @wraps(flow)
    async def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        from ocpi_emsp._pieces import driven

        return await driven(flow(self, *args, **kwargs))

    return call


def as_twin(method: Callable[..., object], call: Callable[..., object]) -> None:
    """Give ``call`` the signature of ``method``, with the class of the other mode as its return type."""
    signature = inspect.signature(method)
    twin = signature.replace(return_annotation=f"Async{signature.return_annotation}")
    call.__signature__ = twin  # type: ignore[attr-defined] # what inspect.signature looks for first


def awaited_items(method: Callable[Concatenate[S, P], Items[T]]) -> Callable[Concatenate[Any, P], AsyncItems[T]]:
    """Return the twin of a method that returns stored objects."""
    return given_as(AsyncItems, method)


def awaited_listing(
    method: Callable[Concatenate[S, P], Listing[T]],
) -> Callable[Concatenate[Any, P], AsyncListing[T]]:
    """Return the twin of a method that lists a partner's objects."""
    return given_as(AsyncListing, method)


def given_as(kind: Callable[[L], A], method: Callable[Concatenate[S, P], L]) -> Callable[Concatenate[Any, P], A]:
    """Return the twin of a method with a lazy result; ``kind`` converts the result."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> A:
        return kind(method(self, *args, **kwargs))

    as_twin(method, call)
    return call
