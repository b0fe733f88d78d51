"""Commands that we sent, and what becomes of them."""

from __future__ import annotations

import builtins
from collections.abc import Generator

from attrs import field, frozen

from ocpi_emsp._bridge import run
from ocpi_emsp._command_waiter import Waiting
from ocpi_emsp.findings import Finding
from ocpi_emsp.flows.commands import deadlines
from ocpi_emsp.flows.commands import send as command
from ocpi_emsp.flows.commands import session_link as command_links
from ocpi_emsp.flows.commands.states import SentCommand, command_key
from ocpi_emsp.models import CommandResponseType


@frozen(kw_only=True, eq=False)
class PendingCommand:
    """A command that was sent, whatever becomes of it. It holds no connection, and outlives its client."""

    command: SentCommand
    """As it stood when the CPO had answered, or when this was asked for."""
    findings: tuple[Finding, ...] = ()
    """What the checks before sending found: warnings, and errors where it was sent by ``force``."""
    _waiting: Waiting = field(repr=False)

    @property
    def uid(self) -> str:
        """Its id; ``emsp.commands.pending(country_code, party_id, uid)`` awaits it in any process."""
        return self.command.uid

    @property
    def acknowledgement(self) -> CommandResponseType | None:
        """What the CPO said at once; None where that is not known."""
        return self.command.acknowledgement

    def result(self, timeout: float | None = None) -> CommandResponseType:
        """What became of it: the charge point's result; what the CPO refused it with; TIMEOUT after its deadline.

        Blocks until that is known, at most until the deadline; wherever the result comes in, and whether a worker runs
        or not. Raises TimeoutError where ``timeout`` seconds pass before, StoreFailed, UnknownCommand where the command
        was deleted meanwhile.
        """
        return run(self._waiting.outcome(self.command.key, timeout))

    def session(self, timeout: float | None = None) -> str | None:
        """The id of the session that a START_SESSION led to, once the CPO sent it; None where there will be none.

        There will be none where the command was refused, or no session came within ``CommandLimits.session_window``
        after its deadline. Raises TimeoutError where ``timeout`` seconds pass before, StoreFailed, UnknownCommand.
        """
        return run(self._waiting.session(self.command.key, timeout))

    def refresh(self) -> SentCommand:
        """The command as it stands now. Raises StoreFailed, UnknownCommand where it was deleted meanwhile."""
        return run(self._waiting.now(self.command.key))


@frozen(kw_only=True, eq=False)
class AsyncPendingCommand:
    """:class:`PendingCommand`, awaited: ``await pending`` gives the result."""

    command: SentCommand
    """As it stood when the CPO had answered, or when this was asked for."""
    findings: tuple[Finding, ...] = ()
    """What the checks before sending found: warnings, and errors where it was sent by ``force``."""
    _waiting: Waiting = field(repr=False)

    @property
    def uid(self) -> str:
        """Its id; ``emsp.async_commands.pending(country_code, party_id, uid)`` awaits it in any process."""
        return self.command.uid

    @property
    def acknowledgement(self) -> CommandResponseType | None:
        """What the CPO said at once; None where that is not known."""
        return self.command.acknowledgement

    def __await__(self) -> Generator[object, None, CommandResponseType]:
        return self.result().__await__()

    async def result(self, timeout: float | None = None) -> CommandResponseType:
        """What became of it: the charge point's result; what the CPO refused it with; TIMEOUT after its deadline.

        Waits until that is known, at most until the deadline; wherever the result comes in, and whether a worker runs
        or not. Raises TimeoutError where ``timeout`` seconds pass before, StoreFailed, UnknownCommand where the command
        was deleted meanwhile.
        """
        return await self._waiting.outcome(self.command.key, timeout)

    async def session(self, timeout: float | None = None) -> str | None:
        """The id of the session that a START_SESSION led to, once the CPO sent it; None where there will be none.

        There will be none where the command was refused, or no session came within ``CommandLimits.session_window``
        after its deadline. Raises TimeoutError where ``timeout`` seconds pass before, StoreFailed, UnknownCommand.
        """
        return await self._waiting.session(self.command.key, timeout)

    async def refresh(self) -> SentCommand:
        """The command as it stands now. Raises StoreFailed, UnknownCommand where it was deleted meanwhile."""
        return await self._waiting.now(self.command.key)


class Commands:
    """Commands that we sent: looked at, awaited, expired. They are sent by a client (:meth:`Emsp.client`)."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    def get(self, country_code: str, party_id: str, uid: str) -> SentCommand | None:
        """The command with this id as it is stored, or None."""
        return run(command.get_command(self._waiting.context(), country_code, party_id, uid))

    def pending(self, country_code: str, party_id: str, uid: str) -> PendingCommand:
        """The command with this id, to be awaited; after a restart, in any process on the same store.

        Raises UnknownCommand where the party got no such command from us.
        """
        sent = run(self._waiting.now(command_key(country_code, party_id, uid)))
        return PendingCommand(command=sent, waiting=self._waiting)

    def list(
        self, country_code: str | None = None, party_id: str | None = None, *, after: int = 0, limit: int = 100
    ) -> builtins.list[SentCommand]:
        """Commands, oldest first, of one party where its codes are given, and ``after`` a command's ``sequence``."""
        return run(command.list_commands(self._waiting.context(), country_code, party_id, after, limit))

    def expire(self) -> int:
        """Deal with every deadline that passed: commands without a result are TIMED_OUT, reservations end.

        Gives their number. Nobody looks for the sessions of old commands after that. ``emsp.keep_delivering`` does it
        beside delivering events. Raises StoreFailed.
        """
        context = self._waiting.context()
        return run(deadlines.expire(context)).done + run(command_links.forget_old(context))


class AsyncCommands:
    """:class:`Commands`, awaited."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    async def get(self, country_code: str, party_id: str, uid: str) -> SentCommand | None:
        """The command with this id as it is stored, or None."""
        return await command.get_command(self._waiting.context(), country_code, party_id, uid)

    async def pending(self, country_code: str, party_id: str, uid: str) -> AsyncPendingCommand:
        """The command with this id, to be awaited; after a restart, in any process on the same store.

        Raises UnknownCommand where the party got no such command from us.
        """
        sent = await self._waiting.now(command_key(country_code, party_id, uid))
        return AsyncPendingCommand(command=sent, waiting=self._waiting)

    async def list(
        self, country_code: str | None = None, party_id: str | None = None, *, after: int = 0, limit: int = 100
    ) -> builtins.list[SentCommand]:
        """Commands, oldest first, of one party where its codes are given, and ``after`` a command's ``sequence``."""
        return await command.list_commands(self._waiting.context(), country_code, party_id, after, limit)

    async def expire(self) -> int:
        """Deal with every deadline that passed: commands without a result are TIMED_OUT, reservations end.

        Gives their number. Nobody looks for the sessions of old commands after that. ``emsp.async_keep_delivering``
        does it beside delivering events. Raises StoreFailed.
        """
        context = self._waiting.context()
        return (await deadlines.expire(context)).done + await command_links.forget_old(context)
