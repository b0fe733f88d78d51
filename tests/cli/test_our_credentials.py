"""What partners get of us in our credentials: said by the command, and repeated by it (issue 11, number 17)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve

from cli.conftest import SECONDS, Command, Ended
from cli.sync_presets import Server
from ocpi_emsp import Emsp
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.cli.commands import arguments_of
from ocpi_emsp.cli.options import IMAGE_CATEGORIES
from ocpi_emsp.cli.settings import FILE
from ocpi_emsp.cli.stores import make_emsp
from ocpi_emsp.codec import encode
from ocpi_emsp.flows.parties.party import find_party, put_party
from ocpi_emsp.models import BusinessDetails, Image, ImageCategory
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.testing.cpo import SimulatedCpo
from our_emsp import NOW, token
from served.support import uvicorn_server, waitress_server

LOOPBACK = ("--url-policy", "loopback")
WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", *LOOPBACK)
LOGO = Image(
    url="https://be.example.com/logo.svg",
    thumbnail="https://be.example.com/small.svg",
    category=ImageCategory.NETWORK,
    type="svg",
    width=512,
    height=256,
)
DETAILS = BusinessDetails(name="Be Charge", website="https://be.example.com", logo=LOGO)
EXTENSIONS = {"vendor_id": 7, "roles": [{"role": "EMSP"}]}
SETTINGS = ("website", "logo", "logo_thumbnail", "logo_category", "logo_type", "logo_width", "logo_height",
            "credentials_extensions")  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("url", "country_code", "party_id", "name", "url_policy", "store", *SETTINGS):
        monkeypatch.delenv(f"OCPI_EMSP_{name.upper()}", raising=False)


@define
class World:
    """A CPO over HTTP, a backend with an eMSP of its own on a database, and the command on the same."""

    server: Server
    cpo: SimulatedCpo
    emsp: Emsp
    store: SqlStore
    command: Command

    def run(self, *argv: str) -> Ended:
        return self.command(*argv, "--store", "sqlite:///emsp.db", *LOOPBACK)

    def got(self) -> dict[str, Any]:
        """What the CPO has of our credentials, without the token."""
        emsp = self.cpo.registration.emsp
        assert emsp is not None
        return {name: value for name, value in emsp.items() if name != "token"}

    def change(self, change: Callable[[Any], Any]) -> None:
        """Change the party as it is stored."""

        async def put() -> None:
            async with lift_store(self.store, in_place).transaction() as tx:
                party = await find_party(tx, "NL", "TNM")
                await put_party(tx, change(party), NOW)

        run(put())

    def sync(self) -> int:
        """Whether our calls get in."""
        return self.run("sync", "NL-TNM", "--module", "locations", *WHO).status


@pytest.fixture
def world(command: Command, sqlite_with_schema: Path, tmp_path: Path) -> Iterator[World]:
    assert sqlite_with_schema == tmp_path / "emsp.db"
    server, backends = Server(), list[Emsp]()
    store = SqlStore("sqlite:///emsp.db")
    with (
        uvicorn_server(server) as server.origin,
        waitress_server(lambda environ, start: backends[0].wsgi()(environ, start)) as ours,
    ):
        cpo = SimulatedCpo(url=server.origin, token_a="token-a-of-it", locations=1)
        server.application = cpo.app
        backends.append(
            Emsp(
                country_code="IT",
                party_id="BEC",
                name="Be Charge",
                url=f"{ours}/ocpi/emsp",
                url_policy="loopback",
                store=store,
                business_details=DETAILS,
                credentials_extensions=EXTENSIONS,
                required_modules=["locations"],
            )
        )
        yield World(server, cpo, backends[0], store, command)
        server.close(cpo)
    store.close()


def by_ours(world: World) -> None:
    world.emsp.parties.register(world.cpo.versions_url, token_a="token-a-of-it")


def by_their_put(world: World) -> None:
    """Another process registered; the backend answered the partner's renewal since then."""
    by_ours(world)
    world.change(lambda party: evolve(party, sent=None))
    assert world.server.loop is not None
    asyncio.run_coroutine_threadsafe(world.cpo.update_credentials("PUT"), world.server.loop).result(SECONDS)


@pytest.mark.parametrize("action", ["rotate", "update"])
@pytest.mark.parametrize("before", [by_ours, by_their_put])
@pytest.mark.parametrize("who", [(), WHO], ids=["nothing is said", "who we are is said"])
def test_a_renewal_by_the_command_sends_what_the_backend_sent(
    action: str, before: Callable[[World], None], who: tuple[str, ...], world: World
) -> None:
    before(world)
    sent, known = world.got(), world.cpo.registration.emsp
    assert sent["business_details"]["logo"]["thumbnail"] == LOGO.thumbnail
    assert {name: sent[name] for name in EXTENSIONS} == EXTENSIONS
    ended = world.run("party", action, "NL-TNM", *who)
    assert (ended.status, ended.err) == (0, "")
    assert world.got() == sent
    assert world.cpo.registration.emsp != known, "with a fresh token"
    assert world.sync() == 0


def test_a_renewal_sends_null_where_the_profile_says_so(world: World) -> None:
    by_ours(world)
    world.emsp.partner("NL-TNM").set_profile(absent_as_null=True)
    world.cpo.misbehave("required-members")
    assert world.run("party", "rotate", "NL-TNM", "--logo", "none").status == 0
    assert world.got()["business_details"] == {"name": "Be Charge", "website": DETAILS.website, "logo": None}


def test_what_is_said_is_sent_instead_and_named(world: World) -> None:
    by_ours(world)
    sent = world.got()
    said = ("--name", "Be", "--website", "none", "--logo-width", "9", "--credentials-extensions", '{"vendor_id": 8}')
    ended = world.run("party", "update", "NL-TNM", *said)
    assert ended.status == 0
    narrow = encode(evolve(LOGO, width=9)).decode()
    assert ended.err.splitlines() == [
        "ocpi-emsp: name is now 'Be'; the party last received 'Be Charge'",
        "ocpi-emsp: website is now absent; the party last received 'https://be.example.com'",
        f"ocpi-emsp: logo is now {narrow}; the party last received {encode(LOGO).decode()}",
        'ocpi-emsp: credentials_extensions is now {"vendor_id":8}; the party last received '
        '{"vendor_id":7,"roles":[{"role":"EMSP"}]}',
    ]
    got = world.got()
    assert got["business_details"] == {"name": "Be", "logo": {**sent["business_details"]["logo"], "width": 9}}
    assert (got["vendor_id"], "roles" in got) == (8, False)
    ended = world.run("party", "rotate", "NL-TNM")
    assert (ended.status, ended.err, world.got()) == (0, "", got), "what was sent last is repeated"


def test_the_required_modules_of_the_backend_hold_for_a_renewal(world: World) -> None:
    by_ours(world)
    world.cpo.modules = ("credentials", "tokens")
    ended = world.run("party", "update", "NL-TNM")
    assert ended.status == 3
    assert "endpoints are missing: locations" in ended.err


def test_a_party_of_an_earlier_version_needs_an_identity(world: World) -> None:
    by_ours(world)
    world.change(lambda party: evolve(party, sent=None))
    ended = world.run("party", "rotate", "NL-TNM")
    assert ended.status == 2
    assert "Missing eMSP identity: set --country-code, --party-id and --name" in ended.err
    ended = world.run("party", "rotate", "NL-TNM", *WHO)
    assert ended.status == 2
    assert "Missing public URL (the party calls us back): set --url" in ended.err
    assert world.run("party", "rotate", "NL-TNM", *WHO, "--url", world.emsp.identity.url).status == 0
    assert world.got()["business_details"] == {"name": "Be Charge"}
    assert world.run("party", "rotate", "NL-TNM").status == 0


# --- register ---------------------------------------------------------------------------------------------------------


def test_a_cpo_that_requires_every_member_is_registered_with_and_used(world: World) -> None:
    world.cpo.misbehave("required-members")
    registering: tuple[str, ...] = ("register", world.cpo.versions_url, "--token-a", "token-a-of-it", *WHO)
    registering += ("--url", world.emsp.identity.url, "--website", "https://be.example.com")
    refused = world.run(*registering)
    assert refused.status == 3
    assert "answered HTTP 422: business_details.logo: Field required" in refused.err
    assert world.run(*registering, "--absent-as-null", "--extensions", '{"vendor": {"n": 1}}').status == 0
    got = world.got()
    assert got["business_details"] == {"name": "Be Charge", "website": "https://be.example.com", "logo": None}
    assert got["vendor"] == {"n": 1}
    world.emsp.tokens.put(token("T1"))
    pushed = world.run("push-tokens", "NL-TNM", *WHO)
    assert (pushed.status, world.cpo.tokens[0]["visual_number"]) == (0, None)
    start = (
        "command",
        "start-session",
        "NL-TNM",
        "--token",
        "T1",
        "--location",
        "LOC1",
        "--url",
        world.emsp.identity.url,
    )
    assert world.sync() == 0
    assert "ACCEPTED" in world.run(*start, *WHO).out
    assert world.run("party", "rotate", "NL-TNM").status == 0
    assert world.got()["vendor"] == {"n": 1}, "from the profile"


# --- flags, environment, file -----------------------------------------------------------------------------------------

FLAGS = {
    "website": "https://be.example.com",
    "logo": LOGO.url,
    "logo_thumbnail": LOGO.thumbnail,
    "logo_category": "network",
    "logo_width": "512",
    "logo_height": "256",
    "credentials_extensions": json.dumps(EXTENSIONS),
}


def from_flags(_: pytest.MonkeyPatch) -> list[str]:
    return [part for name, value in FLAGS.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def from_environment(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for name, value in FLAGS.items():
        monkeypatch.setenv(f"OCPI_EMSP_{name.upper()}", str(value))
    return []


def from_file(_: pytest.MonkeyPatch) -> list[str]:
    lines = [f"{name} = '{value}'" for name, value in FLAGS.items()]
    FILE.write_text("\n".join(lines))
    return []


def from_typed_file(_: pytest.MonkeyPatch) -> list[str]:
    texts = [f"{name} = '{FLAGS[name]}'" for name in ("website", "logo", "logo_thumbnail", "logo_category")]
    table = '[credentials_extensions]\nvendor_id = 7\nroles = [{role = "EMSP"}]'
    FILE.write_text("\n".join([*texts, "logo_width = 512", "logo_height = 256", table]))
    return []


COMMANDS = {
    "serve": (),
    "register": ("https://cpo.example.com/versions", "--token-a", "T"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("source", [from_flags, from_environment, from_file, from_typed_file])
def test_everything_of_our_credentials_can_be_said(
    name: str, source: Callable[[pytest.MonkeyPatch], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = source(monkeypatch)
    identity = make_emsp(arguments_of(name, (*COMMANDS[name], *WHO, *said)), MemoryStore()).identity
    assert identity.business_details == DETAILS
    assert identity.credentials_extensions == EXTENSIONS


@pytest.mark.parametrize(
    ("argv", "logo"),
    [
        ((), None),
        (("--logo", "none"), None),
        (("--logo", "https://e.com/a/Logo.JPG?v=1"), ("https://e.com/a/Logo.JPG?v=1", "OPERATOR", "jpeg")),
        (("--logo", "https://e.com/logo", "--logo-type", "gif"), ("https://e.com/logo", "OPERATOR", "gif")),
        (("--logo", "https://e.com/l.png", "--logo-category", "OTHER"), ("https://e.com/l.png", "OTHER", "png")),
    ],
)
def test_a_logo_needs_no_more_than_its_url(argv: tuple[str, ...], logo: tuple[str, str, str] | None) -> None:
    found = make_emsp(arguments_of("serve", (*WHO, *argv)), MemoryStore()).identity.business_details.logo
    assert (found and (found.url, found.category.value, found.type)) == logo


def test_the_categories_are_those_of_the_specification() -> None:
    assert set(IMAGE_CATEGORIES) == {each.value for each in ImageCategory}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--website", "be.example.com"), "invalid URL 'be.example.com': expected an absolute URL, or none"),
        (("--logo", "logo.png"), "invalid URL 'logo.png': expected an absolute URL, or none"),
        (("--logo-thumbnail", "none"), "invalid URL 'none': expected an absolute URL, for example"),
        (("--logo", "https://e.com/logo"), "the type of the logo 'https://e.com/logo' is not in its URL"),
        (("--logo", "https://e.com/logo.jpeg2"), "set --logo-type, for example png"),
        (("--logo-width", "5"), "--logo-width needs --logo"),
        (("--logo-width", "wide"), "invalid number 'wide': expected a whole number from 0 to 99999"),
        (("--logo-category", "ART"), "invalid value 'ART': expected CHARGER"),
        (("--logo", "https://e.com/l.png", "--logo-type", "bitmap"), "invalid business_details"),
        (("--website", "https://e.com/" + "x" * 255), "invalid business_details"),
        (("--credentials-extensions", "vendor"), "invalid extensions 'vendor': expected a JSON object"),
        (("--credentials-extensions", "[1]"), "invalid extensions '[1]': expected a JSON object"),
        (("--credentials-extensions", '{"URL": 1}'), "URL is a member of Credentials and cannot be an extension"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_happens(
    argv: tuple[str, ...], said: str, command: Command, tmp_path: Path
) -> None:
    ended = command("serve", *WHO, "--port", "0", *argv)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert not list(tmp_path.glob("*.db*"))


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("website = 5", "invalid website: expected a text in quotes"),
        ("logo_width = true", "invalid logo_width: expected a whole number, for example 512"),
        ("credentials_extensions = 5", "invalid credentials_extensions: expected a table"),
    ],
)
def test_what_a_file_cannot_say_is_refused(toml: str, said: str, command: Command) -> None:
    FILE.write_text(toml)
    ended = command("serve", *WHO)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
