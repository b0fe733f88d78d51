"""The credentials handshake that a CPO starts, over HTTP, on both servers (credentials.md 1 and 3)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from client.places import closed_port
from ocpi_emsp import Emsp, Limits
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.events import PartyRegistered, PartyUpdated
from ocpi_emsp.settings import CredentialLimits, HttpLimits
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.testing.cpo import samples
from our_emsp import FakeClock
from served.partner import UNUSABLE, Connect, FakeCpo, MakeEmsp, Partner, invite, register, works
from served.support import Answer, Document, Ocpi, parties

CREDENTIALS = "/2.1.1/credentials"


def put(ocpi: Ocpi, cpo: FakeCpo, **changes: Any) -> Answer:
    """PUT of the CPO's credentials."""
    return ocpi("PUT", CREDENTIALS, cpo.credentials(**changes))


@pytest.fixture
def invited(make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo) -> Ocpi:
    """NL-TNM with a token A."""
    return invite(ocpi, make_emsp(), fake_cpo)


# --- token A --------------------------------------------------------------------------------------------------------


def test_token_a_opens_only_what_registration_needs(invited: Ocpi) -> None:
    for path in ("/versions", "/2.1.1", CREDENTIALS):
        assert invited("GET", path).both == (200, 1000)
    for method, path in (
        ("GET", "/2.1.1/tokens"),
        ("POST", "/2.1.1/tokens/1/authorize"),
        ("PUT", "/2.1.1/locations/NL/TNM/LOC1"),
        ("PATCH", "/2.1.1/locations/NL/TNM/LOC1/E1"),
        ("PUT", "/2.1.1/sessions/NL/TNM/SES1"),
        ("PUT", "/2.1.1/tariffs/NL/TNM/TAR1"),
        ("POST", "/2.1.1/cdrs"),
        ("POST", "/2.1.1/commands/START_SESSION/1"),
    ):
        assert invited(method, path, samples.tariff()).both == (401, 2000), path


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_before_the_registration_only_post(make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo, method: str) -> None:
    with_a = invite(ocpi, make_emsp(matrix=SupportMatrix.full()), fake_cpo)
    answer = with_a(method, CREDENTIALS, fake_cpo.credentials())
    assert (answer.both, answer.allow) == ((405, 2000), {"GET", "POST"})
    assert fake_cpo.requests == []
    assert register(with_a, fake_cpo)("GET", "/versions").code == 1000


def test_a_second_invitation_ends_the_first(make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo) -> None:
    emsp = make_emsp()
    first = invite(ocpi, emsp, fake_cpo)
    second = invite(ocpi, emsp, fake_cpo)
    assert first("GET", "/versions").both == (401, 2000)
    register(second, fake_cpo)
    with pytest.raises(InvalidObject, match="NL-TNM is registered already"):
        emsp.parties.invite("nl-tnm")


# --- registering ----------------------------------------------------------------------------------------------------


def test_registration(make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo) -> None:
    emsp = make_emsp()
    heard: list[PartyRegistered] = []
    emsp.on(PartyRegistered)(heard.append)
    with_a = invite(ocpi, emsp, fake_cpo)
    answer = with_a("POST", CREDENTIALS, fake_cpo.credentials(), headers={"x-correlation-id": "shake-hands"})
    assert answer.both == (201, 1000)
    # Our credentials, with a token C that is not A; the CPO's endpoints were read with token B.
    with_c = ocpi.using(answer.data.pop("token"))
    assert with_c.token not in (with_a.token, fake_cpo.token)
    assert answer.data == {
        "url": f"{ocpi.base}/versions",
        "business_details": {"name": "Be Charge"},
        "party_id": "BEC",
        "country_code": "IT",
    }
    assert fake_cpo.paths == ["GET /versions", "GET /2.1.1"]
    assert [event.correlation_id for event in heard] == ["shake-hands"]
    # Token A opens our credentials alone, and ends with the first use of C.
    assert with_a("GET", "/versions").both == (401, 2000)
    assert with_a("GET", CREDENTIALS).both == (200, 1000)
    assert works(with_c)
    assert not works(with_a)
    assert with_a("GET", CREDENTIALS).both == (401, 2000)


@pytest.mark.parametrize("matrix", [SupportMatrix.default(), SupportMatrix.full()], ids=["published", "full"])
def test_post_again(connect: Connect, matrix: SupportMatrix) -> None:
    partner = connect(matrix=matrix)
    before = parties(partner.store)
    for token in (partner.token_a, partner.ocpi.token):
        answer = partner.ocpi.using(token)("POST", CREDENTIALS, partner.cpo.credentials())
        assert answer.both == (405, 2000)
        withdraw = {"DELETE"} if matrix == SupportMatrix.full() else set()
        assert answer.allow == ({"GET"} if token == partner.token_a else {"GET", "PUT", "PATCH"} | withdraw)
        if token == partner.token_a:
            assert parties(partner.store) == before
    assert works(partner.ocpi)


def test_codes_compare_without_case(make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo) -> None:
    with_a = invite(ocpi, make_emsp(), fake_cpo)
    answer = with_a("POST", CREDENTIALS, fake_cpo.credentials(country_code="nl", party_id="tnm"))
    assert answer.both == (201, 1000)
    with_c = ocpi.using(answer.data["token"])
    assert with_c("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", samples.tariff()).both == (201, 1000)


@pytest.mark.parametrize(
    "changes", [{"country_code": "DE"}, {"party_id": "ABC"}, {"party_id": "BEC", "country_code": "IT"}]
)
def test_credentials_of_another_party(
    make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo, changes: dict[str, str]
) -> None:
    store = MemoryStore()
    with_a = invite(ocpi, make_emsp(store=store), fake_cpo)

    def is_refused(caller: Ocpi, method: str, body: Document) -> None:
        before, asked = parties(store), len(fake_cpo.requests)
        answer = caller(method, CREDENTIALS, body)
        assert answer.both == (200, 2001)
        assert answer.pointers <= {f"/{member}" for member in changes}
        assert parties(store) == before
        assert len(fake_cpo.requests) == asked

    is_refused(with_a, "POST", fake_cpo.credentials(**changes))
    with_c = register(with_a, fake_cpo)
    assert works(with_c)
    is_refused(with_c, "PUT", fake_cpo.credentials(**changes))
    is_refused(with_c, "PATCH", dict(changes))
    assert works(with_c)


# --- renewing -------------------------------------------------------------------------------------------------------


def test_put_renews_and_the_old_token_works_until_the_new_one_is_used(partner: Partner) -> None:
    partner.cpo.fresh_token()
    asked = len(partner.cpo.requests)
    answer = put(partner.ocpi, partner.cpo)
    assert answer.both == (200, 1000)
    fresh = partner.ocpi.using(answer.data["token"])
    # The CPO's endpoints were read again, with the token that the PUT brought.
    assert partner.cpo.paths[asked:] == ["GET /versions", "GET /2.1.1"]
    assert [type(event) for event in partner.events] == [PartyUpdated]
    assert works(partner.ocpi)
    assert works(fresh)
    assert not works(partner.ocpi)
    assert works(fresh)


def test_patch_merges(partner: Partner) -> None:
    first = partner.ocpi("PATCH", CREDENTIALS, {"business_details": {"website": "https://tnm.example"}})
    assert first.both == (200, 1000)
    fresh = partner.ocpi.using(first.data["token"])
    assert works(fresh)
    assert not works(partner.ocpi)
    # A token alone: from now on we present it.
    before = partner.cpo.token
    partner.cpo.fresh_token()
    second = fresh("PATCH", CREDENTIALS, {"token": partner.cpo.token})
    assert second.both == (200, 1000)
    presented = [each.headers["authorization"] for each in partner.cpo.requests[-2:]]
    assert presented == [f"Token {partner.cpo.token}"] * 2
    assert partner.cpo.token != before
    stored = b"".join(parties(partner.store).values())
    assert b"https://tnm.example" in stored
    assert b"The New Motion" in stored


def test_lost_answers_lock_nobody_out(partner: Partner) -> None:
    """A CPO whose PUT gets no answer tries again with the token that it has."""
    lost = [partner.ocpi.using(put(partner.ocpi, partner.cpo).data["token"]) for _ in range(6)]
    assert works(partner.ocpi)
    assert works(lost[-1])
    assert not works(partner.ocpi)
    assert not any(works(each) for each in lost[:-1])


def test_the_grace_time_ends_an_old_token(connect: Connect) -> None:
    clock = FakeClock()
    partner = connect(clock=clock, limits=Limits())
    assert works(partner.ocpi)
    fresh = partner.ocpi.using(put(partner.ocpi, partner.cpo).data["token"])
    clock.advance(hours=23)
    assert works(partner.ocpi)
    clock.advance(hours=2)
    assert not works(partner.ocpi)
    assert not works(partner.ocpi)
    clock.advance(days=365)
    assert works(fresh)


def test_the_grace_time_is_what_is_set(connect: Connect) -> None:
    clock = FakeClock()
    partner = connect(clock=clock, limits=Limits(credentials=CredentialLimits(token_grace=clock.time - clock.time)))
    fresh = partner.ocpi.using(put(partner.ocpi, partner.cpo).data["token"])
    clock.advance(seconds=1)
    assert not works(partner.ocpi)
    assert works(fresh)


# --- a CPO that cannot be used --------------------------------------------------------------------------------------


def fails(caller: Ocpi, partner_store: MemoryStore, cpo: FakeCpo, method: str, code: int, **changes: Any) -> str:
    """The message of a handshake that fails and leaves what was there before."""
    before = parties(partner_store)
    answer = caller(method, CREDENTIALS, cpo.credentials(**changes))
    assert answer.both == (200, code), answer.text
    assert cpo.token not in answer.text
    assert parties(partner_store) == before
    if code == 3001:  # whatever lies behind its URLs
        assert answer.message == f"cannot use your API; correlation id {answer.headers['x-correlation-id']}"
    return answer.message


@pytest.mark.parametrize("problem", UNUSABLE)
def test_3001_where_the_cpo_cannot_be_used(make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo, problem: str) -> None:
    store = MemoryStore()
    with_a = invite(ocpi, make_emsp(store=store, limits=Limits(http=HttpLimits(response_body=50_000))), fake_cpo)
    path, script = UNUSABLE[problem]
    fake_cpo.script[path] = script
    fails(with_a, store, fake_cpo, "POST", 3001)
    # Mended, it registers with the same token A; broken again, it stays registered as it was.
    fake_cpo.script.clear()
    with_c = register(with_a, fake_cpo)
    assert works(with_c)
    fake_cpo.script[path] = script
    fails(with_c, store, fake_cpo, "PUT", 3001)
    fails(with_c, store, fake_cpo, "PATCH", 3001)
    assert works(with_c)


UNSAFE = [
    "{closed}/versions",
    "https://127.0.0.1:{port}/versions",
    "https://name.invalid/versions",
    "http://10.0.0.1/versions",
    "http://2130706433/versions",
    "http://name:word@127.0.0.1/versions",
    "http://192.0.2.1/versions",
    "http://192.0.2.1?@127.0.0.1/versions",
    "http://192.0.2.1#@127.0.0.1/versions",
    "http://127.0.0.1.example.com/versions",
    "http://127.0.0.1@192.0.2.1/versions",
    "ftp://127.0.0.1/versions",
]


@pytest.mark.parametrize("url", UNSAFE)
def test_3001_where_the_cpo_is_not_reached(make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo, url: str) -> None:
    """Not reachable, or a URL that the policy forbids; the time-out of the test would tell a URL that was called."""
    store = MemoryStore()
    with_a = invite(ocpi, make_emsp(store=store), fake_cpo)
    with closed_port() as closed:
        places = {"closed": f"http://127.0.0.1:{closed}", "port": urlsplit(fake_cpo.url).port}
        fails(with_a, store, fake_cpo, "POST", 3001, url=url.format(**places))
    assert works(register(with_a, fake_cpo))


def test_3001_where_the_cpo_does_not_know_its_own_token(invited: Ocpi, fake_cpo: FakeCpo) -> None:
    answer = invited("POST", CREDENTIALS, fake_cpo.credentials(token="another-token-of-mine"))
    assert answer.both == (200, 3001)
    assert fake_cpo.paths == ["GET /versions"]


def test_3001_where_plain_http_is_not_allowed(
    make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    with_a = invite(ocpi, make_emsp(store=store, url_policy="https"), fake_cpo)
    fails(with_a, store, fake_cpo, "POST", 3001)
    assert "url_policy forbids plain http" in caplog.text
    assert fake_cpo.requests == []


@pytest.mark.parametrize("offered", [("2.0",), ("2.0", "2.2"), ()])
def test_3002_where_2_1_1_is_not_offered(
    make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo, offered: tuple[str, ...]
) -> None:
    store = MemoryStore()
    with_a = invite(ocpi, make_emsp(store=store), fake_cpo)
    fake_cpo.versions = offered
    message = fails(with_a, store, fake_cpo, "POST", 3002)
    assert (", ".join(offered) or "none") in message
    fake_cpo.versions = ("2.1.1",)
    with_c = register(with_a, fake_cpo)
    assert works(with_c)
    fake_cpo.versions = offered
    fails(with_c, store, fake_cpo, "PUT", 3002)
    assert works(with_c)


@pytest.mark.parametrize(
    ("modules", "required", "missing"),
    [
        (("locations", "tokens"), (), ["credentials"]),
        ((), (), ["credentials"]),
        (("credentials", "locations"), ("tokens", "LOCATIONS", "commands"), ["commands", "tokens"]),
    ],
)
def test_3003_where_endpoints_are_missing(
    make_emsp: MakeEmsp,
    ocpi: Ocpi,
    fake_cpo: FakeCpo,
    modules: tuple[str, ...],
    required: tuple[str, ...],
    missing: list[str],
) -> None:
    store = MemoryStore()
    with_a = invite(ocpi, make_emsp(store=store, required_modules=required), fake_cpo)
    everything, fake_cpo.modules = fake_cpo.modules, modules
    assert ", ".join(missing) in fails(with_a, store, fake_cpo, "POST", 3003)
    fake_cpo.modules = everything
    with_c = register(with_a, fake_cpo)
    assert works(with_c)
    fake_cpo.modules = modules
    fails(with_c, store, fake_cpo, "PUT", 3003)
    assert works(with_c)


def test_module_names_compare_without_case(make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo) -> None:
    with_a = invite(ocpi, make_emsp(required_modules=("tokens",)), fake_cpo)
    fake_cpo.modules = ("CREDENTIALS", "Tokens")
    assert with_a("POST", CREDENTIALS, fake_cpo.credentials()).both == (201, 1000)


@pytest.mark.parametrize(
    "token", ["t\xf6k\xe9n", "\u20ac", "a b", "a\nb", "a\r\nx-evil: 1", "", " ", "x" * 65, "x" * 5000]
)
def test_a_token_that_nobody_can_present(make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo, token: str) -> None:
    """It is the CPO's fault, whatever is wrong with it."""
    store = MemoryStore()
    with_a = invite(ocpi, make_emsp(store=store), fake_cpo)
    before = parties(store)
    answer = with_a("POST", CREDENTIALS, fake_cpo.credentials(token=token))
    assert answer.status == 200
    assert answer.code in (2001, 3001)
    assert parties(store) == before


# --- base64 ---------------------------------------------------------------------------------------------------------


def test_a_cpo_that_wants_its_token_in_base64(make_emsp: MakeEmsp, ocpi: Ocpi, fake_cpo: FakeCpo) -> None:
    emsp: Emsp = make_emsp()
    fake_cpo.base64 = True
    with_a = invite(ocpi, emsp, fake_cpo)
    assert with_a("POST", CREDENTIALS, fake_cpo.credentials()).both == (200, 3001)
    with_a = invite(ocpi, emsp, fake_cpo, base64_token=True)
    with_c = register(with_a, fake_cpo)
    assert works(with_c)
    assert put(with_c, fake_cpo).both == (200, 1000)
