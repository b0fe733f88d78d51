"""The application: the eMSP answers below the path of OCPI_EMSP_URL, and hands every other request to the project."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from asgi_backend.charging import emsp
from asgi_backend.views import VIEWS
from ocpi_emsp import OcpiError
from ocpi_emsp.errors import InvalidObject

MOST = 1_000_000
"""Bytes of a request."""
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def project(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer a request with JSON."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    status, document = await _answer(scope, receive)
    body = json.dumps(document, separators=(",", ":")).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    async with emsp.aio.running(sync_every=timedelta(hours=4)):  # the background work, while the server runs
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await emsp.aio.close()
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(scope: dict[str, Any], receive: Receive) -> tuple[int, Any]:
    name, *ids = scope["path"].strip("/").split("/")
    view = VIEWS.get((scope["method"], name, len(ids)))
    if view is None:
        return 404, None
    try:
        answer = await view(_object(await _body(receive)), *ids)
    except InvalidObject as error:  # why a command was not sent
        return 422, {"error": str(error)}
    except OcpiError as error:  # what the CPO answered
        return 502, {"error": str(error)}
    except TimeoutError as error:
        return 504, {"error": str(error)}
    except KeyError as error:
        return 400, {"error": f"missing {error}"}
    except ValueError as error:
        return 400, {"error": str(error)}
    return (404 if answer is None else 200), answer


def _object(body: bytes) -> dict[str, Any]:
    document = json.loads(body or b"{}")
    if not isinstance(document, dict):
        raise ValueError("expected a JSON object")
    return document


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MOST:
            raise ValueError(f"the body has more than {MOST} bytes")
    return body


app = emsp.asgi(background=False, fallback=project)
