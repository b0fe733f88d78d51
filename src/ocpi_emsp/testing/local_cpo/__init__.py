"""A simulated CPO in the process of a test: registered with an Emsp in one line, without a socket.

    with local_cpo(locations=5) as cpo:
        cpo.register_with(emsp)                             # or register_with(emsp, app=app), through a mount
        cpo.patch_evse("LOC1", "LOC1-E1", {"status": "CHARGING"})
        assert emsp.evses.get("NL-TNM", "LOC1", "LOC1-E1").status == Status.CHARGING

Rules of this package:
- methods that call the eMSP block here and are awaited at :attr:`LocalCpo.aio`, under the same name, as with an Emsp;
- an ASGI application runs in the event loop of the CPO, a WSGI application in the thread of the test;
- the pytest fixture ``ocpi_simulated_cpo`` is this context manager.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from ocpi_emsp import Emsp
from ocpi_emsp._extras import extra

with extra("testing"):
    from anyio.from_thread import BlockingPortal, start_blocking_portal

    from ocpi_emsp.testing.applications import is_asgi, lifespan
    from ocpi_emsp.testing.cpo import CommandResult, Exchange, Received, ReceivedToken
    from ocpi_emsp.testing.cpo.presets import preset as settings_of
    from ocpi_emsp.testing.local_cpo.aio import AsyncLocalCpo
    from ocpi_emsp.testing.local_cpo.threads import CallerThread

__all__ = ["AsyncLocalCpo", "LocalCpo", "local_cpo"]

P = ParamSpec("P")
T = TypeVar("T")


class _blocking(Generic[P, T]):  # noqa: N801 # used as a function
    """A method of AsyncLocalCpo that runs to its end in the event loop of the CPO."""

    def __init__(self, method: Callable[Concatenate[Any, P], Awaitable[T]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, cpo: LocalCpo, owner: type[LocalCpo] | None = None) -> Callable[P, T]:
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            return cpo._call(partial(self._method, cpo.aio, *args, **kwargs))

        return call


class LocalCpo:
    """A simulated CPO whose methods block; ``aio`` is the CPO itself, for tests that await."""

    def __init__(self, cpo: AsyncLocalCpo, portal: BlockingPortal, until: ExitStack) -> None:
        self.aio = cpo
        self._portal = portal
        self._until = until
        self._thread = CallerThread()
        cpo.thread = self._thread

    def register_with(self, emsp: Emsp, app: Any = None) -> LocalCpo:
        """Register at an eMSP by the credentials handshake; see :meth:`AsyncLocalCpo.register_with`.

        The lifespan of an ASGI application runs until the end of the test. A WSGI application is called in the thread
        that created this CPO, while that thread calls the CPO (also :meth:`wait_idle`) or waits for a command, or the
        eMSP calls the CPO there; a request that waits for 5 seconds gets its own thread. Returns this CPO.
        """
        if app is not None and is_asgi(app):
            self._until.enter_context(self._portal.wrap_async_context_manager(lifespan(app)))
        self._call(partial(self.aio.register_with, emsp, app))
        return self

    def _call(self, function: Callable[[], Awaitable[T]]) -> T:
        return self._thread.wait(self._portal.start_task_soon(function))

    # Calls to the eMSP

    push_location = _blocking(AsyncLocalCpo.push_location)
    patch_location = _blocking(AsyncLocalCpo.patch_location)
    push_evse = _blocking(AsyncLocalCpo.push_evse)
    patch_evse = _blocking(AsyncLocalCpo.patch_evse)
    push_connector = _blocking(AsyncLocalCpo.push_connector)
    patch_connector = _blocking(AsyncLocalCpo.patch_connector)
    get_location = _blocking(AsyncLocalCpo.get_location)
    push_session = _blocking(AsyncLocalCpo.push_session)
    patch_session = _blocking(AsyncLocalCpo.patch_session)
    get_session = _blocking(AsyncLocalCpo.get_session)
    push_tariff = _blocking(AsyncLocalCpo.push_tariff)
    patch_tariff = _blocking(AsyncLocalCpo.patch_tariff)
    delete_tariff = _blocking(AsyncLocalCpo.delete_tariff)
    get_tariff = _blocking(AsyncLocalCpo.get_tariff)
    post_cdr = _blocking(AsyncLocalCpo.post_cdr)
    get_cdr = _blocking(AsyncLocalCpo.get_cdr)
    get_tokens = _blocking(AsyncLocalCpo.get_tokens)
    authorize = _blocking(AsyncLocalCpo.authorize)
    call = _blocking(AsyncLocalCpo.call)
    update_credentials = _blocking(AsyncLocalCpo.update_credentials)
    unregister = _blocking(AsyncLocalCpo.unregister)
    wait_idle = _blocking(AsyncLocalCpo.wait_idle)

    # The state of the CPO: nothing is sent

    @property
    def party(self) -> str:
        """The party, such as ``NL-TNM``, in the form for ``emsp.partner``."""
        return self.aio.party

    @property
    def token(self) -> str:
        """The token that it presents to the eMSP. Raises NotRegisteredError without a registration."""
        return self.aio.outgoing.token()

    @property
    def received(self) -> Sequence[Received]:
        """The latest OCPI requests received, oldest first."""
        return self.aio.received

    @property
    def received_tokens(self) -> Sequence[ReceivedToken]:
        """The latest Token objects received by PUT and PATCH, accepted or not, oldest first."""
        return self.aio.received_tokens

    @property
    def command_results_sent(self) -> Sequence[CommandResult]:
        """The latest command results sent to a response_url, oldest first."""
        return self.aio.command_results_sent

    @property
    def sent(self) -> Sequence[Exchange]:
        """The latest requests sent to the eMSP, oldest first."""
        return self.aio.sent

    def change(self, module: str, object_id: str, changes: Mapping[str, Any], **of: str) -> None:
        """Change an object, or with ``evse_uid`` and ``connector_id`` a part of a location; see SimulatedCpo."""
        self.aio.change(module, object_id, dict(changes), **of)

    def own(self, module: str, document: Mapping[str, Any]) -> None:
        """Add or replace an object, by its ``id``."""
        self.aio.own(module, dict(document))

    def withdraw(self, module: str, *object_ids: str) -> None:
        """Stop listing objects."""
        self.aio.withdraw(module, *object_ids)

    def misbehave(self, preset: str | None = None, **deviations: Any) -> None:
        """Deviate from now on like a preset, with further deviations; see SimulatedCpo."""
        self.aio.misbehave(preset, **deviations)

    def behave(self) -> None:
        """Obey the specification from now on."""
        self.aio.behave()


@contextmanager
def local_cpo(preset: str | None = None, **settings: Any) -> Iterator[LocalCpo]:
    """Create a simulated CPO in this process, until the end of the block.

    ``preset`` names one of ``PRESETS``; ``settings`` are those of SimulatedCpo, such as ``party_id``. At the end every
    Emsp that it was registered with gets its own HTTP clients back. Raises ValueError for an unknown preset, TypeError
    for an unknown setting.
    """
    made = AsyncLocalCpo(**((settings_of(preset) if preset else {}) | settings))
    with start_blocking_portal() as portal, ExitStack() as until:
        until.callback(portal.call, made.aclose)
        yield LocalCpo(made, portal, until)
