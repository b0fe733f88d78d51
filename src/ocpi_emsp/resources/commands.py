"""Commands that we sent, and their results."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, cast

from attrs import field, frozen

from ocpi_emsp._command_waiter import Waiting
from ocpi_emsp.findings import Finding
from ocpi_emsp.flows.commands import deadlines, send as command, session_link as command_links
from ocpi_emsp.flows.commands.states import SentCommand, command_key
from ocpi_emsp.listing import Items
from ocpi_emsp.models import CommandResponseType
from ocpi_emsp.party_id import PartyId, PartyLike, codes_of
from ocpi_emsp.resources.contexts import Resource
from ocpi_emsp.resources.modes import as_twin, awaited, awaited_items, blocking

P = ParamSpec("P")


@frozen(kw_only=True, eq=False)
class _Pending:
    """A command that was sent, in either mode."""

    command: SentCommand
    """The command after the CPO's acknowledgement, or when it was read."""
    findings: tuple[Finding, ...] = ()
    """The findings of the checks before sending: warnings, and errors if it was sent by ``force``."""
    _waiting: Waiting = field(repr=False)

    @property
    def uid(self) -> str:
        """Its id; ``emsp.commands.pending(party, uid)`` awaits it in any process."""
        return self.command.uid

    @property
    def acknowledgement(self) -> CommandResponseType | None:
        """The CPO's immediate response; None if unknown."""
        return self.command.acknowledgement


@frozen(kw_only=True, eq=False)
class PendingCommand(_Pending):
    """A command that was sent, whatever its state. It holds no connection, and outlives its client."""

    @blocking
    async def result(self, timeout: float | None = None) -> CommandResponseType:
        """Wait for the charge point's result; for a refused command the refusal, TIMEOUT after its deadline.

        Waits at most until the deadline; it does not matter which process receives the result, or whether a worker
        runs. Raises TimeoutError if ``timeout`` seconds pass before, StoreFailed, UnknownCommand if the command was
        deleted meanwhile, ValueError for a negative timeout.
        """
        return await self._waiting.outcome(self.command.key, timeout)

    @blocking
    async def session(self, timeout: float | None = None) -> str | None:
        """Wait for the id of the session that a START_SESSION caused; None if there will be none.

        There will be none if the command was refused, or no session was received within
        ``CommandLimits.session_window`` after its deadline. Raises TimeoutError if ``timeout`` seconds pass before,
        StoreFailed, UnknownCommand, ValueError for a negative timeout.
        """
        return await self._waiting.session(self.command.key, timeout)

    @blocking
    async def refresh(self) -> SentCommand:
        """Read the current state of the command. Raises StoreFailed, UnknownCommand if it was deleted meanwhile."""
        return await self._waiting.now(self.command.key)


@frozen(kw_only=True, eq=False)
class AsyncPendingCommand(_Pending):
    """:class:`PendingCommand`, awaited: ``await pending`` returns the result."""

    result = awaited(PendingCommand.result)
    session = awaited(PendingCommand.session)
    refresh = awaited(PendingCommand.refresh)

    def __await__(self) -> Generator[object, None, CommandResponseType]:
        return self.result().__await__()


def pending_of(waiting: Waiting, command: SentCommand, findings: tuple[Finding, ...] = ()) -> PendingCommand:
    """Return the pending command in the mode of ``waiting``: an AsyncPendingCommand for an async host."""
    kind = PendingCommand if waiting.mode == "sync" else AsyncPendingCommand
    return cast("PendingCommand", kind(command=command, findings=findings, waiting=waiting))


def awaited_pending(
    method: Callable[Concatenate[Any, P], PendingCommand],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, AsyncPendingCommand]]:
    """Return the twin of a ``blocking`` method that returns a pending command (:func:`pending_of`)."""
    flow = cast("Callable[Concatenate[Any, P], Coroutine[Any, Any, AsyncPendingCommand]]", awaited(method))

    @wraps(method)
    async def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncPendingCommand:
        return await flow(self, *args, **kwargs)

    as_twin(method, call)
    return call


class Commands(Resource):
    """Commands that we sent: list, await and expire them. A client sends them: ``cpo.start_session``."""

    @blocking
    async def get(self, party: PartyLike, uid: str) -> SentCommand | None:
        """Get the stored command with this id, or None."""
        return await command.get_command(self._contexts(), *PartyId.of(party), uid)

    @blocking
    async def pending(self, party: PartyLike, uid: str) -> PendingCommand:
        """Get the command with this id, to await it; also after a restart, in any process on the same store.

        Raises UnknownCommand if no such command was sent to the party.
        """
        waiting = self._contexts.waiting
        return pending_of(waiting, await waiting.now(command_key(*PartyId.of(party), uid)))

    def list(self, party: PartyLike | None = None, *, after: int = 0, limit: int | None = None) -> Items[SentCommand]:
        """List commands, oldest first, of one party if given, ``after`` a command's ``sequence``."""
        return Items(partial(command.list_commands, self._contexts(), *codes_of(party)), after=after, limit=limit)

    @blocking
    async def expire(self) -> int:
        """Handle every deadline that passed: commands without a result become TIMED_OUT, reservations end.

        Returns their number. Also ends the search for sessions of old commands. ``emsp.running()`` does this as well.
        Raises StoreFailed.
        """
        context = self._contexts()
        return (await deadlines.expire(context)).done + await command_links.forget_old(context)


class AsyncCommands(Resource):
    """:class:`Commands`, awaited."""

    get = awaited(Commands.get)
    pending = awaited_pending(Commands.pending)
    list = awaited_items(Commands.list)
    expire = awaited(Commands.expire)
