"""The simulated CPO: a partner for an eMSP, in one object. See the package's docstring for its use."""

from typing import Self

from attrs import define, field

from ocpi_emsp.testing.cpo.application import Application, Streams, application
from ocpi_emsp.testing.cpo.control import Control
from ocpi_emsp.testing.cpo.running import RunningCpo
from ocpi_emsp.testing.cpo.wire import Answer, Request


@define(kw_only=True, slots=False, eq=False)
class SimulatedCpo(RunningCpo):
    """A CPO that speaks OCPI 2.1.1; its arguments and attributes are those of `Settings`.

    `app` is the ASGI application. Use it as `async with SimulatedCpo() as cpo`, or call `aclose` at the end.
    """

    _streams: Streams = field(init=False, repr=False, factory=Streams)
    app: Application = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        control, interface = Control(self), self._interface

        async def controlled(request: Request) -> Answer:
            return await (control.answer(request) if self.control else interface.unknown(request))

        routes = {"/control/{path:path}": controlled, **interface.routes()}
        self.app = application(routes, interface.unknown, self._streams, self.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel pending command results and close the connections; the CPO can be used again afterwards."""
        self.stop_streams()
        await self._commands.tasks.cancel()
        await self.outgoing.aclose()

    def stop_streams(self) -> None:
        """End responses that are being sent piece by piece, such as an endless one; a server calls this when it
        stops.
        """
        self._streams.stop()
