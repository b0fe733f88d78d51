"""``ocpi-emsp sync`` against the simulated CPO with every preset, over real HTTP: each ends, says what was wrong, keeps
what was good, and the next sync has everything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from attrs import evolve

from cli.conftest import Command, Ended
from cli.sync_presets import (
    COUNT,
    KINDS,
    PAGE,
    Document,
    Server,
    Waits,
    World,
    self_signed,
    world_of,
)
from cli.sync_table import TABLE, Expected
from ocpi_emsp import _beside
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import PRESETS
from served.support import uvicorn_server

Objects: TypeAlias = Mapping[str, Mapping[str, Document]]
"""By module and id."""


def test_every_preset_has_a_row() -> None:
    assert list(TABLE) == list(PRESETS)


# --- fixtures -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server for all CPOs, one after the other."""
    server = Server()
    with uvicorn_server(server) as server.origin:
        yield server


@pytest.fixture(scope="module")
def foreign() -> Iterator[Server]:
    """A server where no token belongs."""
    server = Server()

    async def note(scope: Any, _: Any, send: Any) -> None:
        server.requests.append(scope["path"])
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})

    server.application = note
    with uvicorn_server(server) as server.origin:
        yield server


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStore]:
    """A database in a file."""
    store = SqlStore(f"sqlite:///{tmp_path_factory.mktemp('presets') / 'emsp.db'}")
    store.upgrade()
    yield store
    store.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Nobody waits before a retry."""
    waits = Waits()
    monkeypatch.setattr(_beside, "sleep_in_place", waits.sleep)
    monkeypatch.setattr("ocpi_emsp.emsp.SystemClock.now", waits.now)
    return waits


@pytest.fixture
def world(
    server: Server, store: SqlStore, command: Command, waits: Waits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[World]:
    """A CPO and a database that know each other; the command finds the database open."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ocpi_emsp.cli.stores.opened", lambda *_, **__: contextlib.nullcontext(store))
    world = world_of(server, store, command, waits)
    yield world
    server.close(world.cpo)


# --- every preset ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", list(TABLE))
def test_a_sync_ends_and_the_next_one_has_everything(
    preset: str, world: World, foreign: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = TABLE[preset]
    limits = expected.limits
    if limits:
        monkeypatch.setattr("ocpi_emsp.emsp.Limits", lambda: limits)
    expected.before(world)
    asked, had = dict(world.cpo.list_requests), world.stored()
    first = world.listed()
    settings = {"monotonic": world.waits.monotonic, "foreign_origin": foreign.origin, **expected.deviations}
    world.cpo.misbehave(preset, **settings)
    status, modules = world.sync(*expected.argv)
    for module, report in modules.items():
        check_report(expected.of(module), report)
    for module in KINDS:
        of_module = expected.of(module)
        requests = of_module.pages + of_module.retries if of_module.asked is None else of_module.asked
        assert world.cpo.list_requests[module] - asked.get(module, 0) == requests, module
    assert status == expected.status
    assert foreign.requests == [], "nothing was asked for there"
    wrong = {module: first[module] | found for module, found in world.listed().items()}
    check_stored(world, wrong, {module: len(had[module]) + expected.of(module).created for module in KINDS})
    assert len(list(world.emsp().rejections.list(limit=1000))) == len(KINDS) * expected.rejected + expected.beside

    world.cpo.behave()
    expected.well(world)
    status, modules = world.sync(*expected.then)
    assert [each["ended"] for each in modules.values()] == ["done"] * 5
    assert [each["rejected"] for each in modules.values()] == [0, 0, 0, expected.conflicts, 0]
    assert status == (1 if expected.conflicts else 0)
    if expected.again is not None:
        assert [modules[module]["unchanged"] for module in KINDS] == [expected.again] * len(KINDS)
    right = world.listed()
    check_stored(world, right, {module: len(right[module]) + expected.left for module in KINDS}, otherwise=wrong)
    assert [world.missing(module) for module in KINDS] == [[]] * len(KINDS)
    assert world.tokens() == expected.valid


def check_report(expected: Expected, report: Document) -> None:
    """The report of a module says what it should."""
    names = ("ended", "created", "updated", "unchanged", "rejected", "missing", "pages", "retries")
    assert {name: report[name] for name in names} == {name: getattr(expected, name) for name in names}, report
    assert expected.reason in report["reason"], report
    assert bool(expected.reason) == bool(report["reason"]), report
    assert len(report["notes"]) == len(expected.notes), report
    for part, note in zip(expected.notes, report["notes"], strict=True):
        assert part in note


def check_stored(world: World, listed: Objects, counts: Mapping[str, int], otherwise: Objects | None = None) -> None:
    """So many objects are stored, each as the CPO listed it, now or ``otherwise``."""
    stored = world.stored()
    assert {module: len(found) for module, found in stored.items()} == counts
    for module, found in stored.items():
        for object_id, document in found.items():
            plain = {name: value for name, value in document.items() if name not in ("country_code", "party_id")}
            found_once = [each_once(each.get(module, {}).get(object_id)) for each in (listed, otherwise or {})]
            assert plain in found_once, plain


def each_once(document: Document | None) -> Document | None:
    """A location with the last EVSE of each uid."""
    if not document or "evses" not in document:
        return document
    return {**document, "evses": list({each["uid"]: each for each in document["evses"]}.values())}


# --- pages without measure ------------------------------------------------------------------------------------------


def test_a_page_of_50_mb_is_read(world: World) -> None:
    world.cpo.misbehave("huge-page", failing_modules=("locations",), failure_times=1)
    status, modules = world.sync("--module", "locations")
    assert (status, modules["locations"]["created"], modules["locations"]["pages"]) == (0, COUNT, 3)
    assert modules["locations"]["bytes"] > 50_000_000
    padded = [each["id"] for each in world.stored()["locations"].values() if "x_padding" in each]
    assert padded == [f"LOC{number + 1}" for number in range(PAGE)], "what nobody knows is kept as it came"


def test_a_page_of_thousands_is_stored(server: Server, world: World) -> None:
    many = world_of(server, world.store, world.command, world.waits, tariffs=2500)
    many.cpo.misbehave("page-of-100000")
    for created in (2500, 0):
        status, modules = many.sync("--module", "tariffs")
        assert (status, modules["tariffs"]["created"], modules["tariffs"]["pages"]) == (0, created, 1)
        many.cpo.behave()
    assert many.stored()["tariffs"] == many.listed()["tariffs"]


def test_a_page_of_100000_that_is_too_large_is_refused_by_name(server: Server, world: World) -> None:
    many = world_of(server, world.store, world.command, world.waits, locations=100_000)
    many.cpo.misbehave("page-of-100000")
    status, modules = many.sync("--module", "locations", "--module", "tariffs")
    assert (status, modules["tariffs"]["created"]) == (1, COUNT)
    locations = modules["locations"]
    assert (locations["ended"], locations["created"], locations["retries"]) == ("failed", 0, 0)
    assert "/locations?" in locations["reason"]
    assert "the response exceeds the limit of 67108864 bytes" in locations["reason"]
    many.cpo.behave()
    many.cpo.catalogue.locations.hide(range(COUNT, 100_000))
    status, modules = many.sync()
    assert (status, modules["locations"]["created"]) == (0, COUNT)


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key, and a certificate of 127.0.0.1 that it signed itself, in one file."""
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(self_signed())
    return file


def test_a_certificate_that_nobody_knows_is_refused_at_once(
    world: World, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = Server()
    with uvicorn_server(secure, ssl_certfile=str(certificate)) as origin:
        secure.origin = origin.replace("http://", "https://")
        world = world_of(secure, world.store, world.command, world.waits)
        status, modules = world.sync()
        assert status == 3
        assert (modules["tokens"]["ended"], modules["tokens"]["created"]) == ("failed", 0)
        for module in KINDS:
            report = modules[module]
            assert (report["ended"], report["retries"], report["created"]) == ("failed", 0, 0)
            assert "CERTIFICATE_VERIFY_FAILED" in report["reason"]
        assert not world.cpo.received
        # Once the operator trusts it, everything is there; and a link to plain http is read as one to this server.
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        world.cpo.misbehave("http-link")
        status, modules = world.sync()
        assert status == 0
        assert [modules[module]["created"] for module in KINDS] == [COUNT] * len(KINDS)
        assert modules["locations"]["notes"] == ["the next link leads to plain http, read as https"] * 2


def test_a_server_without_tls_is_said(world: World) -> None:
    known = world.party()
    endpoints = [evolve(each, url=each.url.replace("http://", "https://")) for each in known.endpoints]
    world.put_party(evolve(known, endpoints=tuple(endpoints)))
    status, modules = world.sync()
    assert status == 3
    assert [each["ended"] for each in modules.values()] == ["failed"] * 5
    assert "GET https://127.0.0.1:" in modules["locations"]["reason"]
    assert "SSL" in modules["locations"]["reason"]
    assert world.cpo.list_requests == {}
    world.put_party(known)
    assert world.sync()[0] == 0
    assert world.stored() == world.listed()


# --- as processes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("preset", "status", "created"), [("bad-objects", 1, 9), ("reset", 0, COUNT)])
def test_the_command_is_a_process(
    preset: str, status: int, created: int, server: Server, sqlite_with_schema: Path, elsewhere: Command, waits: Waits
) -> None:
    url = f"sqlite:///{sqlite_with_schema}"
    store = SqlStore(url)

    def command(name: str, *argv: str) -> Ended:
        return elsewhere(name, "--store", url, *argv)

    world = world_of(server, store, command, waits)
    world.cpo.misbehave(preset)
    ended, modules = world.sync()
    assert ended == status
    assert [modules[module]["created"] for module in KINDS] == [created] * len(KINDS)
    assert [modules[module]["rejected"] for module in KINDS] == [COUNT - created] * len(KINDS)
    assert [modules[module]["retries"] for module in KINDS] == [int(preset == "reset")] * len(KINDS)
    world.cpo.behave()
    assert world.sync("--full")[0] == 0
    assert world.stored() == world.listed()
    store.close()
