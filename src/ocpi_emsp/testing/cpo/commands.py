"""Commands: the direct response, and the result that is sent to the response_url later.

Rules obeyed (OCPI 2.1.1, mod_commands.md): the direct response says whether the CPO could send the request to the
Charge Point; only after ACCEPTED a result follows, POSTed to the response_url of the request (2.1.1, 2.2.1). An unknown
session is UNKNOWN_SESSION (4.1), an unknown location the status_code 2003 (status_codes.md). An unknown EVSE or
connector of a known location is REJECTED, as 2.1.1 has no code of its own for it.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine

from attrs import evolve, frozen

from ocpi_emsp.testing.cpo.calls import EmspCalls
from ocpi_emsp.testing.cpo.failures import HTML
from ocpi_emsp.testing.cpo.fields import COMMANDS, check
from ocpi_emsp.testing.cpo.follow import complete, follow_command
from ocpi_emsp.testing.cpo.outgoing import LOG_LENGTH, NotRegisteredError
from ocpi_emsp.testing.cpo.wire import Answer, Document, Json, Request, RequestError, answer, timestamp
from ocpi_emsp.transports.library import http_errors

ACCEPTED = "ACCEPTED"


@frozen(kw_only=True)
class CommandResult:
    """A result that was sent; `error` says why it did not arrive."""

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
        """Run `work` in the background of the running event loop."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait_idle(self) -> None:
        """Return when nothing runs any more; raise what a task raised."""
        while self._tasks:
            done, _ = await asyncio.wait(self._tasks)
            for task in done:
                if not task.cancelled():
                    task.result()

    async def cancel(self) -> None:
        """Cancel running tasks and wait for their end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Commands:
    """The commands endpoint; the charge point's actions follow an ACCEPTED result."""

    def __init__(self, cpo: EmspCalls) -> None:
        self._cpo = cpo
        self.tasks = Tasks()
        self.results: deque[CommandResult] = deque(maxlen=LOG_LENGTH)

    async def post(self, command: str, request: Request) -> Answer:
        """Acknowledge a command and schedule its result. Raises `RequestError` (2001 or 2003)."""
        body = check(await request.document(), COMMANDS[command])
        acknowledgement = self._acknowledge(command, body)
        result = self._cpo.command_results.get(command, ACCEPTED)
        if acknowledgement == ACCEPTED and result is not None and self._cpo.results != "never":
            await self._begin(command, body, result)
        return self._failed(answer(self._cpo.now, self._response(acknowledgement)))

    async def _begin(self, command: str, body: Document, result: str) -> None:
        """Send the result, or schedule it."""
        sending = self._send_result(command, body, result)
        if self._cpo.results == "first":
            await sending
        else:
            self.tasks.start(sending)

    def _failed(self, response: Answer) -> Answer:
        """Return the direct response, or its replacement. Raises `RequestError`."""
        match self._cpo.command_failure:
            case "html":
                return Answer(status=502, body=HTML, headers={"content-type": "text/html"})
            case "server-error":
                raise RequestError(500, 3000, "Something went wrong")
            case "not-json":
                return evolve(response, body=response.body[: len(response.body) // 2])
            case "no-answer":
                return evolve(response, cut=True)
        return response

    def _acknowledge(self, command: str, body: Document) -> str:
        catalogue = self._cpo.catalogue
        if self._cpo.authorization_ids and command == "START_SESSION" and "authorization_id" not in body:
            return "REJECTED"
        if command == "STOP_SESSION":
            if catalogue.find("sessions", body["session_id"]) is None:
                return "UNKNOWN_SESSION"
        elif catalogue.find("locations", body["location_id"]) is None:
            raise RequestError(200, 2003, f"Unknown location: {body['location_id']}")
        else:
            ids = [body[name] for name in ("location_id", "evse_uid", "connector_id") if body.get(name) is not None]
            if catalogue.find("locations", *ids) is None:
                return "REJECTED"
        return self._cpo.command_acknowledgements.get(command, ACCEPTED)

    def _response(self, result: str) -> Json:
        response = result if self._cpo.bare_command_result else {"result": result}
        return [response] if self._cpo.wrapped_command_result else response

    def _request(self, result: str) -> Json:
        response = self._response(result)
        if not self._cpo.wrapped_command_result:
            return response
        return {"data": response, "status_code": 1000, "timestamp": timestamp(self._cpo.now)}

    async def _send_result(self, command: str, body: Document, result: str) -> None:
        await asyncio.sleep(self._cpo.command_delay + self._cpo.result_delay)
        if not await self._deliver(command, body["response_url"], result):
            return
        if self._cpo.results in ("twice", "contradicting"):
            await self._deliver(command, body["response_url"], self._next(result))
        if result == ACCEPTED and self._cpo.sessions_follow_commands:
            session_id = await follow_command(self._cpo, command, body)
            if session_id is not None and self._cpo.session_seconds is not None:
                self.tasks.start(self._end(session_id, self._cpo.session_seconds))

    async def _end(self, session_id: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await complete(self._cpo, session_id)

    def _next(self, result: str) -> str:
        """Return the result that is sent after another one."""
        if self._cpo.results == "twice":
            return result
        return "REJECTED" if result == ACCEPTED else ACCEPTED

    async def _deliver(self, command: str, url: str, result: str) -> bool:
        """Send a result once; return whether there was a response."""
        sent = CommandResult(command=command, response_url=url, result=result)
        try:
            exchange = await self._cpo.outgoing.send("POST", url, body=self._request(result))
        except http_errors(NotRegisteredError) as error:
            self.results.append(evolve(sent, error=str(error)))
            return False
        self.results.append(evolve(sent, status=exchange.status, status_code=exchange.status_code))
        return True
