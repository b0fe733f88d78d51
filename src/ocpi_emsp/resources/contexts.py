"""What the things of this package are given: contexts, with connections to partners where they need them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from attrs import frozen

from ocpi_emsp.flows.core.context import Context


class Calling(Protocol):
    """Opens connections for as long as a block lasts; paced for the party with these codes, where they are given."""

    def __call__(
        self, country_code: str | None = None, party_id: str | None = None
    ) -> AbstractContextManager[Context]: ...


class AsyncCalling(Protocol):
    """:class:`Calling`, for an async host."""

    def __call__(
        self, country_code: str | None = None, party_id: str | None = None
    ) -> AbstractAsyncContextManager[Context]: ...


@frozen
class Reach:
    """For a sync host."""

    context: Callable[[], Context]
    """For what calls no partner, or a single time."""
    calling: Calling


@frozen
class AsyncReach:
    """For an async host."""

    context: Callable[[], Context]
    calling: AsyncCalling
