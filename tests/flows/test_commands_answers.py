"""What a CPO may answer a command with, and a process that ends in between (docs/how-to/commands.md)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from attrs import evolve

from flows.commands_desk import ACCEPTED, REJECTED, TIMEOUT, CommandServer, callback, known, start, stored
from ocpi_emsp import OcpiError
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import (
    AnswerUnusable,
    PartnerError,
    PartnerRefused,
    PartnerUnavailable,
    TransportFailed,
    UnsafeUrl,
)
from ocpi_emsp.flows.parties.party import put_party
from ocpi_emsp.resources import CommandState
from ocpi_emsp.settings import RateLimit
from processes import Killed
from scripted_cpo import envelope

UNANSWERED, REFUSED = CommandState.UNANSWERED, CommandState.REFUSED


def answering(status: int, **content: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, **content)


def nothing(_: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("it takes too long")


ANSWERS: list[tuple[Callable[[httpx.Request], httpx.Response], type[PartnerError], CommandState]] = [
    (answering(500), PartnerRefused, UNANSWERED),
    (answering(500, json=envelope(None, 2000)), PartnerRefused, UNANSWERED),
    (answering(503, json=envelope(None, 3000)), PartnerRefused, UNANSWERED),
    (answering(200, json=envelope(None, 3000)), PartnerRefused, UNANSWERED),
    (answering(302, headers={"location": "https://elsewhere.test"}), PartnerRefused, UNANSWERED),
    (answering(200, html="<h1>It works</h1>"), AnswerUnusable, UNANSWERED),
    (answering(200), AnswerUnusable, UNANSWERED),
    (answering(200, text="ACCEPTED"), AnswerUnusable, UNANSWERED),
    (answering(200, json=envelope(None)), AnswerUnusable, UNANSWERED),
    (answering(200, json=envelope({})), AnswerUnusable, UNANSWERED),
    (answering(200, json=envelope({"result": None})), AnswerUnusable, UNANSWERED),
    (answering(200, json=envelope([])), AnswerUnusable, UNANSWERED),
    (answering(200, json=envelope(5)), AnswerUnusable, UNANSWERED),
    (answering(200, json=envelope({"result": "AC\0CEPTED"})), AnswerUnusable, UNANSWERED),
    (nothing, TransportFailed, UNANSWERED),
    (answering(404), PartnerRefused, REFUSED),
    (answering(401, json=envelope(None, 2000)), PartnerRefused, REFUSED),
    (answering(200, json=envelope(None, 2001)), PartnerRefused, REFUSED),
    (answering(200, json={**envelope(None, 2003), "status_message": "no \0 such\nthing"}), PartnerRefused, REFUSED),
]


@pytest.mark.parametrize(("answer", "kind", "state"), ANSWERS)
def test_an_answer_that_is_none_is_raised_and_the_command_is_kept(
    answer: Callable[[httpx.Request], httpx.Response], kind: type[PartnerError], state: CommandState
) -> None:
    server = CommandServer(answer=answer)
    cpo = known(server)
    with pytest.raises(kind) as caught:
        start(cpo.emsp)
    assert caught.value.command_uid == server.uid
    kept = stored(cpo, server.uid)
    assert (kept.state, kept.acknowledgement, kept.result) == (state, None, None)
    assert kept.error is not None
    assert kept.error.startswith(kind.__name__)
    assert "\0" not in kept.error
    pending = cpo.emsp.commands.pending("NL-TNM", server.uid)
    if state == REFUSED:
        assert pending.result() == REJECTED
    else:
        with pytest.raises(TimeoutError, match="START_SESSION"):
            pending.result(timeout=0)
    # It may have arrived all the same.
    assert cpo.push("POST", callback(kept), {"result": "ACCEPTED"}).both == (200, 1000)
    assert pending.result() == ACCEPTED
    assert cpo.taken() == ["CommandResultReceived"]


def test_a_command_without_an_answer_times_out_like_any_other() -> None:
    server = CommandServer(answer=answering(502))
    cpo = known(server)
    with pytest.raises(PartnerRefused):
        start(cpo.emsp)
    cpo.clock.advance(minutes=2)
    assert cpo.emsp.commands.expire() == 1
    assert cpo.emsp.commands.pending("NL-TNM", server.uid).result() == TIMEOUT
    assert cpo.taken() == ["CommandTimedOut"]


def test_what_was_surely_not_sent_is_refused_at_once() -> None:
    """All slots for requests are taken, by the command that is being answered."""
    later: list[OcpiError] = []

    def meanwhile(_: httpx.Request) -> None:
        with pytest.raises(PartnerUnavailable) as caught:
            start(cpo.emsp)
        later.append(caught.value)

    rate_limit = RateLimit(concurrent_requests=1, slot_timeout=timedelta(milliseconds=10))
    server = CommandServer(answer=meanwhile)
    cpo = known(server, rate_limit=rate_limit)
    first = start(cpo.emsp)
    assert len(server.bodies) == 1
    (error,) = later
    assert isinstance(error, PartnerError)
    assert error.command_uid not in (None, first.uid)
    kept = stored(cpo, error.command_uid or "")
    assert (kept.state, kept.outcome) == (REFUSED, REJECTED)


def test_an_address_that_the_policy_forbids_is_never_called() -> None:
    server = CommandServer()
    cpo = known(server)
    endpoints = tuple(evolve(each, url=each.url.replace("https:", "http:")) for each in cpo.party().endpoints)
    party = evolve(cpo.party(), endpoints=endpoints)

    async def write() -> None:
        async with cpo.store.transaction() as tx:
            await put_party(tx, party, cpo.clock.now())

    run(write())
    with pytest.raises(UnsafeUrl):
        start(cpo.emsp)
    assert server.bodies == []
    (kept,) = cpo.emsp.commands.list()
    assert (kept.state, kept.error is not None) == (REFUSED, True)


def test_who_is_killed_between_sending_and_the_answer_loses_nothing() -> None:
    def kill(_: httpx.Request) -> None:
        raise Killed

    server = CommandServer(answer=kill)
    cpo = known(server)
    with pytest.raises(Killed):
        start(cpo.emsp)
    kept = stored(cpo, server.uid)
    assert (kept.state, kept.acknowledgement, kept.error) == (CommandState.SENDING, None, None)
    cpo.clock.advance(minutes=1)
    assert cpo.emsp.commands.expire() == 0
    cpo.clock.advance(minutes=1)
    assert cpo.emsp.commands.expire() == 1
    assert stored(cpo, server.uid).state == CommandState.TIMED_OUT
    assert cpo.taken() == ["CommandTimedOut"]


def test_who_is_killed_before_the_answer_still_gets_the_result() -> None:
    def kill(_: httpx.Request) -> None:
        raise Killed

    server = CommandServer(answer=kill)
    cpo = known(server)
    with pytest.raises(Killed):
        start(cpo.emsp)
    assert cpo.push("POST", callback(stored(cpo, server.uid)), {"result": "ACCEPTED"}).both == (200, 1000)
    assert cpo.emsp.commands.pending("NL-TNM", server.uid).result() == ACCEPTED
