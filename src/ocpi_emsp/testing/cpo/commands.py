"""Commands: the direct answer, and the result that is sent to the response_url later.

Rules obeyed (OCPI 2.1.1, mod_commands.md): the direct answer tells whether the CPO could send the request to the
Charge Point; only after ACCEPTED follows a result, POSTed to the response_url of the request (2.1.1, 2.2.1).
An unknown session is UNKNOWN_SESSION (4.1), an unknown location the status_code 2003 (status_codes.md).
An unknown EVSE or connector of a known location is REJECTED, as 2.1.1 has no code of its own for it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine

import httpx
from attrs import evolve, frozen

from ocpi_emsp.testing.cpo.catalogue import Catalogue
from ocpi_emsp.testing.cpo.failures import HTML
from ocpi_emsp.testing.cpo.fields import COMMANDS, check
from ocpi_emsp.testing.cpo.outgoing import LOG_LENGTH, NotRegisteredError, Outgoing
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import Document, Json, Request, RequestError, Response, answer

ACCEPTED = "ACCEPTED"


@frozen(kw_only=True)
class CommandResult:
    """A result that was sent; `error` tells why it did not arrive."""

    command: str
    response_url: str
    result: str
    status: int | None = None
    status_code: int | None = None
    error: str | None = None


class Tasks:
    """Background tasks that can be awaited and cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Runs `work` in the background of the running event loop."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait_idle(self) -> None:
        """Returns when nothing runs any more; raises what a task raised."""
        while self._tasks:
            done, _ = await asyncio.wait(self._tasks)
            for task in done:
                if not task.cancelled():
                    task.result()

    async def cancel(self) -> None:
        """Cancels what runs and waits for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Commands:
    """The commands endpoint; `follow` is called after an ACCEPTED result has been sent."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        outgoing: Outgoing,
        tasks: Tasks,
        follow: Callable[[str, Document], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._outgoing = outgoing
        self._tasks = tasks
        self._follow = follow
        self.results: deque[CommandResult] = deque(maxlen=LOG_LENGTH)

    async def post(self, command: str, request: Request) -> Response:
        """Acknowledges a command and plans its result. Raises `RequestError` (2001 or 2003)."""
        body = check(request.json(), COMMANDS[command])
        acknowledgement = self._acknowledge(command, body)
        result = self._settings.command_results.get(command, ACCEPTED)
        if acknowledgement == ACCEPTED and result is not None and self._settings.results != "never":
            await self._begin(command, body, result)
        return self._failed(answer(self._response(acknowledgement)))

    async def _begin(self, command: str, body: Document, result: str) -> None:
        """Sends the result, or plans it."""
        sending = self._send_result(command, body, result)
        if self._settings.results == "first":
            await sending
        else:
            self._tasks.start(sending)

    def _failed(self, response: Response) -> Response:
        """The direct answer, or what comes in its place. Raises `RequestError`."""
        match self._settings.command_failure:
            case "html":
                return Response(status=502, body=HTML, headers={"content-type": "text/html"})
            case "server-error":
                raise RequestError(500, 3000, "Something went wrong")
            case "not-json":
                return evolve(response, body=response.body[: len(response.body) // 2])
            case "no-answer":
                return evolve(response, cut=True)
        return response

    def _acknowledge(self, command: str, body: Document) -> str:
        if command == "STOP_SESSION":
            if self._catalogue.sessions.get(body["session_id"]) is None:
                return "UNKNOWN_SESSION"
        elif self._catalogue.locations.get(body["location_id"]) is None:
            raise RequestError(200, 2003, f"Unknown location: {body['location_id']}")
        elif self._catalogue.find(body["location_id"], body.get("evse_uid"), body.get("connector_id")) is None:
            return "REJECTED"
        return self._settings.command_acknowledgements.get(command, ACCEPTED)

    def _response(self, result: str) -> Json:
        return result if self._settings.bare_command_result else {"result": result}

    async def _send_result(self, command: str, body: Document, result: str) -> None:
        await asyncio.sleep(self._settings.command_delay + self._settings.result_delay)
        if not await self._deliver(command, body["response_url"], result):
            return
        if self._settings.results in ("twice", "contradicting"):
            await self._deliver(command, body["response_url"], self._next(result))
        if result == ACCEPTED:
            await self._follow(command, body)

    def _next(self, result: str) -> str:
        """What is sent after a result."""
        if self._settings.results == "twice":
            return result
        return "REJECTED" if result == ACCEPTED else ACCEPTED

    async def _deliver(self, command: str, url: str, result: str) -> bool:
        """Sends a result once; whether there was an answer."""
        try:
            exchange = await self._outgoing.send("POST", url, token=self._outgoing.token(), body=self._response(result))
        except (httpx.HTTPError, httpx.InvalidURL, NotRegisteredError) as error:
            failed = CommandResult(command=command, response_url=url, result=result, error=str(error))
            self.results.append(failed)
            return False
        self.results.append(
            CommandResult(
                command=command,
                response_url=url,
                result=result,
                status=exchange.status,
                status_code=exchange.status_code,
            )
        )
        return True
