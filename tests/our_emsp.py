"""What every test has the same of: our eMSP, its clock, a driver's token of ours, and the registration of a CPO."""

from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define

from ocpi_emsp import Emsp, PartyId, SupportMatrix, Token
from ocpi_emsp.models import TokenType, WhitelistType
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo.wire import decode, encode
from ocpi_emsp.wire import Request

URL = "https://emsp.test/ocpi/emsp"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
CPO_TOKEN = "token-of-the-cpo"
EVERYTHING = SupportMatrix.full()


@define
class FakeClock:
    """A clock that stands still until it is set."""

    time: datetime = NOW

    def now(self) -> datetime:
        return self.time

    def advance(self, **step: float) -> None:
        self.time += timedelta(**step)


def make_emsp(**settings: Any) -> Emsp:
    """IT-BEC, which can do everything, on a store of its own unless one is given."""
    values: dict[str, Any] = {
        "country_code": "IT",
        "party_id": "BEC",
        "name": "Be Charge",
        "url": URL,
        "store": MemoryStore(),
        "matrix": EVERYTHING,
    }
    return Emsp(**(values | settings))


def token(uid: str = "T0", **changes: Any) -> Token:
    """A driver's token, which only we may authorize."""
    values: dict[str, Any] = {
        "uid": uid,
        "type": TokenType.RFID,
        "auth_id": "IT-BEC-1",
        "issuer": "Be Charge",
        "valid": True,
        "whitelist": WhitelistType.NEVER,
        "last_updated": LONG_AGO,
    }
    return Token(**(values | changes))


def credentials(country_code: str = "NL", party_id: str = "TNM", **changes: Any) -> dict[str, Any]:
    """The credentials object of a CPO."""
    return {
        "token": CPO_TOKEN,
        "url": f"https://{party_id.lower()}.test/cpo/versions",
        "business_details": {"name": "The New Motion"},
        "party_id": party_id,
        "country_code": country_code,
        **changes,
    }


def register(emsp: Emsp, country_code: str = "NL", party_id: str = "TNM", **changes: Any) -> str:
    """Register a CPO by its own POST of its credentials; the token that it got."""
    headers = {"authorization": f"Token {emsp.parties.invite(PartyId(country_code, party_id)).token_a.reveal()}"}
    body = encode(credentials(country_code, party_id, **changes))
    answer = emsp.handle(Request("POST", "/2.1.1/credentials", headers=headers, body=body))
    envelope = decode(answer.body)
    assert (answer.status, envelope["status_code"]) == (201, 1000), answer.body
    return str(envelope["data"]["token"])
