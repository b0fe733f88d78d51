"""settings.OCPI_EMSP: each mistake has a sentence, and correct settings make an eMSP in the database of the project."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.checks import run_checks
from django.core.exceptions import AppRegistryNotReady, ImproperlyConfigured
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from sqlalchemy import make_url

from ocpi_emsp import Limits
from ocpi_emsp.contrib.django import emsp as made, get_emsp
from ocpi_emsp.contrib.django.apps import upgrade_schema
from ocpi_emsp.contrib.django.store import DjangoStore, database_url
from ocpi_emsp.settings import Retention
from ocpi_emsp.storage import MemoryStore, SqlStore

GOOD: dict[str, Any] = {
    "COUNTRY_CODE": "IT",
    "PARTY_ID": "BEC",
    "NAME": "Be Charge",
    "URL": "https://ocpi.example.com/ocpi/emsp",
}


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No eMSP is made yet; afterwards there is the one of before."""
    if made._made.cache_info().currsize:
        store: Any = made._made()._contexts.setup.store
        store.close()
    before = made._discovered
    monkeypatch.setattr(made, "_discovered", made._Discovered())
    made._made.cache_clear()
    yield
    made._made.cache_clear()
    before._is_begun = before._is_complete = False
    assert sys.modules.pop("charging.ocpi", None) or True  # its listeners are registered again at the next use


def errors(given: Any) -> list[str]:
    with override_settings(OCPI_EMSP=given):
        return [f"{each.id}: {each.msg}" for each in run_checks(tags=["ocpi_emsp"])]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ["E001: Missing setting OCPI_EMSP."]),
        ([1], ["E001: Invalid setting OCPI_EMSP: expected a dictionary."]),
        ({**GOOD, "PARTYID": "X"}, ["E002: Unknown key 'PARTYID' in OCPI_EMSP."]),
        ({"NAME": "Be Charge", "URL": "https://a.test"}, ["E003: OCPI_EMSP lacks COUNTRY_CODE, PARTY_ID."]),
        ({**GOOD, "STORE": "memory", "DATABASE": "default"}, ["E004: OCPI_EMSP has both DATABASE and STORE."]),
        (
            {**GOOD, "SYNC_EVERY": 4},
            ["E005: Invalid SYNC_EVERY in OCPI_EMSP: expected a timedelta of at least a second."],
        ),
        (
            {**GOOD, "SYNC_EVERY": timedelta(), "RETENTION": 1, "X": 1},
            [
                "E002: Unknown key 'X' in OCPI_EMSP.",
                "E005: Invalid RETENTION in OCPI_EMSP: expected a Retention of ocpi_emsp.settings.",
                "E005: Invalid SYNC_EVERY in OCPI_EMSP: expected a timedelta of at least a second.",
            ],
        ),
        ({**GOOD, "DATABASE": "other"}, ["E006: DATABASE 'other' of OCPI_EMSP is not in DATABASES."]),
        (
            {**GOOD, "PARTY_ID": "LONG"},
            ["E007: OCPI_EMSP: invalid party_id 'LONG': expected 3 characters, for example BEC"],
        ),
        ({**GOOD, "LIMITS": 7}, ["E007: OCPI_EMSP: invalid limits '7': expected an object of the class Limits"]),
        ({**GOOD, "LIMITS": Limits(), "RETENTION": Retention()}, []),
    ],
)
def test_each_mistake_has_a_sentence(given: Any, expected: list[str]) -> None:
    assert errors(given) == [f"ocpi_emsp.{each}" for each in expected]


def test_a_database_that_is_not_ours_to_use_has_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(connections.settings["default"])
    monkeypatch.setitem(connections.settings, "memory", {**before, "NAME": ":memory:"})
    monkeypatch.setitem(connections.settings, "none", {**before, "ENGINE": "django.db.backends.dummy"})
    assert "is in memory, where each connection has its own." in errors({**GOOD, "DATABASE": "memory"})[0]
    assert "DATABASE 'none' of OCPI_EMSP is on unknown." in errors({**GOOD, "DATABASE": "none"})[0]
    del connections["memory"], connections["none"]


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("sqlalchemy is not installed: pip install 'ocpi-emsp[sql]'")

    monkeypatch.setattr(made, "_made", missing)
    assert errors(GOOD) == ["ocpi_emsp.E008: OCPI_EMSP: sqlalchemy is not installed: pip install 'ocpi-emsp[sql]'"]
    monkeypatch.undo()


def test_the_emsp_is_not_made_of_settings_with_a_mistake() -> None:
    expected = r"Unknown key 'PARTYID' in OCPI_EMSP\. Use one of AIO_HTTP_CLIENT, "
    with override_settings(OCPI_EMSP={**GOOD, "PARTYID": "X"}), pytest.raises(ImproperlyConfigured, match=expected):
        get_emsp()


def test_urls_that_partners_do_not_call_are_a_warning() -> None:
    with override_settings(OCPI_EMSP={**GOOD, "URL": "https://ocpi.example.com/ocpi"}):
        (found,) = (each for each in run_checks(tags=["urls"]) if each.id == "ocpi_emsp.W001")
        assert found.msg == (
            "Partners call https://ocpi.example.com/ocpi, but the URLs of ocpi_emsp are included at /ocpi/emsp."
        )
        assert found.hint.startswith("Include them at 'ocpi/', unless")
    with override_settings(OCPI_EMSP=GOOD):
        assert not [each for each in run_checks(tags=["urls"]) if each.id == "ocpi_emsp.W001"]
    with override_settings(OCPI_EMSP={**GOOD, "URL": "https://ocpi.example.com"}, ROOT_URLCONF="charging.urls"):
        assert not [each for each in run_checks(tags=["urls"]) if each.id == "ocpi_emsp.W001"]


def test_a_key_that_each_process_would_make_for_itself_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def warnings() -> list[str]:
        found = run_checks(tags=["security"], include_deployment_checks=True)
        return [each.hint for each in found if each.id == "ocpi_emsp.W002"]

    monkeypatch.delenv("OCPI_EMSP_SECRET_KEY")
    assert warnings() == []  # SQLite has its key beside the file
    postgres = {**connections.settings["default"], "ENGINE": "django.db.backends.postgresql"}
    monkeypatch.setitem(connections.settings, "postgres", postgres)
    with override_settings(OCPI_EMSP={**GOOD, "DATABASE": "postgres"}):
        assert warnings() == ["Set the environment variable OCPI_EMSP_SECRET_KEY to one key for all processes."]
        monkeypatch.setenv("OCPI_EMSP_SECRET_KEY", "x")
        assert warnings() == []
    del connections["postgres"]


# --- the eMSP ---------------------------------------------------------------------------------------------------------


def test_it_is_made_once_with_what_the_apps_register() -> None:
    emsp = get_emsp()
    assert get_emsp() is emsp
    listeners: list[Any] = emsp._contexts.setup.listeners
    assert [listener.__name__ for _, listener in listeners] == ["bill"]


def test_an_app_that_cannot_be_imported_fails_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sys.modules.pop("charging.ocpi", None)
    broken = ModuleType("charging.models")  # lacks what charging.ocpi imports
    monkeypatch.setitem(sys.modules, "charging.models", broken)
    for _ in range(2):
        with pytest.raises(ImportError, match="cannot import name 'Charge'"):
            get_emsp()
    monkeypatch.undo()


def test_it_needs_the_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "ready", False)
    with pytest.raises(AppRegistryNotReady, match=r"call it after django\.setup\(\) or get_wsgi_application\(\)"):
        get_emsp()


def test_a_store_of_its_own_and_a_retention() -> None:
    store = MemoryStore()
    with override_settings(OCPI_EMSP={**GOOD, "STORE": store, "RETENTION": Retention(rejections=timedelta(days=3))}):
        setup = get_emsp()._contexts.setup
    assert setup.store is store
    assert setup.retention.rejections == timedelta(days=3)


# --- the database -----------------------------------------------------------------------------------------------------


def postgres(**changes: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("USER", "PASSWORD", "HOST", "PORT"), "")
    return {"ENGINE": "django.db.backends.postgresql", "NAME": "charging", "OPTIONS": {}, **empty, **changes}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"ENGINE": "django.db.backends.sqlite3", "NAME": Path("/srv/db.sqlite3")}, ("/srv/db.sqlite3", {})),
        (
            {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:memorydb_default?mode=memory&cache=shared"},
            ("file:memorydb_default", {"mode": "memory", "cache": "shared", "uri": "true"}),
        ),
        (postgres(), ("charging", {})),
        (postgres(HOST="/run/postgresql"), ("charging", {"host": "/run/postgresql"})),
        (
            postgres(OPTIONS={"sslmode": "require", "pool": True, "isolation_level": 2, "connect_timeout": 3}),
            ("charging", {"sslmode": "require", "connect_timeout": "3"}),
        ),
    ],
)
def test_the_url_of_a_database(given: dict[str, Any], expected: tuple[str, dict[str, str]]) -> None:
    url = make_url(database_url(given))
    assert (url.database, dict(url.query)) == expected


def test_the_login_of_a_database_may_have_any_characters() -> None:
    url = make_url(database_url(postgres(USER="a@b", PASSWORD="p:/@?é", HOST="::1", PORT=5433)))
    assert (url.username, url.password, url.host, url.port) == ("a@b", "p:/@?é", "::1", 5433)
    assert url.drivername == "postgresql+psycopg"


def test_migrate_makes_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setitem(connections.settings["default"], "NAME", str(tmp_path / "new.sqlite3"))
    connections["default"].close()
    upgrade_schema("other")
    assert capsys.readouterr().out == ""
    upgrade_schema("default")
    assert "ocpi-emsp: created its tables in the database 'default'\n" in capsys.readouterr().out
    upgrade_schema("default")
    assert capsys.readouterr().out == ""
    store = SqlStore(f"sqlite:///{tmp_path}/new.sqlite3")
    store.check_schema()
    store.close()


def test_the_store_follows_the_name_of_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DjangoStore("default")
    first = store.sql
    assert store.sql is first
    monkeypatch.setitem(connections.settings["default"], "NAME", str(tmp_path / "test.sqlite3"))
    assert str(store) == f"sqlite:///{tmp_path}/test.sqlite3"
    store.close()


def test_check_passes_for_the_example() -> None:
    out = io.StringIO()
    call_command("check", stdout=out)
    assert "no issues" in out.getvalue()
    assert settings.OCPI_EMSP["COUNTRY_CODE"] == "IT"
