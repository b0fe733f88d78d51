"""Every write that a partner can send, and what must hold after one that is refused for its content."""

from __future__ import annotations

from ocpi_emsp._bridge import run
from ocpi_emsp.codec import encode
from ocpi_emsp.flows.commands.states import SentCommand, command_key
from ocpi_emsp.models import CommandType
from ocpi_emsp.ports import Record
from our_emsp import FakeClock
from served.cases import TOKEN
from served.partner import Partner
from served.support import Answer, parties

WRITES = {
    "put-location": "PUT /2.1.1/locations/NL/TNM/LOC1",
    "put-evse": "PUT /2.1.1/locations/NL/TNM/LOC1/LOC1-E1",
    "put-connector": "PUT /2.1.1/locations/NL/TNM/LOC1/LOC1-E1/1",
    "patch-location": "PATCH /2.1.1/locations/NL/TNM/LOC1",
    "patch-evse": "PATCH /2.1.1/locations/NL/TNM/LOC1/LOC1-E1",
    "patch-connector": "PATCH /2.1.1/locations/NL/TNM/LOC1/LOC1-E1/1",
    "put-session": "PUT /2.1.1/sessions/NL/TNM/SES1",
    "patch-session": "PATCH /2.1.1/sessions/NL/TNM/SES1",
    "post-cdr": "POST /2.1.1/cdrs",
    "put-tariff": "PUT /2.1.1/tariffs/NL/TNM/TAR1",
    "patch-tariff": "PATCH /2.1.1/tariffs/NL/TNM/TAR1",
    "authorize": f"POST /2.1.1/tokens/{TOKEN.uid}/authorize",
    "command-result": "POST /2.1.1/commands/START_SESSION/COMMAND1",
    "put-credentials": "PUT /2.1.1/credentials",
    "patch-credentials": "PATCH /2.1.1/credentials",
}


def refused(partner: Partner, write: str, content: bytes) -> Answer:
    """The answer to content that must leave everything as it was, and be kept as a rejection."""
    method, path = WRITES[write].split()
    before, known, kept = partner.objects, parties(partner.store), len(list(partner.emsp.rejections.list()))
    answer = partner.ocpi(method, path, content=content, headers={"x-correlation-id": "refuse-me"})
    assert partner.objects == before
    assert parties(partner.store) == known
    assert partner.events == []
    [*_, rejection] = partner.emsp.rejections.list()
    assert len(list(partner.emsp.rejections.list())) == kept + 1
    # A credentials object holds a token, which is kept nowhere but with its party.
    assert rejection.body == (b"" if "credentials" in write else content)
    assert (rejection.method, rejection.path) == (method, path)
    assert (rejection.country_code, rejection.party_id) == ("NL", "TNM")
    assert rejection.correlation_id == "refuse-me"
    assert [finding.as_json() for finding in rejection.findings] == (answer.data or [])
    assert "authorization" not in rejection.headers
    assert partner.ocpi.token not in repr(rejection)
    return answer


def store_command(partner: Partner, country_code: str, party_id: str, uid: str) -> SentCommand:
    """A command in the store, as it is before its result comes."""
    command = SentCommand(uid=uid, command=CommandType.START_SESSION, country_code=country_code, party_id=party_id)
    now = FakeClock().now()

    async def put() -> None:
        async with partner.store.transaction() as tx:
            await tx.put(Record(command_key(country_code, party_id, uid), encode(command), now, now))

    run(put())
    return command
