"""A blocking call that waits for a request of the partner, in the event loop that has to answer it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from ocpi_emsp import Emsp
from ocpi_emsp.models import CommandResponseType
from ocpi_emsp.testing.local_cpo import local_cpo
from our_emsp import make_emsp, token

CALLS: dict[str, Callable[[Emsp, Any], object]] = {
    "register": lambda emsp, _: emsp.parties.register("https://cpo.example.com/versions", token_a="token"),
    "update": lambda emsp, _: emsp.partner("NL-TNM").update(),
    "rotate": lambda emsp, _: emsp.partner("NL-TNM").rotate(),
    "waiting for a command": lambda _, pending: pending.result(timeout=30),
}


@pytest.mark.parametrize("what", CALLS)
def test_it_is_refused_at_once(what: str) -> None:
    emsp = make_emsp()
    with local_cpo(preset="no-result") as cpo:
        cpo.register_with(emsp).push_location("LOC1")
        with emsp.partner("NL-TNM").client() as client:
            pending = client.start_session(token=token(), location_id="LOC1", force=True)

        async def host() -> None:
            async with emsp.aio.running():
                with pytest.raises(RuntimeError, match=f"^{what} blocks the event loop .*: await its twin below"):
                    CALLS[what](emsp, pending)
                twin = await emsp.aio.commands.pending("NL-TNM", pending.uid)
                with pytest.raises(TimeoutError):
                    await twin.result(timeout=0.01)

        anyio.run(host)


def test_elsewhere_it_waits() -> None:
    emsp = make_emsp()

    async def notebook(pending: Any) -> CommandResponseType:
        result: CommandResponseType = pending.result(timeout=30)
        return result

    with local_cpo() as cpo:
        cpo.register_with(emsp).push_location("LOC1")
        with emsp.partner("NL-TNM").client() as client:
            pending = client.start_session(token=token(), location_id="LOC1", force=True)
        assert anyio.run(notebook, pending) == CommandResponseType.ACCEPTED
