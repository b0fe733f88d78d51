"""The simulated CPO: a partner for an eMSP, in one object. See the package's docstring for its use."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from attrs import define, field

from ocpi_emsp.testing.cpo.application import Application, application
from ocpi_emsp.testing.cpo.catalogue import Catalogue
from ocpi_emsp.testing.cpo.changes import Changes
from ocpi_emsp.testing.cpo.commands import CommandResult, Commands, Tasks
from ocpi_emsp.testing.cpo.control import Control
from ocpi_emsp.testing.cpo.follow import follow_command
from ocpi_emsp.testing.cpo.handshake import Handshake
from ocpi_emsp.testing.cpo.interface import Interface, Received, ReceivedToken
from ocpi_emsp.testing.cpo.outgoing import Exchange, Outgoing
from ocpi_emsp.testing.cpo.registration import Invitation, Registration, new_token
from ocpi_emsp.testing.cpo.streams import Streams
from ocpi_emsp.testing.cpo.wire import ABSENT, Absent, Document, Json


@define(kw_only=True, slots=False, eq=False)
class SimulatedCpo(Changes):
    """A CPO that speaks OCPI 2.1.1; its arguments and attributes are those of `Settings`.

    `app` is the ASGI application. Use it as `async with SimulatedCpo() as cpo`, or call `aclose` at the end.
    """

    catalogue: Catalogue = field(init=False, repr=False)
    registration: Registration = field(init=False, factory=Registration)
    _outgoing: Outgoing = field(init=False, repr=False)
    _handshake: Handshake = field(init=False, repr=False)
    _tasks: Tasks = field(init=False, repr=False, factory=Tasks)
    _streams: Streams = field(init=False, repr=False, factory=Streams)
    _commands: Commands = field(init=False, repr=False)
    _interface: Interface = field(init=False, repr=False)
    app: Application = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.registration.invitation = self.token_a
        self.catalogue = Catalogue(self)
        self._outgoing = Outgoing(self, self.registration)
        self._handshake = Handshake(self, self.registration, self._outgoing)
        self._commands = Commands(self, self.catalogue, self._outgoing, self._tasks, self._follow)
        self._interface = Interface(self, self.catalogue, self.registration, self._handshake, self._commands)
        self._lists, self._failures = self._interface.lists, self._interface.failures
        self.app = application(self, self._interface, Control(self), self._streams, self.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancels pending command results and closes the connections; the CPO can be used again afterwards."""
        self.stop_streams()
        await self._tasks.cancel()
        await self._outgoing.aclose()

    def stop_streams(self) -> None:
        """Ends answers that are being sent piece by piece, such as an endless one; a server calls it when it stops."""
        self._streams.stop()

    # What has happened

    @property
    def registered(self) -> bool:
        """Whether the CPO and an eMSP are registered with each other."""
        return self.registration.registered

    @property
    def tokens(self) -> list[Document]:
        """The eMSP's Token objects, pushed by it or fetched by `get_tokens`."""
        return self._interface.tokens.all()

    @property
    def received(self) -> Sequence[Received]:
        """The latest OCPI requests received, oldest first."""
        return self._interface.received

    @property
    def received_tokens(self) -> Sequence[ReceivedToken]:
        """The latest Token objects received by PUT and PATCH, accepted or not, oldest first."""
        return self._interface.received_tokens

    @property
    def sent(self) -> Sequence[Exchange]:
        """The latest requests sent to the eMSP, oldest first."""
        return self._outgoing.log

    @property
    def command_results_sent(self) -> Sequence[CommandResult]:
        """The latest command results sent to a response_url, oldest first."""
        return self._commands.results

    async def wait_idle(self) -> None:
        """Returns once every pending command result has been sent (and what follows from it)."""
        await self._tasks.wait_idle()

    # Handshakes

    def invite(self) -> Invitation:
        """What to hand to an eMSP; the same until it is used, then a fresh one."""
        if self.registration.invitation is None:
            self.registration.invitation = new_token()
        return Invitation(self.versions_url, self.registration.invitation)

    async def register(self, versions_url: str, token_a: str) -> list[Exchange]:
        """Registers at an eMSP with the token that it gave: versions, details of 2.1.1, POST credentials.

        Returns every exchange; if the last one is not `ok`, the eMSP refused. Raises `HandshakeError` if the POST
        could not be sent or was answered without credentials, and `httpx.HTTPError` if it got no answer.
        """
        return await self._handshake.register(versions_url, token_a)

    async def update_credentials(self, method: str = "PUT", *, fields: Sequence[str] = ()) -> list[Exchange]:
        """Fetches the eMSP's endpoints again and sends it a new token (all credentials, or only `fields`).

        `method` is PUT, or PATCH, which the specification has not (credentials.md 1).

        Returns and raises like `register`; also raises `NotRegisteredError`.
        """
        return await self._handshake.update(method, fields)

    async def unregister(self) -> Exchange:
        """DELETE credentials; if the eMSP agrees, all tokens are forgotten. Raises `NotRegisteredError`."""
        return await self._handshake.unregister()

    # Calls

    async def call(
        self,
        method: str,
        module: str,
        path: str = "",
        *,
        body: Json | Absent = ABSENT,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Sends one request to the eMSP and returns the exchange, whatever the answer.

        `module` is a ModuleID, whose URL is looked up in the eMSP's version details, or an absolute URL that the
        eMSP gave. `path` is appended as it is (encoded already). `body` is JSON, or `bytes` to be sent untouched.
        `headers` are added and may replace `Authorization`. Raises `NotRegisteredError`, `EndpointMissingError` and
        `httpx.HTTPError` (no answer).
        """
        return await self._outgoing.call(method, module, path, body=body, query=query, headers=headers)

    def resolve(self, module: str, reference: str) -> str:
        """The absolute URL of a link that the eMSP returned, relative to a module's URL."""
        return self._outgoing.resolve(module, reference)

    def store_tokens(self, tokens: list[Document]) -> None:
        """Keeps the eMSP's Token objects, as if it had pushed them."""
        emsp = self.registration.emsp or {}
        for token in tokens:
            if isinstance(token.get("uid"), str):
                self._interface.tokens.put(emsp.get("country_code", ""), emsp.get("party_id", ""), token)

    async def _follow(self, command: str, body: Document) -> None:
        if self.sessions_follow_commands:
            await follow_command(self, command, body)
