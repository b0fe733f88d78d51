"""What exercises each row of the support matrix towards the CPO; test_matrix.py proves that none is missing.

A call is written once for both clients: what it returns is a value, an awaitable or a listing of either mode.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import anyio
import pytest
from anyio.from_thread import BlockingPortal
from attrs import define, frozen

from ocpi_emsp import Emsp, PartyId
from ocpi_emsp.errors import NotRegistered
from ocpi_emsp.models import CommandResponseType, CommandType
from ocpi_emsp.resources import AsyncClient, AsyncListing, AsyncPendingCommand, Client, Listing, PendingCommand
from ocpi_emsp.support import TO_CPO
from ocpi_emsp.testing.cpo import SimulatedCpo
from served.cases import TOKEN, RowKey

BEFORE_ALL = datetime(2020, 1, 1, tzinfo=UTC)


@define
class Caller:
    """An eMSP of one mode, and the simulated CPO that it calls."""

    mode: str
    emsp: Emsp
    cpo: SimulatedCpo
    portal: BlockingPortal
    _client: Client | AsyncClient | None = None

    @property
    def client(self) -> Any:
        """The open client, of either mode."""
        assert self._client is not None
        return self._client

    def register(self) -> Any:
        """Register at a CPO that has forgotten us, as we have it."""
        self.cpo.registration.forget()
        if self.emsp.parties.get(PartyId(self.cpo.country_code, self.cpo.party_id)) is not None:
            self.emsp.partner(PartyId(self.cpo.country_code, self.cpo.party_id)).unregister(tell=False)
        invitation = self.cpo.invite()
        start = self.emsp.parties.register if self.mode == "sync" else self.emsp.aio.parties.register
        return start(invitation.versions_url, token_a=invitation.token_a)

    def do(self, run: Callable[[Caller], Any]) -> Any:
        """What `run` comes to, to the end."""
        if self.mode == "async":
            return anyio.run(self._do_async, run)
        with self.emsp.partner(PartyId(self.cpo.country_code, self.cpo.party_id)).client() as self._client:
            result = run(self)
            return list(result) if isinstance(result, Listing) else result

    async def _do_async(self, run: Callable[[Caller], Any]) -> Any:
        async with self.emsp.aio.partner(PartyId(self.cpo.country_code, self.cpo.party_id)).client() as self._client:
            result = run(self)
            if isinstance(result, AsyncListing):
                return [item async for item in result]
            return await result if inspect.isawaitable(result) else result


@frozen(kw_only=True)
class ToCpo:
    """`run` is the call, `sent` the last request that the CPO must have received for it, `check` the outcome."""

    key: RowKey
    name: str
    run: Callable[[Caller], Any]
    sent: str
    check: Callable[[Caller, Any], None]
    before: Callable[[Caller], Any] | None = None


def _case(row: str, name: str, sent: str, run: Callable[[Caller], Any], **more: Any) -> ToCpo:
    module, method, path = row.split()
    return ToCpo(key=(module, TO_CPO, method, path), name=name, run=run, sent=f"{method} /ocpi/cpo/{sent}", **more)


Check: TypeAlias = Callable[[Caller, Any], None]


def _is(read: Callable[[Any], object], expected: object) -> Check:
    def check(_: Caller, result: Any) -> None:
        assert read(result) == expected

    return check


def _ids(prefix: str, *numbers: int) -> Check:
    return _is(lambda items: [item.id for item in items], [f"{prefix}{number}" for number in numbers])


def _same_party(caller: Caller, party: Any) -> None:
    assert (party.country_code, party.party_id) == ("NL", "TNM")
    _works_both_ways(caller)


def _works_both_ways(caller: Caller) -> None:
    assert caller.do(lambda c: c.client.credentials()).party_id == "TNM"
    assert caller.portal.call(caller.cpo.get_tokens).exchanges[0].ok


def _forgotten(caller: Caller, _: Any) -> None:
    assert not caller.cpo.registered
    with pytest.raises(NotRegistered):
        caller.do(lambda c: c.client.credentials())


def _token_is(**expected: object) -> Check:
    def check(caller: Caller, _: Any) -> None:
        [token] = [token for token in caller.cpo.tokens if token["uid"] == TOKEN.uid]
        assert {name: token[name] for name in expected} == expected

    return check


def _result_comes(command: CommandType) -> Check:
    def check(caller: Caller, pending: PendingCommand | AsyncPendingCommand) -> None:
        sent = pending.command
        assert (sent.command, sent.acknowledgement) == (command, CommandResponseType.ACCEPTED)
        caller.portal.call(caller.cpo.wait_idle)
        result = caller.cpo.command_results_sent[-1]
        assert result.status_code == 1000
        assert result.response_url == f"{caller.emsp.identity.url}/2.1.1/commands/{command.value}/{sent.uid}"
        assert len(sent.uid) >= 20
        settled = caller.emsp.commands.get("NL-TNM", sent.uid)
        assert settled is not None
        assert settled.result == CommandResponseType.ACCEPTED

    return check


def _put_token(caller: Caller) -> Any:
    return caller.client.put_token(TOKEN)


def _pull(caller: Caller) -> Any:
    """What commands are about has to be known."""
    emsp = caller.emsp if caller.mode == "sync" else caller.emsp.aio
    return emsp.partner("NL-TNM").sync(modules=("locations", "sessions"))


def _reserve(caller: Caller) -> Any:
    until = datetime.now(UTC) + timedelta(hours=1)
    return caller.client.reserve_now(token=TOKEN, location_id="LOC1", expiry_date=until, reservation_id=1)


def _start(caller: Caller) -> Any:
    return caller.client.start_session(token=TOKEN, location_id="LOC1", evse_uid="LOC1-E1")


def _unlock(caller: Caller) -> Any:
    return caller.client.unlock_connector(location_id="LOC1", evse_uid="LOC1-E1", connector_id="1")


_CREDENTIALS, _COMMANDS = "2.1.1/credentials", "2.1.1/commands"
_TOKEN = f"2.1.1/tokens/IT/BEC/{TOKEN.uid}"

TO_CPO_CASES: tuple[ToCpo, ...] = (
    _case(
        "credentials GET /credentials",
        "credentials",
        _CREDENTIALS,
        lambda c: c.client.credentials(),
        check=_is(lambda found: found.business_details.name, "The New Motion"),
    ),
    _case("credentials POST /credentials", "register", _CREDENTIALS, Caller.register, check=_same_party),
    _case(
        "credentials PUT /credentials",
        "credentials",
        _CREDENTIALS,
        lambda c: c.client.put_credentials(),
        check=_same_party,
    ),
    _case(
        "credentials PATCH /credentials",
        "credentials",
        _CREDENTIALS,
        lambda c: c.client.patch_credentials(),
        check=_same_party,
    ),
    _case(
        "credentials DELETE /credentials",
        "credentials",
        _CREDENTIALS,
        lambda c: c.client.delete_credentials(),
        check=_forgotten,
    ),
    _case(
        "locations GET /locations",
        "list",
        "2.1.1/locations",
        lambda c: c.client.locations(date_from=BEFORE_ALL),
        check=_ids("LOC", 1, 2, 3),
    ),
    _case(
        "locations GET /locations",
        "location",
        "2.1.1/locations/LOC2",
        lambda c: c.client.location("LOC2"),
        check=_is(lambda location: (location.id, len(location.evses)), ("LOC2", 2)),
    ),
    _case(
        "locations GET /locations",
        "evse",
        "2.1.1/locations/LOC2/LOC2-E1",
        lambda c: c.client.evse("LOC2", "LOC2-E1"),
        check=_is(lambda evse: evse.uid, "LOC2-E1"),
    ),
    _case(
        "locations GET /locations",
        "connector",
        "2.1.1/locations/LOC2/LOC2-E1/1",
        lambda c: c.client.connector("LOC2", "LOC2-E1", "1"),
        check=_is(lambda connector: (connector.id, connector.amperage), ("1", 125)),
    ),
    _case(
        "sessions GET /sessions",
        "list",
        "2.1.1/sessions",
        lambda c: c.client.sessions(date_from=BEFORE_ALL),
        check=_ids("SES", 1, 2, 3, 4),
    ),
    _case("cdrs GET /cdrs", "list", "2.1.1/cdrs", lambda c: c.client.cdrs(), check=_ids("CDR", 1, 2, 3, 4)),
    _case("tariffs GET /tariffs", "list", "2.1.1/tariffs", lambda c: c.client.tariffs(), check=_ids("TAR", 1, 2)),
    _case(
        "tokens GET /tokens/:path",
        "token",
        _TOKEN,
        lambda c: c.client.token(TOKEN.uid),
        before=_put_token,
        check=_is(lambda token: token, TOKEN),
    ),
    _case("tokens PUT /tokens/:path", "token", _TOKEN, _put_token, check=_token_is(valid=True, whitelist="NEVER")),
    _case(
        "tokens PATCH /tokens/:path",
        "token",
        _TOKEN,
        lambda c: c.client.patch_token(TOKEN.uid, valid=False),
        before=_put_token,
        check=_token_is(valid=False, whitelist="NEVER"),
    ),
    _case(
        "commands POST /commands/RESERVE_NOW",
        "command",
        f"{_COMMANDS}/RESERVE_NOW",
        _reserve,
        check=_result_comes(CommandType.RESERVE_NOW),
        before=_pull,
    ),
    _case(
        "commands POST /commands/START_SESSION",
        "command",
        f"{_COMMANDS}/START_SESSION",
        _start,
        check=_result_comes(CommandType.START_SESSION),
        before=_pull,
    ),
    _case(
        "commands POST /commands/STOP_SESSION",
        "command",
        f"{_COMMANDS}/STOP_SESSION",
        lambda c: c.client.stop_session(session_id="SES4"),
        check=_result_comes(CommandType.STOP_SESSION),
        before=_pull,
    ),
    _case(
        "commands POST /commands/UNLOCK_CONNECTOR",
        "command",
        f"{_COMMANDS}/UNLOCK_CONNECTOR",
        _unlock,
        check=_result_comes(CommandType.UNLOCK_CONNECTOR),
        before=_pull,
    ),
)
