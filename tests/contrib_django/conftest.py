"""Django, set up once for a process of tests: the example project, on a database of its own."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.management import call_command
from django.db import connections
from sqlalchemy import make_url

from ocpi_emsp.contrib.django.emsp import make_emsp

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "django"


@pytest.fixture(scope="session")
def listener() -> Iterator[socket.socket]:
    """Where the example is served: the public URL of its eMSP names this port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


@pytest.fixture(scope="session", autouse=True)
def project(listener: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The example project with its tables; a process that a test starts is on the same database."""
    port = listener.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_SETTINGS_MODULE", "backend.settings")
        patch.setenv("DATABASE", str(tmp_path_factory.mktemp("django") / "db.sqlite3"))
        patch.setenv("OCPI_URL", f"http://127.0.0.1:{port}/ocpi/emsp")
        patch.setenv("TZ", os.environ.get("TZ", ""))  # Django sets it
        patch.syspath_prepend(str(EXAMPLE))
        with pytest.MonkeyPatch.context() as started:
            started.setattr(sys, "argv", ["manage.py", "test"])
            django.setup()
        call_command("migrate", verbosity=0)
        yield
        connections.close_all()
        store: Any = make_emsp()._contexts.setup.store
        store.close()
    time.tzset()


@pytest.fixture(params=["default", "postgres"])
def alias(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of Django's with our tables and the model Driver, empty."""
    if request.param == "default":
        yield from _emptied("default")
        return
    url = make_url(request.getfixturevalue("postgres_with_schema"))
    connections.settings["postgres"] = {
        **connections.settings["default"],
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.database,
        "USER": url.username or "",
        "PASSWORD": url.password or "",
        "HOST": url.query.get("host") or url.host or "",
        "PORT": str(url.port or ""),
        "OPTIONS": {},
    }
    from charging.models import Driver

    try:
        with connections["postgres"].schema_editor() as editor:
            editor.create_model(Driver)
        yield "postgres"
        with connections["postgres"].schema_editor() as editor:
            editor.delete_model(Driver)
    finally:
        connections["postgres"].close()
        del connections["postgres"], connections.settings["postgres"]


def _emptied(alias: str) -> Iterator[str]:
    _empty(alias)
    yield alias
    connections[alias].close()


def _empty(alias: str) -> None:
    from charging.models import Charge, Driver

    Charge.objects.using(alias).delete()
    Driver.objects.using(alias).delete()
    with connections[alias].cursor() as cursor:
        names: list[str] = connections[alias].introspection.table_names(cursor)
        for name in sorted(each for each in names if each.startswith("ocpi_") and each != "ocpi_version"):
            cursor.execute(f"DELETE FROM {name}")
